import { addQuantities, compareQuantities, groupResourceOf, type KubernetesObject, subtractQuantities } from '@k3s/api'
import { type Pod, pods, type ResourceQuota, resourcequotas } from '@k3s/api/types/core/v1'
import type { ResourceOperations } from '../../registry/strategy.ts'
import type { ResourceList } from '../../resources/shared/resource-list.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../admission.ts'
import { refusal } from '../requests.ts'
import { isInScopes, usageOf } from './usage.ts'

/** Resources that every container must ask for when a quota limits them. */
const demanded = new Set(['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])
/** Kinds that no quota counts. */
const ignored = new Set(['events', 'events.events.k8s.io', 'bindings'])

const text = (list: Readonly<ResourceList>): string =>
  Object.entries(list)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, amount]) => `${name}=${amount}`)
    .join(',')

const pick = (list: Readonly<ResourceList> | undefined, names: readonly string[]): ResourceList =>
  Object.fromEntries(names.flatMap((name) => (list?.[name] === undefined ? [] : [[name, list[name]]])))

/** What an update takes more than before; less is given back by the controller. */
function increase(now: ResourceList, then: ResourceList): ResourceList {
  const delta: ResourceList = {}
  for (const [name, amount] of Object.entries(now)) {
    const more = subtractQuantities(amount, then[name] ?? '0')
    if (compareQuantities(more, '0') > 0) delta[name] = more
  }
  return delta
}

function checkDemanded(pod: Pod, names: readonly string[], refuse: (why: string) => Error): void {
  if (pod.spec.resources !== undefined && Object.keys({ ...pod.spec.resources.limits, ...pod.spec.resources.requests }).length > 0) return
  const missing = names.toSorted().flatMap((name) => {
    const [, kind = 'requests', resource = name] = /^(requests|limits)\.(.*)$/.exec(name) ?? []
    const without = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].filter(
      // Either list of a container's resources.
      ({ resources }) => resources?.[kind as 'requests' | 'limits']?.[resource] === undefined,
    )
    return without.length === 0
      ? []
      : [
          `${name} for: ${without
            .map((container) => container.name)
            .toSorted()
            .join(',')}`,
        ]
  })
  if (missing.length > 0) throw refuse(`must specify ${missing.join('; ')}`)
}

/** Adds to a quota's use, in place. Throws when a limit would be passed. */
function charge(quota: ResourceQuota, delta: ResourceList, refuse: (why: string) => Error): void {
  const { hard = {}, used = {} } = quota.status ?? {}
  const requested = Object.fromEntries(Object.entries(delta).filter(([name]) => hard[name] !== undefined))
  const total: ResourceList = { ...used }
  for (const [name, amount] of Object.entries(requested)) total[name] = addQuantities(used[name] ?? '0', amount)
  const exceeded = Object.keys(requested).filter((name) => compareQuantities(total[name] ?? '0', hard[name] ?? '0') > 0)
  if (exceeded.length > 0) {
    throw refuse(
      `exceeded quota: ${quota.metadata.name}, requested: ${text(pick(requested, exceeded))}, used: ${text(pick(used, exceeded))}, limited: ${text(pick(hard, exceeded))}`,
    )
  }
  quota.status = { ...quota.status, used: total }
}

function handles(request: AdmissionRequest): boolean {
  if (request.namespace === '' || request.subresource !== '' || ignored.has(groupResourceOf(request.type))) return false
  if (request.operation === 'CREATE') return true
  if (request.operation !== 'UPDATE') return false
  const resource = groupResourceOf(request.type)
  if (resource === 'services' || resource === 'persistentvolumeclaims') return true
  // The update of a pod matters when it changes its scope. The resource says what the objects are.
  const [now, then] = [request.object as Pod, request.oldObject as Pod]
  return resource === 'pods' && (now.spec.activeDeadlineSeconds === undefined) !== (then.spec.activeDeadlineSeconds === undefined)
}

function deltaFor(quota: ResourceQuota, request: AdmissionRequest, object: KubernetesObject): ResourceList {
  const nowMs = Date.parse(request.scope.now)
  const usage = usageOf(request.type, object, nowMs)
  const { oldObject } = request
  if (request.operation !== 'UPDATE' || oldObject === undefined || !isInScopes(quota, request.type, oldObject)) return increase(usage, {})
  return increase(usage, usageOf(request.type, oldObject, nowMs))
}

/**
 * Holds objects to the quotas of their namespace: adds what a request takes to the quota's status before it is done, one compare-and-swap for each quota,
 * so that requests at the same time, on any server, never pass a limit together. What fails later is given back when the quota controller counts again.
 */
export function resourceQuotaPlugin(operations: Pick<ResourceOperations, 'guaranteedUpdate'>): AdmissionPlugin {
  return {
    name: 'ResourceQuota',
    validate(request): Promise<void> | undefined {
      const { object } = request
      if (object === undefined || !handles(request)) return undefined
      const quotas = request.scope.objects
        .list(resourcequotas, request.namespace)
        .filter((quota) => isInScopes(quota, request.type, object))
      return quotas.length === 0 ? undefined : chargeQuotas(operations, request, object, quotas)
    },
  }
}

async function chargeQuotas(
  operations: Pick<ResourceOperations, 'guaranteedUpdate'>,
  request: AdmissionRequest,
  object: KubernetesObject,
  quotas: readonly ResourceQuota[],
): Promise<void> {
  const refuse = (why: string): Error => refusal(request, why)
  const charges: { readonly quota: ResourceQuota; readonly delta: ResourceList }[] = []
  for (const quota of quotas) {
    const hard = quota.status?.hard ?? {}
    const used = quota.status?.used ?? {}
    const usage = usageOf(request.type, object, Date.parse(request.scope.now))
    const counted = Object.keys(hard).filter(
      (name) => usage[name] !== undefined || (groupResourceOf(request.type) === 'pods' && demanded.has(name)),
    )
    // The resource says what the object is.
    if (groupResourceOf(request.type) === groupResourceOf(pods)) {
      checkDemanded(
        object as Pod,
        counted.filter((name) => demanded.has(name)),
        (why) => refuse(`failed quota: ${quota.metadata.name}: ${why}`),
      )
    }
    const unknown = counted.filter((name) => used[name] === undefined)
    if (unknown.length > 0) throw refuse(`status unknown for quota: ${quota.metadata.name}, resources: ${unknown.toSorted().join(',')}`)
    const delta = pick(deltaFor(quota, request, object), Object.keys(hard))
    if (Object.keys(delta).length > 0) charges.push({ quota, delta })
  }
  // All are tried before any is charged.
  for (const { quota, delta } of charges) charge(structuredClone(quota), delta, refuse)
  for (const { quota, delta } of charges) {
    const at = { namespace: request.namespace, name: quota.metadata.name }
    await operations.guaranteedUpdate(resourcequotas, at, (current) => charge(current, delta, refuse), { dryRun: request.scope.dryRun })
  }
}
