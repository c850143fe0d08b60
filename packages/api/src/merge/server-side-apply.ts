import { convert, isObject, without, type JsonObject } from '../codec/decode-object.ts'
import { withNulls } from '../codec/nulls.ts'
import { badRequest, StatusError } from '../status.ts'
import type { TypeSchema } from '../schema/table.ts'
import {
  emptySet,
  formatPath,
  hasPath,
  intersectSets,
  isEmptySet,
  isSameSet,
  isSubset,
  pathsOf,
  subtractSet,
  subtractTrees,
  unionSets,
  type FieldSet,
} from './field-set.ts'
import { goText } from './go-text.ts'
import {
  capManagers,
  isReset,
  managerId,
  putManager,
  readManagers,
  stripSet,
  writeManagers,
  type ManagedOperation,
  type Manager,
  type Managers,
} from './managed-fields.ts'
import { mergeSchemaOf, type MergeSchema } from './merge-schema.ts'
import {
  compareTyped,
  dropEmptied,
  isSame,
  mergeTyped,
  removeItems,
  toFieldSet,
  validateTyped,
  withNamedFields,
  type Comparison,
} from './typed.ts'

/** What both ways of writing need to know. */
export interface ManagedWrite {
  /** A built-in type, or the view of a custom resource (`mergeSchemaOfCustom`, `deducedSchema`). */
  readonly schema: TypeSchema | MergeSchema
  /** Who writes; empty means `unknown`. */
  readonly manager: string
  /** Group version of the request: `apps/v1`. */
  readonly apiVersion: string
  /** Absent or empty for the object itself. */
  readonly subresource?: string | undefined
  /** Paths that the request cannot set and so nobody owns by it. Default: `status`, and for the subresource `status` the `spec`. */
  readonly resetFields?: FieldSet | undefined
  readonly now: Date
}

export interface ApplyInput extends ManagedWrite {
  /** The stored object; undefined when the request creates it. */
  readonly live: JsonObject | undefined
  /** The applied configuration, as it was sent. */
  readonly patch: JsonObject
  /** Takes fields over from other managers instead of failing. */
  readonly force?: boolean | undefined
}

const annotation = 'kubectl.kubernetes.io/last-applied-configuration'

/**
 * Server-side apply: merges the configuration into the live object, removes what the manager applied before and no longer does, and keeps
 * `metadata.managedFields`. Changes no argument; the result may share parts with them, and is not yet in canonical form (`decodeObject`).
 *
 * Throws Conflict (causes `FieldManagerConflict`) when another manager owns a field that would change; BadRequest when the configuration
 * is of another type or has managedFields; and, as upstream does, an error with code 500 when it does not fit the schema.
 * All entries are read by the given schema: fields that differ between versions of a type are not converted.
 */
export function applyPatch(input: ApplyInput): { readonly object: JsonObject } {
  const schema = viewOf(input.schema)
  const { patch } = input
  const kind = typeof patch['kind'] === 'string' ? patch['kind'] : ''
  const liveKind = input.live?.['kind']
  if (patch['apiVersion'] !== input.apiVersion || (liveKind !== undefined && liveKind !== kind))
    throw badRequest(`invalid object type: ${goText(patch['apiVersion'] ?? '')}, Kind=${kind}`)
  if (isNonNull(metadataOf(patch)['managedFields'])) throw badRequest('metadata.managedFields must be nil')
  const errors = validateTyped(patch, schema)
  if (errors.length > 0) {
    const { namespace, name } = metadataOf(patch)
    const what = `${goText(namespace ?? '')}/${goText(name ?? '')}; ${input.apiVersion.includes('/') ? '' : '/'}${input.apiVersion}, Kind=${kind}`
    const list = errors.length === 1 ? errors[0] : `errors:\n${errors.map((error) => `  ${error}`).join('\n')}`
    throw new StatusError('', `failed to create typed patch object (${what}): ${list}`, { code: 500 })
  }
  const live = asWritten(withoutManagers(input.live ?? { apiVersion: input.apiVersion, kind, metadata: {} }), input)
  let managers = readManagers(metadataOf(input.live ?? {})['managedFields'])
  if (managers === undefined) throw new StatusError('', 'failed to decode managed fields', { code: 500 })
  if (managers.size === 0 && input.live !== undefined) {
    managers = new Map()
    trackUpdate(managers, zeroObject(input), live, schema, { ...input, manager: 'before-first-apply' })
  }
  let outcome = applyOnce(live, schema, managers, input, input.force === true)
  if ('conflicts' in outcome && input.manager === 'kubectl') {
    const allowed = ownedByClientSideApply(live, schema, input.apiVersion)
    const rest = outcome.conflicts.filter(({ path }) => !hasPath(allowed, path))
    outcome = rest.length > 0 ? (isEmptySet(allowed) ? outcome : { conflicts: rest }) : applyOnce(live, schema, managers, input, true)
  }
  if ('conflicts' in outcome) throw conflictError(outcome.conflicts)
  let { object } = outcome
  const previous = annotationOf(object)
  if (input.manager === 'kubectl' && previous !== undefined && previous !== '') object = withAnnotation(object, patch)
  return { object: withManagers(object, outcome.managers) }
}

