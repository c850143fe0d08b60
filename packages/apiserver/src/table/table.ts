import type { KubernetesObject } from '@k3s/api'
import { toServed, toWire, type ServedResource } from '../registry/served-resource.ts'
import type { ResourceStrategy, TableColumn } from '../registry/strategy.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'

/** How much of each object a Table carries; `Metadata` unless the client asks otherwise. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

export interface TableOptions {
  readonly includeObject: IncludeObject
  readonly nowMs: number
  /** Absent in all events of a watch but the first. */
  readonly withColumns: boolean
}

const tableVersion = 'meta.k8s.io/v1'

const nameColumn: TableColumn<KubernetesObject> = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object, unique within its namespace.',
  priority: 0,
  cell: (object) => object.metadata.name,
}

// Upstream's default for kinds without a printer.
const defaultColumns: readonly TableColumn<KubernetesObject>[] = [
  nameColumn,
  {
    name: 'Created At',
    type: 'date',
    description: 'When the server created the object.',
    priority: 0,
    cell: (object) => object.metadata.creationTimestamp ?? '',
  },
]

/** A meta.k8s.io/v1 Table of some objects. */
export function renderTable(
  served: ServedResource,
  objects: readonly CachedObject[],
  metadata: Readonly<Record<string, unknown>>,
  options: TableOptions,
): Readonly<Record<string, unknown>> & { readonly rows: readonly object[] } {
  const columns = columnsOf(served.storage?.strategy ?? served.strategy)
  return {
    kind: 'Table',
    apiVersion: tableVersion,
    metadata,
    columnDefinitions: options.withColumns
      ? columns
          .filter(({ isUndeclared }) => isUndeclared !== true)
          .map(({ name, type, format = '', description, priority }) => ({ name, type, format, description, priority }))
      : null,
    rows: objects.map((object) => {
      const cells = columns.map((column) => column.cell(object.object, options))
      return { cells, object: rowObject(served, object, options.includeObject) }
    }),
  }
}

function columnsOf(strategy: ResourceStrategy): readonly TableColumn<KubernetesObject>[] {
  return strategy.columns ?? defaultColumns
}

function rowObject(served: ServedResource, object: CachedObject, include: IncludeObject): object | null {
  if (include === 'None') return null
  const shown = toServed(served, object.object)
  if (include === 'Object') return toWire(served, shown)
  return partialObject(served, shown)
}

function withoutAnnotations(object: KubernetesObject, names: readonly string[]): KubernetesObject {
  const { annotations, ...metadata } = object.metadata
  const left = Object.entries(annotations ?? {}).filter(([name]) => !names.includes(name))
  return { ...object, metadata: left.length === 0 ? metadata : { ...metadata, annotations: Object.fromEntries(left) } }
}

/** The object with its metadata only. */
export function partialObject(served: ServedResource, shown: KubernetesObject): object {
  const hidden = (served.storage?.strategy ?? served.strategy).hiddenAnnotations
  const object = hidden === undefined ? shown : withoutAnnotations(shown, hidden)
  return { kind: 'PartialObjectMetadata', apiVersion: tableVersion, metadata: object.metadata }
}
