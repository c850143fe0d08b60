import { conflict, hasReason, invalid, notFound, StatusError, type KubernetesObject } from '@k3s/api'
import type { ObjectMeta } from '@k3s/api/types/meta/v1'
import { isDatastoreError } from '@k3s/datastore'
import type { AdmissionRequest } from '../admission/admission.ts'
import { staleObjectMessage, toStatusError } from '../errors.ts'
import { copyJson, equalJson } from '../json.ts'
import { nextTurn } from '../off-loop/json-in-turns.ts'
import { formatResourceVersion } from '../resource-version.ts'
import { invalidValue } from '../validation/field-error.ts'
import { pathSegment } from '../validation/names.ts'
import {
  validateFinalizerOwners,
  validateObjectMeta,
  validateObjectMetaChange,
  validateObjectMetaUpdate,
} from '../validation/object-meta.ts'
import { exactNumbersInTurns } from '../watch-cache/exact-numbers.ts'
import { CachedObject, encodeStored, encodeStoredInTurns, longBytes } from '../watch-cache/cached-object.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import { createObject, nameRule, type WriteRules } from './create-object.ts'
import type { Admitted } from '../off-loop/heavy-contract.ts'
import { hereOrThere, HeavySteps, type Finished, type HeavyWrite } from './heavy-write.ts'
import { readNewest } from './read-newest.ts'
import { admit, settle, validateAdmission, type RegistryContext } from './registry-context.ts'
import { viewOf, type ResourceStorage } from './served-resource.ts'
import { metadataFacts, metadataHeldByStatus } from './resource-facts.ts'
import type { FieldError, RequestScope, ResourceStrategy } from './strategy.ts'
import { completeZeros, keepSystemMetadata } from './system-metadata.ts'
import type { WriteScope } from './write-scope.ts'

export interface UpdateRequest {
  readonly storage: ResourceStorage
  readonly namespace: string
  readonly name: string
  /** Empty for the object itself, `status`, or another that has rules of its own. */
  readonly subresource: string
  readonly scope: WriteScope
  /**
   * Makes the new object, in the stored version and private to this update, from the newest one. Called again when somebody else wrote in between.
   * The resourceVersion it leaves in it is the caller's precondition; none or an empty one asks for no particular version.
   */
  produce(current: CachedObject): KubernetesObject | Promise<KubernetesObject>
  /** Records who owns the fields, on the defaulted object. */
  track?(object: KubernetesObject, previous: KubernetesObject): void
  /** Admission sees something else than the object: the body of a subresource. What it makes of that is put back. */
  readonly admitted?: {
    show(object: KubernetesObject): KubernetesObject
    putBack(shown: KubernetesObject, object: KubernetesObject): void
  }
  /** Makes the object when there is none; absent: NotFound. */
  create?(): Creation | Promise<Creation>
  /** A patch carries no whole object: it is repeated on a conflict even though `produce` copied the resourceVersion. */
  readonly allowsMissingVersion?: boolean | undefined
  /** The text that the change was read from: numbers that no double holds are stored as they stand there. */
  readonly source?: Uint8Array | undefined
  /** How what is done with a large object is done off the event loop; absent: it is done here. */
  readonly heavy?: HeavyWrite | undefined
}

/** A new object, and how it is to be created. */
export interface Creation {
  readonly object: KubernetesObject
  readonly heavy?: HeavyWrite | undefined
  track?(object: KubernetesObject): void
}

export interface UpdateResult {
  readonly object: CachedObject
  readonly isCreated: boolean
  /** The update removed the last finalizer of an object that was being deleted. */
  readonly isDeleted: boolean
}