interface Conflict {
  readonly manager: Manager
  readonly path: readonly string[]
}
type Outcome = { readonly object: JsonObject; readonly managers: Managers } | { readonly conflicts: readonly Conflict[] }

function applyOnce(live: JsonObject, schema: MergeSchema, before: Managers, input: ApplyInput, force: boolean): Outcome {
  const managers = new Map(before)
  const self = {
    manager: input.manager === '' ? 'unknown' : input.manager,
    operation: 'Apply',
    apiVersion: input.apiVersion,
    subresource: input.subresource ?? '',
  } as const
  const id = managerId(self)
  const last = managers.get(id)
  const reset = resetFieldsOf(input)
  // With the name and its like, so that pruning leaves them alone.
  const set = subtractTrees(toFieldSet(input.patch, schema), reset)
  managers.set(id, { ...self, time: last?.time, set })
  const merged = mergeTyped(live, input.patch, schema)
  // Both are objects. Emptied containers count as being there: whoever owns them as such keeps them.
  const pruned = prune(merged, managers, last?.set ?? emptySet, schema) as JsonObject
  const comparison = compareTyped(live, pruned, schema)
  const conflicts = takeOver(managers, id, filterComparison(comparison, reset))
  if (conflicts.length > 0 && !force) return { conflicts }
  const object = dropEmptied(pruned) as JsonObject
  const now = formatNow(input.now)
  const isChanged = !isSame(live, object)
  putManager(managers, id, { ...self, time: isChanged ? now : last?.time, set: stripSet(set) })
  return { object, managers }
}

/** Removes what was applied last time, is not now, and nobody else owns. */
function prune(merged: unknown, managers: Managers, last: FieldSet, schema: MergeSchema): unknown {
  if (isEmptySet(last)) return merged
  const named = (set: FieldSet): FieldSet => withNamedFields(set, schema)
  let owned = emptySet
  for (const manager of managers.values()) owned = unionSets(owned, manager.set)
  const mergedSet = named(toFieldSet(merged, schema))
  const bare = removeItems(merged, named(last), schema)
  const withOwned = removeItems(merged, subtractSet(mergedSet, unionSets(named(toFieldSet(bare, schema)), named(owned))), schema)
  const gone = subtractSet(mergedSet, named(toFieldSet(withOwned, schema)))
  return removeItems(merged, intersectSets(gone, named(last)), schema)
}

/** Takes changed fields from the other managers and answers with what they lost; removed fields they lose without a conflict. */
function takeOver(managers: Managers, self: string, comparison: Comparison): Conflict[] {
  const changed = unionSets(comparison.modified, comparison.added)
  const conflicts: Conflict[] = []
  for (const [id, manager] of managers) {
    if (id === self) continue
    const lost = intersectSets(manager.set, changed)
    for (const path of pathsOf(lost)) conflicts.push({ manager, path })
    const set = subtractSet(subtractSet(manager.set, lost), comparison.removed)
    if (set !== manager.set) putManager(managers, id, { ...manager, set })
  }
  return conflicts
}

function filterComparison(comparison: Comparison, reset: FieldSet): Comparison {
  if (isEmptySet(reset)) return comparison
  return {
    ...comparison,
    added: subtractTrees(comparison.added, reset),
    modified: subtractTrees(comparison.modified, reset),
    removed: subtractTrees(comparison.removed, reset),
  }
}

