import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { hasReason, objectKey } from '@k3s/api'
import type { Node, Pod } from '@k3s/api/types/core/v1'
import { createEventRecorder, type Client, type EventRecorder, type InformerFactory } from '@k3s/client'
import { noLogger, noMetrics, systemClock, type Clock, type Logger, type MetricsRegistry, type Service } from '@k3s/lifecycle'
import { SchedulerCache } from './cache.ts'
import { hasEnded, isNodeChanged, listersOf, schedulerInformers, type SchedulerInformers } from './cluster-events.ts'
import { defaultPlugins } from './default-plugins.ts'
import { findNode, type NotFound } from './find-node.ts'
import { fitMessage } from './fit-message.ts'
import { isRejection, type ClusterEvent, type Plugin } from './framework.ts'
import { schedulerMetrics, type SchedulerMetrics } from './metrics.ts'
import { Nominations } from './nominations.ts'
import { podInfoOf, type PodInfo } from './pod-info.ts'
import { PodWriter } from './pod-writer.ts'
import { planPreemption, type Victims } from './preemption.ts'
import { planVolumes, type VolumePlan } from './plugins/volume-binding.ts'
import { SchedulingQueue, type QueuedPod } from './queue.ts'
import { bindVolumes } from './volume-binder.ts'

export interface SchedulerProfile {
  /** Pods with this `spec.schedulerName` are ours; default `default-scheduler`. */
  readonly schedulerName?: string | undefined
  /** In the order in which they are asked; default {@link defaultPlugins}. */
  readonly plugins?: readonly Plugin[] | undefined
  /** Of a large cluster's nodes, how many percent (1 to 100) are enough to choose from; 0, the default, adapts it. */
  readonly percentageOfNodesToScore?: number | undefined
}

export interface SchedulerOptions {
  readonly client: Client
  /** Must run for the scheduler to become ready; may be shared. */
  readonly informers: InformerFactory
  readonly profile?: SchedulerProfile | undefined
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** Uniform in [0, 1): chooses among equally good nodes. */
  readonly random?: (() => number) | undefined
}

/** Bindings that run at once: when there are more, scheduling waits for the API server. */
const maxBindings = 256
/** Upstream's BindTimeoutSeconds: how long volumes may take to be provisioned. */
const volumesMs = 600_000

/**
 * Makes the scheduler. It binds pods without a node that name it to nodes, works against any Kubernetes API server, and is ready when its caches are
 * synced. Only one may be active for a scheduler name: use leader election where several run.
 */
export function createScheduler(options: SchedulerOptions): Service {
  return new Scheduler(options)
}

class Scheduler implements Service {
  readonly name = 'scheduler'
  readonly #options: SchedulerOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #random: () => number
  readonly #schedulerName: string
  readonly #plugins: readonly Plugin[]
  readonly #informers: SchedulerInformers
  readonly #metrics: SchedulerMetrics
  readonly #cache: SchedulerCache
  readonly #queue: SchedulingQueue
  readonly #nominations = new Nominations()
  readonly #writer: PodWriter
  readonly #recorder: EventRecorder
  /** Work that outlives its cycle: bindings, evictions, reports. All end before `run` does. */
  readonly #background = new Set<Promise<void>>()
  #bindings = 0
  /** The last write about each pod, so that the next one comes after it. */
  readonly #reports = new Map<string, Promise<void>>()
  #startIndex = 0
  /** Ends `run` with an error; does nothing before it. */
  #stopWith: (error: unknown) => void = () => {}
  #claimChange = Promise.withResolvers<void>()
  #bindingEnd = Promise.withResolvers<void>()

