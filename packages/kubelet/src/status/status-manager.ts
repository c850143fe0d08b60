import { isDeepStrictEqual } from 'node:util'
import { hasReason } from '@k3s/api'
import { pods, type Pod, type PodStatus } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import type { Clock, Logger } from '@k3s/lifecycle'
import { fieldManager, isStaticPod, isTerminalPhase, podKey, podUid } from '../pods/pod-facts.ts'
import { ownConditions } from './conditions.ts'
import { statusPatch } from './status-patch.ts'

export interface StatusManagerOptions {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  /** The API object that shows a pod: itself, or a static pod's mirror; `undefined` when there is none (yet). From a cache. */
  readonly apiPodOf: (pod: Pod) => Pod | undefined
}

interface Entry {
  pod: Pod
  status: PodStatus
  version: number
  sentVersion: number
  /** Nothing of the pod is left on this node: it may be deleted from the API. */
  isReleased: boolean
  isSending: boolean
  /** Of the last object that the API server answered with. */
  lastResourceVersion: string | undefined
}

// Follows upstream: what could not be sent is tried again this often.
const resendMs = 10_000

/**
 * Knows the latest status of every pod of this node and tells the API server of changes: one patch at a time for a pod, always with the
 * newest status, until it has arrived. When a deleted pod is over and {@link StatusManager.release}d, its API object is deleted for good.
 */
export class StatusManager {
  readonly #options: StatusManagerOptions
  readonly #entries = new Map<string, Entry>()
  #signal: AbortSignal = AbortSignal.abort()

  constructor(options: StatusManagerOptions) {
    this.#options = options
  }

  /** What was last set, with the conditions that others own as the API has them. */
  current(pod: Pod): PodStatus {
    const api = this.#options.apiPodOf(pod)?.status ?? pod.status ?? {}
    const known = this.#entries.get(podUid(pod))?.status
    if (known === undefined) return isStaticPod(pod) ? staticStart(api) : api
    const foreign = (api.conditions ?? []).filter(({ type }) => !ownConditions.has(type))
    const mine = (known.conditions ?? []).filter(({ type }) => !foreign.some((condition) => condition.type === type))
    return { ...known, conditions: [...mine, ...foreign] }
  }

  /** Takes a new status; sends it when it says something new. A pod that has ended does not come back. */
  set(pod: Pod, status: PodStatus): void {
    const uid = podUid(pod)
    const entry = this.#entries.get(uid)
    if (entry === undefined) {
      const created: Entry = {
        pod,
        status,
        version: 1,
        sentVersion: 0,
        isReleased: false,
        isSending: false,
        lastResourceVersion: undefined,
      }
      this.#entries.set(uid, created)
      this.#send(created)
      return
    }
    entry.pod = pod
    if (isTerminalPhase(entry.status.phase) && entry.status.phase !== status.phase) {
      this.#options.logger.error(
        { pod: podKey(pod), from: entry.status.phase, to: status.phase },
        'Ignored a status that takes a pod out of its end',
      )
      return
    }
    if (!isDeepStrictEqual(entry.status, status)) {
      entry.status = status
      entry.version++
    }
    this.#send(entry)
  }

  /** Says that nothing of the pod is left here. */
  release(pod: Pod): void {
    const entry = this.#entries.get(podUid(pod))
    if (entry === undefined) return
    entry.pod = pod
    entry.isReleased = true
    this.#send(entry)
  }

  /** Looks again whether there is something to send: the pod's API object has changed. */
  refresh(pod: Pod): void {
    const entry = this.#entries.get(podUid(pod))
    if (entry === undefined) return
    if (!isStaticPod(entry.pod)) entry.pod = pod
    this.#send(entry, true)
  }

  forget(uid: string): void {
    this.#entries.delete(uid)
  }

  /** Sends until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    while (!signal.aborted) {
      for (const entry of this.#entries.values()) this.#send(entry)
      await this.#options.clock.sleep(resendMs, signal).catch(() => {}) // the loop's condition sees the abort
    }
  }

  #send(entry: Entry, evenIfSent = false): void {
    if (entry.isSending || this.#signal.aborted) return
    const canDelete = entry.isReleased && entry.pod.metadata.deletionTimestamp !== undefined
    if (entry.version === entry.sentVersion && !canDelete && !evenIfSent) return
    entry.isSending = true
    void this.#sendLatest(entry).finally(() => (entry.isSending = false)) // never rejects; a pod has one at a time
  }

  async #sendLatest(entry: Entry): Promise<void> {
    const { client, logger } = this.#options
    const signal = this.#signal
    const api = client.resource(pods)
    try {
      for (;;) {
        const { version, status, pod } = entry
        const target = await this.#target(entry, signal)
        if (target === undefined) {
          entry.sentVersion = version
          return
        }
        const { name, namespace, uid } = target.metadata
        const patch = statusPatch(target.status ?? {}, status)
        if (patch !== undefined) {
          const answer = await api.patch(
            name,
            { metadata: { uid }, status: patch },
            { type: 'strategic', namespace, subresource: 'status', fieldManager, signal },
          )
          entry.lastResourceVersion = answer.metadata.resourceVersion
        }
        entry.sentVersion = version
        if (entry.isReleased && entry.version === version && !isStaticPod(pod) && target.metadata.deletionTimestamp !== undefined) {
          await api.delete(name, { namespace, gracePeriodSeconds: 0, preconditions: { uid }, signal })
          return
        }
        if (entry.version === version) return
      }
    } catch (error) {
      if (signal.aborted) return
      // Of a pod that is gone the API server tells a node nothing but that it has no business with it.
      const isGone = hasReason(error, 'Forbidden') && this.#options.apiPodOf(entry.pod) === undefined
      if (isGone || hasReason(error, 'NotFound')) {
        entry.sentVersion = entry.version // nobody is left to tell
        return
      }
      // A conflict means another pod of the same name; everything else is tried again by `run`.
      if (!hasReason(error, 'Conflict')) logger.warn({ err: error, pod: podKey(entry.pod) }, 'Cannot update pod status')
    }
  }

  /** The cache may lag behind our own last patch: then the API server is asked. */
  async #target(entry: Entry, signal: AbortSignal): Promise<Pod | undefined> {
    const cached = this.#options.apiPodOf(entry.pod)
    const isFresh =
      cached !== undefined && (entry.lastResourceVersion === undefined || cached.metadata.resourceVersion === entry.lastResourceVersion)
    if (isFresh) return cached
    if (cached === undefined && isStaticPod(entry.pod)) return undefined
    const { name, namespace } = entry.pod.metadata
    const target = await this.#options.client.resource(pods).get(name, { namespace, signal })
    const wanted = isStaticPod(entry.pod) ? cached?.metadata.uid : podUid(entry.pod)
    return target.metadata.uid === wanted ? target : undefined
  }
}

/** A mirror's old status belongs to an earlier run of the static pod when its end is told: the new run starts anew. */
function staticStart(status: PodStatus): PodStatus {
  return isTerminalPhase(status.phase) ? {} : status
}
