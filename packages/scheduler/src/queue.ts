import { isDeepStrictEqual } from 'node:util'
import type { Pod } from '@k3s/api/types/core/v1'
import { leastOf, type Clock, type Gauge } from '@k3s/lifecycle'
import type { ClusterEvent, Plugin } from './framework.ts'
import { KeyedHeap } from './keyed-heap.ts'
import { podInfoOf, type PodInfo } from './pod-info.ts'

/** A pod that wants a node. Owned by the queue, or between `take` and `reject`, `fail` or `delete` by who took it. */
export interface QueuedPod {
  pod: PodInfo
  /** When it entered the queue it is in, by the monotonic clock. */
  since: number
  /** When it was first queued. */
  readonly firstSeen: number
  attempts: number
  /** Rejections since it was queued, and errors since the last rejection: what its back-off grows with. */
  rejections: number
  errors: number
  /** When its back-off ends. */
  notBefore: number
  /** Plugins that rejected it last; empty: anything may help. */
  rejectedBy: ReadonlySet<string>
}

export interface SchedulingQueueOptions {
  readonly clock: Clock
  readonly plugins: readonly Plugin[]
  /** `scheduler_pending_pods`. */
  readonly pending: Gauge
}

// Upstream's DefaultPodInitialBackoffDuration, DefaultPodMaxBackoffDuration and DefaultPodMaxInUnschedulablePodsDuration.
const initialBackoffMs = 1000
const maxBackoffMs = 10_000
const maxUnschedulableMs = 300_000
/** How often the long wait of unschedulable pods is looked at. */
const flushMs = 30_000

/**
 * Pods that want a node, each in one of four places:
 * - *active*: to be tried now, higher priority first, then longer waiting.
 * - *backoff*: may be schedulable again, but was tried not long ago. Tried early when nothing is active, unless it met an error.
 * - *unschedulable*: waits for an event that a plugin which rejected it cares about, five minutes at most.
 * - *gated*: waits for a change of its own.
 *
 * ```
 * add → active → take → reject → unschedulable → move(event) → backoff → active
 *                    → fail → backoff
 * ```
 */
export class SchedulingQueue {
  readonly #clock: Clock
  readonly #plugins: readonly Plugin[]
  readonly #pluginsByName: ReadonlyMap<string, Plugin>
  readonly #pending: Gauge
  readonly #active = new KeyedHeap<QueuedPod>(uidOf, isMoreUrgent)
  readonly #backoff = new KeyedHeap<QueuedPod>(uidOf, endsSooner)
  readonly #errorBackoff = new KeyedHeap<QueuedPod>(uidOf, endsSooner)
  readonly #unschedulable = new Map<string, QueuedPod>()
  readonly #gated = new Map<string, QueuedPod>()
  /** Pods whose preemption is being carried out; true when an event came for one meanwhile. */
  readonly #held = new Map<string, boolean>()
  #waiter: (() => void) | undefined
  #timer: { readonly at: number; readonly stop: AbortController } | undefined
  #isClosed = false

  constructor({ clock, plugins, pending }: SchedulingQueueOptions) {
    this.#clock = clock
    this.#plugins = plugins
    this.#pluginsByName = new Map(plugins.map((plugin) => [plugin.name, plugin]))
    this.#pending = pending
  }