  constructor(options: SchedulerOptions) {
    const { client, informers, profile = {}, clock = systemClock, logger = noLogger, metrics = noMetrics, random = Math.random } = options
    this.#options = options
    this.#clock = clock
    this.#logger = logger
    this.#random = random
    this.#schedulerName = profile.schedulerName ?? 'default-scheduler'
    this.#plugins = profile.plugins ?? defaultPlugins
    this.#informers = schedulerInformers(informers)
    this.#metrics = schedulerMetrics(metrics)
    this.#cache = new SchedulerCache(listersOf(this.#informers))
    this.#queue = new SchedulingQueue({ clock, plugins: this.#plugins, pending: this.#metrics.pending })
    this.#writer = new PodWriter(client, clock, this.#schedulerName)
    this.#recorder = createEventRecorder(client, { component: this.#schedulerName, clock, logger })
  }

  /**
   * Stops in this order: 1. no pod is begun any more; 2. handlers are removed; 3. requests that run are aborted and waited for. A pod whose
   * binding was aborted is found bound or unbound by whoever schedules next.
   */
  async run({ signal, ready }: { readonly signal: AbortSignal; readonly ready: () => void }): Promise<void> {
    const stop = new AbortController()
    const stopped = AbortSignal.any([signal, stop.signal])
    this.#stopWith = (error) => stop.abort(error)
    const removals = this.#addHandlers(stopped)
    try {
      await Promise.all(Object.values(this.#informers).map((informer) => informer.synced(stopped)))
      ready()
      for (;;) {
        // One turn of the event loop for each pod: a cycle blocks it for some microseconds a node.
        await setImmediate(undefined, { signal: stopped })
        while (this.#bindings >= maxBindings) await this.#bindingEnd.promise
        await this.#queue.wait(stopped)
        const queued = this.#queue.take()
        if (queued !== undefined) this.#scheduleOne(queued, stopped)
      }
    } catch (error) {
      if (stop.signal.aborted) throw stop.signal.reason
      if (!signal.aborted) throw error
    } finally {
      for (const remove of removals) remove()
      stop.abort(signal.reason)
      this.#queue.close()
      this.#recorder[Symbol.dispose]()
      await Promise.allSettled(this.#background)
    }
  }

  #addHandlers(signal: AbortSignal): readonly (() => void)[] {
    const { pods, nodes, namespaces, persistentvolumeclaims, persistentvolumes, storageclasses } = this.#informers
    const move = (event: ClusterEvent): void => this.#queue.move(event)
    const wakeBinders = (): void => {
      this.#claimChange.resolve()
      this.#claimChange = Promise.withResolvers()
    }
    signal.addEventListener('abort', wakeBinders, { once: true })
    return [
      nodes.addHandler({
        add: (node) => this.#setNode(undefined, node),
        update: (previous, node) => this.#setNode(previous, node),
        delete: (node) => {
          this.#cache.removeNode(node.metadata.name)
          move({ kind: 'nodeDeleted', node })
        },
      }),
      pods.addHandler({
        add: (pod) => this.#setPod(undefined, pod),
        update: (previous, pod) => {
          if (previous.metadata.uid !== pod.metadata.uid) this.#removePod(previous)
          this.#setPod(previous, pod)
        },
        delete: (pod) => this.#removePod(pod),
      }),
      namespaces.addHandler({
        add: (namespace) => move({ kind: 'namespaceChanged', namespace }),
        update: (_previous, namespace) => move({ kind: 'namespaceChanged', namespace }),
      }),
      persistentvolumeclaims.addHandler({
        add: (claim) => move({ kind: 'claimChanged', claim }),
        update: (_previous, claim) => {
          move({ kind: 'claimChanged', claim })
          wakeBinders()
        },
        delete: wakeBinders,
      }),
      persistentvolumes.addHandler({
        add: (volume) => move({ kind: 'volumeChanged', volume }),
        update: (_previous, volume) => move({ kind: 'volumeChanged', volume }),
      }),
      storageclasses.addHandler({
        add: (storageClass) => move({ kind: 'storageClassChanged', storageClass }),
        update: (_previous, storageClass) => move({ kind: 'storageClassChanged', storageClass }),
      }),
    ]
  }

  #setNode(previous: Node | undefined, node: Node): void {
    this.#cache.setNode(node)
    if (previous === undefined || isNodeChanged(previous, node)) this.#queue.move({ kind: 'nodeChanged', node, previous })
  }

  #setPod(previous: Pod | undefined, pod: Pod): void {
    const uid = pod.metadata.uid ?? objectKey(pod)
    if (hasEnded(pod)) this.#removePod(pod)
    else if (pod.spec.nodeName) this.#setPlacedPod(previous, pod, uid)
    else if ((pod.spec.schedulerName ?? 'default-scheduler') === this.#schedulerName) this.#setPendingPod(previous, pod, uid)
  }

  #setPlacedPod(previous: Pod | undefined, pod: Pod, uid: string): void {
    this.#queue.delete(uid)
    const info = podInfoOf(pod)
    this.#cache.setPod(info)
    this.#endNomination(info, pod.spec.nodeName)
    const before = previous?.spec.nodeName ? podInfoOf(previous) : undefined
    // Most updates of running pods are of their status, and change nothing for others.
    const isSame =
      before !== undefined &&
      isDeepStrictEqual(before.requests, info.requests) &&
      isDeepStrictEqual(before.pod.metadata.labels, pod.metadata.labels) &&
      before.pod.metadata.deletionTimestamp === pod.metadata.deletionTimestamp
    if (!isSame) this.#queue.move({ kind: 'podChanged', pod: info, previous: before })
  }

  #setPendingPod(previous: Pod | undefined, pod: Pod, uid: string): void {
    const nominated = pod.status?.nominatedNodeName
    // While it is being bound its place is in the cache; a failed binding reads the pod anew.
    if (this.#cache.has(uid)) return
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#queue.delete(uid)
      this.#endNomination(podInfoOf(pod))
      return
    }
    if (nominated) this.#nominations.set(podInfoOf(pod), nominated)
    // Ours may not be written yet; one that was there and is not any more was taken away.
    else if (previous?.status?.nominatedNodeName) this.#endNomination(podInfoOf(pod))
    if (!this.#queue.update(pod)) this.#queue.add(podInfoOf(pod))
  }

  #removePod(pod: Pod): void {
    const info = podInfoOf(pod)
    this.#queue.delete(info.uid)
    const wasPlaced = this.#cache.has(info.uid)
    this.#cache.removePod(info.uid)
    this.#endNomination(info)
    if (wasPlaced) this.#queue.move({ kind: 'podDeleted', pod: info })
  }

