import { badRequest, type KubernetesObject } from '@k3s/api'
import { isJsonObject } from './patch.ts'

type Match = (object: KubernetesObject) => boolean

/** Reads a label selector in its text form: `a=b,c!=d,e,!f,g in (h,i),j notin (k)`. */
export function labelSelector(text: string): Match {
  const terms = text.trim() === '' ? [] : text.split(/,(?![^(]*\))/).map((term) => labelTerm(term.trim()))
  return (object) => terms.every((matches) => matches(object.metadata.labels ?? {}))
}

function labelTerm(term: string): (labels: Readonly<Record<string, string>>) => boolean {
  const [, setKey, operator, list] = /^(\S+)\s+(in|notin)\s+\((.*)\)$/.exec(term) ?? []
  if (setKey !== undefined && list !== undefined) {
    const values = list.split(',').map((value) => value.trim())
    return (labels) => values.includes(labels[setKey] ?? '\0') === (operator === 'in')
  }
  const [, not, key, comparison, value] = /^(!?)([\w./-]+)(?:\s*(==?|!=)\s*([\w.-]*))?$/.exec(term) ?? []
  if (key === undefined) throw badRequest(`unable to parse requirement: ${term}`)
  if (comparison === undefined) return (labels) => Object.hasOwn(labels, key) === (not === '')
  return (labels) => (labels[key] === value) === (comparison !== '!=')
}

/** Reads a field selector: `spec.nodeName=a,status.phase!=Failed`. Any path is allowed, unlike upstream; absent fields are empty. */
export function fieldSelector(text: string): Match {
  const terms = text === '' ? [] : text.split(',')
  const matches = terms.map((term): Match => {
    const [, path, comparison, value = ''] = /^([\w.]+)(==?|!=)(.*)$/.exec(term) ?? []
    if (path === undefined) throw badRequest(`invalid field selector: ${term}`)
    const parts = path.split('.')
    return (object) => (valueAt(object, parts) === value) === (comparison !== '!=')
  })
  return (object) => matches.every((match) => match(object))
}

function valueAt(object: unknown, path: readonly string[]): string {
  const found = path.reduce<unknown>((at, part) => (isJsonObject(at) ? at[part] : undefined), object)
  return found === undefined || found === null ? '' : typeof found === 'string' ? found : JSON.stringify(found)
}
