import { badRequest, conflict, forbidden, hasReason, StatusError } from '@k3s/api'
import { type Pod, pods } from '@k3s/api/types/core/v1'
import type { DeleteOptions } from '@k3s/api/types/meta/v1'
import { type Eviction, type PodDisruptionBudget, poddisruptionbudgets } from '@k3s/api/types/policy/v1'
import type { Subresource, SubresourceRequest } from '../../registry/strategy.ts'
import { selectorMatches } from '../shared/label-selector.ts'
import { successStatus } from '../shared/success.ts'
import { isPodReady, setPodCondition } from './conditions.ts'

/** As many evictions may wait for the budget's controller to notice them. */
const maxDisruptedPods = 2000
/** Of a pod that changes while it is evicted; upstream's number. Each try reads the newest pod, so unlike kube-apiserver there are no pauses between. */
const maxTries = 20
const violates = "Cannot evict pod as it would violate the pod's disruption budget."
const budgetResource = { group: 'policy', resource: 'poddisruptionbudget' }

function tooManyRequests(message: string, retryAfterSeconds?: number): StatusError {
  return new StatusError('TooManyRequests', violates, {
    details: { causes: [{ reason: 'DisruptionBudget', message }] },
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  })
}

const stillProcessed = (name: string): StatusError =>
  tooManyRequests(`The disruption budget ${name} is still being processed by the server.`, 10)

