import { isDeepStrictEqual } from 'node:util'
import type { Pod } from '@k3s/api/types/core/v1'
import { backoffDelay, type Clock, type Logger } from '@k3s/lifecycle'
import type { PodSyncer, TerminateOptions } from '../sync/pod-syncer.ts'
import { isStaticPod, isTerminalPhase, podKey, podUid } from './pod-facts.ts'

/** Where a pod is on its one way through the node: there is no way back. */
export type WorkerPhase = 'syncing' | 'terminating' | 'finishing' | 'finished'

export interface PodWorkersOptions {
  readonly syncer: Pick<PodSyncer, 'sync' | 'terminate' | 'finish' | 'hasHandled'>
  readonly clock: Clock
  readonly logger: Logger
  /** Called when nothing of a pod runs any more and its node resources are freed. Must not throw. */
  readonly onFinished: (pod: Pod) => void
}

interface Worker {
  pod: Pod
  phase: WorkerPhase
  /** Set once the pod has to end. */
  termination: TerminateOptions | undefined
  /** Aborts the step that is under way. */
  step: AbortController
  wake: () => void
  isAwake: boolean
  /** The last change of the runtime that was told of, until the pod has been looked at after it. */
  signature: string | undefined
  failures: number
  /** Gone from its source: the worker is dropped when it has finished. */
  isGone: boolean
}

// Upstream: every pod is looked at once a minute, and a failed step is tried again within 10 s.
const resyncMs = 60_000
const maxRetryMs = 10_000
const terminateRetryMs = 1000

/**
 * One serial worker for each pod: setup and sync until the pod has to end, then termination, then clean-up. Steps of one pod never overlap;
 * pods do not wait for each other. A static pod waits for the earlier one of its name to finish.
 */
export class PodWorkers {
  readonly #options: PodWorkersOptions
  readonly #workers = new Map<string, Worker>()
  readonly #running = new Set<Promise<void>>()
  readonly #stopped = new AbortController()

  constructor(options: PodWorkersOptions) {
    this.#options = options
  }