/** Changes an object with optimistic concurrency. An update that changes nothing writes nothing. Throws StatusErrors. */
export async function updateObject(context: RegistryContext, request: UpdateRequest): Promise<UpdateResult> {
  const { storage, scope } = request
  const type = scope.requested ?? storage.resource.type
  const key = relativeKey(storage.resource, request.namespace, request.name)
  let current = storage.cache.objects.get(key) ?? (await readNewest(context, storage, key, scope.signal))
  let isNewest = false
  for (;;) {
    scope.signal.throwIfAborted()
    if (current === undefined) {
      const creation = await request.create?.()
      if (creation === undefined) throw notFound(type, request.name)
      try {
        const object = await createObject(context, { storage, scope, source: request.source, ...creation })
        return { object, isCreated: true, isDeleted: false }
      } catch (error) {
        current = await readNewest(context, storage, key, scope.signal)
        if (current === undefined || !hasReason(error, 'AlreadyExists')) throw error
        isNewest = true
        continue
      }
    }
    try {
      return await attempt(context, request, current)
    } catch (error) {
      // What was seen may have been old: only the newest version may refuse a request.
      if (isDatastoreError(error) && error.code === 'RevisionConflict') {
        current =
          error.current === undefined
            ? undefined
            : CachedObject.fromStored(storage.resource, key, error.current.modRevision, error.current.value)
        isNewest = true
        if (current === undefined && request.create === undefined) throw notFound(type, request.name)
        continue
      }
      if (isNewest) throw toStatusError(error, { ...type, name: request.name })
      const newest = await readNewest(context, storage, key, scope.signal)
      if (newest?.revision === current.revision) throw toStatusError(error, { ...type, name: request.name })
      current = newest
      isNewest = true
    }
  }
}

async function attempt(context: RegistryContext, request: UpdateRequest, current: CachedObject): Promise<UpdateResult> {
  const { storage, scope } = request
  const { strategy, resource } = storage
  const { type } = resource
  const seen = await viewOf(storage, current, scope.signal)
  // Who waits lets others in: only for what is long.
  const previous = seen.bytes.length > longBytes ? await seen.load() : seen.object
  const object = await request.produce(seen)
  object.apiVersion = previous.apiVersion
  object.kind = previous.kind
  checkPreconditions(request, object, previous)
  // The datastore gives the version; the object carries the one it is based on through admission, as upstream does.
  object.metadata.resourceVersion = formatResourceVersion(current.revision)
  const heavy = request.heavy?.isHeavy(seen) === true ? new HeavySteps(request.heavy, scope) : undefined
  const finished = scope.skipsRules === true ? undefined : await applyRules(context, request, { object, previous, current: seen, heavy })
  // Comparing and writing a long object is each work for a turn.
  const isLong = current.bytes.length > longBytes
  if (isLong) await nextTurn()
  const isUnchanged = finished?.isUnchanged ?? isSameObject(object, previous)
  if (isLong) await nextTurn()
  if (!isUnchanged && isFinished(object, previous)) return deleteFinished(context, request, current, object)
  // What is stored in another version, or without today's defaults, is written anew even when nothing else changes.
  const isStale =
    isUnchanged && !scope.dryRun && (current.isCompleted || (await context.isStoredAnew?.(resource.prefix + current.key)) === true)
  // Numbers that are read as the same may differ.
  const exact = storage.view === undefined ? undefined : await exactNumbersInTurns(request.source, current.bytes)
  if (isUnchanged && !isStale && seen === current && (exact?.size ?? 0) === 0) return { object: seen, isCreated: false, isDeleted: false }
  const allocation = scope.skipsRules === true ? undefined : await strategy.allocate?.(object, previous, scope)
  try {
    const value =
      finished?.value ??
      (storage.view !== undefined
        ? await storage.view.encode(object, scope.signal, exact)
        : isLong
          ? await encodeStoredInTurns(resource, object)
          : encodeStored(resource, object))
    if (isUnchanged && !isStale && value.equals(current.value)) return { object: seen, isCreated: false, isDeleted: false }
    if (scope.dryRun)
      return { object: await viewOf(storage, dryRunUpdate(storage, current, value), scope.signal), isCreated: false, isDeleted: false }
    const leaseId = storage.ttlSeconds === undefined ? undefined : await context.leases.leaseFor(storage.ttlSeconds)
    const { revision } = await context.datastore.update(Buffer.from(resource.prefix + current.key), value, {
      expectedRevision: current.revision,
      signal: scope.signal,
      leaseId,
    })
    const updated = CachedObject.fromStored(resource, current.key, revision, value)
    object.metadata.resourceVersion = formatResourceVersion(revision)
    if (storage.view === undefined) updated.adopt({ ...object, apiVersion: previous.apiVersion, kind: type.kind })
    storage.cache.offer(updated)
    await settle(context, storage, revision, scope.signal)
    return { object: await viewOf(storage, storage.cache.sameAs(updated), scope.signal), isCreated: false, isDeleted: false }
  } catch (error) {
    await allocation?.release()
    throw error
  }
}

