import { conflict, notFound, type KubernetesObject, type RootMeta, type StatusError } from '@k3s/api'
import { isDatastoreError } from '@k3s/datastore'
import type { AdmissionRequest } from '../admission/admission.ts'
import { toStatusError } from '../errors.ts'
import { equalJson } from '../json.ts'
import { formatResourceVersion } from '../resource-version.ts'
import { exactNumbersInTurns } from '../watch-cache/exact-numbers.ts'
import { CachedObject, encodeStored, encodeStoredInTurns, longBytes } from '../watch-cache/cached-object.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import type { DeletionRequest } from './delete-options.ts'
import { markDeleted, planDeletion } from './plan-deletion.ts'
import { readNewest } from './read-newest.ts'
import { admit, settle, validateAdmission, type RegistryContext } from './registry-context.ts'
import { judgesDeletionFirst } from './resource-facts.ts'
import { viewOf, type ResourceStorage } from './served-resource.ts'
import type { WriteScope } from './write-scope.ts'

export interface DeleteRequest {
  readonly storage: ResourceStorage
  readonly namespace: string
  readonly name: string
  readonly options: DeletionRequest
  readonly scope: WriteScope
  /** One of many: admission is asked without a name, as upstream. */
  readonly isOfCollection?: boolean | undefined
}

export interface DeleteResult {
  /** The last state, or the state in which it waits for its end. */
  readonly object: CachedObject
  readonly uid: string
  readonly isGone: boolean
}

/** Deletes an object, or marks it as being deleted when it has finalizers or a grace period. Throws StatusErrors. */
export async function deleteObject(context: RegistryContext, request: DeleteRequest): Promise<DeleteResult> {
  const { storage, scope, name } = request
  const type = scope.requested ?? storage.resource.type
  const key = relativeKey(storage.resource, request.namespace, name)
  let current = storage.cache.objects.get(key)
  let isNewest = false
  for (;;) {
    scope.signal.throwIfAborted()
    if (current === undefined) {
      current = await readNewest(context, storage, key, scope.signal)
      isNewest = true
    }
    if (current === undefined) throw notFound(type, name)
    try {
      return await attempt(context, request, current)
    } catch (error) {
      if (isDatastoreError(error) && error.code === 'RevisionConflict') {
        if (error.current === undefined) throw notFound(type, name)
        current = CachedObject.fromStored(storage.resource, key, error.current.modRevision, error.current.value)
        isNewest = true
        continue
      }
      if (isNewest) throw toStatusError(error, { ...type, name })
      const newest = await readNewest(context, storage, key, scope.signal)
      if (newest?.revision === current.revision) throw toStatusError(error, { ...type, name })
      current = newest
      isNewest = true
      if (current === undefined) throw notFound(type, name)
    }
  }
}

async function attempt(context: RegistryContext, request: DeleteRequest, current: CachedObject): Promise<DeleteResult> {
  const { storage, options, scope } = request
  const { resource, strategy } = storage
  const { type } = resource
  const seen = await viewOf(storage, current, scope.signal)
  // What is long is worked on in turns.
  const isLong = seen.size > longBytes
  const loaded = isLong ? await seen.load() : undefined
  checkPreconditions(request, seen)
  if (scope.skipsAdmission !== true) {
    const admission: AdmissionRequest = {
      operation: 'DELETE',
      type,
      subresource: '',
      namespace: request.namespace,
      name: request.isOfCollection === true ? '' : request.name,
      object: undefined,
      // Few plugins look at it.
      get oldObject() {
        return loaded ?? seen.object
      },
      scope,
      options: deleteOptions(options),
    }
    await admit(context, admission)
    await validateAdmission(context, admission)
  }
  const leaving = seen.metadata
  if (goesAtOnce(context, request, leaving)) return remove(context, request, { current, last: seen, uid: leaving.uid })
  const previous = loaded ?? seen.object
  const { uid = '' } = previous.metadata
  // Without rules of a kind's own only the metadata is changed.
  const isPlain = strategy.markForDeletion === undefined && strategy.gracefulDeletion === undefined
  const marked = isPlain ? { ...previous, metadata: { ...previous.metadata } } : isLong ? await seen.copyInTurns() : seen.parseCopy()
  const plan = planDeletion(marked, { storage, options, nowMs: context.clock.now() })
  if (plan === 'keep') {
    if (equalJson(marked, previous)) return { object: seen, uid, isGone: false }
    const value =
      storage.view !== undefined
        ? await storage.view.encode(marked, scope.signal, await exactNumbersInTurns(current.bytes))
        : isLong
          ? await encodeStoredInTurns(resource, marked)
          : encodeStored(resource, marked)
    if (scope.dryRun)
      return {
        object: await viewOf(storage, CachedObject.fromStored(resource, current.key, current.revision, value), scope.signal),
        uid,
        isGone: false,
      }
    const { revision } = await context.datastore.update(Buffer.from(resource.prefix + current.key), value, {
      expectedRevision: current.revision,
      signal: scope.signal,
    })
    const object = CachedObject.fromStored(resource, current.key, revision, value)
    marked.metadata.resourceVersion = formatResourceVersion(revision)
    if (storage.view === undefined) object.adopt(marked)
    storage.cache.offer(object)
    await settle(context, storage, revision, scope.signal)
    return { object: await viewOf(storage, object, scope.signal), uid, isGone: false }
  }
  // Whoever may die gracefully is shown as deleted, even when it has no time to.
  if (strategy.gracefulDeletion !== undefined) {
    if (previous.metadata.deletionTimestamp === undefined) markDeleted(marked, context.clock.now(), 0)
    else marked.metadata.deletionGracePeriodSeconds = 0
  }
  const last =
    storage.view === undefined && !equalJson(marked, previous)
      ? CachedObject.fromStored(resource, current.key, current.revision, encodeStored(resource, marked))
      : seen
  return remove(context, request, { current, last, uid })
}

