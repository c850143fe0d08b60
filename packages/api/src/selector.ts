import type { LabelSelector, LabelSelectorRequirement } from './generated/types/meta/v1.ts'
import { StatusError } from './status.ts'

/** One requirement of a label selector. `gt` and `lt` compare integers. */
export interface Requirement {
  readonly key: string
  readonly operator: 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt'
  readonly values: readonly string[]
}

/** All requirements must hold; none: everything matches. */
export type Selector = readonly Requirement[]

/** One term of a field selector. */
export interface FieldRequirement {
  readonly field: string
  readonly isEqual: boolean
  readonly value: string
}

const token = /\s*(==|!=|=|!|\(|\)|,|<|>|[^\s=!(),<>]+)/y

const bad = (why: string): StatusError => new StatusError('BadRequest', `unable to parse requirement: ${why}`)

const namePattern = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const prefixPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

function checkKey(key: string): void {
  const slash = key.indexOf('/')
  const name = slash < 0 ? key : key.slice(slash + 1)
  if (name.includes('/'))
    throw bad(
      `<nil>: Invalid value: ${JSON.stringify(key)}: a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    )
  if (name.length > 63 || !namePattern.test(name) || (slash >= 0 && (slash > 253 || !prefixPattern.test(key.slice(0, slash))))) {
    throw bad(
      `<nil>: Invalid value: ${JSON.stringify(key)}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
    )
  }
}

