import { matchesSelector, parseFieldSelector, parseLabelSelector, type KubernetesObject } from '@k3s/api'
import { isJsonObject } from './patch.ts'

/** What both selectors of a request select. Any field can be selected by, unlike upstream; absent fields are empty. */
export function objectSelector(labelSelector: string, fieldSelector: string): (object: KubernetesObject) => boolean {
  const byLabel = parseLabelSelector(labelSelector)
  const byField = parseFieldSelector(fieldSelector).map((term) => ({ ...term, path: term.field.split('.') }))
  return (object) =>
    matchesSelector(byLabel, object.metadata.labels) &&
    byField.every(({ path, isEqual, value }) => (valueAt(object, path) === value) === isEqual)
}

function valueAt(object: unknown, path: readonly string[]): string {
  const found = path.reduce<unknown>((at, part) => (isJsonObject(at) ? at[part] : undefined), object)
  return found === undefined || found === null ? '' : typeof found === 'string' ? found : JSON.stringify(found)
}
