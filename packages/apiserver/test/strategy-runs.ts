import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { FieldError, ObjectReader, RequestScope, ResourceStrategy } from '../src/registry/strategy.ts'

export const now = '2024-05-01T12:00:00Z'

export type Stored = readonly [ResourceType, KubernetesObject]

/** An object for {@link objectsOf}, checked against its type. */
export function stored<T extends KubernetesObject>(type: ResourceType<T>, object: T): Stored {
  return [type, object]
}

/** Reads these objects. */
export function objectsOf(...all: readonly Stored[]): ObjectReader {
  const of = <T extends KubernetesObject>(type: ResourceType<T>): T[] =>
    // Stored under its own type.
    all.filter(([each]) => each.resource === type.resource && each.group === type.group).map(([, object]) => object as T)
  return {
    get: (type, namespace, name) => of(type).find(({ metadata }) => metadata.name === name && (metadata.namespace ?? '') === namespace),
    list: (type, namespace = '') => of(type).filter(({ metadata }) => namespace === '' || metadata.namespace === namespace),
  }
}

export interface TestScope extends RequestScope {
  readonly warnings: string[]
  /** Notes of the audit event. */
  readonly annotations: Record<string, string>
}

export function scopeOf(scope: Partial<RequestScope> = {}): TestScope {
  const warnings: string[] = []
  const annotations: Record<string, string> = {}
  return {
    user: { name: 'jane', groups: ['system:authenticated'] },
    namespace: 'default',
    dryRun: false,
    now,
    objects: objectsOf(),
    warn: (message) => void warnings.push(message),
    annotate: (key, value) => void (annotations[key] = value),
    ...scope,
    warnings,
    annotations,
  }
}

/** The object with its defaults. Throws when filling them again changes something. */
export function defaulted<T extends KubernetesObject>(strategy: ResourceStrategy<T>, object: T): T {
  const result = structuredClone(object)
  strategy.defaults?.(result)
  const again = structuredClone(result)
  strategy.defaults?.(again)
  if (JSON.stringify(again) !== JSON.stringify(result)) throw new Error('defaults are not idempotent')
  return result
}

export const textOf = ({ field, message }: FieldError): string => `${field}: ${message}`

/** Problems of a create, as `field: message`. */
export function createProblems<T extends KubernetesObject>(strategy: ResourceStrategy<T>, object: T, scope = scopeOf()): string[] {
  const created = defaulted(strategy, object)
  strategy.prepareForCreate?.(created, scope)
  return (strategy.validate?.(created, scope) ?? []).map(textOf)
}

/** Problems of an update from `old` by `change`, as `field: message`. */
export function updateProblems<T extends KubernetesObject>(
  strategy: ResourceStrategy<T>,
  old: T,
  change: (object: T) => void,
  kind: 'update' | 'status' = 'update',
): string[] {
  const scope = scopeOf()
  const previous = defaulted(strategy, old)
  if (kind === 'update') strategy.prepareForCreate?.(previous, scope)
  previous.metadata.resourceVersion = '1'
  const object = structuredClone(previous)
  change(object)
  strategy.defaults?.(object)
  const rules = strategy[kind]
  rules?.prepare?.(object, previous, scope)
  const own = kind === 'update' ? (strategy.validate?.(object, scope) ?? []) : []
  return [...own, ...(rules?.validate?.(object, previous, scope) ?? [])].map(textOf)
}

/** The row of the object in its table, by column. */
export function rowOf<T extends KubernetesObject>(strategy: ResourceStrategy<T>, object: T): Record<string, unknown> {
  return Object.fromEntries((strategy.columns ?? []).map(({ name, cell }) => [name, cell(object, { nowMs: Date.parse(now) })]))
}
