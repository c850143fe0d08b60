import { readdir, readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CriClient } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import { label, podLogsName } from './labels.ts'

/** A container or sandbox as far as its collection goes. */
export interface GcContainer {
  readonly id: string
  readonly podUid: string
  readonly name: string
  readonly sandboxId: string
  readonly isDead: boolean
  readonly createdAt: number
}

export interface GcSandbox {
  readonly id: string
  readonly podUid: string
  readonly isReady: boolean
  readonly createdAt: number
}

export interface GcPlan {
  readonly containers: readonly string[]
  readonly sandboxes: readonly string[]
}

/**
 * What can be removed: of each container of a live pod all dead ones but the newest, everything dead of pods that are gone, and sandboxes
 * that have ended, hold no container and are not the newest of a live pod.
 */
export function planContainerGc(
  containers: readonly GcContainer[],
  sandboxes: readonly GcSandbox[],
  isGone: (podUid: string) => boolean,
): GcPlan {
  const kept = new Set<string>()
  const removed: string[] = []
  for (const container of containers.toSorted((a, b) => b.createdAt - a.createdAt)) {
    if (!container.isDead) continue
    const key = `${container.podUid}/${container.name}`
    if (isGone(container.podUid) || kept.has(key)) removed.push(container.id)
    kept.add(key)
  }
  const gone = new Set(removed)
  const used = new Set(containers.filter(({ id }) => !gone.has(id)).map(({ sandboxId }) => sandboxId))
  const newestOf = new Set<string>()
  const ended: string[] = []
  for (const sandbox of sandboxes.toSorted((a, b) => b.createdAt - a.createdAt)) {
    const isNewest = !newestOf.has(sandbox.podUid)
    newestOf.add(sandbox.podUid)
    if (sandbox.isReady || used.has(sandbox.id)) continue
    if (isGone(sandbox.podUid) || !isNewest) ended.push(sandbox.id)
  }
  return { containers: removed, sandboxes: ended }
}

export interface ContainerGcOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly podLogsDir: string
  readonly containerLogsDir: string
  /** True for pods that are neither known nor ending. */
  readonly isGone: (podUid: string) => boolean
}

// Upstream's GC period.
const periodMs = 60_000

/** Removes dead containers, ended sandboxes and logs of pods that are gone. */
export class ContainerGc {
  readonly #options: ContainerGcOptions

  constructor(options: ContainerGcOptions) {
    this.#options = options
  }

  /** Collects once a minute until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      await clock.sleep(periodMs, signal).catch(() => {}) // the loop's condition sees the abort
      if (signal.aborted) return
      try {
        await this.collect(signal)
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Cannot collect dead containers')
      }
    }
  }

  async collect(signal: AbortSignal): Promise<void> {
    const { cri, isGone } = this.#options
    const [{ containers }, { items }] = await Promise.all([cri.listContainers({}, { signal }), cri.listPodSandbox({}, { signal })])
    const plan = planContainerGc(
      containers
        .filter(({ labels }) => labels[label.podUid] !== undefined)
        .map(({ id, labels, podSandboxId, state, createdAt }) => ({
          id,
          podUid: labels[label.podUid] ?? '',
          name: labels[label.containerName] ?? '',
          sandboxId: podSandboxId,
          isDead: state === 'CONTAINER_EXITED',
          createdAt,
        })),
      items
        .filter(({ labels }) => labels[label.podUid] !== undefined)
        .map(({ id, labels, state, createdAt }) => ({
          id,
          podUid: labels[label.podUid] ?? '',
          isReady: state === 'SANDBOX_READY',
          createdAt,
        })),
      isGone,
    )
    for (const containerId of plan.containers) await cri.removeContainer({ containerId }, { signal })
    for (const podSandboxId of plan.sandboxes) await this.#removeSandbox(podSandboxId, signal)
    await this.#collectLogs()
  }

  /** Removes everything that the runtime and the log directory have of a pod. Nothing of it may run. */
  async removePod(pod: { readonly uid: string; readonly name: string; readonly namespace: string }, signal: AbortSignal): Promise<void> {
    const { cri, podLogsDir } = this.#options
    const { items } = await cri.listPodSandbox({ filter: { labelSelector: { [label.podUid]: pod.uid } } }, { signal })
    for (const { id } of items) await this.#removeSandbox(id, signal)
    await rm(join(podLogsDir, podLogsName(pod)), { recursive: true, force: true })
    await this.#collectLinks()
  }

  async #removeSandbox(podSandboxId: string, signal: AbortSignal): Promise<void> {
    await this.#options.cri.stopPodSandbox({ podSandboxId }, { signal })
    await this.#options.cri.removePodSandbox({ podSandboxId }, { signal })
  }

  async #collectLogs(): Promise<void> {
    const { isGone, podLogsDir } = this.#options
    for (const name of await readdir(podLogsDir).catch(() => [])) {
      const uid = name.split('_')[2]
      if (uid !== undefined && isGone(uid)) await rm(join(podLogsDir, name), { recursive: true, force: true })
    }
    await this.#collectLinks()
  }

  async #collectLinks(): Promise<void> {
    const { containerLogsDir } = this.#options
    for (const name of await readdir(containerLogsDir).catch(() => [])) {
      const link = join(containerLogsDir, name)
      const isLink = (await readlink(link).catch(() => undefined)) !== undefined // else a file that is not ours
      if (isLink && (await stat(link).catch(() => undefined)) === undefined) await rm(link, { force: true })
    }
  }
}
