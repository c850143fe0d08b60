import { isObject, type JsonObject } from '../codec/decode-object.ts'
import { isEmptySet, sortSet, subtractSet, unionSets, type FieldSet } from './field-set.ts'

export type ManagedOperation = 'Apply' | 'Update'

/** Who set what: one entry of `metadata.managedFields`. */
export interface Manager {
  readonly manager: string
  readonly operation: ManagedOperation
  readonly apiVersion: string
  /** Empty for the object itself. */
  readonly subresource: string
  readonly time: string | undefined
  readonly set: FieldSet
}

/** Managers by {@link managerId}. */
export type Managers = Map<string, Manager>

/** Appliers are the same whatever version they apply. */
export function managerId(manager: Pick<Manager, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  return JSON.stringify([manager.manager, manager.operation, manager.operation === 'Apply' ? '' : manager.apiVersion, manager.subresource])
}

/** Reads `metadata.managedFields`; undefined when an entry is malformed. */
export function readManagers(entries: unknown): Managers | undefined {
  const managers: Managers = new Map()
  if (!Array.isArray(entries)) return managers
  for (const entry of entries) {
    if (!isObject(entry)) return undefined
    const { manager, operation, apiVersion, subresource, time, fieldsType, fieldsV1 } = entry
    if (
      (operation !== 'Apply' && operation !== 'Update') ||
      typeof apiVersion !== 'string' ||
      apiVersion === '' ||
      fieldsType !== 'FieldsV1'
    )
      return undefined
    const read: Manager = {
      manager: typeof manager === 'string' ? manager : '',
      operation,
      apiVersion,
      subresource: typeof subresource === 'string' ? subresource : '',
      time: typeof time === 'string' ? time : undefined,
      // Elements that are no objects are left to no one: isFieldSet.
      set: isFieldSet(fieldsV1) ? fieldsV1 : {},
    }
    managers.set(managerId(read), read)
  }
  return managers
}

function isFieldSet(value: unknown): value is FieldSet {
  if (!isObject(value)) return false
  for (const element in value) if (!isFieldSet(value[element])) return false
  return true
}

/** True for the list that asks for forgetting all managers: empty, or one empty entry. */
export function isReset(entries: unknown): boolean {
  if (!Array.isArray(entries)) return false
  const [only] = entries
  return (
    entries.length === 0 ||
    (entries.length === 1 && isObject(only) && Object.values(only).every((value) => value === '' || value === undefined))
  )
}

/** `metadata.managedFields` in upstream's order; undefined when there is no manager. */
export function writeManagers(managers: Managers): JsonObject[] | undefined {
  if (managers.size === 0) return undefined
  const text = (entry: Manager): string =>
    [entry.operation, entry.time ?? '', entry.manager, entry.apiVersion, entry.subresource].join('\0')
  return [...managers.values()]
    .toSorted((a, b) => (text(a) < text(b) ? -1 : 1))
    .map((entry) => ({
      manager: entry.manager,
      operation: entry.operation,
      apiVersion: entry.apiVersion,
      ...(entry.time === undefined ? {} : { time: entry.time }),
      fieldsType: 'FieldsV1',
      fieldsV1: sortSet(entry.set),
      ...(entry.subresource === '' ? {} : { subresource: entry.subresource }),
    }))
}

/** Nobody manages what the server itself does. */
const stripped: FieldSet = {
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': {
    '.': {},
    'f:name': {},
    'f:namespace': {},
    'f:creationTimestamp': {},
    'f:selfLink': {},
    'f:uid': {},
    'f:clusterName': {},
    'f:generation': {},
    'f:managedFields': {},
    'f:resourceVersion': {},
  },
}

/** The set without what nobody manages. */
export function stripSet(set: FieldSet): FieldSet {
  return subtractSet(set, stripped)
}

/** Sets or, when its set is empty, removes a manager. */
export function putManager(managers: Managers, id: string, manager: Manager): void {
  if (isEmptySet(manager.set)) managers.delete(id)
  else managers.set(id, manager)
}

/** More managers by update than this are merged; follows upstream. */
const maxUpdateManagers = 10

/** Merges the oldest managers by update into one a version, `ancient-changes`, until there are at most ten. */
export function capManagers(managers: Managers): void {
  const updaters = [...managers].filter(([, manager]) => manager.operation === 'Update')
  let count = updaters.length
  if (count <= maxUpdateManagers) return
  const oldest = updaters.toSorted(([a, left], [b, right]) => ((left.time ?? '') + a < (right.time ?? '') + b ? -1 : 1))
  const first = new Map<string, string>()
  for (const [id, manager] of oldest) {
    if (count <= maxUpdateManagers) return
    const bucket = { manager: 'ancient-changes', operation: 'Update', apiVersion: manager.apiVersion, subresource: '' } as const
    const bucketId = managerId(bucket)
    const known = first.get(manager.apiVersion)
    if (known === undefined) {
      first.set(manager.apiVersion, id)
      continue
    }
    const into = managers.get(bucketId) ?? managers.get(known)
    if (known !== bucketId) managers.delete(known)
    managers.delete(id)
    managers.set(bucketId, { ...bucket, time: manager.time, set: into === undefined ? manager.set : unionSets(into.set, manager.set) })
    first.set(manager.apiVersion, bucketId)
    count--
  }
}
