import { groupResourceOf, type ResourceType } from '@k3s/api'
import type { ObjectMeta } from '@k3s/api/types/meta/v1'
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
  'validatingwebhookconfigurations.admissionregistration.k8s.io',
  'mutatingwebhookconfigurations.admissionregistration.k8s.io',
  'validatingadmissionpolicies.admissionregistration.k8s.io',
  'validatingadmissionpolicybindings.admissionregistration.k8s.io',
  'mutatingadmissionpolicies.admissionregistration.k8s.io',
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io',
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
  'apiservices.apiregistration.k8s.io',
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

/** How upstream judges the metadata of a kind, besides what it asks of every object. */
export interface MetadataFacts {
  /** Finalizers must name their domain or be Kubernetes' own. */
  readonly ownsFinalizers: boolean
  /** The rules of an update judge the change of metadata again. Upstream's answers repeat what was found before. */
  readonly judgesChangeAgain: boolean
  /** The rules of a create judge the metadata; otherwise only what holds for all kinds is asked, when they are content. */
  readonly judgesMetadata: boolean
  /** The change is judged before the object. */
  readonly judgesChangeFirst: boolean
  /** And how often the metadata as a whole. */
  readonly judgesWholeAgain: 0 | 1 | 2
  /** The name is judged by a declared format: problems of `generateName` are not told, and lengths are counted in bytes. */
  readonly declaresName: boolean
}

const admissionKinds = [
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'validatingwebhookconfigurations',
].map((resource) => `${resource}.admissionregistration.k8s.io`)

const anyFinalizers = new Set([
  'events',
  'leases.coordination.k8s.io',
  'poddisruptionbudgets.policy',
  'apiservices.apiregistration.k8s.io',
  'runtimeclasses.node.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
  ...admissionKinds,
])

const unjudgedChanges = new Set([
  'events',
  'limitranges',
  'persistentvolumes',
  'poddisruptionbudgets.policy',
  'csinodes.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'endpointslices.discovery.k8s.io',
  'flowschemas.flowcontrol.apiserver.k8s.io',
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io',
  ...admissionKinds,
])

const wholeUpdates = new Set([
  'limitranges',
  'csinodes.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'endpointslices.discovery.k8s.io',
  'flowschemas.flowcontrol.apiserver.k8s.io',
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io',
  ...admissionKinds,
  'configmaps',
  'endpoints',
  'namespaces',
  'nodes',
  'persistentvolumeclaims',
  'persistentvolumes',
  'pods',
  'secrets',
  'serviceaccounts',
  'apiservices.apiregistration.k8s.io',
  'runtimeclasses.node.k8s.io',
  'certificatesigningrequests.certificates.k8s.io',
  'controllerrevisions.apps',
  'jobs.batch',
  'ingressclasses.networking.k8s.io',
  'ingresses.networking.k8s.io',
  'ipaddresses.networking.k8s.io',
  ...roleKinds,
  'csistoragecapacities.storage.k8s.io',
  'storageclasses.storage.k8s.io',
  'volumeattributesclasses.storage.k8s.io',
  'deviceclasses.resource.k8s.io',
  'resourceclaims.resource.k8s.io',
  'resourceclaimtemplates.resource.k8s.io',
])

const lenientCreates = new Set(['events', 'events.events.k8s.io', 'poddisruptionbudgets.policy'])

const changeFirst = new Set([
  'daemonsets.apps',
  'ingressclasses.networking.k8s.io',
  'configmaps',
  'secrets',
  'volumeattributesclasses.storage.k8s.io',
])

const declaredNames = new Set(['replicationcontrollers', 'certificatesigningrequests.certificates.k8s.io', 'deviceclasses.resource.k8s.io'])

// Remembers what was made from constants: every write asks.
const knownFacts = new WeakMap<ResourceType, MetadataFacts>()

/** Of the resource in the version that was asked for. */
export function metadataFacts(type: ResourceType): MetadataFacts {
  let facts = knownFacts.get(type)
  if (facts === undefined) knownFacts.set(type, (facts = factsOf(groupResourceOf(type))))
  return facts
}

function factsOf(name: string): MetadataFacts {
  return {
    ownsFinalizers: !anyFinalizers.has(name),
    judgesChangeAgain: !unjudgedChanges.has(name),
    judgesMetadata: !lenientCreates.has(name),
    judgesChangeFirst: changeFirst.has(name),
    judgesWholeAgain: name === 'persistentvolumes' ? 2 : wholeUpdates.has(name) ? 1 : 0,
    declaresName: declaredNames.has(name),
  }
}

const heldByStatus: ReadonlyMap<string, readonly (keyof ObjectMeta)[]> = new Map<string, readonly (keyof ObjectMeta)[]>([
  ['deployments.apps', ['labels']],
  ...[
    'servicecidrs.networking.k8s.io',
    'resourceclaims.resource.k8s.io',
    'volumeattachments.storage.k8s.io',
    'validatingadmissionpolicies.admissionregistration.k8s.io',
    'flowschemas.flowcontrol.apiserver.k8s.io',
    'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io',
  ].map((name): [string, readonly (keyof ObjectMeta)[]] => [name, ['labels', 'annotations', 'finalizers', 'ownerReferences']]),
])

/** Parts of metadata that an update of the status leaves as they are; those of other kinds may change with it. */
export function metadataHeldByStatus(type: ResourceType): readonly (keyof ObjectMeta)[] {
  return heldByStatus.get(groupResourceOf(type)) ?? []
}

/** Kinds whose registry judges the preconditions of a deletion before anything else, in words of its own. */
export function judgesDeletionFirst(type: ResourceType): boolean {
  const name = groupResourceOf(type)
  return name === 'namespaces' || name === 'customresourcedefinitions.apiextensions.k8s.io'
}
