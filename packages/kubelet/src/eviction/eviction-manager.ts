import { quantityOf } from '@k3s/api'
import type { Pod } from '@k3s/api/types/core/v1'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { PodEvents } from '../events.ts'
import { podKey, podUid } from '../pods/pod-facts.ts'
import { podRequest } from '../resources/amounts.ts'
import type { FailedVerdict } from '../status/generate-status.ts'
import { rankForEviction, thresholdValue, unmet, type EvictionSignal, type Observation, type Threshold } from './rank.ts'

/** What the eviction manager measures with; behind an interface so that tests can make a node starve. */
export interface EvictionProbe {
  /** The signals that can be measured here. */
  observe(): Promise<ReadonlyMap<EvictionSignal, Observation>>
  /** Bytes that each pod uses, by uid. */
  usage(resource: 'memory' | 'ephemeral-storage'): Promise<ReadonlyMap<string, number>>
}

export interface EvictionManagerOptions {
  readonly probe: EvictionProbe
  readonly thresholds: readonly Threshold[]
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly events: PodEvents
  /** Pods that run. */
  readonly pods: () => readonly Pod[]
  /** Ends a pod at once. */
  readonly evict: (pod: Pod, failure: FailedVerdict) => void
  /** Frees disk before pods have to go; gives the bytes freed. */
  readonly reclaimDisk: (signal: AbortSignal) => Promise<number>
  /** Called when a shortage has come or gone. Must not throw. */
  readonly onPressure: () => void
}

// Upstream's: measured every 10 s; a condition stays for 5 min after the shortage so that pods do not come and go with it.
const periodMs = 10_000
const transitionMs = 300_000

/** Ends pods before the node runs out of memory or disk: one at a time, so that the next measure can tell whether it was enough. */
export class EvictionManager {
  readonly #options: EvictionManagerOptions
  readonly #lastSeen = new Map<EvictionSignal, number>()

  constructor(options: EvictionManagerOptions) {
    this.#options = options
  }

  get memoryPressure(): boolean {
    return this.#isPressed('memory.available')
  }

  get diskPressure(): boolean {
    return this.#isPressed('nodefs.available') || this.#isPressed('nodefs.inodesFree')
  }

  get pidPressure(): boolean {
    return this.#isPressed('pid.available')
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    const pressures = (): string => [this.memoryPressure, this.diskPressure, this.pidPressure].join()
    let before = pressures()
    while (!signal.aborted) {
      try {
        await this.check(signal)
        if (pressures() !== before) this.#options.onPressure()
        before = pressures()
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Cannot check for shortage')
      }
      await clock.sleep(periodMs, signal).catch(() => {}) // the loop's condition sees the abort
    }
  }

  /** Measures once and ends at most one pod. Gives the one that was ended. */
  async check(signal: AbortSignal): Promise<Pod | undefined> {
    const { clock, events, evict, logger, metrics, pods, probe, reclaimDisk, thresholds } = this.#options
    let observations = await probe.observe()
    let short = unmet(thresholds, observations)
    for (const { signal: name } of short) this.#lastSeen.set(name, clock.monotonic())
    if (short.some(({ signal: name }) => name.startsWith('nodefs')) && (await reclaimDisk(signal)) > 0) {
      observations = await probe.observe()
      short = unmet(thresholds, observations)
    }
    const [threshold] = short
    if (threshold === undefined) return undefined
    const resource = threshold.signal === 'memory.available' ? 'memory' : 'ephemeral-storage'
    const usage = await probe.usage(resource)
    const [victim] = rankForEviction(pods(), resource, usage)
    const observation = observations.get(threshold.signal)
    if (victim === undefined || observation === undefined) {
      logger.warn({ signal: threshold.signal }, 'The node is short but has no pod to evict')
      return undefined
    }
    const amount = (value: number): string =>
      threshold.signal.endsWith('available') && threshold.signal !== 'pid.available' ? quantityOf(value, 'binarySI') : String(value)
    const used = usage.get(podUid(victim)) ?? 0
    const requested = podRequest(victim, resource)
    const message =
      `The node was low on resource: ${resource}. Threshold quantity: ${amount(thresholdValue(threshold, observation.capacity))}, available: ${amount(observation.available)}. ` +
      (used > requested
        ? `Pod ${victim.metadata.name} was using ${amount(used)}, request is ${amount(requested)}, has larger consumption of ${resource}. `
        : '')
    metrics
      .counter({ name: 'kubelet_evictions', help: 'Cumulative number of pod evictions by eviction signal', labels: ['eviction_signal'] })
      .inc({ eviction_signal: threshold.signal })
    logger.warn({ pod: podKey(victim), signal: threshold.signal }, 'Evicts a pod')
    events.podEvent(victim, 'Warning', 'Evicted', message)
    evict(victim, {
      reason: 'Evicted',
      message,
      conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message }],
    })
    return victim
  }

  #isPressed(name: EvictionSignal): boolean {
    const at = this.#lastSeen.get(name)
    return at !== undefined && this.#options.clock.monotonic() - at < transitionMs
  }
}