function dryRunUpdate(storage: ResourceStorage, current: CachedObject, value: Buffer): CachedObject {
  return CachedObject.fromStored(storage.resource, current.key, current.revision, value)
}

function checkPreconditions(request: UpdateRequest, object: KubernetesObject, previous: KubernetesObject): void {
  const { storage, name, scope } = request
  const type = scope.requested ?? storage.resource.type
  const { uid, resourceVersion } = object.metadata
  // A patch names no object by its uid: what it sets is judged by the rules of metadata.
  if (request.allowsMissingVersion !== true && uid !== undefined && uid !== '' && uid !== previous.metadata.uid)
    throw conflict(
      type,
      name,
      `StorageError: invalid object, Code: 4, Key: ${storage.resource.prefix}${relativeKey(storage.resource, request.namespace, name)}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${previous.metadata.uid ?? ''}`,
    )
  if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== '0') {
    if (!/^\d+$/.test(resourceVersion))
      throw new StatusError('', `strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`, { code: 500 })
    if (resourceVersion !== previous.metadata.resourceVersion) throw conflict(type, name, staleObjectMessage)
  } else if (storage.strategy.allowUnconditionalUpdate === false && request.allowsMissingVersion !== true) {
    throw invalid({ group: type.group, kind: type.resource }, name, [
      invalidValue('metadata.resourceVersion', 0, 'must be specified for an update'),
    ])
  }
}

/** Order of an update: defaults → prepare → admission (mutating) → defaults → metadata rules → validation → admission (validating). */
async function applyRules(
  context: RegistryContext,
  request: UpdateRequest,
  {
    object,
    previous,
    current,
    heavy,
  }: {
    readonly object: KubernetesObject
    readonly previous: KubernetesObject
    /** In the version of the storage. */
    readonly current: CachedObject
    readonly heavy: HeavySteps | undefined
  },
): Promise<Finished | undefined> {
  const { storage, scope, subresource, name } = request
  const { type } = storage.resource
  const admission: AdmissionRequest = {
    operation: 'UPDATE',
    type,
    subresource,
    namespace: request.namespace,
    name: request.name,
    object,
    oldObject: previous,
    scope,
  }
  const { admitted } = request
  const asSeen = (): AdmissionRequest =>
    admitted === undefined ? admission : { ...admission, object: admitted.show(object), oldObject: admitted.show(previous) }
  if (heavy === undefined) beginUpdate(storage, object, previous, { subresource, scope, track: request.track?.bind(request) })
  else await heavy.beginUpdate(object, current, { subresource })
  let wasAdmitted: Admitted = 'no'
  if (scope.skipsAdmission !== true) {
    const seen = asSeen()
    const isChanged = await admit(context, seen, heavy !== undefined)
    if (isChanged && admitted !== undefined && seen.object !== undefined) admitted.putBack(seen.object, object)
    wasAdmitted = isChanged ? 'asked again' : 'asked'
  }
  let finished: Finished | undefined
  const costly = request.heavy
  if (heavy === undefined)
    await hereOrThere(
      (own) => finishUpdate(storage, object, previous, { subresource, scope: own, name, admitted: wasAdmitted }),
      costly?.definition === undefined
        ? undefined
        : () => new HeavySteps(costly, scope).finishUpdate(object, current, { subresource, name, admitted: wasAdmitted }),
      scope,
    )
  else finished = await heavy.finishUpdate(object, current, { subresource, name, admitted: wasAdmitted })
  if (scope.skipsAdmission !== true) await validateAdmission(context, asSeen(), heavy !== undefined)
  return finished
}

