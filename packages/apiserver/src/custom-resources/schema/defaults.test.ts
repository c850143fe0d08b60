import { describe, expect, it } from 'vitest'
import { applyDefaults, withPrunedDefaults } from './defaults.ts'
import type { Schema } from './schema.ts'

describe('defaults', () => {
  const schema: Schema = {
    type: 'object',
    properties: {
      a: { type: 'string', default: 'A' },
      nullable: { type: 'string', nullable: true, default: 'N' },
      outer: { type: 'object', properties: { inner: { type: 'integer', default: 1 } } },
      made: { type: 'object', default: {}, properties: { inner: { type: 'integer', default: 2 } } },
      list: { type: 'array', items: { type: 'object', properties: { b: { type: 'string', default: 'B' } } } },
      map: { type: 'object', additionalProperties: { type: 'string', default: 'M' } },
    },
  }

  it('fill what is missing, from outside to inside, and nothing in parents that are not there', () => {
    const object = { list: [{}, { b: 'x' }], map: {} }
    applyDefaults(object, schema)
    expect(object).toEqual({ a: 'A', nullable: 'N', made: { inner: 2 }, list: [{ b: 'B' }, { b: 'x' }], map: {} })
  })

  it('take the place of nulls that are not allowed', () => {
    const object = { a: null, nullable: null, map: { x: null } }
    applyDefaults(object, schema)
    expect(object).toMatchObject({ a: 'A', nullable: null, map: { x: 'M' } })
  })

  it('are copies: a change of one object does not show in the next', () => {
    const first: { made?: { inner: number } } = {}
    applyDefaults(first, schema)
    if (first.made !== undefined) first.made.inner = 9
    const second = {}
    applyDefaults(second, schema)
    expect(second).toMatchObject({ made: { inner: 2 } })
  })

  it('are pruned by the schema that they stand in', () => {
    const pruned = withPrunedDefaults({
      type: 'object',
      properties: { spec: { type: 'object', default: { a: 1, b: 2 }, properties: { a: { type: 'integer' } } } },
    })
    expect(pruned.properties?.['spec']?.default).toEqual({ a: 1 })
    expect(withPrunedDefaults(schema)).toBe(schema)
  })
})
