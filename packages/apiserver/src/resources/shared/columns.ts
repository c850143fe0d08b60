import type { KubernetesObject } from '@k3s/api'
import type { TableColumn } from '../../registry/strategy.ts'

/** How long ago, as kubectl shows it: two or three significant figures (`12s`, `5m3s`, `3d4h`, `2y10d`). Follows apimachinery's HumanDuration. */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000)
  if (seconds < -1) return '<invalid>'
  if (milliseconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.trunc(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.trunc(minutes / 60)
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  if (hours < 48) return `${hours}h`
  const days = Math.trunc(hours / 24)
  if (days < 8) return hours % 24 === 0 ? `${days}d` : `${days}d${hours % 24}h`
  if (hours < 24 * 365 * 2) return `${days}d`
  const years = Math.trunc(days / 365)
  if (hours < 24 * 365 * 8) return days % 365 === 0 ? `${years}y` : `${years}y${days % 365}d`
  return `${years}y`
}

/** Age of an RFC 3339 time; `<unknown>` when it is absent. */
export function age(timestamp: string | undefined, nowMs: number): string {
  return timestamp === undefined || timestamp === '' ? '<unknown>' : humanDuration(nowMs - Date.parse(timestamp))
}

interface ColumnOptions {
  readonly type?: TableColumn<unknown>['type'] | undefined
  readonly format?: string | undefined
  readonly description?: string | undefined
  /** Shown with `-o wide` only. */
  readonly wide?: boolean | undefined
}

/** A column; a string that is always shown unless said otherwise. */
export function column<T>(
  name: string,
  cell: (object: T, context: { readonly nowMs: number }) => unknown,
  options: ColumnOptions = {},
): TableColumn<T> {
  const { type = 'string', format, description = `${name} of the object`, wide = false } = options
  return { name, type, ...(format === undefined ? {} : { format }), description, priority: wide ? 1 : 0, cell }
}

/** The first column of every table. */
export function nameColumn<T extends KubernetesObject>(): TableColumn<T> {
  return column('Name', (object) => object.metadata.name, { format: 'name', description: 'Name of the object' })
}

/** Time since the object was created. */
export function ageColumn<T extends KubernetesObject>(): TableColumn<T> {
  return column('Age', (object, { nowMs }) => age(object.metadata.creationTimestamp, nowMs), {
    description: 'Time since the object was created',
  })
}

/** Name and age: what a table shows when there is nothing more to say. */
export function plainColumns<T extends KubernetesObject>(): readonly TableColumn<T>[] {
  return [nameColumn(), ageColumn()]
}

/** Desired, Current and Ready: the columns of what keeps a number of pods. */
export function replicaColumns<
  T extends {
    readonly spec: { readonly replicas?: number | undefined }
    readonly status?: { readonly replicas: number; readonly readyReplicas?: number | undefined } | undefined
  },
>(): readonly TableColumn<T>[] {
  return [
    column<T>('Desired', ({ spec }) => spec.replicas ?? 0, { type: 'integer', description: 'Pods that are wanted' }),
    column<T>('Current', ({ status }) => status?.replicas ?? 0, { type: 'integer', description: 'Pods that exist' }),
    column<T>('Ready', ({ status }) => status?.readyReplicas ?? 0, { type: 'integer', description: 'Pods that are ready' }),
  ]
}

/** Containers, Images and (when `selector` is given) Selector: the wide columns of workloads. */
export function workloadColumns<T>(
  template: (
    object: T,
  ) =>
    | { readonly spec?: { readonly containers: readonly { readonly name: string; readonly image?: string | undefined }[] } | undefined }
    | undefined,
  selector?: (object: T) => string,
): readonly TableColumn<T>[] {
  const containers = (object: T) => template(object)?.spec?.containers ?? []
  return [
    column<T>(
      'Containers',
      (object) =>
        containers(object)
          .map(({ name }) => name)
          .join(','),
      { wide: true, description: 'Names of the containers of the template' },
    ),
    column<T>(
      'Images',
      (object) =>
        containers(object)
          .map(({ image }) => image ?? '')
          .join(','),
      { wide: true, description: 'Images of the containers of the template' },
    ),
    ...(selector === undefined ? [] : [column<T>('Selector', selector, { wide: true, description: 'Which pods belong to the object' })]),
  ]
}
