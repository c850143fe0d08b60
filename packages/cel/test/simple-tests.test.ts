import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  CompileError,
  dyn,
  Environment,
  isEqual,
  listOf,
  ListValue,
  mapOf,
  MapValue,
  simple,
  Uint,
  type CelType,
  type Value,
} from '../src/index.ts'
import { parseTextProto, type TextMessage, type TextValue } from './text-proto.ts'

/** The published tests of the language, where Go's module cache has them (`go mod download cel.dev/expr@v0.25.1`). */
const folder = join(homedir(), 'go/pkg/mod/cel.dev/expr@v0.25.1/tests/simple/testdata')
const files = [
  'basic',
  'comparisons',
  'conversions',
  'fields',
  'fp_math',
  'integer_math',
  'lists',
  'logic',
  'macros',
  'macros2',
  'optionals',
  'parse',
  'plumbing',
  'string',
  'string_ext',
  'timestamps',
]

/** As Kubernetes sets the language up: lists and maps of one type, no names in backquotes, the second version of the strings library. */
const refusedByKubernetes = /but found '|Syntax error: .*`/
const laterVersions = /^format\/((NaN|positive infinity|negative infinity) support for decimal|dyntype NaN\/infinity support)$/
/** Here cel-go does not do as the tests say, and Kubernetes does as cel-go. */
const otherwiseInGo = /^(value_errors\/(last)?indexof_out_of_range|optionals\/map_null_entry_no_such_key)$/
const isExcepted = (name: string): boolean => laterVersions.test(name) || otherwiseInGo.test(name)

/** Protobuf's messages, names in packages and what is not checked first are not there in Kubernetes. */
const unused = /TestAllTypes|google\.protobuf\.|NestedEnum|GlobalEnum|Any\b/

const one = (message: TextMessage | undefined, field: string): TextValue | undefined => message?.[field]?.[0]
const inner = (message: TextMessage | undefined, field: string): TextMessage | undefined => {
  const value = one(message, field)
  return typeof value === 'object' && !(value instanceof Uint8Array) ? value : undefined
}
const textOf = (value: TextValue | undefined): string =>
  value instanceof Uint8Array ? new TextDecoder().decode(value) : typeof value === 'string' ? value : ''
const messages = (message: TextMessage | undefined, field: string): TextMessage[] =>
  (message?.[field] ?? []).filter((value): value is TextMessage => typeof value === 'object' && !(value instanceof Uint8Array))

/** Undefined for values that need protobuf. */
function valueOf(message: TextMessage): Value | undefined {
  const [kind] = Object.keys(message)
  const value = one(message, kind ?? '')
  const nested = inner(message, kind ?? '')
  switch (kind) {
    case 'null_value':
      return null
    case 'bool_value':
      return value === 'true'
    case 'int64_value':
      return BigInt(textOf(value))
    case 'uint64_value':
      return new Uint(BigInt(textOf(value)))
    case 'double_value':
      return numberOf(textOf(value))
    case 'string_value':
      return textOf(value)
    case 'bytes_value':
      return value instanceof Uint8Array ? new Uint8Array(value) : undefined
    case 'list_value': {
      const items = messages(nested, 'values').map(valueOf)
      return items.includes(undefined) ? undefined : new ListValue(items.filter((item) => item !== undefined))
    }
    case 'map_value': {
      const entries = messages(nested, 'entries').map((entry) => [valueOf(inner(entry, 'key') ?? {}), valueOf(inner(entry, 'value') ?? {})])
      return entries.flat().includes(undefined) ? undefined : new MapValue(entries as [Value, Value][]) // none is undefined
    }
    default:
      return undefined
  }
}

const numberOf = (text: string): number => (/^-?inf/i.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text))

function typeOf(message: TextMessage | undefined): CelType | undefined {
  const primitive = textOf(one(message, 'primitive'))
  const kinds = { INT64: 'int', UINT64: 'uint', DOUBLE: 'double', BOOL: 'bool', STRING: 'string', BYTES: 'bytes' } as const
  const kind = Object.entries(kinds).find(([name]) => name === primitive)?.[1]
  if (kind !== undefined) return simple(kind)
  if (message?.['dyn'] !== undefined) return dyn
  if (message?.['null'] !== undefined) return simple('null')
  const list = inner(message, 'list_type')
  if (list !== undefined) return listOf(typeOf(inner(list, 'elem_type')) ?? dyn)
  const map = inner(message, 'map_type')
  if (map !== undefined) return mapOf(typeOf(inner(map, 'key_type')) ?? dyn, typeOf(inner(map, 'value_type')) ?? dyn)
  return undefined
}

interface Case {
  readonly name: string
  readonly source: string
  readonly variables: Readonly<Record<string, CelType>>
  readonly values: Readonly<Record<string, Value>>
  /** Undefined: an error. */
  readonly expected: Value | undefined
}

function casesOf(file: string): Case[] {
  const whole = parseTextProto(readFileSync(join(folder, `${file}.textproto`), 'utf8'))
  return messages(whole, 'section').flatMap((section) =>
    messages(section, 'test').flatMap((test) => caseOf(`${textOf(one(section, 'name'))}/${textOf(one(test, 'name'))}`, test)),
  )
}

function caseOf(name: string, test: TextMessage): Case[] {
  const source = textOf(one(test, 'expr'))
  if (unused.test(source) || test['container'] !== undefined || test['disable_check'] !== undefined || test['typed_result'] !== undefined)
    return []
  const variables: Record<string, CelType> = {}
  for (const declared of messages(test, 'type_env')) {
    const type = typeOf(inner(inner(declared, 'ident'), 'type'))
    if (type === undefined) return []
    variables[textOf(one(declared, 'name'))] = type
  }
  const values: Record<string, Value> = {}
  for (const binding of messages(test, 'bindings')) {
    const value = valueOf(inner(inner(binding, 'value'), 'value') ?? {})
    if (value === undefined) return []
    values[textOf(one(binding, 'key'))] = value
  }
  const isError = test['eval_error'] !== undefined
  const wanted = inner(test, 'value')
  // No value stands for true.
  const expected = isError ? undefined : wanted === undefined ? true : valueOf(wanted)
  if (!isError && expected === undefined) return []
  return [{ name, source, variables, values, expected }]
}

function outcomeOf({ source, variables, values }: Case): { readonly value: Value | undefined; readonly isRefused?: boolean } {
  try {
    const outcome = new Environment({ variables }).compile(source).evaluate(values, 10_000_000)
    return { value: 'error' in outcome ? undefined : outcome.value }
  } catch (error) {
    if (error instanceof CompileError) return { value: undefined, isRefused: refusedByKubernetes.test(error.message) }
    throw error
  }
}

function isSame(actual: Value | undefined, expected: Value | undefined): boolean {
  if (actual === undefined || expected === undefined) return actual === expected
  if (typeof actual === 'number' && typeof expected === 'number') return Object.is(actual, expected) || actual === expected
  return isEqual(actual, expected)
}

describe.skipIf(!existsSync(folder))('the published tests of CEL', () => {
  it.each(files)('%s', (file) => {
    const cases = casesOf(file)
    const failures = cases.flatMap((one) => {
      const { value, isRefused } = outcomeOf(one)
      return isRefused === true || isExcepted(one.name) || isSame(value, one.expected) ? [] : [`${one.name}: ${one.source}`]
    })
    expect(failures).toEqual([])
    expect(cases.length).toBeGreaterThan(0)
  })
})
