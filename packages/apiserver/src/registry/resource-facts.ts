import { groupResourceOf, type ResourceType } from '@k3s/api'
import { pathSegment } from '../validation/names.ts'
import type { ResourceStrategy } from './strategy.ts'

/** Facts about built-in resources that are in upstream's code and in no document. */

const withGeneration = new Set([
  'pods',
  'podtemplates',
  'replicationcontrollers',
  'daemonsets.apps',
  'deployments.apps',
  'replicasets.apps',
  'statefulsets.apps',
  'jobs.batch',
  'cronjobs.batch',
  'poddisruptionbudgets.policy',
  'ingresses.networking.k8s.io',
  'ingressclasses.networking.k8s.io',
  'networkpolicies.networking.k8s.io',
  'endpointslices.discovery.k8s.io',
  'priorityclasses.scheduling.k8s.io',
  'flowschemas.flowcontrol.apiserver.k8s.io',
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io',
  'mutatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingadmissionpolicies.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mutatingadmissionpolicies.admissionregistration.k8s.io',
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io',
  'deviceclasses.resource.k8s.io',
  'resourceslices.resource.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
])

const returningDeleted = new Set([
  'pods',
  'services',
  'persistentvolumes',
  'persistentvolumeclaims',
  'serviceaccounts',
  'resourcequotas',
  'podtemplates',
  'namespaces',
  'csidrivers.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'storageclasses.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'volumeattributesclasses.storage.k8s.io',
  'deviceclasses.resource.k8s.io',
  'resourceclaims.resource.k8s.io',
  'resourceclaimtemplates.resource.k8s.io',
  'resourceslices.resource.k8s.io',
])

/** Whether objects count changes of their spec, when no strategy says otherwise. */
export function hasGenerationByDefault(type: ResourceType): boolean {
  return withGeneration.has(groupResourceOf(type))
}

/** Whether a DELETE answers the deleted object and not a Status. */
export function returnsDeletedObject(type: ResourceType): boolean {
  return returningDeleted.has(groupResourceOf(type))
}

/** What becomes of dependents when a DELETE names no policy. */
export function defaultGarbageCollection(type: ResourceType): 'delete' | 'orphan' | 'unsupported' {
  const name = groupResourceOf(type)
  if (name === 'jobs.batch' || name === 'replicationcontrollers') return 'orphan'
  return name === 'events' ? 'unsupported' : 'delete'
}

const deprecations: ReadonlyMap<string, string> = new Map([
  ['componentstatuses', 'v1 ComponentStatus is deprecated in v1.19+'],
  ['endpoints', 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice'],
])

/** What users of a deprecated kind are warned with; undefined when it is not deprecated. */
export function deprecationOf(type: ResourceType): string | undefined {
  return deprecations.get(groupResourceOf(type))
}

const judging = new Set([
  'namespaces',
  'nodes',
  'serviceaccounts',
  'limitranges',
  'resourcequotas',
  'roles.rbac.authorization.k8s.io',
  'rolebindings.rbac.authorization.k8s.io',
  'clusterroles.rbac.authorization.k8s.io',
  'clusterrolebindings.rbac.authorization.k8s.io',
  'priorityclasses.scheduling.k8s.io',
  'runtimeclasses.node.k8s.io',
  'storageclasses.storage.k8s.io',
  'ingressclasses.networking.k8s.io',
])

/** Whether authorization or admission of other requests reads objects of this kind: who wrote one may count on it from the answer on. */
export function judgesRequests(type: ResourceType): boolean {
  return judging.has(groupResourceOf(type))
}

const roleKinds = ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'].map(
  (resource) => `${resource}.rbac.authorization.k8s.io`,
)

const createdByUpdate = new Set(['limitranges', 'endpoints', 'runtimeclasses.node.k8s.io', ...roleKinds])

const versionedUpdate = new Set([
  'runtimeclasses.node.k8s.io',
  'csidrivers.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'csistoragecapacities.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'mutatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingadmissionpolicies.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mutatingadmissionpolicies.admissionregistration.k8s.io',
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io',
])

/** Rules of a resource that has no strategy of its own, besides what its schema says. */
export function defaultRules(
  type: ResourceType,
): Pick<ResourceStrategy, 'allowCreateOnUpdate' | 'allowUnconditionalUpdate' | 'validateName'> {
  const name = groupResourceOf(type)
  return {
    allowCreateOnUpdate: createdByUpdate.has(name),
    allowUnconditionalUpdate: !versionedUpdate.has(name),
    ...(roleKinds.includes(name) ? { validateName: pathSegment } : {}),
  }
}