/** Why a budget that allows no disruption does not. */
function refusal(budget: PodDisruptionBudget): string {
  const { name } = budget.metadata
  const { currentHealthy = 0, desiredHealthy = 0, conditions = [] } = budget.status ?? {}
  const condition = conditions.find(({ type, status, message }) => type === 'DisruptionAllowed' && status === 'False' && message !== '')
  if (condition?.reason === 'SyncFailed') {
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${condition.message}`
  }
  if (currentHealthy <= desiredHealthy)
    return `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`
  if (condition !== undefined)
    return `The disruption budget ${name} does not allow evicting pods currently (${condition.reason}): ${condition.message}`
  return `The disruption budget ${name} does not allow evicting pods currently`
}

/** Takes one disruption from the budget, in place. Throws when there is none to take. */
function takeDisruption(budget: PodDisruptionBudget, podName: string, now: string): void {
  const { status } = budget
  if (status === undefined || (status.observedGeneration ?? 0) < (budget.metadata.generation ?? 0))
    throw stillProcessed(budget.metadata.name)
  status.disruptionsAllowed ??= 0
  if (status.disruptionsAllowed < 0) throw forbidden(budgetResource, budget.metadata.name, 'pdb disruptions allowed is negative')
  if (Object.keys(status.disruptedPods ?? {}).length > maxDisruptedPods) {
    throw forbidden(budgetResource, budget.metadata.name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller')
  }
  if (status.disruptionsAllowed === 0) throw tooManyRequests(refusal(budget))
  status.disruptionsAllowed -= 1
  if (status.disruptionsAllowed === 0) {
    const others = (status.conditions ?? []).filter(({ type }) => type !== 'DisruptionAllowed')
    const condition = {
      type: 'DisruptionAllowed',
      status: 'False',
      reason: 'InsufficientPods',
      message: '',
      lastTransitionTime: now,
      observedGeneration: status.observedGeneration,
    }
    status.conditions = [...others, condition]
  }
  status.disruptedPods = { ...status.disruptedPods, [podName]: now }
}

/** Pods that end or have not started disrupt nothing when they go. */
const ignoresBudgets = (pod: Pod): boolean =>
  ['Succeeded', 'Failed', 'Pending'].includes(pod.status?.phase ?? '') || pod.metadata.deletionTimestamp !== undefined

/** Spends the budget that guards the pod, if any. True when the pod may go because it is unhealthy: then it must still be what we saw. */
async function passBudgets(
  request: SubresourceRequest,
  pod: Pod,
  dryRun: boolean,
): Promise<{ readonly budget: string; readonly mustBeUnchanged: boolean }> {
  const { namespace, objects, now } = request.scope
  const budgets = objects.list(poddisruptionbudgets, namespace).filter(({ spec }) => selectorMatches(spec.selector, pod.metadata.labels))
  const [budget] = budgets
  if (budgets.length > 1) {
    throw new StatusError('', 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.', {
      code: 500,
    })
  }
  if (budget === undefined) return { budget: '', mustBeUnchanged: false }
  const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {}
  const isUnguarded = budget.spec.unhealthyPodEvictionPolicy === 'AlwaysAllow' || (currentHealthy >= desiredHealthy && desiredHealthy > 0)
  if (!isPodReady(pod) && isUnguarded) return { budget: budget.metadata.name, mustBeUnchanged: true }
  await request.operations.guaranteedUpdate(
    poddisruptionbudgets,
    { namespace, name: budget.metadata.name },
    (object) => takeDisruption(object, pod.metadata.name, now),
    { dryRun, signal: request.signal },
  )
  return { budget: budget.metadata.name, mustBeUnchanged: false }
}

async function markAndDelete(
  request: SubresourceRequest,
  options: DeleteOptions,
  dryRun: boolean,
  resourceVersion: string | undefined,
): Promise<void> {
  const at = { namespace: request.scope.namespace, name: request.name }
  const { uid } = options.preconditions ?? {}
  let expected = resourceVersion
  if (!dryRun) {
    const updated = await request.operations.guaranteedUpdate(
      pods,
      at,
      (pod) => {
        if (uid && uid !== pod.metadata.uid) {
          throw conflict(
            { resource: 'pods' },
            request.name,
            `the UID in the precondition (${uid}) does not match the UID in record (${pod.metadata.uid}). The object might have been deleted and then recreated`,
          )
        }
        if (resourceVersion !== undefined && resourceVersion !== pod.metadata.resourceVersion) {
          throw conflict(
            { resource: 'pods' },
            request.name,
            `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${pod.metadata.resourceVersion}). The object might have been modified`,
          )
        }
        const condition = { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' }
        setPodCondition(pod, condition, request.scope.now)
      },
      { signal: request.signal },
    )
    if (expected !== undefined) expected = updated.metadata.resourceVersion
  }
  await request.operations.delete(pods, at, { gracePeriodSeconds: options.gracePeriodSeconds, uid, resourceVersion: expected, dryRun })
}

async function evict(request: SubresourceRequest) {
  // The core decoded the body as the kind that this subresource declares.
  const eviction = request.body as Eviction
  if (eviction.metadata.name !== request.name) throw badRequest('name in URL does not match name in Eviction object')
  const options = eviction.deleteOptions ?? {}
  const dryRun = request.scope.dryRun || (options.dryRun ?? []).length > 0
  const asked = options.preconditions?.resourceVersion
  const at = { namespace: request.scope.namespace, name: request.name }
  let pod = await request.operations.get(pods, at)
  for (let tries = 1; ignoresBudgets(pod); tries++) {
    const isPending = pod.status?.phase === 'Pending' && pod.metadata.deletionTimestamp === undefined
    try {
      await markAndDelete(request, options, dryRun, asked ?? (isPending ? pod.metadata.resourceVersion : undefined))
      return successStatus()
    } catch (error) {
      // It may have started meanwhile: then a budget may guard it.
      if (asked !== undefined || tries === maxTries || !hasReason(error, 'Conflict')) throw error
    }
    pod = await request.operations.get(pods, at)
  }
  const { budget, mustBeUnchanged } = await passBudgets(request, pod, dryRun)
  try {
    await markAndDelete(request, options, dryRun, asked ?? (mustBeUnchanged ? pod.metadata.resourceVersion : undefined))
  } catch (error) {
    // The pod may have become healthy meanwhile: the client comes again.
    if (mustBeUnchanged && asked === undefined && hasReason(error, 'Conflict')) throw stillProcessed(budget)
    throw error
  }
  return successStatus()
}

/** POST of an Eviction: deletes a pod unless a disruption budget forbids it (429 with cause DisruptionBudget). */
export const podEviction: Subresource = { group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'], handle: evict }
