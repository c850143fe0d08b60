import type { Container, ContainerStatus, Pod, PodStatus, Probe } from '@k3s/api/types/core/v1'
import { isCriError, type CriClient } from '@k3s/cri-client'
import type { Clock, Counter, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { PodEvents } from '../events.ts'
import { containerFieldPath, isRestartableInit, isTerminalPhase, podUid, type PodContainer } from '../pods/pod-facts.ts'
import type { ProbeStates } from '../status/container-statuses.ts'
import type { ProbeVerdicts } from '../sync/plan.ts'
import { runProbe, type ProbeOutcome } from './run-probe.ts'

type ProbeKind = 'startup' | 'liveness' | 'readiness'

export interface ProbeManagerOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly events: PodEvents
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  /** The latest status of a pod. */
  readonly statusOf: (pod: Pod) => PodStatus
  /** Called when a verdict has changed that the pod's status or plan depends on. Must not throw. */
  readonly onChange: (podUid: string) => void
}

interface Worker {
  readonly stop: AbortController
  pod: Pod
  wake: () => void
}

const kinds = ['startup', 'liveness', 'readiness'] as const
const maxTries = 3

const probeOf = (container: Container, kind: ProbeKind): Probe | undefined =>
  kind === 'startup' ? container.startupProbe : kind === 'liveness' ? container.livenessProbe : container.readinessProbe