/** True when nothing about the object's kind, itself or what was asked for changes it before it goes: its metadata tell, and most deletions are such. */
function goesAtOnce({ clock }: RegistryContext, { storage, options }: DeleteRequest, metadata: RootMeta): boolean {
  const { strategy, resource } = storage
  if (strategy.markForDeletion !== undefined || strategy.gracefulDeletion !== undefined || resource.type.kind === 'Namespace') return false
  if (metadata.finalizers !== undefined) return false
  const marked: KubernetesObject = { kind: resource.type.kind, metadata: { ...metadata } }
  return planDeletion(marked, { storage, options, nowMs: clock.now() }) === 'remove'
}

/** `last`: its last state. */
async function remove(
  context: RegistryContext,
  { storage, scope }: DeleteRequest,
  { current, last, uid = '' }: { readonly current: CachedObject; readonly last: CachedObject; readonly uid: string | undefined },
): Promise<DeleteResult> {
  const { resource, strategy } = storage
  if (scope.dryRun) return { object: last, uid, isGone: true }
  const { revision } = await context.datastore.delete(Buffer.from(resource.prefix + current.key), {
    expectedRevision: current.revision,
    signal: scope.signal,
  })
  if (storage.judgesRequests) await settle(context, storage, revision, scope.signal)
  if (strategy.afterDelete !== undefined) await strategy.afterDelete(last.object)
  return { object: last.atRevision(revision), uid, isGone: true }
}

/** As the client would have written them. */
function deleteOptions({
  uid,
  resourceVersion,
  gracePeriodSeconds,
  propagationPolicy,
  orphanDependents,
}: DeletionRequest): Record<string, unknown> {
  const preconditions = { ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }) }
  return {
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(Object.keys(preconditions).length === 0 ? {} : { preconditions }),
    ...(orphanDependents === undefined ? {} : { orphanDependents }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
  }
}

function checkPreconditions({ storage, options, name }: DeleteRequest, seen: CachedObject): void {
  if (options.uid === undefined && options.resourceVersion === undefined) return
  const { metadata } = seen
  const { type } = storage.resource
  if (judgesDeletionFirst(type)) {
    const differs = (what: string, wanted: string, present = ''): StatusError =>
      conflict(type, name, `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${present}`)
    if (options.uid !== undefined && options.uid !== metadata.uid) throw differs('UID', options.uid, metadata.uid)
    if (options.resourceVersion !== undefined && options.resourceVersion !== metadata.resourceVersion)
      throw differs('ResourceVersion', options.resourceVersion, metadata.resourceVersion)
    return
  }
  const subject = { group: type.group, resource: type.kind }
  if (options.uid !== undefined && options.uid !== metadata.uid)
    throw conflict(
      subject,
      name,
      `the UID in the precondition (${options.uid}) does not match the UID in record (${metadata.uid ?? ''}). The object might have been deleted and then recreated`,
    )
  if (options.resourceVersion !== undefined && options.resourceVersion !== metadata.resourceVersion)
    throw conflict(
      subject,
      name,
      `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion ?? ''}). The object might have been modified`,
    )
}