  /** The room that was kept for the pod is free for others, unless the pod is there now. */
  #endNomination(pod: PodInfo, placedOn?: string): void {
    const node = this.#nominations.nodeOf(pod.uid)
    if (node === undefined) return
    this.#nominations.delete(pod.uid)
    if (node !== placedOn) this.#queue.move({ kind: 'podDeleted', pod })
  }

  /** One scheduling cycle. No await: what it reads is what it changes. */
  #scheduleOne(queued: QueuedPod, signal: AbortSignal): void {
    const startedAt = this.#clock.monotonic()
    const { pod } = queued
    const found = findNode(pod, this.#cache, {
      plugins: this.#plugins,
      nominations: this.#nominations,
      percentageOfNodesToScore: this.#options.profile?.percentageOfNodesToScore ?? 0,
      startIndex: this.#startIndex,
      random: this.#random,
    })
    const { nodes } = this.#cache
    this.#startIndex = nodes.length === 0 ? 0 : (this.#startIndex + found.checkedNodes) % nodes.length
    if (found.node === undefined) {
      this.#rejectPod(queued, found, signal)
      this.#observe('unschedulable', startedAt)
      return
    }
    const plan = planVolumes(pod.pod, found.node, this.#cache)
    const volumes = plan === undefined || isRejection(plan) ? undefined : plan
    this.#cache.assume(pod, found.node.name)
    if (volumes !== undefined) this.#cache.assumeVolumes(volumes)
    this.#endNomination(pod, found.node.name)
    this.#bindings++
    this.#own(this.#bind({ queued, node: found.node.name, volumes, startedAt, signal }))
  }

  async #bind(binding: {
    readonly queued: QueuedPod
    readonly node: string
    readonly volumes: VolumePlan | undefined
    readonly startedAt: number
    readonly signal: AbortSignal
  }): Promise<void> {
    const { queued, node, volumes, startedAt, signal } = binding
    const { pod } = queued
    try {
      if (volumes !== undefined) await this.#bindVolumes(volumes, signal)
      await this.#writer.bind(pod, node, signal)
      this.#recorder.event(pod.pod, 'Normal', 'Scheduled', `Successfully assigned ${pod.key} to ${node}`)
      this.#observe('scheduled', startedAt)
      const sinceSeconds = (this.#clock.monotonic() - queued.firstSeen) / 1000
      this.#metrics.sliDuration.observe(sinceSeconds, { attempts: Math.min(queued.attempts, 16) })
    } catch (err) {
      if (!signal.aborted) this.#handleBindFailure(queued, err, startedAt, signal)
    } finally {
      if (volumes !== undefined) this.#cache.forgetVolumes(volumes)
      this.#bindings--
      this.#bindingEnd.resolve()
      this.#bindingEnd = Promise.withResolvers()
    }
  }

  async #bindVolumes(plan: VolumePlan, signal: AbortSignal): Promise<void> {
    const end = new AbortController()
    const timeout = this.#clock.sleep(volumesMs, AbortSignal.any([signal, end.signal])).then(
      () => end.abort(new Error(`Volumes were not bound in ${volumesMs} ms`)),
      () => {},
    )
    const wanted = AbortSignal.any([signal, end.signal])
    const claimChange = async (): Promise<void> => {
      await Promise.race([this.#claimChange.promise, timeout])
      wanted.throwIfAborted()
    }
    try {
      await bindVolumes(plan, {
        client: this.#options.client,
        claims: this.#cache.listers.persistentvolumeclaims,
        claimChange,
        signal: wanted,
      })
    } finally {
      end.abort()
      await timeout
    }
  }

  #handleBindFailure(queued: QueuedPod, err: unknown, startedAt: number, signal: AbortSignal): void {
    const { pod } = queued
    this.#observe('error', startedAt)
    // It may be bound all the same, when the answer was lost: then the informer tells of it, and it stays.
    if (this.#cache.forget(pod.uid)) this.#queue.move({ kind: 'podDeleted', pod })
    const current = this.#informers.pods.lister.get(pod.key)
    if (current === undefined || current.metadata.uid !== pod.pod.metadata.uid || current.spec.nodeName || hasReason(err, 'NotFound'))
      return
    if (current.metadata.deletionTimestamp !== undefined) return
    const message = `binding rejected: ${err instanceof Error ? err.message : String(err)}`
    this.#logger.error({ pod: pod.key, err }, 'Pod could not be bound and will be retried')
    queued.pod = podInfoOf(current)
    this.#queue.fail(queued)
    this.#recorder.event(current, 'Warning', 'FailedScheduling', message)
    this.#report(queued.pod, { reason: 'SchedulerError', message, nominatedNode: '' }, signal)
  }

  #rejectPod(queued: QueuedPod, found: NotFound, signal: AbortSignal): void {
    const { pod } = queued
    const { nodes } = this.#cache
    const { podRejection, rejections, unseenReason } = found
    const rejectedBy = new Set([
      ...(podRejection === undefined ? [] : [podRejection.plugin]),
      ...[...rejections.values()].map(({ plugin }) => plugin),
    ])
    for (const plugin of unseenReason === undefined ? [] : (found.filters?.restrictedBy ?? [])) rejectedBy.add(plugin)
    let message = 'no nodes available to schedule pods'
    let nominatedNode = this.#nominations.nodeOf(pod.uid) ?? ''
    let victims: Victims | undefined
    if (nodes.length > 0) {
      const preemption = planPreemption(pod, this.#cache, found, {
        nominations: this.#nominations,
        random: this.#random,
        nowMs: this.#clock.now(),
      })
      victims = preemption.victims
      if (preemption.victims !== undefined) nominatedNode = preemption.victims.node.name
      else if (!preemption.keepsNomination) nominatedNode = ''
      const unseen = unseenReason === undefined ? [] : Array.from({ length: nodes.length - rejections.size }, () => unseenReason)
      message = fitMessage({
        nodes: nodes.length,
        reasons: [...[...rejections.values()].flatMap(({ reasons }) => reasons), ...unseen],
        podReason: podRejection?.reasons.join(', '),
        preemption: preemption.victims === undefined ? `preemption: ${preemption.message}` : undefined,
      })
      this.#metrics.preemptionAttempts.inc()
    }
    this.#logger.debug({ pod: pod.key, message }, 'Pod has no node')
    // Before it is queued, so that it is not moved by the end of its own nomination.
    if (nominatedNode !== this.#nominations.nodeOf(pod.uid)) this.#endNomination(pod)
    this.#queue.reject(queued, rejectedBy)
    if (nominatedNode !== '') this.#nominations.set(pod, nominatedNode)
    this.#recorder.event(pod.pod, 'Warning', 'FailedScheduling', message)
    this.#report(pod, { reason: 'Unschedulable', message, nominatedNode }, signal)
    if (victims !== undefined) this.#own(this.#preempt(pod, victims, signal))
  }

  /** Deletes the victims; the pod is not tried while that goes on, because it would not see all of them end. */
  async #preempt(pod: PodInfo, { node, pods: victims }: Victims, signal: AbortSignal): Promise<void> {
    this.#queue.hold(pod.uid)
    this.#metrics.preemptionVictims.observe(victims.length)
    const displaced = this.#nominations.after(pod, node.name)
    for (const { uid } of displaced) {
      this.#nominations.delete(uid)
      // It looks for another place now, which may need other victims.
      this.#queue.release(uid, { retry: true })
    }
    let failed = false
    try {
      await Promise.all(displaced.map((other) => this.#writer.clearNomination(other.pod, signal)))
    } catch (err) {
      if (!signal.aborted && !hasReason(err, 'NotFound'))
        this.#logger.warn({ pod: pod.key, err }, 'Nomination of a pod could not be cleared')
    }
    try {
      for (const victim of victims) {
        await this.#writer.evict(victim.pod, signal)
        this.#recorder.event(victim.pod, 'Normal', 'Preempted', `Preempted by pod ${pod.uid} on node ${node.name}`)
      }
    } catch (err) {
      failed = true
      if (!signal.aborted) this.#logger.error({ pod: pod.key, err }, 'Victim of preemption could not be deleted')
    }
    this.#queue.release(pod.uid, { retry: failed })
  }

  /** Writes about a pod one after the other; failures are told and forgotten, because the next attempt writes again. */
  #report(pod: PodInfo, report: Parameters<PodWriter['reportUnscheduled']>[1], signal: AbortSignal): void {
    const write = async (): Promise<void> => {
      await this.#reports.get(pod.uid)
      const current = this.#informers.pods.lister.get(pod.key) ?? pod.pod
      try {
        await this.#writer.reportUnscheduled(current, report, signal)
      } catch (err) {
        if (!signal.aborted && !hasReason(err, 'NotFound')) this.#logger.warn({ pod: pod.key, err }, 'Status of a pod could not be written')
      }
    }
    const written = write()
    this.#reports.set(pod.uid, written)
    this.#own(
      written.then(() => {
        if (this.#reports.get(pod.uid) === written) this.#reports.delete(pod.uid)
        return undefined
      }),
    )
  }

  /** What fails here is a bug, and stops the service. */
  #own(work: Promise<void>): void {
    const owned = work.catch((error: unknown) => this.#stopWith(error)).finally(() => this.#background.delete(owned))
    this.#background.add(owned)
  }

  #observe(result: 'scheduled' | 'unschedulable' | 'error', startedAt: number): void {
    const labels = { result, profile: this.#schedulerName }
    this.#metrics.attempts.inc(labels)
    this.#metrics.attemptDuration.observe((this.#clock.monotonic() - startedAt) / 1000, labels)
  }
}