/** Fields whose live value is what client-side apply wrote last. */
function ownedByClientSideApply(live: JsonObject, schema: MergeSchema, apiVersion: string): FieldSet {
  const text = annotationOf(live)
  if (text === undefined || text === '') return emptySet
  let last: unknown
  try {
    last = JSON.parse(text)
  } catch {
    // Someone else's text: nothing was applied by kubectl as far as we can tell.
    return emptySet
  }
  if (!isObject(last) || last['apiVersion'] !== apiVersion || validateTyped(last, schema).length > 0) return emptySet
  const { added, modified, removed } = compareTyped(last, live, schema)
  return subtractSet(subtractSet(subtractSet(toFieldSet(last, schema), modified), added), removed)
}

export interface UpdateInput extends ManagedWrite {
  /** The stored object; undefined when the request creates it. */
  readonly previous: JsonObject | undefined
  /** What is to be stored. Its `metadata.managedFields` count (an empty list, or one with an empty entry, forgets all managers), unless a subresource is written. */
  readonly next: JsonObject
}

/**
 * `next` with the managedFields that it has after a write that is no apply: the writer owns what it added or changed, nobody owns what is
 * gone. Changes no argument. Objects without managers (and not just created) stay without. Never throws: malformed entries are forgotten, and all of them
 * where a list lacks the keys of its items.
 */
export function updateManagedFields(input: UpdateInput): JsonObject {
  const given = metadataOf(input.next)['managedFields']
  const stored = metadataOf(input.previous ?? {})['managedFields']
  const isSubresource = input.subresource !== undefined && input.subresource !== ''
  let managers: Managers
  if (!isSubresource && isReset(given)) managers = new Map()
  else {
    const own = isSubresource ? undefined : readManagers(given)
    managers = own !== undefined && own.size > 0 ? own : (readManagers(stored) ?? new Map())
  }
  const next = withoutManagers(input.next)
  if (managers.size === 0 && input.previous !== undefined) return next
  const schema = viewOf(input.schema)
  const before = input.previous === undefined ? zeroObject(input) : asWritten(withoutManagers(input.previous), input)
  const isChanged = trackUpdate(managers, before, asWritten(next, input), schema, input)
  if (isChanged === undefined) return next
  if (!isChanged && Array.isArray(stored) && isSame(given ?? stored, stored))
    return { ...next, metadata: { ...metadataOf(next), managedFields: stored } }
  capManagers(managers)
  return withManagers(next, managers)
}

/** True when some manager's entry is another now; undefined when nobody can tell. */
function trackUpdate(
  managers: Managers,
  before: JsonObject,
  after: JsonObject,
  schema: MergeSchema,
  input: ManagedWrite,
): boolean | undefined {
  const full = compareTyped(before, after, schema)
  if (full.hasKeylessItem) return undefined
  if (isEmptySet(full.added) && isEmptySet(full.modified) && isEmptySet(full.removed)) return false
  const reset = resetFieldsOf(input)
  const filtered = filterComparison(full, reset)
  const self = {
    manager: input.manager === '' ? 'unknown' : input.manager,
    operation: 'Update' satisfies ManagedOperation,
    apiVersion: input.apiVersion,
    subresource: input.subresource ?? '',
  } as const
  const id = managerId(self)
  const own = managers.get(id)
  // Mostly who changes fields has owned them before: then only the time is new.
  const isPlain = isEmptySet(full.added) && isEmptySet(full.removed) && !isEmptySet(filtered.modified)
  if (isPlain && own !== undefined && isSubset(filtered.modified, own.set)) {
    takeOver(managers, id, filtered)
    managers.set(id, { ...own, time: formatNow(input.now) })
    return true
  }
  const previous = new Map(managers)
  takeOver(managers, '', filtered)
  const owned = stripSet(subtractTrees(unionSets(full.modified, full.added), reset))
  const kept = managers.get(id)
  const old = previous.get(id)
  if (!isEmptySet(owned)) {
    const set = kept === undefined ? owned : unionSets(kept.set, owned)
    managers.set(id, { ...self, set, time: kept !== undefined && isSameSet(set, kept.set) ? kept.time : formatNow(input.now) })
    if (old !== undefined && isSameSet(set, old.set) && kept !== undefined && isSameSet(kept.set, set)) managers.set(id, old)
  }
  if (managers.size !== previous.size) return true
  for (const [key, manager] of managers) if (previous.get(key) !== manager) return true
  return false
}

