import { describe, expect, it } from 'vitest'
import { Correlation } from './correlation.ts'
import type { Schema } from './schema.ts'
import { ValueValidator } from './values.ts'

const problems = (schema: Schema, value: unknown): string[] =>
  new ValueValidator({ type: 'object', properties: { f: schema } })
    .validate({ f: value })
    .map(({ field, message }) => `${field ?? ''}: ${message ?? ''}`)

describe('values', () => {
  it.each<[string, Schema, unknown, string[]]>([
    ['a wrong type', { type: 'integer' }, 'x', ['f: Invalid value: "string": f in body must be of type integer: "string"']],
    ['a whole number that is written as a float', { type: 'integer' }, 2, []],
    [
      'a fraction',
      { type: 'integer' },
      2.5,
      [
        'f: Invalid value: "number": f in body must be of type integer: "number"',
        '<nil>: Invalid value: "": Checked value must be of type integer (default format) in f',
      ],
    ],
    ['a null', { type: 'string' }, null, ['f: Invalid value: "null": f in body must be of type string: "null"']],
    ['a null that is allowed', { type: 'string', nullable: true }, null, []],
    ['a number below', { type: 'number', minimum: 2 }, 1, ['f: Invalid value: 1: f in body should be greater than or equal to 2']],
    [
      'a number that is not above',
      { type: 'number', minimum: 2, exclusiveMinimum: true },
      2,
      ['f: Invalid value: 2: f in body should be greater than 2'],
    ],
    ['a number above', { type: 'number', maximum: 2 }, 3, ['f: Invalid value: 3: f in body should be less than or equal to 2']],
    ['a number between', { type: 'number', multipleOf: 2 }, 3, ['f: Invalid value: 3: f in body should be a multiple of 2']],
    ['a text of more runes', { type: 'string', maxLength: 1 }, '😀😀', ['f: Too long: may not be more than 1 bytes']],
    ['a text of one rune of four bytes', { type: 'string', maxLength: 1 }, '😀', []],
    ['a short text', { type: 'string', minLength: 2 }, 'a', ['f: Invalid value: "a": f in body should be at least 2 chars long']],
    ['a text without a match', { type: 'string', pattern: '^a+$' }, 'b', ['f: Invalid value: "b": f in body should match \'^a+$\'']],
    ['another value than those', { enum: ['a', 'b'] }, 'c', ['f: Unsupported value: "c": supported values: "a", "b"']],
    ['too many items', { type: 'array', maxItems: 1 }, [1, 2], ['f: Too many: 2: must have at most 1 items']],
    ['too few items', { type: 'array', minItems: 1 }, [], ['f: Invalid value: 0: f in body should have at least 1 items']],
    ['a missing field', { type: 'object', required: ['a'] }, {}, ['f.a: Required value']],
    ['many fields', { type: 'object', maxProperties: 0 }, { a: 1 }, ['f: Too many: 1: must have at most 0 items']],
    ['a string or an integer', { 'x-kubernetes-int-or-string': true }, 'x', []],
    [
      'neither',
      { 'x-kubernetes-int-or-string': true },
      true,
      ['f: Invalid value: "boolean": f in body must be of type integer,string: "boolean"'],
    ],
  ])('judges %s', (_what, schema, value, expected) => {
    expect(problems(schema, value)).toEqual(expected)
  })

  it('says which combination failed', () => {
    expect(problems({ anyOf: [{ required: ['a'] }, { required: ['b'] }] }, {})[0]).toMatch(/must validate at least one schema \(anyOf\)/)
    expect(problems({ oneOf: [{ required: ['a'] }, { required: ['b'] }] }, { a: 1, b: 1 })[0]).toMatch(
      /must validate one and only one schema \(oneOf\)\. Found 2 valid alternatives/,
    )
    expect(problems({ not: { required: ['a'] } }, { a: 1 })[0]).toMatch(/must not validate the schema \(not\)/)
    expect(problems({ allOf: [{ required: ['a'] }] }, {}).join()).toMatch(/f\.a: Required value/)
    expect(problems({ oneOf: [{ required: ['a'] }, { required: ['b'] }] }, { a: 1 })).toEqual([])
  })

  it('takes time in proportion to the text, whatever the pattern', () => {
    // Longer than the world is old in an engine that tries every way.
    expect(problems({ type: 'string', pattern: '^(a+)+$' }, `${'a'.repeat(5_000)}b`)).toHaveLength(1)
  })

  it('tolerates what was wrong before and did not change', () => {
    const schema: Schema = {
      type: 'object',
      properties: {
        a: { type: 'string', maxLength: 1 },
        list: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['k'],
          items: { type: 'object', properties: { k: { type: 'string' }, v: { type: 'integer', minimum: 5 } } },
        },
        atomic: { type: 'array', items: { type: 'integer', minimum: 5 } },
      },
    }
    const old = { a: 'long', list: [{ k: 'x', v: 1 }], atomic: [1] }
    const changed = {
      a: 'long',
      list: [
        { k: 'y', v: 2 },
        { k: 'x', v: 1 },
      ],
      atomic: [1, 6],
    }
    const errors = new ValueValidator(schema).validate(changed, { correlation: new Correlation(changed, old, schema) })
    expect(errors.map(({ field }) => field)).toEqual(['atomic[0]', 'list[0].v'])
  })
})
