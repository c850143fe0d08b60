import { hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import { namespaces, type Namespace } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { discoverResources, type Discovery } from '../kit/discovery.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { deletionConditions, type EmptyingReport } from './conditions.ts'

export interface NamespaceControllerOptions {
  /** Lists the server's resources; default: its discovery documents. */
  readonly discover?: ((signal: AbortSignal) => Promise<Discovery>) | undefined
  /** How long to wait before looking again at a namespace whose content is still going, in milliseconds; default one second. */
  readonly recheckMs?: number | undefined
}

/** What the namespace controller removes from `spec.finalizers`. */
const finalizer = 'kubernetes'

/** Empties namespaces that are being deleted, pods before all else, and then lets them go. */
export function createNamespaceController(context: ControllerContext, options: NamespaceControllerOptions = {}): Service {
  const { client, informers } = context
  const { discover = (signal) => discoverResources(client.transport, signal), recheckMs = 1000 } = options
  const clock = clockOf(context)
  const informer = informers.informer(namespaces)

  return controllerService({
    name: 'namespace',
    context,
    concurrency: 10,
    informers: [informer],
    watch: (queue) => [enqueueOn(informer, queue, ({ metadata }) => (metadata.deletionTimestamp === undefined ? [] : [metadata.name]))],
    async reconcile(name, signal, queue) {
      let namespace = await getOrUndefined(client, name, signal)
      if (namespace?.metadata.deletionTimestamp === undefined) return
      if (namespace.spec.finalizers?.includes(finalizer) !== true) return
      if (namespace.status?.phase !== 'Terminating') {
        const status = { ...namespace.status, phase: 'Terminating' }
        namespace = await client.resource(namespaces).update({ ...namespace, status }, { subresource: 'status', signal })
      }
      const report = await emptyNamespace(client, name, await discover(signal), signal)
      const conditions = deletionConditions(namespace.status?.conditions, report, clock.now())
      if (!isSemanticallyEqual(namespace.status?.conditions, conditions)) {
        const status = { ...namespace.status, conditions }
        namespace = await client.resource(namespaces).update({ ...namespace, status }, { subresource: 'status', signal })
      }
      if (report.errors.length > 0) throw report.errors[0]
      // What discovery did not show may still be there: only a complete list proves the namespace empty.
      if (report.remaining.length > 0 || report.discoveryFailures.length > 0) return queue.addAfter(name, recheckMs)
      const finalizers = namespace.spec.finalizers?.filter((other) => other !== finalizer) ?? []
      const done = { ...namespace, spec: { ...namespace.spec, finalizers } }
      try {
        await client.resource(namespaces).update(done, { subresource: 'finalize', signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    },
  })
}

async function getOrUndefined(client: Client, name: string, signal: AbortSignal): Promise<Namespace | undefined> {
  try {
    return await client.resource(namespaces).get(name, { signal })
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
}

/** Deletes what is in a namespace and tells what is left. While pods are left, nothing else is touched: they may need it to end well. */
async function emptyNamespace(client: Client, namespace: string, discovery: Discovery, signal: AbortSignal): Promise<EmptyingReport> {
  const types = discovery.resources.filter(({ namespaced, verbs }) => namespaced && verbs.includes('delete') && verbs.includes('list'))
  const isPods = ({ group, resource }: Pick<ResourceType, 'group' | 'resource'>): boolean => group === '' && resource === 'pods'
  const phases = [types.filter(isPods), types.filter((type) => !isPods(type))]
  const remaining: EmptyingReport['remaining'][number][] = []
  const errors: unknown[] = []
  for (const phase of phases) {
    for (const type of phase) {
      try {
        const left = await emptyResource(client, type, namespace, type.verbs.includes('deletecollection'), signal)
        if (left.length > 0) remaining.push({ type, count: left.length, finalizers: countFinalizers(left) })
      } catch (error) {
        signal.throwIfAborted()
        // A resource that is gone, as that of a CRD deleted meanwhile, has no objects.
        if (!hasReason(error, 'NotFound', 'MethodNotAllowed')) errors.push(error)
      }
    }
    if (remaining.length > 0 || errors.length > 0) break
  }
  return { discoveryFailures: discovery.failures, errors, remaining }
}

/** The objects that are left: those that something holds. */
async function emptyResource(
  client: Client,
  type: ResourceType,
  namespace: string,
  hasCollectionDelete: boolean,
  signal: AbortSignal,
): Promise<readonly KubernetesObject[]> {
  const resource = client.resource(type)
  const { items } = await resource.list({ namespace, signal })
  if (items.every(({ metadata }) => metadata.deletionTimestamp !== undefined)) return items
  if (hasCollectionDelete) await resource.deleteCollection({ namespace, propagationPolicy: 'Background', signal })
  else
    for (const { metadata } of items) {
      try {
        await resource.delete(metadata.name, { namespace, propagationPolicy: 'Background', signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error
      }
    }
  return (await resource.list({ namespace, signal })).items
}

function countFinalizers(objects: readonly KubernetesObject[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { metadata } of objects) for (const name of metadata.finalizers ?? []) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
