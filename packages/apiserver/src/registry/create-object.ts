import { invalid, StatusError, type KubernetesObject, type ResourceType } from '@k3s/api'
import { isDatastoreError } from '@k3s/datastore'
import type { AdmissionRequest } from '../admission/admission.ts'
import { toStatusError } from '../errors.ts'
import { invalids } from '../validation/fields.ts'
import { pathSegment } from '../validation/names.ts'
import { validateObjectMeta } from '../validation/object-meta.ts'
import { exactNumbersInTurns } from '../watch-cache/exact-numbers.ts'
import { CachedObject, encodeStored, encodeStoredInTurns } from '../watch-cache/cached-object.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import { hereOrThere, HeavySteps, type HeavyWrite } from './heavy-write.ts'
import { generateName, maxGenerateNameRetries } from './generate-name.ts'
import { admit, settle, validateAdmission, type RegistryContext } from './registry-context.ts'
import { metadataFacts } from './resource-facts.ts'
import { viewOf, type ResourceStorage } from './served-resource.ts'
import type { FieldError, RequestScope, ResourceStrategy } from './strategy.ts'
import { completeZeros, fillSystemMetadata, wipeSystemMetadata } from './system-metadata.ts'
import type { WriteScope } from './write-scope.ts'

export interface CreateRequest {
  readonly storage: ResourceStorage
  /** In the stored version; private to this create. */
  readonly object: KubernetesObject
  readonly scope: WriteScope
  /** Records who owns the fields, on the defaulted object. */
  track?(object: KubernetesObject): void
  /** The text that the object was read from: numbers that no double holds are stored as they stand there. */
  readonly source?: Uint8Array | undefined
  /** How what is done with a large object, or judged by costly expressions, is done off the event loop; absent: it is done here. */
  readonly heavy?: HeavyWrite | undefined
}

/** What decides about writes of a resource. */
export type WriteRules = Pick<ResourceStorage, 'resource' | 'schema' | 'strategy' | 'hasGeneration' | 'view' | 'hasPlainStatus'>

/** What a create does before admission sees the object, which it changes. */
export function beginCreate({ strategy }: WriteRules, object: KubernetesObject, track?: CreateRequest['track']): void {
  wipeSystemMetadata(object)
  strategy.defaults?.(object)
  track?.(object)
}

/** What a create knows of an object that admission has seen. */
export interface CreateFacts {
  readonly uid: string
  /** For an object that has no name. */
  readonly generatedName: string | undefined
  /** Admission may have changed it. */
  readonly wasAdmitted: boolean
}

/** What a create does with the object after admission: the rest of its fields, and its rules. Throws Invalid. */
export function finishCreate(
  rules: WriteRules,
  object: KubernetesObject,
  { scope, ...facts }: CreateFacts & { readonly scope: RequestScope },
): void {
  const { strategy } = rules
  if (facts.wasAdmitted) strategy.defaults?.(object)
  if (facts.generatedName !== undefined) object.metadata.name = facts.generatedName
  fillSystemMetadata(object, { now: scope.now, uid: facts.uid })
  strategy.prepareForCreate?.(object, scope)
  completeZeros(rules, object)
  if (rules.hasGeneration && strategy.startsUncounted !== true) object.metadata.generation = 1
  const problems = creationProblems(object, strategy, scope)
  if (problems.length > 0) throw invalid(rules.resource.type, object.metadata.name, problems)
  for (const warning of strategy.warningsOnCreate?.(object) ?? []) scope.warn(warning)
}

/** Stores a new object. Throws StatusErrors. With `dryRun` everything is done but the write. */
export async function createObject(context: RegistryContext, request: CreateRequest): Promise<CachedObject> {
  const { storage, object, scope } = request
  const { strategy } = storage
  const { type } = storage.resource
  const subject = scope.requested ?? type
  // As upstream, whose dry run stops before the store that would refuse it.
  if (!scope.dryRun && object.metadata.resourceVersion !== undefined && object.metadata.resourceVersion !== '')
    throw new StatusError('', 'resourceVersion should not be set on objects to be created', { code: 500 })
  const admission: AdmissionRequest = {
    operation: 'CREATE',
    type,
    subresource: '',
    namespace: scope.namespace,
    name: object.metadata.name,
    object,
    oldObject: undefined,
    scope,
  }
  if (type.namespaced) object.metadata.namespace = scope.namespace
  const steps = request.heavy === undefined ? undefined : new HeavySteps(request.heavy, scope)
  const heavy = request.heavy?.isHeavyBody === true ? steps : undefined
  if (heavy === undefined) beginCreate(storage, object, request.track?.bind(request))
  else await heavy.beginCreate(object)
  const wasAdmitted = scope.skipsAdmission !== true
  if (wasAdmitted) await admit(context, admission, heavy !== undefined)
  const isNameGenerated = object.metadata.name === '' && (object.metadata.generateName ?? '') !== ''
  const newName = (): string =>
    strategy.generateName?.(object.metadata.generateName ?? '') ?? generateName(object.metadata.generateName ?? '', context.random)
  const facts: CreateFacts = { uid: context.newUid(), generatedName: isNameGenerated ? newName() : undefined, wasAdmitted }
  let value: Buffer | undefined
  if (heavy === undefined)
    await hereOrThere(
      (own) => finishCreate(storage, object, { ...facts, scope: own }),
      request.heavy?.definition === undefined ? undefined : () => steps?.finishCreate(object, { ...facts, generatedName: undefined }),
      scope,
    )
  else ({ value } = await heavy.finishCreate(object, facts))
  if (wasAdmitted) await validateAdmission(context, admission, heavy !== undefined)
  const allocation = await strategy.allocate?.(object, undefined, scope)
  try {
    for (let retries = 0; ; retries++) {
      try {
        return await writeNew(context, { storage, object, scope, value, source: request.source, isLarge: heavy !== undefined })
      } catch (error) {
        const isTaken = isDatastoreError(error) && error.code === 'KeyExists'
        if (!isTaken) throw toStatusError(error, { ...subject, name: object.metadata.name })
        if (!isNameGenerated || retries >= maxGenerateNameRetries) throw nameTaken(error, subject, object.metadata.name, isNameGenerated)
        object.metadata.name = newName()
        value = undefined
      }
    }
  } catch (error) {
    await allocation?.release()
    throw error
  }
}

