import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'
import { collectionOf, nameOf, objectOf, samples, slugOf, type Sample } from './samples.ts'

/** Objects whose metadata or form is wrong, of every kind. */
function badMetadataOf(of: Sample): Case {
  const collection = collectionOf(of)
  const name = nameOf(of, 'b')
  const object = objectOf(of, name)
  const dry = `${collection}?dryRun=All`
  const built = new CaseBuilder(`bad-${slugOf(of)}`)
  const withMeta = (label: string, metadata: JsonObject): void => {
    built.post(dry, { ...object, metadata }, label)
  }
  withMeta('no-name', {})
  withMeta('upper-name', { name: 'Bad_Name' })
  withMeta('dotted-name', { name: 'a.b' })
  withMeta('long-name', { name: 'a'.repeat(64) })
  withMeta('longer-name', { name: 'a'.repeat(254) })
  withMeta('path-name', { name: 'a%b' })
  withMeta('generated', { generateName: `${name}-` })
  withMeta('bad-generated', { generateName: 'Bad_' })
  // One bad entry each: the original walks maps in random order.
  withMeta('bad-label-key', { name, labels: { 'bad key': 'x' } })
  withMeta('bad-label', { name, labels: { good: 'bad value' } })
  withMeta('long-label', { name, labels: { long: 'x'.repeat(64) } })
  withMeta('bad-annotation', { name, annotations: { 'a/b/c': 'x' } })
  withMeta('bad-namespace', { name, namespace: 'elsewhere' })
  withMeta('bad-finalizers', { name, finalizers: ['nodomain', 'bad key/x'] })
  withMeta('bad-owners', { name, ownerReferences: [{ apiVersion: '', kind: '', name: '', uid: '' }] })
  withMeta('two-controllers', {
    name,
    ownerReferences: ['x', 'y'].map((owner) => ({ apiVersion: 'v1', kind: 'Pod', name: owner, uid: owner, controller: true })),
  })
  withMeta('set-by-server', {
    name,
    uid: 'mine',
    resourceVersion: '',
    generation: 7,
    creationTimestamp: '2020-01-02T03:04:05Z',
    deletionTimestamp: '2020-01-02T03:04:05Z',
    deletionGracePeriodSeconds: 5,
    selfLink: '/mine',
  })
  withMeta('with-version', { name, resourceVersion: '5' })
  withMeta('bad-managed', { name, managedFields: [{ operation: 'Other', manager: 'x' }] })
  const extra = { ...object, bogus: 1, metadata: { name, strange: true } }
  built
    .post(`${dry}&fieldValidation=Strict`, extra, 'unknown-strict')
    .post(`${dry}&fieldValidation=Warn`, extra, 'unknown-warn')
    .post(`${dry}&fieldValidation=Ignore`, extra, 'unknown-ignored')
    .post(dry, { ...object, kind: 'Other' }, 'other-kind')
    .post(dry, { ...object, apiVersion: 'example.com/v1' }, 'other-version')
    .post(dry, { ...object, metadata: 'text' as Json }, 'text-metadata')
    .post(dry, { ...object, metadata: { name, labels: { a: 1 } } }, 'number-label')
    .patch(`${collection}/${name}?dryRun=All&fieldManager=m`, 'apply', object, 'apply-new')
    .patch(`${collection}/${name}?dryRun=All&fieldManager=m&fieldValidation=Strict`, 'apply', { ...object, bogus: 1 }, 'apply-unknown')
    .patch(`${collection}/${name}?dryRun=All`, 'merge', {}, 'patch-nothing')
    .put(`${collection}/${name}?dryRun=All`, object, 'put-new')
  if (of.isWatched === true) return built.build()
  return built
    .post(collection, object, 'create')
    .patch(`${collection}/${name}`, 'merge', { metadata: { labels: { good: 'bad value' } } }, 'patch-bad-label')
    .patch(`${collection}/${name}`, 'merge', { metadata: { finalizers: ['nodomain'] } }, 'patch-bad-finalizer')
    .patch(`${collection}/${name}`, 'merge', { metadata: { generation: 9, creationTimestamp: '2020-01-02T03:04:05Z' } }, 'patch-system')
    .patch(`${collection}/${name}?fieldValidation=Strict`, 'merge', { bogus: 1 }, 'patch-unknown')
    .patch(`${collection}/${name}`, 'merge', { metadata: { namespace: 'elsewhere' } }, 'patch-namespace')
    .put(`${collection}/${name}`, { ...object, metadata: { name: 'c' } }, 'put-other-name')
    .put(`${collection}/${name}`, { ...object, metadata: { name, uid: 'other' } }, 'put-other-uid')
    .put(`${collection}/${name}`, { ...object, metadata: { name, resourceVersion: 'text' } }, 'put-text-version')
    .patch(`${collection}/${name}`, 'merge', { metadata: { finalizers: null } }, 'release')
    .delete(`${collection}/${name}`, undefined, 'delete')
    .build()
}

export const badMetadata: Area = { name: 'bad-metadata', cases: samples.map(badMetadataOf) }
