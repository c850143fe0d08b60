import { apiVersionOf, groupResourceOf, hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { OwnerReference } from '@k3s/api/types/meta/v1'
import { createWorkqueue, runWorkers, type Client } from '@k3s/client'
import { retry, type Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, loggerOf } from '../kit/controller.ts'
import { discoverResources, type Discovery } from '../kit/discovery.ts'
import { removeFinalizer } from '../kit/finalizers.ts'
import { decideDeletion, type OwnerState } from './decide.ts'
import { foregroundFinalizer, orphanFinalizer, OwnerGraph, type GraphNode, type GraphWork } from './graph.ts'
import { ResourceMonitors } from './monitors.ts'

export interface GarbageCollectorOptions {
  /** Lists the server's resources; default: its discovery documents. */
  readonly discover?: ((signal: AbortSignal) => Promise<Discovery>) | undefined
  /** How often new and vanished resource types are looked for, in milliseconds; default 30 s. A change of a CRD is looked at within a second. */
  readonly rediscoverMs?: number | undefined
}

// Upstream's number of workers, and its size of the cache of absent owners.
const workers = 20
const maxAbsentOwners = 500
/** Upstream's bound of the wait for the first lists. */
const initialSyncMs = 30_000
/** How long to wait before an owner of an unserved kind is looked at again. */
const unknownKindMs = 30_000

/** Deletes what has lost its last owner, and carries out foreground and orphaning deletions. */
export function createGarbageCollector(context: ControllerContext, options: GarbageCollectorOptions = {}): Service {
  const { client } = context
  const { discover = (signal) => discoverResources(client.transport, signal), rediscoverMs = 30_000 } = options
  const name = 'garbage-collector'
  const logger = loggerOf(context, name)
  return {
    name,
    async run({ signal, ready }) {
      const queue = createWorkqueue({ name, clock: context.clock, metrics: context.metrics })
      const resources = new Map<string, ResourceType>()
      const graph = new OwnerGraph((reference) => resources.get(kindKey(reference)))
      const add = ({ attemptDelete, orphanDependents }: GraphWork): void => {
        for (const uid of orphanDependents) queue.add(`orphan ${uid}`)
        for (const uid of attemptDelete) queue.add(`delete ${uid}`)
      }
      const monitors = new ResourceMonitors(context, {
        observe: (type, object) => add(graph.observe(type, object)),
        forget: (object) => add(graph.forget(object.metadata.uid ?? '')),
      })
      const refresh = async (): Promise<void> => {
        const { resources: found, failures } = await discover(signal)
        const known = new Set(resources.keys())
        resources.clear()
        for (const type of found) resources.set(`${type.group}/${type.kind}`, type)
        if ([...resources.keys()].some((key) => !known.has(key))) add({ attemptDelete: graph.withUnresolvedOwner(), orphanDependents: [] })
        const isComplete = failures.length === 0
        monitors.watch(
          found.filter(({ verbs }) => ['list', 'watch', 'delete'].every((verb) => verbs.includes(verb))),
          isComplete,
        )
      }
      const collector = new Collector(client, graph, resources)
      try {
        await retry(refresh, {
          signal,
          clock: context.clock,
          onRetry: (err) => logger.warn({ err }, 'Discovery failed and will be repeated'),
        })
        // Until everything was seen once, an owner that is not in the graph may only be late. One resource that cannot be listed must not
        // stop all collection, though: every decision is verified live anyway.
        await monitors.synced(clockOf(context), initialSyncMs, signal)
        ready()
        const reconcile = async (key: string): Promise<void> => {
          const [work, uid = ''] = key.split(' ')
          if (work === 'orphan') return collector.orphanDependents(uid, signal)
          const { recheck = [], isUnknown = false, vanished = false } = await collector.attemptDelete(uid, signal)
          if (vanished) add(graph.forget(uid))
          for (const other of recheck) queue.add(`delete ${other}`)
          if (isUnknown) queue.addAfter(key, unknownKindMs)
        }
        const rediscover = async (): Promise<void> => {
          while (!signal.aborted) {
            try {
              await monitors.resourcesChanged(clockOf(context), rediscoverMs, signal)
              await refresh()
            } catch (err) {
              if (!signal.aborted) logger.warn({ err }, 'Discovery failed and will be repeated')
            }
          }
        }
        await Promise.all([runWorkers({ queue, concurrency: workers, reconcile, logger, signal }), rediscover(), monitors.run(signal)])
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        monitors.stop()
        queue.close()
      }
    },
  }
}

const kindKey = ({ apiVersion, kind }: OwnerReference): string => `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''}/${kind}`

interface Attempt {
  /** Other nodes to look at. */
  readonly recheck?: readonly string[]
  /** An owner's kind is not served (yet). */
  readonly isUnknown?: boolean
  /** The node itself does not exist. */
  readonly vanished?: boolean
}

class Collector {
  readonly #client: Client
  readonly #graph: OwnerGraph
  readonly #resources: ReadonlyMap<string, ResourceType>
  /** References that a live look found dangling, oldest first; at most {@link maxAbsentOwners}. */
  readonly #absent = new Set<string>()

  constructor(client: Client, graph: OwnerGraph, resources: ReadonlyMap<string, ResourceType>) {
    this.#client = client
    this.#graph = graph
    this.#resources = resources
  }

  async attemptDelete(uid: string, signal: AbortSignal): Promise<Attempt> {
    const node = this.#graph.get(uid)
    if (node === undefined || (node.isObserved && node.isBeingDeleted && !node.awaitsDependents)) return {}
    if (node.type === undefined) {
      // An owner of a kind that was not served when it was first named; whoever refers to it decides by its own reference.
      return { recheck: this.#graph.dependentsOf(uid).map((dependent) => dependent.uid) }
    }
    const live = await this.#read(node.type, node.namespace, node.name, signal)
    if (live === undefined || live.metadata.uid !== uid) return { vanished: true }
    if (!node.isObserved) return {}
    if (node.awaitsDependents) return this.#finishForeground(node, node.type, live, signal)
    const references = live.metadata.ownerReferences ?? []
    const owners = []
    for (const reference of references) owners.push({ reference, state: await this.#stateOf(node, reference, signal) })
    const dependents = this.#graph.dependentsOf(uid)
    const decision = decideDeletion({
      object: live,
      owners,
      hasDependents: dependents.length > 0,
      hasWaitingDependent: dependents.some(({ awaitsDependents }) => awaitsDependents),
    })
    if (decision.action === 'keep') return { isUnknown: owners.some(({ state }) => state === 'unknown') }
    if (decision.action === 'disown') {
      await this.#setOwners(
        node.type,
        live,
        references.filter((reference) => !decision.uids.includes(reference.uid)),
        signal,
      )
      return {}
    }
    let { resourceVersion } = live.metadata
    if (decision.unblockOwners) {
      const loosened = references.map((reference) => ({ ...reference, blockOwnerDeletion: false }))
      resourceVersion = (await this.#setOwners(node.type, live, loosened, signal))?.metadata.resourceVersion
    }
    try {
      await this.#client.resource(node.type).delete(node.name, {
        namespace: node.namespace,
        propagationPolicy: decision.propagationPolicy,
        // With the version: a reference that was added meanwhile must be looked at first.
        preconditions: { uid, resourceVersion },
        signal,
      })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
    return {}
  }

  async orphanDependents(uid: string, signal: AbortSignal): Promise<void> {
    const node = this.#graph.get(uid)
    if (node?.type === undefined || !node.awaitsOrphaning) return
    for (const dependent of this.#graph.dependentsOf(uid)) {
      if (dependent.type === undefined) continue
      const live = await this.#read(dependent.type, dependent.namespace, dependent.name, signal)
      if (live === undefined || live.metadata.uid !== dependent.uid) continue
      const references = live.metadata.ownerReferences ?? []
      const others = references.filter((reference) => reference.uid !== uid)
      if (others.length < references.length) await this.#setOwners(dependent.type, live, others, signal)
    }
    const live = await this.#read(node.type, node.namespace, node.name, signal)
    if (live?.metadata.uid === uid) await removeFinalizer(this.#client, node.type, live, orphanFinalizer, signal)
  }

  async #finishForeground(node: GraphNode, type: ResourceType, live: KubernetesObject, signal: AbortSignal): Promise<Attempt> {
    const blockers = this.#graph.blockersOf(node.uid)
    if (blockers.length === 0) {
      await removeFinalizer(this.#client, type, live, foregroundFinalizer, signal)
      return {}
    }
    return { recheck: blockers.filter(({ awaitsDependents }) => !awaitsDependents).map(({ uid }) => uid) }
  }

  async #stateOf(node: GraphNode, reference: OwnerReference, signal: AbortSignal): Promise<OwnerState> {
    const type = this.#resources.get(kindKey(reference))
    if (type === undefined) return 'unknown'
    // An object of the whole cluster cannot belong to one in a namespace.
    if (type.namespaced && node.namespace === '') return 'unknown'
    const namespace = type.namespaced ? node.namespace : ''
    const key = `${apiVersionOf(type)} ${groupResourceOf(type)} ${namespace}/${reference.name} ${reference.uid}`
    if (this.#absent.has(key)) return 'absent'
    const live = await this.#read(type, namespace, reference.name, signal)
    if (live === undefined || live.metadata.uid !== reference.uid) {
      this.#absent.add(key)
      for (const oldest of this.#absent) {
        if (this.#absent.size <= maxAbsentOwners) break
        this.#absent.delete(oldest)
      }
      return 'absent'
    }
    const isWaiting = live.metadata.deletionTimestamp !== undefined && live.metadata.finalizers?.includes(foregroundFinalizer) === true
    return isWaiting ? 'awaitsDependents' : 'solid'
  }

  async #setOwners(
    type: ResourceType,
    object: KubernetesObject,
    ownerReferences: readonly OwnerReference[],
    signal: AbortSignal,
  ): Promise<KubernetesObject | undefined> {
    const { name, namespace, uid, resourceVersion } = object.metadata
    try {
      const patch = { metadata: { uid, resourceVersion, ownerReferences } }
      return await this.#client.resource(type).patch(name, patch, { type: 'merge', namespace, signal })
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    }
  }

  async #read(type: ResourceType, namespace: string, name: string, signal: AbortSignal): Promise<KubernetesObject | undefined> {
    try {
      return await this.#client.resource(type).get(name, { namespace, signal })
    } catch (error) {
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    }
  }
}