function conflictError(conflicts: readonly Conflict[]): StatusError {
  const sorted = conflicts.toSorted((a, b) =>
    managerId(a.manager) < managerId(b.manager) ? -1 : managerId(a.manager) > managerId(b.manager) ? 1 : 0,
  )
  const causes = sorted.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${formatManager(manager)}`,
    field: formatPath(path),
  }))
  const [only] = causes
  let message: string
  if (only !== undefined && causes.length === 1) message = `Apply failed with 1 conflict: ${only.message}: ${only.field}`
  else {
    const lines = [...Map.groupBy(causes, (cause) => cause.message)].flatMap(([text, list]) => [
      `${text.replace('conflict', 'conflicts')}:`,
      ...list.map((cause) => `- ${cause.field}`),
    ])
    message = `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`
  }
  return new StatusError('Conflict', message, { details: { causes } })
}

function formatManager(manager: Manager): string {
  const name = `${JSON.stringify(manager.manager)}${manager.subresource === '' ? '' : ` with subresource ${JSON.stringify(manager.subresource)}`}`
  return manager.operation === 'Update' ? `${name} using ${manager.apiVersion}` : name
}

function viewOf(schema: TypeSchema | MergeSchema): MergeSchema {
  return 'protoFields' in schema ? mergeSchemaOf(schema) : schema
}

/** As upstream encodes it: fields that hold null are owned, too. */
function asWritten(object: JsonObject, { schema }: ManagedWrite): JsonObject {
  return 'protoFields' in schema ? withNulls(object, schema) : object
}

// Remembers what was made from constants.
const knownZeros = new WeakMap<TypeSchema, JsonObject>()

/** What a create starts from: the fields that upstream's encoder always writes belong to nobody. Not to be changed. */
function zeroObject({ schema }: ManagedWrite): JsonObject {
  if (!('protoFields' in schema)) return { metadata: {} }
  let zero = knownZeros.get(schema)
  if (zero === undefined) knownZeros.set(schema, (zero = withNulls(convert({}, schema).object, schema)))
  return zero
}

function resetFieldsOf(input: ManagedWrite): FieldSet {
  if (input.resetFields !== undefined) return input.resetFields
  const has = (name: string): boolean => !('protoFields' in input.schema) || input.schema.byName.has(name)
  if (input.subresource === 'status') return has('spec') ? { 'f:spec': emptySet } : emptySet
  return has('status') && has('spec') && !isNonEmpty(input.subresource) ? { 'f:status': emptySet } : emptySet
}

const isNonEmpty = (text: string | undefined): boolean => text !== undefined && text !== ''
const isNonNull = (value: unknown): boolean => value !== undefined && value !== null
const formatNow = (now: Date): string => `${now.toISOString().slice(0, 19)}Z`

function metadataOf(object: JsonObject): JsonObject {
  return isObject(object['metadata']) ? object['metadata'] : {}
}

function annotationOf(object: JsonObject): string | undefined {
  const annotations = metadataOf(object)['annotations']
  const text = isObject(annotations) ? annotations[annotation] : undefined
  return typeof text === 'string' ? text : undefined
}

/** kubectl's own record of what it applied follows. */
function withAnnotation(object: JsonObject, patch: JsonObject): JsonObject {
  const meta = metadataOf(patch)
  const others = without(isObject(meta['annotations']) ? meta['annotations'] : {}, annotation)
  const rest = without(meta, 'annotations')
  const applied = { ...patch, metadata: { ...rest, ...(Object.keys(others).length === 0 ? {} : { annotations: others }) } }
  const own = metadataOf(object)
  const annotations = isObject(own['annotations']) ? own['annotations'] : {}
  return { ...object, metadata: { ...own, annotations: { ...annotations, [annotation]: `${JSON.stringify(applied)}\n` } } }
}

function withoutManagers(object: JsonObject): JsonObject {
  const metadata = metadataOf(object)
  return 'managedFields' in metadata ? { ...object, metadata: without(metadata, 'managedFields') } : object
}

function withManagers(object: JsonObject, managers: Managers): JsonObject {
  const managedFields = writeManagers(managers)
  return managedFields === undefined ? object : { ...object, metadata: { ...metadataOf(object), managedFields } }
}