/** How a kind judges the name of this object; undefined: as most do. */
export function nameRule(strategy: ResourceStrategy, object: KubernetesObject): ((name: string) => readonly string[]) | undefined {
  const { validateName } = strategy
  return validateName === undefined ? undefined : (name) => validateName.call(strategy, name, object)
}

/** Follows rest.BeforeCreate: a kind's own rules, its names among them, speak first; what holds for every kind's name is asked when they are content. */
function creationProblems(object: KubernetesObject, strategy: ResourceStrategy, scope: RequestScope): readonly FieldError[] {
  const { metadata } = object
  const { namespaced } = strategy.type
  const { ownsFinalizers, declaresName, judgesMetadata } = metadataFacts(scope.requested ?? strategy.type)
  const problems = [
    ...(judgesMetadata
      ? validateObjectMeta(metadata, {
          namespaced,
          validateName: nameRule(strategy, object),
          allowsAnyFinalizer: strategy.allowsAnyFinalizer ?? !ownsFinalizers,
          declaresName,
        })
      : []),
    ...(strategy.validate?.(object, scope) ?? []),
    ...(strategy.validateCreate?.(object, scope) ?? []),
  ]
  if (problems.length > 0) return problems
  return judgesMetadata
    ? invalids('metadata.name', metadata.name, pathSegment(metadata.name))
    : validateObjectMeta(metadata, { namespaced, validateName: pathSegment, allowsAnyFinalizer: true })
}

/** `value`: what is to be stored, when it is there already. `isLarge`: making it is work for several turns. */
async function writeNew(
  context: RegistryContext,
  {
    storage,
    object,
    scope,
    source,
    value: made,
    isLarge,
  }: Pick<CreateRequest, 'storage' | 'object' | 'scope' | 'source'> & { readonly value: Buffer | undefined; readonly isLarge: boolean },
): Promise<CachedObject> {
  const { resource, cache } = storage
  const key = relativeKey(resource, object.metadata.namespace ?? '', object.metadata.name)
  const value =
    made ??
    (storage.view !== undefined
      ? await storage.view.encode(object, scope.signal, await exactNumbersInTurns(source))
      : isLarge
        ? await encodeStoredInTurns(resource, object)
        : encodeStored(resource, object))
  if (scope.dryRun) {
    const { item } = await context.datastore.get(Buffer.from(resource.prefix + key), { signal: scope.signal })
    if (item !== undefined) throw nameTaken(undefined, scope.requested ?? resource.type, object.metadata.name, false, item.value)
    return viewOf(storage, dryRunObject(storage, key, value, Number(object.metadata.resourceVersion ?? 0)), scope.signal)
  }
  const leaseId = storage.ttlSeconds === undefined ? undefined : await context.leases.leaseFor(storage.ttlSeconds)
  const { revision } = await context.datastore.create(Buffer.from(resource.prefix + key), value, { signal: scope.signal, leaseId })
  const created = CachedObject.fromStored(resource, key, revision, value)
  if (storage.view === undefined && !created.isCompleted)
    created.adopt({ ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } })
  cache.offer(created)
  await settle(context, storage, revision, scope.signal)
  return viewOf(storage, cache.sameAs(created), scope.signal)
}

/** The answer to a dry run: there is no revision, so the resourceVersion is the one that was sent, if any. */
export function dryRunObject(storage: ResourceStorage, key: string, value: Buffer, revision = 0): CachedObject {
  const { resource } = storage
  // Of a custom resource the value is in the version that is stored; a version of 0 stands for none.
  return resource.inVersion === undefined && revision > 0
    ? CachedObject.fromStored(resource, key, revision, value)
    : CachedObject.withoutVersion(resource, key, value)
}

function nameTaken(
  error: unknown,
  type: ResourceType,
  name: string,
  isNameGenerated: boolean,
  present: Uint8Array | undefined = isDatastoreError(error) ? error.current?.value : undefined,
): StatusError {
  const resource = type.group === '' ? type.resource : `${type.resource}.${type.group}`
  const details = { name, ...(type.group === '' ? {} : { group: type.group }), kind: type.resource }
  if (isNameGenerated)
    return new StatusError(
      'AlreadyExists',
      `${resource} "${name}" already exists, the server was not able to generate a unique name for the object`,
      {
        details,
        cause: error,
        retryAfterSeconds: 1,
      },
    )
  const isTerminating = present !== undefined && Buffer.from(present).includes('"deletionTimestamp":')
  return new StatusError('AlreadyExists', `${isTerminating ? 'object is being deleted: ' : ''}${resource} "${name}" already exists`, {
    details,
    cause: error,
  })
}