  /** Takes the newest state of a pod; starts its worker when it is new. Deletion and an ended phase lead to termination. */
  update(pod: Pod): void {
    if (this.#stopped.signal.aborted) return
    const uid = podUid(pod)
    const worker = this.#workers.get(uid)
    if (worker === undefined) {
      const created: Worker = {
        pod,
        phase: 'syncing',
        termination: pod.metadata.deletionTimestamp !== undefined || isTerminalPhase(pod.status?.phase) ? {} : undefined,
        step: new AbortController(),
        wake: () => {},
        isAwake: true,
        signature: undefined,
        failures: 0,
        isGone: false,
      }
      if (created.termination !== undefined) created.phase = 'terminating'
      this.#workers.set(uid, created)
      const running = this.#run(uid, created)
      this.#running.add(running)
      void running.finally(() => this.#running.delete(running)) // never rejects
      return
    }
    const before = worker.pod.metadata
    const isNews = saysMore(worker.pod, pod)
    worker.pod = pod
    if (pod.metadata.deletionTimestamp !== undefined) {
      const grace = pod.metadata.deletionGracePeriodSeconds
      const isShorter = grace !== undefined && grace < (before.deletionGracePeriodSeconds ?? Number.POSITIVE_INFINITY)
      if (worker.termination === undefined || isShorter) this.#beginTermination(worker, worker.termination ?? {})
    } else if (isTerminalPhase(pod.status?.phase) && worker.termination === undefined) this.#beginTermination(worker, {})
    if (isNews) this.#wake(worker)
  }

  /** Ends a pod that its source did not end: an eviction, a static pod whose file is gone, an orphan. */
  terminate(uid: string, options: TerminateOptions): void {
    const worker = this.#workers.get(uid)
    if (worker === undefined || worker.phase === 'finishing' || worker.phase === 'finished') return
    this.#beginTermination(worker, { ...worker.termination, ...options })
  }

  /** The pod is gone from its source: ends it if need be, and drops what is known of it at the end. */
  remove(uid: string): void {
    const worker = this.#workers.get(uid)
    if (worker === undefined) return
    worker.isGone = true
    if (worker.phase === 'finished') this.#workers.delete(uid)
    else if (worker.termination === undefined) this.#beginTermination(worker, {})
  }

  /** Something about the pod has changed: its next step comes at once. */
  wake(uid: string): void {
    const worker = this.#workers.get(uid)
    if (worker !== undefined) this.#wake(worker)
  }

  /** The runtime has something new of the pod; a change that the worker made itself does not count.  */
  runtimeChanged(uid: string, signature: string): void {
    const worker = this.#workers.get(uid)
    if (worker === undefined) return
    worker.signature = signature
    if (!this.#options.syncer.hasHandled(uid, signature)) worker.wake()
  }

  phaseOf(uid: string): WorkerPhase | undefined {
    return this.#workers.get(uid)?.phase
  }

  /** Pods whose containers run or may still start. */
  active(): readonly Pod[] {
    return [...this.#workers.values()].filter(({ phase }) => phase === 'syncing' || phase === 'terminating').map(({ pod }) => pod)
  }

  /** Every pod with a worker, ended ones included. */
  known(): readonly Pod[] {
    return [...this.#workers.values()].map(({ pod }) => pod)
  }

  /** Lets all workers stop where they are; containers run on. */
  async close(): Promise<void> {
    this.#stopped.abort(new Error('The kubelet stops'))
    await Promise.all(this.#running)
  }

  #wake(worker: Worker): void {
    worker.isAwake = true
    worker.wake()
  }

  #beginTermination(worker: Worker, options: TerminateOptions): void {
    worker.termination = options
    // Whatever the pod was doing (pulling an image, waiting for a hook) has no use any more; a termination starts again with the shorter grace.
    if (worker.phase === 'syncing' || worker.phase === 'terminating') worker.step.abort(new Error('The pod ends'))
    this.#wake(worker)
  }

  async #run(uid: string, worker: Worker): Promise<void> {
    const { logger } = this.#options
    const { signal: stopped } = this.#stopped
    while (!stopped.aborted && worker.phase !== 'finished') {
      worker.isAwake = false
      worker.signature = undefined
      worker.step = new AbortController()
      let waitMs: number
      try {
        waitMs = await this.#step(worker, AbortSignal.any([stopped, worker.step.signal]))
        worker.failures = 0
      } catch (err) {
        if (stopped.aborted) break
        if (worker.step.signal.aborted) continue
        logger.warn({ err, pod: podKey(worker.pod), uid, phase: worker.phase }, 'Cannot sync pod')
        const maxMs = worker.phase === 'syncing' ? maxRetryMs : terminateRetryMs
        waitMs = backoffDelay(worker.failures++, { initialMs: 500, maxMs })
      }
      await this.#pause(uid, worker, waitMs, stopped)
    }
    if (worker.phase !== 'finished') return
    if (worker.isGone) this.#workers.delete(uid)
    this.#options.onFinished(worker.pod)
  }

  async #pause(uid: string, worker: Worker, ms: number, stopped: AbortSignal): Promise<void> {
    const { signature } = worker
    if (worker.isAwake || ms <= 0 || (signature !== undefined && !this.#options.syncer.hasHandled(uid, signature))) return
    const woken = Promise.withResolvers<void>()
    worker.wake = woken.resolve
    const timer = new AbortController()
    const sleeping = this.#options.clock.sleep(ms, AbortSignal.any([stopped, timer.signal])).catch(() => {}) // ended by us
    await Promise.race([sleeping, woken.promise])
    timer.abort()
    worker.wake = () => {}
  }

  /** Gives the milliseconds until the next step. */
  async #step(worker: Worker, signal: AbortSignal): Promise<number> {
    const { syncer } = this.#options
    if (worker.termination !== undefined && worker.phase === 'syncing') worker.phase = 'terminating'
    switch (worker.phase) {
      case 'syncing': {
        if (this.#mustWait(worker)) return 1000
        const { isTerminal, retryAfterMs } = await syncer.sync(worker.pod, signal)
        if (isTerminal) {
          worker.termination ??= {}
          worker.phase = 'terminating'
          return 0
        }
        return retryAfterMs ?? resyncMs
      }
      case 'terminating':
        await syncer.terminate(worker.pod, worker.termination ?? {}, signal)
        worker.phase = 'finishing'
        return 0
      case 'finishing':
        await syncer.finish(worker.pod, signal)
        worker.phase = 'finished'
        return 0
      default:
        return 0
    }
  }

  #mustWait(worker: Worker): boolean {
    if (!isStaticPod(worker.pod)) return false
    for (const other of this.#workers.values()) {
      if (other === worker) break // those after it in the map came later
      if (other.phase !== 'finished' && podKey(other.pod) === podKey(worker.pod)) return true
    }
    return false
  }
}

/** False when nothing differs but the status, which this kubelet writes itself; conditions that readiness gates wait for are others' to write. */
function saysMore(before: Pod, after: Pod): boolean {
  const part = ({ metadata, spec, status }: Pod): unknown => ({
    spec,
    labels: metadata.labels,
    annotations: metadata.annotations,
    deletionTimestamp: metadata.deletionTimestamp,
    gates: (spec.readinessGates ?? []).map(({ conditionType }) => status?.conditions?.find(({ type }) => type === conditionType)?.status),
  })
  return !isDeepStrictEqual(part(before), part(after))
}