/** Probes the containers of pods and keeps the verdicts by container id. One loop a probe; {@link ProbeManager.close} ends all. */
export class ProbeManager implements ProbeVerdicts, ProbeStates {
  readonly #options: ProbeManagerOptions
  readonly #workers = new Map<string, Map<string, Worker>>()
  readonly #verdicts: Readonly<Record<ProbeKind, Map<string, boolean>>> = {
    startup: new Map(),
    liveness: new Map(),
    readiness: new Map(),
  }
  readonly #total: Counter

  constructor(options: ProbeManagerOptions) {
    this.#options = options
    this.#total = options.metrics.counter({
      name: 'prober_probe_total',
      help: 'Number of probes of containers by type and result.',
      labels: ['probe_type', 'result', 'container', 'pod', 'namespace'],
    })
  }

  startup(containerId: string): boolean | undefined {
    return this.#verdicts.startup.get(containerId)
  }

  liveness(containerId: string): boolean | undefined {
    return this.#verdicts.liveness.get(containerId)
  }

  isStarted(containerId: string, container: Container): boolean | undefined {
    return container.startupProbe === undefined ? true : this.#verdicts.startup.get(containerId)
  }

  isReady(containerId: string, container: Container): boolean | undefined {
    return container.readinessProbe === undefined ? true : this.#verdicts.readiness.get(containerId)
  }

  /** Starts the loops of a pod's probes that do not run yet, and lets all look at once whether there is something to do. */
  add(pod: Pod): void {
    const uid = podUid(pod)
    const workers = this.#workers.get(uid) ?? new Map<string, Worker>()
    this.#workers.set(uid, workers)
    const targets: readonly PodContainer[] = [
      ...(pod.spec.initContainers ?? [])
        .filter((container) => isRestartableInit(container))
        .map((container) => ({ kind: 'init' as const, container })),
      ...pod.spec.containers.map((container) => ({ kind: 'regular' as const, container })),
    ]
    for (const target of targets)
      for (const kind of kinds) {
        if (probeOf(target.container, kind) === undefined) continue
        const key = `${kind}/${target.container.name}`
        const known = workers.get(key)
        if (known !== undefined) {
          known.pod = pod
          known.wake()
          continue
        }
        const worker: Worker = { stop: new AbortController(), pod, wake: () => {} }
        workers.set(key, worker)
        void this.#run(worker, kind, target) // never rejects; ends with worker.stop
      }
  }

  /** Startup and liveness probes have no use while a pod is ending: upstream keeps readiness alone. */
  stopLiveness(uid: string): void {
    for (const [key, worker] of this.#workers.get(uid) ?? []) if (!key.startsWith('readiness/')) worker.stop.abort()
  }

  remove(uid: string): void {
    for (const worker of this.#workers.get(uid)?.values() ?? []) worker.stop.abort()
    this.#workers.delete(uid)
  }

  close(): void {
    for (const uid of this.#workers.keys()) this.remove(uid)
  }

  async #run(worker: Worker, kind: ProbeKind, target: PodContainer): Promise<void> {
    const { clock, statusOf } = this.#options
    const { signal } = worker.stop
    const { container } = target
    const periodMs = (probeOf(container, kind)?.periodSeconds ?? 10) * 1000
    let containerId = ''
    let isOnHold = false
    let last: boolean | undefined
    let inRow = 0
    let lastProbeAt = -Infinity
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>()
      worker.wake = woken.resolve
      const status = statusOf(worker.pod)
      if (isTerminalPhase(status.phase)) break
      const found = find(status, container.name)
      const id = found?.containerID?.replace(/^.*:\/\//, '') ?? ''
      const startedAt = found?.state?.running?.startedAt
      let waitMs = periodMs
      if (id !== containerId && id !== '') {
        this.#forget(kind, containerId)
        containerId = id
        isOnHold = false
        last = undefined
        inRow = 0
        lastProbeAt = -Infinity
      }
      const probe = probeOf(container, kind)
      // Adopted after a restart of the kubelet: it had started before.
      if (kind === 'startup' && found?.started === true && id !== '') this.#tell(kind, id, true, worker.pod)
      const isDue = kind === 'startup' ? found?.started !== true : found?.started === true
      if (probe !== undefined && id !== '' && startedAt !== undefined && !isOnHold && isDue) {
        const initialMs = Date.parse(startedAt) + (probe.initialDelaySeconds ?? 0) * 1000 - clock.now()
        const sinceLast = clock.monotonic() - lastProbeAt
        if (initialMs > 0) waitMs = Math.min(periodMs, initialMs)
        else if (sinceLast < periodMs) waitMs = periodMs - sinceLast
        else {
          lastProbeAt = clock.monotonic()
          const outcome = await this.#probe(worker.pod, kind, target, probe, id, signal)
          if (signal.aborted) break
          if (outcome !== undefined) {
            const good = outcome.result !== 'failure'
            inRow = last === good ? inRow + 1 : 1
            last = good
            const needed = good ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3)
            if (inRow >= needed) {
              this.#tell(kind, id, good, worker.pod)
              // The container is about to be restarted: asking on would only repeat the verdict.
              if (!good && kind !== 'readiness') isOnHold = true
              if (isOnHold) inRow = 0
            }
          }
        }
      }
      await Promise.race([clock.sleep(waitMs, signal).catch(() => {}), woken.promise]) // the loop's condition sees the abort
    }
    this.#forget(kind, containerId)
  }

  #forget(kind: ProbeKind, containerId: string): void {
    this.#verdicts[kind].delete(containerId)
  }

  #tell(kind: ProbeKind, id: string, good: boolean, pod: Pod): void {
    if (this.#verdicts[kind].get(id) === good) return
    this.#verdicts[kind].set(id, good)
    // A first good liveness changes nothing.
    if (kind !== 'liveness' || !good) this.#options.onChange(podUid(pod))
  }

  async #probe(
    pod: Pod,
    kind: ProbeKind,
    target: PodContainer,
    probe: Probe,
    containerId: string,
    signal: AbortSignal,
  ): Promise<ProbeOutcome | undefined> {
    const { cri, events, statusOf } = this.#options
    const { container } = target
    const name = kind.slice(0, 1).toUpperCase() + kind.slice(1)
    const fieldPath = containerFieldPath(target)
    const count = (result: string): void =>
      this.#total.inc({
        probe_type: name,
        result,
        container: container.name,
        pod: pod.metadata.name,
        namespace: pod.metadata.namespace ?? '',
      })
    const podIp = statusOf(pod).podIP ?? ''
    let failure: unknown
    for (let attempt = 0; attempt < maxTries; attempt++) {
      try {
        const outcome = await runProbe(probe, { containerId, container, podIp }, cri, signal)
        count(outcome.result === 'failure' ? 'failed' : 'successful')
        if (outcome.result === 'failure') events.podEvent(pod, 'Warning', 'Unhealthy', `${name} probe failed: ${outcome.output}`, fieldPath)
        if (outcome.result === 'warning')
          events.podEvent(pod, 'Warning', 'ProbeWarning', `${name} probe warning: ${outcome.output}`, fieldPath)
        return outcome
      } catch (error) {
        if (signal.aborted || isCriError(error, 'NOT_FOUND')) return undefined
        failure = error
      }
    }
    count('unknown')
    const text = failure instanceof Error ? failure.message : String(failure)
    events.podEvent(pod, 'Warning', 'Unhealthy', `${name} probe errored and resulted in unknown state: ${text}`, fieldPath)
    return undefined
  }
}

function find(status: PodStatus, name: string): ContainerStatus | undefined {
  return [...(status.containerStatuses ?? []), ...(status.initContainerStatuses ?? [])].find((candidate) => candidate.name === name)
}
