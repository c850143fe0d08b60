import type { Pod, Secret } from '@k3s/api/types/core/v1'
import type { AuthConfig, CriClient, CriInput, Image, PodSandboxConfig } from '@k3s/cri-client'
import type { Clock } from '@k3s/lifecycle'
import type { PodEvents } from '../events.ts'
import { containerFieldPath, type PodContainer } from '../pods/pod-facts.ts'
import { KeyedBackoff } from '../sync/keyed-backoff.ts'
import { criMessage, WaitingError } from '../sync/waiting-error.ts'
import { credentialsFor } from './credentials.ts'
import { formatImageName, parseImageName } from './image-name.ts'
import { Semaphore } from '../semaphore.ts'

export interface PulledImage {
  /** What the runtime knows it by: to be given when a container is made. */
  readonly ref: string
  readonly uid: number | undefined
  readonly username: string
}

export interface ImagePullerOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly events: PodEvents
  /** The pod's pull secrets that exist. */
  readonly pullSecrets: (pod: Pod) => Promise<readonly Secret[]>
  /** How many images are pulled at once. */
  readonly parallelPulls: number
  /** A pull is given up after this. */
  readonly pullTimeoutMs: number
}

const backOffAfterMs = 2000

/** Sees to it that a container's image is there, by its pull policy. Safe to call at once: pulls wait for a free place. */
export class ImagePuller {
  readonly #options: ImagePullerOptions
  readonly #backoff: KeyedBackoff
  readonly #lastFailure = new Map<string, { readonly at: number; readonly message: string }>()
  readonly #places: Semaphore

  constructor(options: ImagePullerOptions) {
    this.#options = options
    // Upstream's numbers: 10 s, doubled up to 5 min.
    this.#backoff = new KeyedBackoff({ clock: options.clock, initialMs: 10_000, maxMs: 300_000, resetMs: 600_000 })
    this.#places = new Semaphore(options.parallelPulls)
  }

  /** Throws a {@link WaitingError} whose reason the status shows. An abort ends a pull. */
  async ensure(pod: Pod, target: PodContainer, sandbox: CriInput<PodSandboxConfig>, signal: AbortSignal): Promise<PulledImage> {
    const { cri, events } = this.#options
    const { container } = target
    const spelled = container.image ?? ''
    const fieldPath = containerFieldPath(target)
    const name = parseImageName(spelled)
    if (name === undefined) {
      const message = `Failed to apply default image tag "${spelled}": couldn't parse image name "${spelled}": invalid reference format`
      events.podEvent(pod, 'Warning', 'InspectFailed', message, fieldPath)
      throw new WaitingError('InvalidImageName', message)
    }
    const image = formatImageName(name)
    const policy = container.imagePullPolicy ?? (name.tag === 'latest' ? 'Always' : 'IfNotPresent')
    const present = (await cri.imageStatus({ image: { image } }, { signal })).image
    if (policy !== 'Always' && present !== undefined) {
      events.podEvent(
        pod,
        'Normal',
        'Pulled',
        `Container image "${spelled}" already present on machine and can be accessed by the pod`,
        fieldPath,
      )
      return pulled(present)
    }
    if (policy === 'Never') {
      const message = `Container image "${spelled}" is not present with pull policy of Never`
      events.podEvent(pod, 'Warning', 'ErrImageNeverPull', message, fieldPath)
      throw new WaitingError('ErrImageNeverPull', message)
    }
    return await this.#pull(pod, spelled, image, fieldPath, sandbox, signal)
  }

  /** Forgets the back-offs of a pod that is gone. */
  forget(podUid: string): void {
    this.#backoff.forgetPrefix(`${podUid}/`)
    for (const key of this.#lastFailure.keys()) if (key.startsWith(`${podUid}/`)) this.#lastFailure.delete(key)
  }

  async #pull(
    pod: Pod,
    spelled: string,
    image: string,
    fieldPath: string,
    sandbox: CriInput<PodSandboxConfig>,
    signal: AbortSignal,
  ): Promise<PulledImage> {
    const { cri, clock, events } = this.#options
    const key = `${pod.metadata.uid ?? ''}/${image}`
    const last = this.#lastFailure.get(key)
    const waitMs = last === undefined ? 0 : this.#backoff.remaining(key, last.at)
    if (last !== undefined && waitMs > 0) {
      const message = `Back-off pulling image "${spelled}"`
      events.podEvent(pod, 'Normal', 'BackOff', message, fieldPath)
      throw new WaitingError('ImagePullBackOff', `${message}: ErrImagePull: ${last.message}`, waitMs)
    }
    events.podEvent(pod, 'Normal', 'Pulling', `Pulling image "${spelled}"`, fieldPath)
    const startedAt = clock.monotonic()
    try {
      let waited = 0
      const pull = async (): Promise<string> => {
        waited = clock.monotonic() - startedAt
        return await this.#tryCredentials(image, await this.#options.pullSecrets(pod), sandbox, signal)
      }
      const ref = await this.#places.run(pull, signal)
      const took = clock.monotonic() - startedAt - waited
      const status = (await cri.imageStatus({ image: { image: ref } }, { signal })).image
      if (status === undefined) throw new Error(`image "${spelled}" is not there after it was pulled`)
      const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)}ms` : `${(ms / 1000).toFixed(3).replace(/\.?0+$/, '')}s`)
      events.podEvent(
        pod,
        'Normal',
        'Pulled',
        `Successfully pulled image "${spelled}" in ${seconds(took)} (${seconds(took + waited)} including waiting). Image size: ${status.size} bytes.`,
        fieldPath,
      )
      this.#backoff.forget(key)
      this.#lastFailure.delete(key)
      return { ...pulled(status), ref }
    } catch (error) {
      signal.throwIfAborted()
      const detail = criMessage(error)
      this.#lastFailure.set(key, { at: clock.now(), message: detail })
      this.#backoff.next(key, last?.at ?? clock.now())
      events.podEvent(pod, 'Warning', 'Failed', `Failed to pull image "${spelled}": ${detail}`, fieldPath)
      events.podEvent(pod, 'Warning', 'Failed', 'Error: ErrImagePull', fieldPath)
      // Soon, so that the status tells of the back-off; the pull itself waits for its end.
      throw new WaitingError('ErrImagePull', detail, backOffAfterMs, { cause: error })
    }
  }

  /** Without secrets one anonymous try; else each fitting entry in turn, and the last failure counts. */
  async #tryCredentials(
    image: string,
    secrets: readonly Secret[],
    sandboxConfig: CriInput<PodSandboxConfig>,
    signal: AbortSignal,
  ): Promise<string> {
    const { cri, pullTimeoutMs } = this.#options
    const credentials: readonly (CriInput<AuthConfig> | undefined)[] = credentialsFor(image, secrets)
    let failure: unknown
    for (const auth of credentials.length === 0 ? [undefined] : credentials) {
      try {
        const { imageRef } = await cri.pullImage({ image: { image }, auth, sandboxConfig }, { signal, timeoutMs: pullTimeoutMs })
        return imageRef
      } catch (error) {
        signal.throwIfAborted()
        failure = error
      }
    }
    throw failure
  }
}

const pulled = (image: Image): PulledImage => ({ ref: image.id, uid: image.uid?.value, username: image.username })
