import type { KubernetesObject } from '@k3s/api'
import type { CustomResourceColumnDefinition } from '@k3s/api/types/apiextensions/v1'
import { isObject } from '../json.ts'
import type { TableColumn } from '../registry/strategy.ts'
import { humanDuration } from '../resources/shared/columns.ts'
import { compileJsonPath } from './schema/json-path.ts'

const nameDescription = 'Name of the object, unique within its namespace.'

const ageColumn: CustomResourceColumnDefinition = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }

/** Columns of the tables of a version: the name, and those that its definition names or the age. */
export function customColumns(definitions: readonly CustomResourceColumnDefinition[]): readonly TableColumn<KubernetesObject>[] {
  const name: TableColumn<KubernetesObject> = {
    name: 'Name',
    type: 'string',
    format: 'name',
    description: nameDescription,
    priority: 0,
    cell: (object) => object.metadata.name,
  }
  return [name, ...(definitions.length === 0 ? [ageColumn] : definitions).map(customColumn)]
}

function customColumn(definition: CustomResourceColumnDefinition): TableColumn<KubernetesObject> {
  const { type, jsonPath, description } = definition
  const compiled = compileJsonPath(jsonPath)
  return {
    name: definition.name,
    // Validation allows no others.
    type: type as TableColumn<KubernetesObject>['type'],
    format: definition.format ?? '',
    description: description ?? `Custom resource definition column (in JSONPath format): ${jsonPath}`,
    priority: definition.priority ?? 0,
    cell: (object, { nowMs }) => {
      const [value] = compiled?.find(object) ?? []
      return cellOf(type, value, nowMs)
    },
  }
}

function cellOf(type: string, value: unknown, nowMs: number): unknown {
  if (value === undefined || value === null) return null
  switch (type) {
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null
    case 'number':
      return typeof value === 'number' ? value : null
    case 'boolean':
      return typeof value === 'boolean' ? value : null
    case 'date':
      return typeof value === 'string' ? dateCell(value, nowMs) : null
    default:
      return textOf(value)
  }
}

function dateCell(text: string, nowMs: number): string {
  const time = /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : Number.NaN
  if (text === '') return '<unknown>'
  return Number.isNaN(time) ? '<invalid>' : humanDuration(nowMs - time)
}

/** Text as kubectl's JSONPath prints it: objects and lists as JSON. */
function textOf(value: unknown): string {
  return isObject(value) || Array.isArray(value) ? JSON.stringify(value) : String(value)
}
