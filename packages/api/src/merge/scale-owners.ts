import type { JsonObject } from '../codec/decode-object.ts'
import { emptySet, hasPath, isEmptySet, subtractSet, type FieldSet } from './field-set.ts'
import { readManagers, writeManagers, type Manager, type Managers } from './managed-fields.ts'

const scaleVersion = 'autoscaling/v1'
const scaleReplicas = ['f:spec', 'f:replicas']

/** Where the replicas of a resource stand in each of its versions: names of fields from the top, and undefined in one that has no scale. */
export type ReplicasPaths = Readonly<Record<string, readonly string[] | undefined>>

const elementsOf = (path: readonly string[] | undefined): readonly string[] | undefined => path?.map((name) => `f:${name}`)

const setOf = (path: readonly string[]): FieldSet =>
  path.toReversed().reduce<FieldSet>((below, element) => ({ [element]: below }), emptySet)

/** The owners of a Scale: those of the replicas in the `managedFields` of what is scaled. */
export function scaleOwners(entries: unknown, paths: ReplicasPaths): JsonObject[] | undefined {
  const owners: Managers = new Map()
  for (const [id, manager] of readManagers(entries) ?? []) {
    const path = elementsOf(paths[manager.apiVersion])
    if (path !== undefined && hasPath(manager.set, path))
      owners.set(id, { ...manager, apiVersion: scaleVersion, set: setOf(scaleReplicas) })
  }
  return writeManagers(owners)
}

/**
 * The `managedFields` of what is scaled after a write of its Scale in the version `apiVersion`. Follows upstream's ScaleHandler: who owned the replicas
 * and is not among the owners of the Scale (`written`) loses them, new owners have no time, and entries in unknown versions are gone.
 */
export function ownersOfScaled(entries: unknown, written: unknown, paths: ReplicasPaths, apiVersion: string): JsonObject[] | undefined {
  const before = readManagers(entries) ?? new Map<string, Manager>()
  const scale: Managers = new Map(readManagers(written))
  const result: Managers = new Map()
  for (const [id, manager] of before) {
    if (!Object.hasOwn(paths, manager.apiVersion)) continue
    const path = elementsOf(paths[manager.apiVersion])
    if (path === undefined || !hasPath(manager.set, path) || scale.delete(id)) {
      result.set(id, manager)
      continue
    }
    const set = subtractSet(manager.set, setOf(path))
    if (!isEmptySet(set)) result.set(id, { ...manager, set })
  }
  const path = elementsOf(paths[apiVersion]) ?? scaleReplicas
  for (const [id, manager] of scale)
    if (hasPath(manager.set, scaleReplicas)) result.set(id, { ...manager, apiVersion, time: before.get(id)?.time, set: setOf(path) })
  return writeManagers(result)
}
