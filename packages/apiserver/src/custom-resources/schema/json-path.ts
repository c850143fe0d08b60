import { isObject } from '../../json.ts'
import { additionalOf, own, path, type Schema } from './schema.ts'

/** What a path leads to in a schema; see {@link validFieldPath}. */
export interface FoundPath {
  /** As errors name it: `spec.names[a.b]`. */
  readonly field: string
  /** First name of the path. */
  readonly root: string
  readonly schema: Schema
}

/**
 * Follows a path of names and quoted names (`.spec['a.b'].c`) through a schema. Answers with what is wrong as a text, upstream's words.
 */
export function validFieldPath(text: string, schema: Schema, options: { readonly allowsBrackets: boolean }): FoundPath | string {
  const tokens = tokenize(text)
  let field = ''
  let root: string | undefined
  let current: Schema = schema
  const step = (name: string): string | undefined => {
    if (current.properties !== undefined) {
      const property = own(current.properties, name)
      if (property === undefined) return 'does not refer to a valid field'
      field = path.child(field, name)
      root ??= name
      current = property
      return undefined
    }
    const additional = additionalOf(current)
    if (additional === undefined) return 'does not refer to a valid field'
    field = path.key(field, name)
    root ??= name
    current = additional
    return undefined
  }
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index]
    if (token === '.') {
      const name = tokens[++index]
      if (name === undefined) return 'unexpected end of JSON path'
      const problem = step(name)
      if (problem !== undefined) return problem
    } else if (token === '[') {
      if (!options.allowsBrackets) return 'array notation is not allowed'
      const quoted = tokens[++index]
      if (quoted === undefined) return 'unexpected end of JSON path'
      if (quoted.length < 2 || !quoted.startsWith("'") || !quoted.endsWith("'")) return `expected single quoted string but got ${quoted}`
      const name = unescape(quoted.slice(1, -1))
      if (name === undefined) return 'invalid string literal: invalid escape char'
      const problem = step(name)
      if (problem !== undefined) return problem
      const close = tokens[++index]
      if (close === undefined) return 'unexpected end of JSON path'
      if (close !== ']') return `expected ] but got ${close}`
    } else return `expected [ or . but got: ${token ?? ''}`
  }
  return { field, root: root ?? '', schema: current }
}

/** Dots, brackets, quoted strings, and what is between them. */
function tokenize(text: string): string[] {
  return text.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]']+|'[\s\S]*$/g) ?? []
}

const escapes: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  "'": "'",
  '\\': '\\',
}

function unescape(text: string): string | undefined {
  let isValid = true
  const result = text.replaceAll(/\\(.)/g, (_whole, letter: string) => {
    const meant = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined
    if (meant === undefined) isValid = false
    return meant ?? ''
  })
  return isValid ? result : undefined
}

/** One step of a printer column's path. */
type Step =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'descend'; readonly name: string }
  | { readonly kind: 'slice'; readonly from: number | undefined; readonly to: number | undefined; readonly step: number }
  | { readonly kind: 'filter'; readonly test: (item: unknown) => boolean }

/** A compiled JSONPath as printer columns have it. */
export interface JsonPath {
  /** All values that the path finds; missing keys find nothing. */
  find(value: unknown): unknown[]
}

/** Compiles the part of JSONPath that kubectl's columns know: names, `['name']`, indexes, slices, `*`, `..name`, filters `?(@.a=="b")`. Undefined for others. */
export function compileJsonPath(text: string): JsonPath | undefined {
  const steps = parseSteps(text)
  if (steps === undefined) return undefined
  return { find: (value) => steps.reduce<unknown[]>((values, step) => values.flatMap((one) => apply(step, one)), [value]) }
}

const stepPattern =
  /\.\.([^.[\]]+)|\.\*|\.((?:\\.|[^.[\]\\])+)|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|\[\*\]|\[(-?\d+)\]|\[(-?\d*):(-?\d*)(?::(\d+))?\]|\[\?\(([^)]*)\)\]|\.$/y

function parseSteps(text: string): Step[] | undefined {
  const steps: Step[] = []
  stepPattern.lastIndex = 0
  let at = text.startsWith('$') ? 1 : 0
  while (at < text.length) {
    stepPattern.lastIndex = at
    const match = stepPattern.exec(text)
    if (match === null) return undefined
    at = stepPattern.lastIndex
    const [whole, descend, name, single, double, index, from, to, step, filter] = match
    if (descend !== undefined) steps.push({ kind: 'descend', name: descend })
    else if (whole === '.*' || whole === '[*]') steps.push({ kind: 'all' })
    else if (name !== undefined) steps.push({ kind: 'name', name: name.replaceAll(/\\(.)/g, '$1') })
    else if (single !== undefined || double !== undefined)
      steps.push({ kind: 'name', name: (single ?? double ?? '').replaceAll(/\\(.)/g, '$1') })
    else if (index !== undefined) steps.push({ kind: 'index', index: Number(index) })
    else if (filter !== undefined) {
      const test = compileFilter(filter)
      if (test === undefined) return undefined
      steps.push({ kind: 'filter', test })
    } else if (from !== undefined && to !== undefined)
      steps.push({
        kind: 'slice',
        from: from === '' ? undefined : Number(from),
        to: to === '' ? undefined : Number(to),
        step: Number(step ?? 1),
      })
  }
  return steps
}

function apply(step: Step, value: unknown): readonly unknown[] {
  switch (step.kind) {
    case 'name':
      return isObject(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : []
    case 'index': {
      const item: unknown = Array.isArray(value) ? value.at(step.index) : undefined
      return item === undefined ? [] : [item]
    }
    case 'slice':
      return Array.isArray(value) ? value.slice(step.from, step.to).filter((_item, index) => step.step <= 1 || index % step.step === 0) : []
    case 'all':
      return Array.isArray(value) ? (value as unknown[]) : isObject(value) ? Object.values(value) : [] // items of any kind
    case 'filter':
      return (Array.isArray(value) ? (value as unknown[]) : isObject(value) ? Object.values(value) : []).filter(step.test) // as above
    case 'descend':
      return descend(value, step.name)
  }
}

function descend(value: unknown, name: string): unknown[] {
  const inner = Array.isArray(value) ? (value as unknown[]) : isObject(value) ? Object.values(value) : [] // as above
  const here = isObject(value) && Object.hasOwn(value, name) ? [value[name]] : []
  return [...here, ...inner.flatMap((one) => descend(one, name))]
}

const comparisons: Readonly<Record<string, (a: unknown, b: unknown) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => order(a, b) < 0,
  '<=': (a, b) => order(a, b) <= 0,
  '>': (a, b) => order(a, b) > 0,
  '>=': (a, b) => order(a, b) >= 0,
}

/** Negative, zero or positive; NaN for values that have no order. */
function order(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  return Number.NaN
}

function compileFilter(text: string): ((item: unknown) => boolean) | undefined {
  const match = /^\s*@([^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(?:"([^"]*)"|'([^']*)'|(true|false)|(-?\d+(?:\.\d+)?))\s*)?$/.exec(text)
  if (match === null) return undefined
  const [, where = '', operator, double, single, bool, number] = match
  const found = compileJsonPath(where)
  if (found === undefined) return undefined
  if (operator === undefined) return (item) => found.find(item).length > 0
  const wanted = double ?? single ?? (bool === undefined ? Number(number) : bool === 'true')
  const compare = comparisons[operator]
  return (item) => found.find(item).some((value) => compare?.(value, wanted) === true)
}
