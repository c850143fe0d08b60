import { isCriError, type CriClient } from '@k3s/cri-client'
import type { Clock, Gauge, Logger, MetricsRegistry } from '@k3s/lifecycle'
import { label } from './labels.ts'
import { containerState, listSignature } from './runtime-state.ts'

/** A pod as the runtime's records name it. */
export interface RuntimePod {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  /** True while a sandbox is ready or a container runs. */
  readonly isRunning: boolean
}

export interface PlegOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  /** Called when something of a pod has changed state, appeared or vanished; `signature` is empty when nothing is left. Must not throw. */
  readonly onChange: (podUid: string, signature: string) => void
}

// Upstream relists every second; with the runtime's events the list only catches what they missed.
const relistMs = 1000
const relistWithEventsMs = 10_000
// Upstream: the node is not ready when lists have failed for so long.
const unhealthyMs = 180_000

/** Pod lifecycle event generator: notices what changes in the runtime by comparing lists of all sandboxes and containers. */
export class Pleg {
  readonly #options: PlegOptions
  #states = new Map<string, { readonly pod: RuntimePod; readonly signature: string }>()
  #lastListAt: number | undefined
  #hasEvents = false
  #kick: () => void = () => {}
  readonly #runningPods: Gauge
  readonly #runningContainers: Gauge

  constructor(options: PlegOptions) {
    this.#options = options
    this.#runningPods = options.metrics.gauge({ name: 'kubelet_running_pods', help: 'Number of pods that have a running pod sandbox' })
    this.#runningContainers = options.metrics.gauge({
      name: 'kubelet_running_containers',
      help: 'Number of containers by state',
      labels: ['container_state'],
    })
  }

  /** What the runtime had at the last list. */
  pods(): readonly RuntimePod[] {
    return [...this.#states.values()].map(({ pod }) => pod)
  }

  /** Why the node counts as not ready; `undefined` while lists succeed. */
  problem(): string | undefined {
    if (this.#lastListAt === undefined) return 'PLEG is not healthy: pleg has yet to be successful'
    const agoMs = this.#options.clock.monotonic() - this.#lastListAt
    return agoMs <= unhealthyMs
      ? undefined
      : `PLEG is not healthy: pleg was last seen active ${Math.round(agoMs / 1000)}s ago; threshold is ${unhealthyMs / 60_000}m0s`
  }

  /** Lists once and tells of what has changed. */
  async relist(signal: AbortSignal): Promise<void> {
    const { cri, clock, onChange } = this.#options
    const [{ items }, { containers }] = await Promise.all([cri.listPodSandbox({}, { signal }), cri.listContainers({}, { signal })])
    const parts = new Map<string, { name: string; namespace: string; isRunning: boolean; signature: string[] }>()
    const partOf = (labels: Readonly<Record<string, string>>): { isRunning: boolean; signature: string[] } | undefined => {
      const uid = labels[label.podUid]
      if (uid === undefined) return undefined // not made by a kubelet
      const part = parts.get(uid) ?? {
        name: labels[label.podName] ?? '',
        namespace: labels[label.podNamespace] ?? '',
        isRunning: false,
        signature: [],
      }
      parts.set(uid, part)
      return part
    }
    for (const entry of [...items, ...containers]) {
      const part = partOf(entry.labels)
      part?.signature.push(listSignature(entry))
      if (part !== undefined && (entry.state === 'SANDBOX_READY' || entry.state === 'CONTAINER_RUNNING')) part.isRunning = true
    }
    const before = this.#states
    this.#states = new Map(
      [...parts].map(([uid, { name, namespace, isRunning, signature }]) => [
        uid,
        { pod: { uid, name, namespace, isRunning }, signature: signature.toSorted().join(' ') },
      ]),
    )
    this.#lastListAt = clock.monotonic()
    this.#runningPods.set(this.pods().filter(({ isRunning }) => isRunning).length)
    for (const state of ['running', 'exited', 'created', 'unknown'] as const)
      this.#runningContainers.set(containers.filter((container) => containerState(container) === state).length, { container_state: state })
    for (const [uid, { signature }] of this.#states) if (before.get(uid)?.signature !== signature) onChange(uid, signature)
    for (const uid of before.keys()) if (!this.#states.has(uid)) onChange(uid, '')
  }

  /** Lists until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, metrics } = this.#options
    const duration = metrics.histogram({
      name: 'kubelet_pleg_relist_duration_seconds',
      help: 'Duration in seconds for relisting pods in PLEG.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    })
    const following = this.#followEvents(signal)
    while (!signal.aborted) {
      const startedAt = clock.monotonic()
      try {
        await this.relist(signal)
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Cannot list what the runtime has')
      }
      duration.observe((clock.monotonic() - startedAt) / 1000)
      const kicked = Promise.withResolvers<void>()
      this.#kick = kicked.resolve
      const timer = new AbortController()
      const sleeping = clock.sleep(this.#hasEvents ? relistWithEventsMs : relistMs, AbortSignal.any([signal, timer.signal])).catch(() => {}) // ended by us
      await Promise.race([sleeping, kicked.promise])
      timer.abort()
    }
    await following
  }

  /** Where the runtime tells of events, each leads to a list at once. */
  async #followEvents(signal: AbortSignal): Promise<void> {
    const { cri, clock, logger } = this.#options
    while (!signal.aborted) {
      try {
        if (!(await cri.supportsEvents({ signal }))) return
        this.#hasEvents = true
        for await (const event of cri.containerEvents({ signal })) {
          void event // the list tells more than one event does
          this.#kick()
        }
      } catch (err) {
        if (signal.aborted || isCriError(err, 'UNIMPLEMENTED')) break
        logger.debug({ err }, 'Lost the events of the runtime')
      }
      this.#hasEvents = false
      this.#kick()
      await clock.sleep(1000, signal).catch(() => {}) // the loop's condition sees the abort
    }
  }
}
