import { groupResourceOf, hasReason } from '@k3s/api'
import { decodeOptions } from '../codec.ts'
import { isObject } from '../json.ts'
import { deleteObject, type DeleteResult } from '../registry/delete-object.ts'
import { parseDeletion, type DeletionRequest } from '../registry/delete-options.ts'
import { viewsOf } from '../registry/served-resource.ts'
import { listObjects } from '../watch-cache/list-objects.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { statusSuccess, type Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { selectionOf } from './read-handlers.ts'
import { parseListParameters, scopeOf, storageOf, type ResourceRequest } from './resource-request.ts'

// Deletions of a collection that run at once: enough to fill a group commit.
const collectionWorkers = 32

// Upstream's only kind that warns of its old default.
const orphansWarning =
  'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning'

/** DELETE of one object. */
export async function handleDelete(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served } = request
  const storage = storageOf(request)
  const options = await readDeletion(core, request)
  if (
    groupResourceOf(request.served.type) === 'jobs.batch' &&
    options.propagationPolicy === undefined &&
    options.orphanDependents === undefined
  )
    request.call.warn(orphansWarning)
  const scope = scopeOf(core, request, { dryRun: options.dryRun, fieldManager: request.call.userAgent })
  const result = await deleteObject(core.registry, { storage, namespace: info.namespace, name: info.name, options, scope })
  if (result.isGone && !storage.returnsDeleted) return { type: 'object', code: 200, object: deletedStatus(request, result) }
  // Upstream answers 202 to clients that said `orphanDependents=false` and must wait.
  return { type: 'stored', code: !result.isGone && options.orphanDependents === false ? 202 : 200, served, object: result.object }
}

/** DELETE of a collection: everything that the selectors find; answers the list of it. */
export async function handleDeleteCollection(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { served } = request
  const storage = storageOf(request)
  const options = await readDeletion(core, request)
  const scope = scopeOf(core, request, { dryRun: options.dryRun, fieldManager: request.call.userAgent })
  const source = { datastore: core.datastore, feed: core.feed, cache: storage.cache, view: storage.view }
  const page = await listObjects(source, selectionOf(request), parseListParameters(request), request.call.signal)
  const deleted: CachedObject[] = []
  const pending = [...page.items]
  const work = async (): Promise<void> => {
    for (let object = pending.shift(); object !== undefined; object = pending.shift()) {
      const { namespace, name } = object
      try {
        await deleteObject(core.registry, { storage, namespace, name, options, scope: { ...scope, namespace }, isOfCollection: true })
        deleted.push(object)
      } catch (error) {
        if (!hasReason(error, 'NotFound')) throw error // gone is what was asked for
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(collectionWorkers, pending.length) }, work))
  return { type: 'list', served, page: { ...page, items: await viewsOf(storage, deleted, request.call.signal) } }
}

async function readDeletion({ registry: { heavy } }: ApiCore, { call }: ResourceRequest): Promise<DeletionRequest> {
  const body = await call.readBody()
  const wire = heavy?.heavyBody(body, { resource: '' })
  if (heavy === undefined || wire === undefined) return parseDeletion(body === undefined ? undefined : decodeOptions(body), call.query)
  const { json } = await heavy.run('decodeOptions', { body: wire }, call.signal)
  const options: unknown = JSON.parse(Buffer.from(json).toString('utf8'))
  return parseDeletion(isObject(options) ? options : undefined, call.query)
}

function deletedStatus({ served: { type } }: ResourceRequest, { object: { name }, uid }: DeleteResult): object {
  return statusSuccess({ name, ...(type.group === '' ? {} : { group: type.group }), kind: type.resource, uid })
}