export interface UpdateFacts {
  /** Empty for the object itself. */
  readonly subresource: string
  readonly scope: RequestScope
}

/** What an update does before admission sees the object, which it changes. */
export function beginUpdate(
  rules: WriteRules,
  object: KubernetesObject,
  previous: KubernetesObject,
  { subresource, scope, track }: UpdateFacts & { readonly track?: UpdateRequest['track'] },
): void {
  rules.strategy.defaults?.(object)
  keepOtherHalf(rules, object, previous, subresource)
  track?.(object, previous)
  updateRulesOf(rules, subresource)?.prepare?.(object, previous, scope)
}

/** What an update does with the object after admission: the rest of its fields, and its rules. Throws Invalid. */
export function finishUpdate(
  rules: WriteRules,
  object: KubernetesObject,
  previous: KubernetesObject,
  { subresource, scope, name, admitted }: UpdateFacts & { readonly name: string; readonly admitted: Admitted },
): void {
  const { strategy } = rules
  const { type } = rules.resource
  if (admitted !== 'no') strategy.defaults?.(object)
  // What was added by webhooks and policies is held to the same rules as what came with the request.
  if (admitted === 'asked again') {
    keepOtherHalf(rules, object, previous, subresource)
    updateRulesOf(rules, subresource)?.prepare?.(object, previous, scope)
  }
  keepSystemMetadata(object, previous)
  completeZeros(rules, object)
  const isNewGeneration = strategy.isNewGeneration ?? ((next, last) => !equalSpec(next, last, rules.hasPlainStatus === true))
  if (rules.hasGeneration && subresource !== 'status' && isNewGeneration(object, previous))
    object.metadata.generation = (previous.metadata.generation ?? 0) + 1
  const problems = [
    ...validateObjectMetaUpdate(object.metadata, previous.metadata, { namespaced: type.namespaced, allowsAnyFinalizer: true }),
    ...kindProblems(rules, object, previous, { subresource, scope }),
  ]
  if (problems.length > 0) throw invalid(type, name, problems)
  for (const warning of updateRulesOf(rules, subresource)?.warnings?.(object, previous) ?? []) scope.warn(warning)
}

const updateRulesOf = ({ strategy }: WriteRules, subresource: string): ResourceStrategy['update'] =>
  subresource === 'status' ? strategy.status : (strategy.views?.[subresource] ?? strategy.update)

/** What the rules of a kind find, metadata included: upstream's answers repeat what was found for all kinds. */
function kindProblems(
  rules: WriteRules,
  object: KubernetesObject,
  old: KubernetesObject,
  { subresource, scope }: UpdateFacts,
): FieldError[] {
  const { strategy, resource } = rules
  const [{ metadata }, { metadata: previous }] = [object, old]
  const facts = metadataFacts(scope.requested ?? resource.type)
  const allowsAnyFinalizer = rules.view !== undefined || !facts.ownsFinalizers
  const { namespaced } = resource.type
  const whole =
    facts.judgesWholeAgain > 0 && subresource === ''
      ? validateObjectMeta(metadata, { namespaced, allowsAnyFinalizer, validateName: nameRule(strategy, object) ?? pathSegment })
      : []
  const change = [
    ...(facts.judgesChangeAgain ? validateObjectMetaChange(metadata, previous) : []),
    ...(facts.judgesChangeAgain && !allowsAnyFinalizer ? validateFinalizerOwners(metadata) : []),
  ]
  const byChange = [...change, ...(updateRulesOf(rules, subresource)?.validate?.(object, old, scope) ?? [])]
  const byItself = [
    ...whole,
    ...(facts.judgesWholeAgain > 1 ? whole : []),
    ...(subresource === '' ? (strategy.validate?.(object, scope) ?? []) : []),
  ]
  return facts.judgesChangeFirst ? [...byChange, ...byItself] : [...byItself, ...byChange]
}

