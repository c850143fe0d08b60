import { CaseBuilder, type Area, type Case } from '../case.ts'
import { collectionOf, nameOf, objectOf, samples, slugOf, type Sample } from './samples.ts'

/** Fields that some kind or other is selected by. */
const fields = [
  'metadata.name=none',
  'metadata.namespace=none',
  'metadata.uid=none',
  'spec.nodeName=none',
  'status.phase=none',
  'status.successful=0',
  'type=none',
  'reason!=none',
  'spec.unschedulable=true',
  'spec.signerName=none',
  'spec.driver=none',
  'status.replicas=0',
]

const isAsked = ({ kind, resource }: Sample): boolean =>
  [
    'Pod',
    'Node',
    'Secret',
    'Event',
    'Job',
    'Namespace',
    'CertificateSigningRequest',
    'ReplicationController',
    'ConfigMap',
    'Service',
  ].includes(kind) || ['resourceslices', 'resourceclaims', 'replicasets', 'deployments'].includes(resource)

const allOf = (of: Sample): string => collectionOf(of).replace('/namespaces/$ns', '')

/** Which fields a kind is selected by. Of everything at once, so that there is nothing to list. */
function selected(of: Sample): Case {
  const built = new CaseBuilder(`selected-${slugOf(of)}`)
  const all = of.namespaced ? collectionOf(of) : allOf(of)
  // Names that other cases have are in lists of the whole cluster.
  const only = of.namespaced ? '' : '&labelSelector=none%3D$run'
  for (const field of fields) built.get(`${all}?fieldSelector=${encodeURIComponent(field)}${only}`, field)
  return built.build()
}

/** Every verb, tried only: nothing may be different afterwards. */
function dry(of: Sample): Case {
  const collection = collectionOf(of)
  const name = nameOf(of, 'y')
  const at = `${collection}/${name}`
  const object = objectOf(of, name)
  return new CaseBuilder(`dry-${slugOf(of)}`)
    .post(collection, object, 'create')
    .post(`${collection}?dryRun=All`, object, 'create again')
    .put(`${at}?dryRun=All`, object, 'put')
    .patch(`${at}?dryRun=All`, 'merge', of.change, 'merge')
    .patch(`${at}?dryRun=All&fieldManager=m`, 'apply', object, 'apply')
    .patch(`${at}?dryRun=All&fieldManager=m&force=true`, 'apply', object, 'forced apply')
    .delete(`${at}?dryRun=All`, undefined, 'delete by query')
    .delete(at, { dryRun: ['All'] }, 'delete by body')
    .delete(`${at}?dryRun=Some`, undefined, 'delete by a bad query')
    .delete(at, { dryRun: ['Some'] }, 'delete by a bad body')
    .delete(`${at}?dryRun=All&propagationPolicy=Foreground`, undefined, 'delete in the foreground')
    .delete(`${at}?dryRun=All`, { preconditions: { uid: 'other' } }, 'delete another')
    .get(at, 'still there')
    .delete(at, undefined, 'delete')
    .build()
}

const dryKinds = [
  'ConfigMap',
  'Service',
  'Deployment',
  'PersistentVolumeClaim',
  'ResourceQuota',
  'Lease',
  'Role',
  'StorageClass',
  'PriorityClass',
  'NetworkPolicy',
]

/** Options of deletions of collections. */
function collections(): Case {
  const maps = '/api/v1/namespaces/$ns/configmaps'
  const built = new CaseBuilder('deleted-collections')
  for (const name of ['a', 'b', 'c']) built.post(maps, { metadata: { name, labels: { name } } }, name)
  return built
    .delete(`${maps}?gracePeriodSeconds=-1`, undefined, 'negative grace')
    .delete(`${maps}?gracePeriodSeconds=soon`, undefined, 'bad grace')
    .delete(`${maps}?propagationPolicy=Other`, undefined, 'bad policy')
    .delete(maps, { propagationPolicy: 'Other' }, 'bad policy in the body')
    .delete(maps, { orphanDependents: true, propagationPolicy: 'Orphan' }, 'two policies')
    .delete(`${maps}?dryRun=Some`, undefined, 'bad dry run')
    .delete(`${maps}?dryRun=All`, { gracePeriodSeconds: 5 }, 'dry with grace')
    .delete(maps, { kind: 'Other', apiVersion: 'v1' }, 'another kind of options')
    .delete(maps, { kind: 'DeleteOptions', apiVersion: 'v9' }, 'another version of options')
    .delete(maps, { preconditions: { resourceVersion: '1' } }, 'old version')
    .delete(`${maps}?labelSelector=name%3Da`, { dryRun: ['All'] }, 'dry by body')
    .delete(`${maps}?resourceVersion=1`, undefined, 'of an old version')
    .delete(`${maps}?limit=1&labelSelector=none`, undefined, 'none')
    .delete(`${maps}?timeoutSeconds=x`, undefined, 'bad timeout')
    .delete(`${maps}?propagationPolicy=Orphan&labelSelector=name%3Da`, undefined, 'orphaned')
    .get(maps, 'orphaning')
    .delete(`${maps}?propagationPolicy=Foreground&labelSelector=name%3Db`, undefined, 'foreground')
    .get(maps, 'in the foreground')
    .delete(maps, undefined, 'all')
    .get(maps, 'rest')
    .build()
}

export const queries: Area = {
  name: 'queries',
  cases: [...samples.filter(isAsked).map(selected), ...samples.filter(({ kind }) => dryKinds.includes(kind)).map(dry), collections()],
}