  /** A pod without a node came. Does nothing when it is queued already. */
  add(pod: PodInfo): void {
    if (this.#find(pod.uid) !== undefined) return
    const now = this.#clock.monotonic()
    this.#admit({ pod, since: now, firstSeen: now, attempts: 0, rejections: 0, errors: 0, notBefore: 0, rejectedBy: new Set() })
  }

  /** The pod changed. A change that is not ours (of anything but its status) is worth a try. False when it is not queued. */
  update(pod: Pod): boolean {
    const queued = this.#find(pod.metadata.uid ?? '')
    if (queued === undefined) return false
    const before = queued.pod.pod
    const isChanged =
      !isDeepStrictEqual(before.spec, pod.spec) ||
      !isDeepStrictEqual(before.metadata.labels, pod.metadata.labels) ||
      !isDeepStrictEqual(before.metadata.annotations, pod.metadata.annotations)
    const isUnschedulable = this.#unschedulable.has(queued.pod.uid)
    const isGated = this.#gated.has(queued.pod.uid)
    if (!isChanged) {
      // Its place depends on nothing that changed.
      queued.pod = { ...queued.pod, pod }
      return true
    }
    const isBackingOff = this.#errorBackoff.get(queued.pod.uid) ?? this.#backoff.get(queued.pod.uid)
    this.#take(queued.pod.uid)
    queued.pod = podInfoOf(pod)
    if (isGated) this.#admit(queued)
    else if (isUnschedulable) this.#requeue(queued)
    else if (isBackingOff !== undefined) (queued.errors > 0 ? this.#errorBackoff : this.#backoff).push(queued)
    else this.#active.push(queued)
    this.#settle()
    return true
  }

  /** The pod is gone or has a node. */
  delete(uid: string): void {
    this.#take(uid)
    this.#held.delete(uid)
    this.#settle()
  }

  /**
   * Resolves when there is a pod to try; until {@link SchedulingQueue.take} it stays queued, and may change or leave. Rejects with the signal's reason
   * on abort. For one waiter at a time.
   */
  wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiter = undefined
        reject(signal.reason)
      }
      this.#waiter = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#settle()
    })
  }

  /**
   * The next pod to try; undefined when there is none. What becomes of it must be decided in the same turn: an event about a pod that is neither
   * queued nor placed would queue it a second time.
   */
  take(): QueuedPod | undefined {
    this.#settle()
    const next = this.#active.pop() ?? this.#backoff.pop()
    if (next === undefined) return undefined
    next.attempts++
    this.#tellSizes()
    return next
  }

  /** No node for the pod now; it waits for an event. */
  reject(queued: QueuedPod, rejectedBy: ReadonlySet<string>): void {
    queued.rejections++
    queued.errors = 0
    queued.rejectedBy = rejectedBy
    this.#startWait(queued, queued.rejections)
    this.#unschedulable.set(queued.pod.uid, queued)
    this.#settle()
  }

  /** Something went wrong with the pod; it is tried again after its back-off. */
  fail(queued: QueuedPod): void {
    queued.errors++
    queued.rejectedBy = new Set()
    this.#startWait(queued, queued.errors)
    this.#errorBackoff.push(queued)
    this.#settle()
  }

  /** Something happened: pods that it may help are tried again. */
  move(event: ClusterEvent): void {
    for (const queued of this.#unschedulable.values()) {
      if (!this.#isWorthRetrying(queued, event)) continue
      if (this.#held.has(queued.pod.uid)) {
        this.#held.set(queued.pod.uid, true)
        continue
      }
      this.#unschedulable.delete(queued.pod.uid)
      this.#requeue(queued)
    }
    this.#settle()
  }

  /** Keeps a rejected pod from being tried until `release`: its victims are being deleted one by one. */
  hold(uid: string): void {
    this.#held.set(uid, false)
  }

  /** @param retry try it even if no event came while it was held. */
  release(uid: string, { retry }: { readonly retry: boolean }): void {
    const wasMoved = this.#held.get(uid) === true
    this.#held.delete(uid)
    const queued = this.#unschedulable.get(uid)
    if (queued === undefined || !(retry || wasMoved)) return
    this.#unschedulable.delete(uid)
    this.#requeue(queued)
    this.#settle()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.stop.abort()
    this.#timer = undefined
  }

  #admit(queued: QueuedPod): void {
    const isGated = this.#plugins.some((plugin) => plugin.preEnqueue?.(queued.pod.pod) !== undefined)
    if (isGated) this.#gated.set(queued.pod.uid, queued)
    else this.#active.push(queued)
    this.#settle()
  }

  #isWorthRetrying({ pod, rejectedBy }: QueuedPod, event: ClusterEvent): boolean {
    if (rejectedBy.size === 0) return true
    for (const name of rejectedBy) if (this.#pluginsByName.get(name)?.isWorthRetrying?.(pod, event) !== false) return true
    return false
  }

  #requeue(queued: QueuedPod): void {
    const isDone = queued.notBefore <= this.#clock.monotonic()
    ;(isDone ? this.#active : this.#backoff).push(queued)
  }

  #startWait(queued: QueuedPod, count: number): void {
    queued.since = this.#clock.monotonic()
    queued.notBefore = queued.since + Math.min(maxBackoffMs, initialBackoffMs * 2 ** (count - 1))
  }

  /** Moves what is due, tells the waiter if there is a pod to try, and sets the timer for what is not due yet. */
  #settle(): void {
    if (this.#isClosed) return
    const now = this.#clock.monotonic()
    for (const heap of [this.#backoff, this.#errorBackoff])
      for (let first = heap.peek(); first !== undefined && first.notBefore <= now; first = heap.peek()) {
        heap.pop()
        this.#active.push(first)
      }
    if (this.#waiter !== undefined && this.#active.size + this.#backoff.size > 0) {
      this.#waiter()
      this.#waiter = undefined
    }
    this.#tellSizes()
    this.#arm(now)
  }

  #tellSizes(): void {
    this.#pending.set(this.#active.size, { queue: 'active' })
    this.#pending.set(this.#backoff.size + this.#errorBackoff.size, { queue: 'backoff' })
    this.#pending.set(this.#unschedulable.size, { queue: 'unschedulable' })
    this.#pending.set(this.#gated.size, { queue: 'gated' })
  }

  #arm(now: number): void {
    const due = [
      this.#backoff.peek()?.notBefore,
      this.#errorBackoff.peek()?.notBefore,
      this.#unschedulable.size > 0 ? now + flushMs : undefined,
    ]
    const at = leastOf(due.map((time) => time ?? Infinity))
    if (at === Infinity || (this.#timer !== undefined && this.#timer.at <= at)) return
    this.#timer?.stop.abort()
    const stop = new AbortController()
    this.#timer = { at, stop }
    // Owned by `#timer`: ends when the time comes or when it is aborted for an earlier one or by close().
    void this.#wakeAfter(at - now, stop.signal)
  }

  async #wakeAfter(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(ms, signal)
    } catch {
      return // aborted: another timer, or none, is set
    }
    if (signal.aborted) return
    this.#timer = undefined
    const oldest = this.#clock.monotonic() - maxUnschedulableMs
    for (const queued of this.#unschedulable.values()) {
      if (queued.since > oldest || this.#held.has(queued.pod.uid)) continue
      this.#unschedulable.delete(queued.pod.uid)
      this.#requeue(queued)
    }
    this.#settle()
  }

  #find(uid: string): QueuedPod | undefined {
    return (
      this.#active.get(uid) ?? this.#backoff.get(uid) ?? this.#errorBackoff.get(uid) ?? this.#unschedulable.get(uid) ?? this.#gated.get(uid)
    )
  }

  #take(uid: string): void {
    for (const heap of [this.#active, this.#backoff, this.#errorBackoff]) heap.delete(uid)
    this.#unschedulable.delete(uid)
    this.#gated.delete(uid)
  }
}

const uidOf = ({ pod }: QueuedPod): string => pod.uid

function isMoreUrgent(a: QueuedPod, b: QueuedPod): boolean {
  return a.pod.priority === b.pod.priority ? a.since < b.since : a.pod.priority > b.pod.priority
}

function endsSooner(a: QueuedPod, b: QueuedPod): boolean {
  return a.notBefore === b.notBefore ? isMoreUrgent(a, b) : a.notBefore < b.notBefore
}