/** A plain write leaves status alone and a status write everything else. */
function keepOtherHalf(storage: WriteRules, object: KubernetesObject, previous: KubernetesObject, subresource: string): void {
  if (storage.strategy.status === undefined) return
  // Kinds with a status strategy have a `status`; which type it has does not matter here.
  const [target, source] = [object as KubernetesObject & Record<string, unknown>, previous as KubernetesObject & Record<string, unknown>]
  if (subresource === '') {
    if (source['status'] === undefined) delete target['status']
    else target['status'] = copyJson(source['status'])
    return
  }
  if (subresource !== 'status') return
  for (const field of metadataHeldByStatus(storage.resource.type)) holdField(object.metadata, previous.metadata, field)
  for (const field of Object.keys(target)) if (field !== 'status' && field !== 'metadata' && !(field in source)) delete target[field]
  for (const [field, value] of Object.entries(source)) if (field !== 'status' && field !== 'metadata') target[field] = copyJson(value)
}

function holdField<K extends keyof ObjectMeta>(metadata: ObjectMeta, previous: ObjectMeta, field: K): void {
  if (previous[field] === undefined) delete metadata[field]
  else metadata[field] = copyJson(previous[field])
}

/** Generation counts changes of everything but metadata and status. */
function equalSpec(object: KubernetesObject, previous: KubernetesObject, countsStatus: boolean): boolean {
  const strip = (value: KubernetesObject): object => ({
    ...value,
    apiVersion: '',
    kind: '',
    metadata: undefined,
    ...(countsStatus ? {} : { status: undefined }),
  })
  return equalJson(strip(object), strip(previous))
}

/** Whether an update changes nothing. Times of managed fields are no change, and taken back. */
export function isSameObject(object: KubernetesObject, previous: KubernetesObject): boolean {
  settleManagedFields(object, previous)
  return equalJson(object, previous)
}

/** When nothing but the times of managed fields changed, nothing changed: follows IgnoreManagedFieldsTimestampsTransformer. */
function settleManagedFields(object: KubernetesObject, previous: KubernetesObject): void {
  const [now, then] = [object.metadata.managedFields, previous.metadata.managedFields]
  if (now === undefined || then === undefined || now.length !== then.length) return
  const unowned = ({ metadata, ...rest }: KubernetesObject): object => ({ ...rest, metadata: { ...metadata, managedFields: undefined } })
  // First, because most updates end here.
  if (!equalJson(unowned(object), unowned(previous))) return
  const timeless = (fields: NonNullable<typeof now>): object[] => fields.map((entry) => ({ ...entry, time: undefined }))
  if (equalJson(timeless(now), timeless(then))) object.metadata.managedFields = copyJson(then)
}

function isFinished(object: KubernetesObject, previous: KubernetesObject): boolean {
  if ((object.metadata.finalizers?.length ?? 0) > 0 || previous.metadata.deletionTimestamp === undefined) return false
  if ((previous.metadata.deletionGracePeriodSeconds ?? 0) !== 0) return false
  return !hasNamespaceFinalizers(object)
}

/** A Namespace has finalizers of its own in its spec. */
export function hasNamespaceFinalizers(object: KubernetesObject): boolean {
  if (object.kind !== 'Namespace') return false
  const { spec } = object as KubernetesObject & { readonly spec?: { readonly finalizers?: readonly string[] } } // it is a Namespace
  return (spec?.finalizers?.length ?? 0) > 0
}

async function deleteFinished(
  context: RegistryContext,
  { storage, scope }: UpdateRequest,
  current: CachedObject,
  object: KubernetesObject,
): Promise<UpdateResult> {
  const { resource, strategy } = storage
  if (!scope.dryRun) {
    const { revision } = await context.datastore.delete(Buffer.from(resource.prefix + current.key), {
      expectedRevision: current.revision,
      signal: scope.signal,
    })
    await settle(context, storage, revision, scope.signal)
    await strategy.afterDelete?.(object)
  }
  return {
    object: CachedObject.fromStored(resource, current.key, current.revision, encodeStored(resource, object)),
    isCreated: false,
    isDeleted: true,
  }
}
