import { pods, type Node, type Pod } from '@k3s/api/types/core/v1'
import type { Client, Informer } from '@k3s/client'
import type { Clock, Logger } from '@k3s/lifecycle'
import type { ContainerGc } from '../runtime/container-gc.ts'
import type { Pleg, RuntimePod } from '../runtime/pleg.ts'
import type { CgroupManager } from '../resources/cgroups.ts'
import type { FailedVerdict } from '../status/generate-status.ts'
import type { StatusManager } from '../status/status-manager.ts'
import type { PodSyncer } from '../sync/pod-syncer.ts'
import type { VolumeManager } from '../volumes/volume-manager.ts'
import { admit, type AdmissionInput } from './admission.ts'
import { deleteMirror, reconcileMirror } from './mirror-pods.ts'
import { isMirrorPod, isStaticPod, isTerminalPhase, podKey, podUid } from './pod-facts.ts'
import type { PodWorkers } from './pod-workers.ts'

export interface PodManagerOptions {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  /** Of the pods bound to this node. */
  readonly informer: Informer<Pod>
  readonly workers: PodWorkers
  readonly syncer: PodSyncer
  readonly statuses: StatusManager
  readonly volumes: VolumeManager
  readonly cgroups: CgroupManager
  readonly containerGc: ContainerGc
  readonly pleg: Pleg
  /** From a cache; `undefined` before the registration. */
  readonly node: () => Node | undefined
  /** From the API server. */
  readonly freshNode: (signal: AbortSignal) => Promise<Node>
  readonly admission: (node: Node) => Pick<AdmissionInput, 'allocatable' | 'allowedUnsafeSysctls' | 'pressures'>
}

// Upstream's housekeeping period; what has to read directories is done less often.
const housekeepingMs = 2000
const orphanDirectoriesMs = 60_000

/** Brings the pods of the API server and of files together, lets them in, and sees to what nobody knows any more. */
export class PodManager {
  readonly #options: PodManagerOptions
  #static = new Map<string, Pod>()
  #hasReadFiles: boolean
  #isStarted = false
  readonly #rejected = new Set<string>()
  readonly #gone = new Set<string>()
  readonly #mirrors = new Map<string, Promise<void>>()
  #signal: AbortSignal = AbortSignal.abort()

  /** @param hasFiles whether {@link PodManager.setStatic} is going to be called: until then nobody is an orphan. */
  constructor(options: PodManagerOptions, hasFiles: boolean) {
    this.#options = options
    this.#hasReadFiles = !hasFiles
  }

  /** The API object that shows a pod: itself, or a static pod's mirror. */
  apiPodOf(pod: Pod): Pod | undefined {
    const found = this.#options.informer.lister.get(podKey(pod))
    if (found === undefined) return undefined
    if (isStaticPod(pod)) return isMirrorPod(found) ? found : undefined
    return podUid(found) === podUid(pod) ? found : undefined
  }

