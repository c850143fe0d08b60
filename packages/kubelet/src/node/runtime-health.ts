import type { ContainerImage } from '@k3s/api/types/core/v1'
import type { CriClient, RuntimeHandler } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'

export interface RuntimeHealthOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  /** Called when a problem has come or gone. Must not throw. */
  readonly onChange: () => void
}

// Upstream asks every 5 s; while something is missing a node start-up should not wait for that.
const checkMs = 5000
const unreadyCheckMs = 500
const imagesMs = 60_000
// Upstream's nodeStatusMaxImages and names of one image.
const maxImages = 50
const maxNames = 5
const isDown = 'container runtime is down'

/** What the container runtime says of itself. */
export class RuntimeHealth {
  readonly #options: RuntimeHealthOptions
  #runtimeProblem: string | undefined = 'container runtime status check may not have completed yet'
  #networkProblem: string | undefined = 'container runtime network not ready: no answer yet'
  #name = 'containerd'
  #version = ''
  #handlers: readonly RuntimeHandler[] = []
  #images: readonly ContainerImage[] = []
  #imagesAt = -Infinity

  constructor(options: RuntimeHealthOptions) {
    this.#options = options
  }

  /** Why nothing can run; `undefined` when all is well. */
  get runtimeProblem(): string | undefined {
    return this.#runtimeProblem
  }

  /** Why pods get no network. */
  get networkProblem(): string | undefined {
    return this.#networkProblem
  }

  get name(): string {
    return this.#name
  }

  /** `containerd://1.6.20`. */
  get version(): string {
    return `${this.#name}://${this.#version}`
  }

  get handlers(): readonly RuntimeHandler[] {
    return this.#handlers
  }

  /** The largest images, as the node's status shows them. */
  get images(): readonly ContainerImage[] {
    return this.#images
  }

  /** Checks until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted) {
      await this.check(signal)
      const isWell = this.#runtimeProblem === undefined && this.#networkProblem === undefined
      await clock.sleep(isWell ? checkMs : unreadyCheckMs, signal).catch(() => {}) // the loop's condition sees the abort
    }
  }

  async check(signal: AbortSignal): Promise<void> {
    const { clock, cri, logger, onChange } = this.#options
    const before = `${this.#runtimeProblem ?? ''}/${this.#networkProblem ?? ''}`
    try {
      if (this.#version === '') {
        const { runtimeName, runtimeVersion } = await cri.version({}, { signal })
        this.#name = runtimeName
        this.#version = runtimeVersion
      }
      const { status, runtimeHandlers } = await cri.status({}, { signal })
      this.#handlers = runtimeHandlers
      const problemOf = (type: string): string | undefined => {
        const condition = status?.conditions.find((candidate) => candidate.type === type)
        if (condition?.status === true) return undefined
        return `${type}=false reason:${condition?.reason ?? ''} message:${condition?.message ?? ''}`
      }
      const runtime = problemOf('RuntimeReady')
      const network = problemOf('NetworkReady')
      this.#runtimeProblem = runtime === undefined ? undefined : `container runtime not ready: ${runtime}`
      this.#networkProblem = network === undefined ? undefined : `container runtime network not ready: ${network}`
      if (clock.monotonic() - this.#imagesAt >= imagesMs) {
        this.#images = imagesOf((await cri.listImages({}, { signal })).images)
        this.#imagesAt = clock.monotonic()
      }
    } catch (err) {
      if (signal.aborted) return
      if (this.#runtimeProblem !== isDown) logger.warn({ err }, 'The container runtime does not answer')
      this.#runtimeProblem = isDown
      this.#version = '' // it may come back as another one
    }
    if (before !== `${this.#runtimeProblem ?? ''}/${this.#networkProblem ?? ''}`) onChange()
  }
}

function imagesOf(
  images: readonly { readonly repoTags: readonly string[]; readonly repoDigests: readonly string[]; readonly size: number }[],
): ContainerImage[] {
  return [...images]
    .toSorted((a, b) => b.size - a.size)
    .slice(0, maxImages)
    .map(({ repoDigests, repoTags, size }) => ({ names: [...repoDigests, ...repoTags].slice(0, maxNames), sizeBytes: size }))
}
