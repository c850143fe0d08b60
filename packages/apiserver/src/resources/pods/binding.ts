import { badRequest, conflict, invalid, isStatusError } from '@k3s/api'
import { type Binding, type Pod, pods } from '@k3s/api/types/core/v1'
import { notSupported } from '../../validation/field-error.ts'
import type { Subresource, SubresourceRequest } from '../../registry/strategy.ts'
import { requiredString } from '../../validation/fields.ts'
import { successStatus } from '../shared/success.ts'
import { setPodCondition } from './conditions.ts'

function assign(pod: Pod, binding: Binding, now: string): void {
  const { name } = pod.metadata
  const refuse = (why: string): never => {
    throw conflict({ resource: 'pods/binding' }, name, why)
  }
  const { uid = '', resourceVersion = '' } = binding.metadata
  if (uid !== '' && uid !== pod.metadata.uid)
    refuse(`Precondition failed: UID in precondition: ${uid}, UID in object meta: ${pod.metadata.uid}`)
  if (resourceVersion !== '' && resourceVersion !== pod.metadata.resourceVersion) {
    refuse(
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${pod.metadata.resourceVersion}`,
    )
  }
  if (pod.metadata.deletionTimestamp !== undefined) refuse(`pod ${name} is being deleted, cannot be assigned to a host`)
  if (pod.spec.nodeName) refuse(`pod ${name} is already assigned to node "${pod.spec.nodeName}"`)
  if ((pod.spec.schedulingGates ?? []).length > 0) refuse(`pod ${name} has non-empty .spec.schedulingGates`)
  pod.spec.nodeName = binding.target.name ?? ''
  if (pod.status !== undefined) delete pod.status.nominatedNodeName
  if (binding.metadata.annotations !== undefined)
    pod.metadata.annotations = { ...pod.metadata.annotations, ...binding.metadata.annotations }
  if (binding.metadata.labels !== undefined) pod.metadata.labels = { ...pod.metadata.labels, ...binding.metadata.labels }
  setPodCondition(pod, { type: 'PodScheduled', status: 'True' }, now)
}

async function bind(request: SubresourceRequest) {
  // The core decoded the body as the kind that this subresource declares.
  const binding = request.body as Binding
  const name = request.name === '' ? binding.metadata.name : request.name
  if (name !== binding.metadata.name) throw badRequest('name in URL does not match name in Binding object')
  const { kind = '' } = binding.target
  const errors = [
    ...(kind === '' || kind === 'Node' ? [] : [notSupported('target.kind', kind, ['Node', '<empty>'])]),
    ...requiredString('target.name', binding.target.name),
  ]
  if (errors.length > 0) throw invalid({ kind: 'Binding' }, name, errors)
  const at = { namespace: request.scope.namespace, name }
  try {
    await request.operations.guaranteedUpdate(pods, at, (pod) => assign(pod, binding, request.scope.now), {
      dryRun: request.scope.dryRun,
      signal: request.signal,
    })
  } catch (error) {
    if (isStatusError(error) || request.signal.aborted) throw error
    throw conflict({ resource: 'pods/binding' }, name, error instanceof Error ? error.message : String(error))
  }
  return successStatus()
}

/** POST of a Binding: puts a pod on a node. Conflict when it has one, is going, or is gated. Serves `pods/NAME/binding` and, with an empty request name, `bindings`. */
export const podBinding: Subresource = { group: '', version: 'v1', kind: 'Binding', verbs: ['create'], handle: bind }