  /** All pods that this node should know of, static ones in place of their mirrors, with their latest status. */
  list(): readonly Pod[] {
    const { informer, statuses } = this.#options
    const api = informer.lister.list().filter((pod) => !isMirrorPod(pod))
    return [...api, ...this.#static.values()].map((pod) => ({ ...pod, status: statuses.current(pod) }))
  }

  find(uid: string): Pod | undefined {
    return this.#static.get(uid) ?? this.#options.informer.lister.list().find((pod) => podUid(pod) === uid)
  }

  /** True when a pod is neither known nor on its way out: what is left of it can be removed. */
  isGone(uid: string): boolean {
    return this.#isReady() && this.#options.workers.phaseOf(uid) === undefined && this.find(uid) === undefined
  }

  /** Takes the static pods as their files say them now. */
  setStatic(all: readonly Pod[]): void {
    const before = this.#static
    this.#static = new Map(all.map((pod) => [podUid(pod), pod]))
    this.#hasReadFiles = true
    for (const [uid, pod] of before) {
      if (this.#static.has(uid)) continue
      this.#options.workers.remove(uid)
      const replaced = all.some((candidate) => podKey(candidate) === podKey(pod))
      if (!replaced) this.#removeMirror(pod)
    }
    for (const pod of all) if (this.#isStarted) this.#take(pod)
  }

  /**
   * Works until the signal aborts.
   *
   * @param registered resolves when the node is known: pods of the API server are let in after that, static ones at once.
   */
  async run(registered: Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, informer, logger } = this.#options
    this.#signal = signal
    this.#isStarted = true
    for (const pod of this.#static.values()) this.#take(pod)
    await registered
    const removeHandler = informer.addHandler({
      add: (pod, isInInitialList) => {
        if (!isInInitialList || informer.isSynced) this.#take(pod)
      },
      update: (_previous, pod) => this.#take(pod),
      delete: (pod) => this.#drop(pod),
    })
    try {
      await informer.synced(signal).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
      // The oldest first: when there is not room for all, the newest stay out, as before the restart.
      const created = (pod: Pod): string => pod.metadata.creationTimestamp ?? ''
      for (const pod of [...informer.lister.list()].toSorted((a, b) => (created(a) < created(b) ? -1 : 1))) this.#take(pod)
      let directoriesAt = -Infinity
      while (!signal.aborted) {
        try {
          this.#killOrphans()
          for (const pod of this.#static.values()) this.#reconcileMirror(pod)
          if (this.#isReady() && clock.monotonic() - directoriesAt >= orphanDirectoriesMs) {
            directoriesAt = clock.monotonic()
            await this.#removeOrphanDirectories()
          }
        } catch (err) {
          if (!signal.aborted) logger.warn({ err }, 'Cannot clean up after pods')
        }
        await clock.sleep(housekeepingMs, signal).catch(() => {}) // the loop's condition sees the abort
      }
    } finally {
      removeHandler()
    }
  }

  /** To be called when a worker has finished. */
  onFinished(pod: Pod): void {
    if (this.find(podUid(pod)) === undefined) this.#removeRecords(pod)
  }

  #isReady(): boolean {
    return this.#hasReadFiles && this.#options.informer.isSynced
  }

  #take(pod: Pod): void {
    const { statuses, workers } = this.#options
    const uid = podUid(pod)
    if (isMirrorPod(pod)) {
      const own = [...this.#static.values()].find((candidate) => podKey(candidate) === podKey(pod))
      if (own === undefined) {
        if (this.#hasReadFiles) this.#removeMirror(pod)
      } else {
        this.#reconcileMirror(own)
        statuses.refresh(own)
      }
      return
    }
    if (workers.phaseOf(uid) === undefined && !this.#rejected.has(uid)) {
      const node = this.#options.node()
      if (node !== undefined && this.#admit(pod, node) !== undefined) {
        this.#rejected.add(uid)
        void this.#reconsider(pod) // never rejects
        return
      }
    }
    if (this.#rejected.has(uid) && !isTerminalPhase(pod.status?.phase) && pod.metadata.deletionTimestamp === undefined) {
      statuses.refresh(pod)
      return
    }
    workers.update(pod)
    statuses.refresh(pod)
  }

  /** Turns a pod away only after a look at the node as it is now: its labels may be newer than the cache. */
  async #reconsider(pod: Pod): Promise<void> {
    const { freshNode, informer, syncer } = this.#options
    const known = this.#options.node()
    const node = await freshNode(this.#signal).catch(() => known) // what is known has to do
    const uid = podUid(pod)
    if (node === undefined || !this.#rejected.has(uid) || this.#signal.aborted) return
    const failure = this.#admit(pod, node)
    if (failure !== undefined) return syncer.reject(pod, failure)
    this.#rejected.delete(uid)
    const latest = informer.lister.get(podKey(pod))
    this.#options.workers.update(latest !== undefined && podUid(latest) === uid ? latest : pod)
  }

  #admit(pod: Pod, node: Node): FailedVerdict | undefined {
    const { admission, workers } = this.#options
    // Let in before: a restart of the kubelet does not decide anew.
    const isNew = pod.status?.startTime === undefined && pod.metadata.deletionTimestamp === undefined && !isTerminalPhase(pod.status?.phase)
    if (!isNew) return undefined
    const others = workers
      .active()
      .filter((other) => podUid(other) !== podUid(pod) && !isTerminalPhase(this.#options.statuses.current(other).phase))
    return admit({ pod, others, node, ...admission(node) })
  }

  #drop(pod: Pod): void {
    const { workers } = this.#options
    if (isMirrorPod(pod)) {
      const own = [...this.#static.values()].find((candidate) => podKey(candidate) === podKey(pod))
      if (own !== undefined) this.#reconcileMirror(own)
      return
    }
    const uid = podUid(pod)
    this.#rejected.delete(uid)
    const phase = workers.phaseOf(uid)
    // Its last state may bring a shorter grace period.
    if (phase !== undefined) workers.update(pod)
    workers.remove(uid)
    if (phase === undefined || phase === 'finished') this.#removeRecords(pod)
  }

  /** Removes what the runtime keeps of a pod that nobody knows any more. */
  #removeRecords(pod: Pod): void {
    const { containerGc, logger, statuses } = this.#options
    const uid = podUid(pod)
    statuses.forget(uid)
    if (this.#gone.has(uid) || this.#signal.aborted) return
    this.#gone.add(uid)
    const identity = { uid, name: pod.metadata.name, namespace: pod.metadata.namespace ?? '' }
    // Owned by this manager; what fails here is collected later.
    void containerGc
      .removePod(identity, this.#signal)
      .catch((err: unknown) => {
        if (!this.#signal.aborted) logger.warn({ err, pod: podKey(pod) }, 'Cannot remove the records of a pod')
      })
      .finally(() => this.#gone.delete(uid))
  }

  /** Pods of the runtime that no source has: they were deleted while nobody was looking. */
  #killOrphans(): void {
    if (!this.#isReady()) return
    const { logger, pleg, workers } = this.#options
    for (const orphan of pleg.pods()) {
      if (!orphan.isRunning || !this.isGone(orphan.uid) || this.#gone.has(orphan.uid)) continue
      logger.debug({ pod: `${orphan.namespace}/${orphan.name}`, uid: orphan.uid }, 'Ends a pod that no longer exists')
      workers.update(orphanPod(orphan, this.#options.clock.now()))
      workers.remove(orphan.uid)
    }
  }

  async #removeOrphanDirectories(): Promise<void> {
    const { cgroups, pleg, volumes } = this.#options
    const running = new Set(pleg.pods().flatMap(({ uid, isRunning }) => (isRunning ? [uid] : [])))
    const isOrphan = (uid: string): boolean => this.isGone(uid) && !running.has(uid)
    for (const uid of await volumes.podsOnDisk()) if (isOrphan(uid)) await volumes.tearDown(uid)
    for (const uid of await cgroups.podsPresent())
      if (isOrphan(uid))
        for (const qos of ['Guaranteed', 'Burstable', 'BestEffort'] as const) await cgroups.removePod(cgroups.podCgroup(qos, uid))
  }

  #reconcileMirror(pod: Pod): void {
    const { client, informer, node } = this.#options
    const owner = node()?.metadata.uid
    if (owner === undefined || !informer.isSynced) return
    this.#oneMirrorCall(pod, () => reconcileMirror(client, pod, this.apiPodOf(pod), owner, this.#signal))
  }

  #removeMirror(pod: Pod): void {
    const { client, informer } = this.#options
    const mirror = informer.lister.get(podKey(pod))
    if (mirror !== undefined && isMirrorPod(mirror)) this.#oneMirrorCall(pod, () => deleteMirror(client, mirror, this.#signal))
  }

  /** One call at a time for a mirror; the next look repeats what was left out or has failed. */
  #oneMirrorCall(pod: Pod, call: () => Promise<void>): void {
    const key = podKey(pod)
    if (this.#mirrors.has(key) || this.#signal.aborted) return
    const running = call()
      .catch((err: unknown) => {
        if (!this.#signal.aborted) this.#options.logger.debug({ err, pod: key }, 'Cannot reconcile mirror pod')
      })
      .finally(() => this.#mirrors.delete(key))
    this.#mirrors.set(key, running)
  }
}

/** As much of a pod as its records tell: enough to end it. */
function orphanPod({ uid, name, namespace }: RuntimePod, nowMs: number): Pod {
  return {
    apiVersion: 'v1',
    kind: pods.kind,
    metadata: { name, namespace, uid, deletionTimestamp: new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z') },
    spec: { containers: [] },
  }
}