function checkValue(key: string, value: string): void {
  if (value !== '' && (value.length > 63 || !namePattern.test(value))) {
    throw bad(
      `values[0][${key}]: Invalid value: ${JSON.stringify(value)}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
    )
  }
}

/**
 * Reads `a=b,c!=d,e in (f,g),!h,i,j>1` as apimachinery's labels.Parse. Empty text selects everything.
 * Throws a StatusError `BadRequest` on bad syntax, keys or values.
 */
export function parseLabelSelector(text: string): Selector {
  const tokens: string[] = []
  token.lastIndex = 0
  for (const end = text.trimEnd().length; token.lastIndex < end;) {
    const match = token.exec(text)
    if (match?.[1] === undefined) throw bad(`found unexpected text in ${JSON.stringify(text)}`)
    tokens.push(match[1])
  }
  const requirements: Requirement[] = []
  let at = 0
  const isWord = (word: string | undefined): word is string => word !== undefined && !/^[=!(),<>]/.test(word)
  while (at < tokens.length) {
    let next = tokens[at++]
    const isNegated = next === '!'
    if (isNegated) next = tokens[at++]
    if (!isWord(next)) throw bad(`found '${next ?? ''}', expected: ${isNegated ? 'identifier' : "!, identifier, or 'end of string'"}`)
    const key = next
    checkKey(key)
    const operator = tokens[at]
    if (isNegated || operator === undefined || operator === ',') {
      requirements.push({ key, operator: isNegated ? '!' : 'exists', values: [] })
    } else if (operator === 'in' || operator === 'notin') {
      if (tokens[++at] !== '(') throw bad(`found '${tokens[at] ?? ''}' expected: '('`)
      const values: string[] = []
      at++
      // An absent word between commas is the empty value, as upstream: `a in (,b)`.
      for (let pending = true; ;) {
        const word = tokens[at++]
        if (isWord(word)) {
          checkValue(key, word)
          values.push(word)
          pending = false
        } else if (word === ',' || word === ')') {
          if (pending) values.push('')
          pending = true
          if (word === ')') break
        } else throw bad(`found '${word ?? ''}', expected: ',' or ')'`)
      }
      requirements.push({ key, operator, values })
    } else if (operator === '=' || operator === '==' || operator === '!=') {
      const word = tokens[++at]
      const value = isWord(word) ? word : ''
      if (isWord(word)) at++
      checkValue(key, value)
      requirements.push({ key, operator: operator === '!=' ? 'notin' : 'in', values: [value] })
    } else if (operator === '<' || operator === '>') {
      const value = tokens[++at]
      at++
      if (value === undefined || !/^-?\d+$/.test(value)) throw bad(`for 'Gt', 'Lt' operators, the value must be an integer`)
      requirements.push({ key, operator: operator === '>' ? 'gt' : 'lt', values: [value] })
    } else {
      throw bad(`found '${operator}', expected: in, notin, =, ==, !=, gt, lt`)
    }
    if (at < tokens.length) {
      if (tokens[at] !== ',') throw new StatusError('BadRequest', `found '${tokens[at] ?? ''}', expected: ',' or 'end of string'`)
      at++
      if (at === tokens.length) throw bad(`found '', expected: identifier after ','`)
    }
  }
  return requirements
}

/** True when `labels` meet every requirement. */
export function matchesSelector(selector: Selector, labels: Readonly<Record<string, string>> | undefined): boolean {
  for (const { key, operator, values } of selector) {
    const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
    switch (operator) {
      case 'in':
        if (value === undefined || !values.includes(value)) return false
        break
      case 'notin':
        if (value !== undefined && values.includes(value)) return false
        break
      case 'exists':
        if (value === undefined) return false
        break
      case '!':
        if (value !== undefined) return false
        break
      case 'gt':
      case 'lt': {
        if (value === undefined || !/^-?\d+$/.test(value)) return false
        const difference = BigInt(value) - BigInt(values[0] ?? '0')
        if (operator === 'gt' ? difference <= 0n : difference >= 0n) return false
      }
    }
  }
  return true
}

const operators: Readonly<Record<string, Requirement['operator']>> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
  Gt: 'gt',
  Lt: 'lt',
}

/** Requirements in the form that objects carry. An unknown operator matches nothing. */
export function selectorFromExpressions(
  expressions: readonly (
    | LabelSelectorRequirement
    | { readonly key: string; readonly operator: string; readonly values?: readonly string[] | undefined }
  )[],
): Selector {
  return expressions.map(({ key, operator, values = [] }) => {
    const known = operators[operator]
    return known === undefined ? { key, operator: 'in', values: [] } : { key, operator: known, values }
  })
}

/** The selector of an object's `selector` field: an absent one selects nothing (`undefined`), an empty one everything. */
export function selectorOf(selector: LabelSelector | undefined): Selector | undefined {
  if (selector === undefined) return undefined
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]): Requirement => ({ key, operator: 'in', values: [value] })),
    ...selectorFromExpressions(selector.matchExpressions ?? []),
  ]
}

/** True when the `selector` field of an object selects `labels`; an absent selector selects nothing. */
export function selects(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>> | undefined): boolean {
  const parsed = selectorOf(selector)
  return parsed !== undefined && matchesSelector(parsed, labels)
}

/** A plain label map (a Service's selector) as text for a `labelSelector` parameter. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(',')
}

/** Upstream's text form of a selector, for Tables and `labelSelector` parameters: `a=b,c in (d,e),!f`. */
export function formatSelector(selector: Selector): string {
  return selector
    .map(({ key, operator, values }) => {
      if (operator === 'exists') return key
      if (operator === '!') return `!${key}`
      if (operator === 'gt' || operator === 'lt') return `${key}${operator === 'gt' ? '>' : '<'}${values[0] ?? ''}`
      if (operator === 'in' && values.length === 1) return `${key}=${values[0] ?? ''}`
      return `${key} ${operator} (${values.toSorted().join(',')})`
    })
    .join(',')
}

/** Reads `metadata.name=a,status.phase!=Running`; `\\,`, `\\=` and `\\\\` are escapes. Throws a StatusError `BadRequest` on bad syntax. */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  const terms: string[] = []
  let term = ''
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '\\') term += character + (text[++at] ?? '')
    else if (character === ',') {
      terms.push(term)
      term = ''
    } else term += character
  }
  terms.push(term)
  return terms
    .filter((part) => part !== '' && part !== '=')
    .map((part) => {
      const match = /^((?:\\.|[^\\=!])*)(!=|==|=)((?:\\.|[^\\])*)$/s.exec(part)
      if (match === null) throw new StatusError('BadRequest', `invalid selector: '${text}'; can't understand '${part}'`)
      const [, field = '', operator = '', value = ''] = match
      if (/(?:^|[^\\])(?:\\\\)*=/.test(value))
        throw new StatusError('BadRequest', 'invalid field selector: unescaped character in value: 61')
      return { field, isEqual: operator !== '!=', value: value.replace(/\\(.)/gs, '$1') }
    })
}
