import { hasReason, matchesSelector, objectKey, selectorOf } from '@k3s/api'
import { deployments, replicasets, type Deployment, type DeploymentStatus, type ReplicaSet } from '@k3s/api/types/apps/v1'
import { pods } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import { claim } from '../kit/claim.ts'
import { withCondition } from '../kit/conditions.ts'
import type { ControllerContext } from '../kit/context.ts'
import { clockOf, controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { recorderOf } from '../kit/events.ts'
import { ownerKeyOf } from '../kit/owned-pods.ts'
import { byController, controllerIndex, controllerOf, isControlledBy, orphanKey } from '../kit/owners.ts'
import { isNamespaceTerminating, messageOf } from '../kit/pod-control.ts'
import { planDeployment } from './plan.ts'
import { isSameTemplate, revisionAnnotation } from './replica-sets.ts'
import { replicasOf } from './rolling.ts'
import { condition, hasProgressDeadline } from './status.ts'

/** Rolls Deployments out through ReplicaSets, scales them and reports progress, as `kubectl rollout` expects. */
export function createDeploymentController(context: ControllerContext): Service {
  const { client, informers } = context
  const clock = clockOf(context)
  const recorder = recorderOf(context, 'deployment-controller')
  const deploymentInformer = informers.informer(deployments)
  const setInformer = informers.informer(replicasets)
  const podInformer = informers.informer(pods)
  setInformer.addIndex(controllerIndex, byController)
  podInformer.addIndex(controllerIndex, byController)

  const writeStatus = async (
    deployment: Deployment,
    status: DeploymentStatus,
    revision: number | undefined,
    signal: AbortSignal,
  ): Promise<void> => {
    const annotations = deployment.metadata.annotations ?? {}
    const isNumbered = revision === undefined || annotations[revisionAnnotation] === String(revision)
    if (isNumbered && isSemanticallyEqual(deployment.status, status)) return
    const metadata = isNumbered
      ? deployment.metadata
      : { ...deployment.metadata, annotations: { ...annotations, [revisionAnnotation]: String(revision) } }
    await client.resource(deployments).update({ ...deployment, metadata, status }, { subresource: 'status', signal })
  }

  /** False when the new ReplicaSet could not be made because another one has its name: the count of collisions was raised instead. */
  const create = async (deployment: Deployment, set: ReplicaSet, signal: AbortSignal): Promise<boolean> => {
    try {
      await client.resource(replicasets).create(set, { signal })
    } catch (error) {
      if (hasReason(error, 'AlreadyExists')) {
        const existing = await client.resource(replicasets).get(set.metadata.name, { namespace: set.metadata.namespace, signal })
        if (isControlledBy(existing, deployment) && isSameTemplate(existing.spec.template, deployment.spec.template)) return true
        const collisionCount = (deployment.status?.collisionCount ?? 0) + 1
        await writeStatus(deployment, { ...deployment.status, collisionCount }, undefined, signal)
        return false
      }
      if (isNamespaceTerminating(error) || signal.aborted) throw error
      const message = `Failed to create new replica set "${set.metadata.name}": ${messageOf(error)}`
      recorder.event(deployment, 'Warning', 'ReplicaSetCreateError', message)
      if (hasProgressDeadline(deployment)) {
        const failed = condition('Progressing', 'False', 'ReplicaSetCreateError', message, clock.now())
        const conditions = withCondition(deployment.status?.conditions, failed)
        await writeStatus(deployment, { ...deployment.status, conditions }, undefined, signal)
      }
      throw error
    }
    if (replicasOf(set) > 0) tellScaling(deployment, set.metadata.name, 0, replicasOf(set))
    return true
  }

  const tellScaling = (deployment: Deployment, name: string, from: number, to: number): void => {
    const direction = to > from ? 'up' : 'down'
    recorder.event(deployment, 'Normal', 'ScalingReplicaSet', `Scaled ${direction} replica set ${name} from ${from} to ${to}`)
  }

  return controllerService({
    name: 'deployment',
    context,
    recorder,
    informers: [deploymentInformer, setInformer, podInformer],
    watch: (queue) => [
      enqueueOn(deploymentInformer, queue, (deployment) => [objectKey(deployment)]),
      enqueueOn(setInformer, queue, (set) => {
        if (controllerOf(set) !== undefined) {
          const key = ownerKeyOf(deploymentInformer, deployments, set)
          return key === undefined ? [] : [key]
        }
        return deploymentInformer.lister
          .inNamespace(set.metadata.namespace ?? '')
          .filter(({ spec }) => matchesSelector(selectorOf(spec.selector) ?? [], set.metadata.labels))
          .map(objectKey)
      }),
      enqueueOn(podInformer, queue, (pod) => {
        // Only a Recreate rollout waits for pods; all else shows in the status of ReplicaSets.
        const setKey = ownerKeyOf(setInformer, replicasets, pod)
        const set = setKey === undefined ? undefined : setInformer.lister.get(setKey)
        const key = set === undefined ? undefined : ownerKeyOf(deploymentInformer, deployments, set)
        const deployment = key === undefined ? undefined : deploymentInformer.lister.get(key)
        return key !== undefined && deployment?.spec.strategy?.type === 'Recreate' ? [key] : []
      }),
    ],
    async reconcile(key, signal, queue) {
      const deployment = deploymentInformer.lister.get(key)
      if (deployment === undefined) return
      const selector = selectorOf(deployment.spec.selector)
      if (selector === undefined || selector.length === 0) {
        const message = 'This deployment is selecting all pods. A non-empty selector is required.'
        recorder.event(deployment, 'Warning', 'SelectingAll', message)
        const observedGeneration = deployment.metadata.generation ?? 0
        return writeStatus(deployment, { ...deployment.status, observedGeneration }, undefined, signal)
      }
      const { uid = '', namespace = '' } = deployment.metadata
      const candidates = [
        ...setInformer.lister.byIndex(controllerIndex, uid),
        ...setInformer.lister.byIndex(controllerIndex, orphanKey(namespace)),
      ]
      const sets = await claim({ client, owner: deployment, ownerType: deployments, type: replicasets, selector, signal }, candidates)
      const owned = sets.flatMap(({ metadata }) => podInformer.lister.byIndex(controllerIndex, metadata.uid ?? ''))
      const plan = planDeployment({ deployment, sets, pods: owned, nowMs: clock.now() })
      if (plan.create !== undefined && !(await create(deployment, plan.create, signal))) return queue.addRateLimited(key)
      for (const { set, from } of plan.update) {
        await client.resource(replicasets).update(set, { signal })
        if (replicasOf(set) !== from) tellScaling(deployment, set.metadata.name, from, replicasOf(set))
      }
      for (const { metadata } of plan.remove) {
        const { name, namespace, uid } = metadata
        await client.resource(replicasets).delete(name, { namespace, preconditions: { uid }, signal }).catch(ignoreGone)
      }
      await writeStatus(deployment, plan.status, plan.revision, signal)
      if (plan.againMs !== undefined) queue.addAfter(key, plan.againMs)
    },
  })
}

function ignoreGone(error: unknown): void {
  if (!hasReason(error, 'NotFound', 'Conflict')) throw error
}
