import { describe, expect, it } from 'vitest'
import { validateListTypes } from './list-types.ts'
import { compileJsonPath, validFieldPath } from './json-path.ts'
import { escapeName } from './decl-type.ts'
import { isKnownFormat, hasFormat } from './formats.ts'
import type { Schema } from './schema.ts'
import { validateStructural } from './structural.ts'

describe('JSONPath of columns', () => {
  const object = {
    spec: {
      list: [
        { n: 'a', v: 1 },
        { n: 'b', v: 2 },
      ],
      'a.b/c': 'dotted',
    },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  }
  it.each([
    ['.spec.list[0].n', ['a']],
    ['.spec.list[-1].n', ['b']],
    ['.spec.list[*].v', [1, 2]],
    ['.spec.list[0:1].n', ['a']],
    [String.raw`.spec.a\.b/c`, ['dotted']],
    ["['spec']['a.b/c']", ['dotted']],
    ['.status.conditions[?(@.type=="Ready")].status', ['True']],
    ['.spec.list[?(@.v>1)].n', ['b']],
    ['..n', ['a', 'b']],
    ['.spec.missing.x', []],
    ['.constructor', []],
  ])('finds %s', (path, expected) => {
    expect(compileJsonPath(path)?.find(object)).toEqual(expected)
  })

  it('refuses what it does not know', () => {
    expect(compileJsonPath('.spec[')).toBeUndefined()
    expect(compileJsonPath('.spec[?(@.a=~"x")]')).toBeUndefined()
  })

  it('of fields follow the schema', () => {
    const schema: Schema = { type: 'object', properties: { spec: { type: 'object', properties: { 'a.b': { type: 'string' } } } } }
    expect(validFieldPath(".spec['a.b']", schema, { allowsBrackets: true })).toMatchObject({ root: 'spec', schema: { type: 'string' } })
    expect(validFieldPath('.spec.none', schema, { allowsBrackets: true })).toBeTypeOf('string')
  })
})

describe('lists with keys', () => {
  it('have each key once, and sets each value', () => {
    const map: Schema = {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['a', 'b'],
      items: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' }, c: { type: 'string' } } },
    }
    const set: Schema = { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } }
    const schema: Schema = { type: 'object', properties: { map, set } }
    const errors = validateListTypes(
      { map: [{ a: '1', b: '1', c: 'x' }, { a: '1', b: '1', c: 'y' }, { a: '1' }], set: [{ x: 1, y: 2 }, { y: 2, x: 1 }, { x: 1 }] },
      schema,
    )
    expect(errors.map(({ field, message }) => `${field ?? ''}: ${message ?? ''}`)).toEqual([
      'map[1]: Duplicate value: {"a":"1","b":"1"}',
      'set[1]: Duplicate value: {"x":1,"y":2}',
    ])
  })
})

describe('structural schemas', () => {
  const problems = (schema: Schema): string[] =>
    validateStructural(schema, 's').map(({ field, message }) => `${field ?? ''}: ${message ?? ''}`)

  it('need types everywhere', () => {
    expect(problems({ type: 'object', properties: { a: {} } })).toEqual([
      's.properties[a].type: Required value: must not be empty for specified object fields',
    ])
    expect(problems({})).toEqual(['s.type: Required value: must not be empty at the root'])
    expect(problems({ type: 'object', properties: { a: { type: 'array', items: {} } } })).toEqual([
      's.properties[a].items.type: Required value: must not be empty for specified array items',
    ])
  })

  it('do not say the same field in two ways', () => {
    expect(problems({ type: 'object', properties: {}, anyOf: [{ properties: { b: { minimum: 1 } } }] })).toEqual([
      's.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]',
    ])
    expect(problems({ type: 'object', allOf: [{ description: 'no' }] })).toEqual([
      's.allOf[0].description: Forbidden: must be empty to be structural',
    ])
  })
})

describe('names in rules', () => {
  it.each([
    ['a', 'a'],
    ['a.b', 'a__dot__b'],
    ['a-b/c', 'a__dash__b__slash__c'],
    ['a__b', 'a__underscores__b'],
    ['int', 'int'],
    ['true', '__true__'],
    ['namespace', '__namespace__'],
    ['1a', undefined],
    ['a b', undefined],
  ])('%s are written as %s', (name, expected) => {
    expect(escapeName(name)).toBe(expected)
  })
})

describe('formats', () => {
  it.each([
    ['date-time', '2024-01-02T03:04:05Z', true],
    ['date-time', '2024-13-02T03:04:05Z', false],
    ['ipv4', '1.2.3.4', true],
    ['ipv4', '::1', false],
    ['ipv6', '::1', true],
    ['cidr', '10.0.0.0/8', true],
    ['uuid', '123e4567-e89b-12d3-a456-426614174000', true],
    ['duration', '1h5m', true],
    ['duration', 'soon', false],
    ['email', 'a@example.com', true],
    ['email', 'nobody', false],
    ['hostname', 'a.example.com', true],
    ['mac', '00:11:22:33:44:55', true],
    ['byte', 'aGk=', true],
    ['byte', '!', false],
  ])('%s: %s', (format, text, expected) => {
    expect(isKnownFormat(format)).toBe(true)
    expect(hasFormat(format, text)).toBe(expected)
  })

  it('that are not known mean nothing', () => expect(isKnownFormat('my-format')).toBe(false))
})
