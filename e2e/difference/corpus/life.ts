import { CaseBuilder, type Area, type Case, type JsonObject } from '../case.ts'
import { collectionOf, nameOf, objectOf, samples, slugOf, type Sample } from './samples.ts'

const asTable = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } }
const asPartial = { headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json' } }
const asPartialList = { headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json' } }

/** One object of a kind, from its creation to its end, by every verb and form. */
function lifeOf(of: Sample): Case {
  const collection = collectionOf(of)
  const name = nameOf(of, 'a')
  const at = `${collection}/${name}`
  const mine = { labels: { difference: '$run' } }
  const object = objectOf(of, name, mine)
  const head: JsonObject = { apiVersion: object['apiVersion'], kind: object['kind'] }
  const only = `labelSelector=difference%3D$run`
  const built = new CaseBuilder(`life-${slugOf(of)}`)
    .post(`${collection}?dryRun=All`, object, 'dry-run')
    .get(at, 'not-there')
    .post(collection, object, 'create')
    .post(collection, object, 'again')
    .get(at)
    .get(at, 'as-table', asTable)
    .get(at, 'as-partial', asPartial)
    .get(`${collection}?${only}`, 'list')
    .get(`${collection}?${only}`, 'list-table', asTable)
    .get(`${collection}?${only}&limit=1`, 'list-partial', asPartialList)
    .get(`${collection}?fieldSelector=metadata.name%3D${name}&${only}`, 'list-by-name')
    .get(`${collection}?fieldSelector=spec.nothing%3Dx`, 'list-by-nothing')
    .put(at, '$(get:*)', 'put-same')
    .patch(at, 'merge', of.change, 'change')
    .put(at, '$(get:*)', 'put-old')
    .put(at, { ...object, metadata: { name, labels: { difference: '$run', b: 'c' } } }, 'put-unconditional')
    .patch(at, 'json', [{ op: 'add', path: '/metadata/annotations', value: { note: 'json' } }])
    .patch(at, 'json', [{ op: 'test', path: '/metadata/annotations/note', value: 'other' }])
    .patch(at, 'strategic', { metadata: { labels: { b: null, strategic: 'yes' }, finalizers: ['example.com/hold'] } })
    .patch(`${at}?dryRun=All`, 'merge', { metadata: { labels: { dry: 'run' } } }, 'merge-dry')
    .patch(at, 'merge', { metadata: { resourceVersion: '1', labels: { old: 'version' } } }, 'merge-old')
    .patch(at, 'merge', { metadata: { uid: 'another' } }, 'merge-uid')
    .patch(at, 'merge', { metadata: { name: 'another' } }, 'merge-name')
    .patch(`${at}?fieldManager=applier`, 'apply', { ...head, metadata: { name, labels: { strategic: 'applied' } } }, 'apply-conflict')
    .patch(
      `${at}?fieldManager=applier&force=true`,
      'apply',
      { ...head, metadata: { name, labels: { strategic: 'applied' } } },
      'apply-forced',
    )
    .patch(`${at}?fieldManager=applier`, 'apply', { ...head, metadata: { name } }, 'apply-nothing')
  if (of.status !== undefined) {
    built
      .get(`${at}/status`, 'get-status')
      .patch(`${at}/status`, 'merge', { status: of.status, metadata: { labels: { status: 'label' } } }, 'patch-status')
      .get(at, 'status-table', asTable)
      .patch(at, 'merge', { status: of.status }, 'status-through-main')
      .put(`${at}/status`, '$(patch-status:*)', 'put-status-same')
      .put(`${at}/status`, { ...object, status: of.status }, 'put-status')
  } else built.get(`${at}/status`, 'no-status')
  if (of.hasScale === true) {
    const scale = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name, namespace: '$ns' } }
    built
      .get(`${at}/scale`, 'get-scale')
      .put(`${at}/scale`, { ...scale, spec: { replicas: 4 } }, 'put-scale')
      .patch(`${at}/scale`, 'merge', { spec: { replicas: 2 } }, 'patch-scale')
      .put(`${at}/scale`, { ...scale, spec: { replicas: -1 } }, 'put-bad-scale')
      .put(`${at}/scale`, { ...scale, metadata: { name, namespace: '$ns', resourceVersion: '1' }, spec: { replicas: 1 } }, 'put-old-scale')
  } else built.get(`${at}/scale`, 'no-scale')
  return built
    .delete(`${at}?dryRun=All`, undefined, 'delete-dry')
    .delete(at, { preconditions: { uid: 'another' } }, 'delete-other-uid')
    .delete(at, { preconditions: { resourceVersion: '1' } }, 'delete-other-version')
    .delete(at, { propagationPolicy: 'Foreground' }, 'delete-foreground')
    .get(at, 'marked')
    .patch(at, 'merge', { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } }, 'more-finalizers')
    .patch(at, 'merge', { metadata: { finalizers: null } }, 'release')
    .get(at, 'gone')
    .delete(at, undefined, 'delete-gone')
    .post(collection, objectOf(of, name, mine), 'create-again')
    .delete(`${at}?propagationPolicy=Background&gracePeriodSeconds=0`, undefined, 'delete')
    .build()
}

export const life: Area = { name: 'life', cases: samples.filter(({ isWatched }) => isWatched !== true).map(lifeOf) }
