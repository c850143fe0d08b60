import { describe, expect, it } from 'vitest'
import { prune, pruneNulls } from './prune.ts'
import type { Schema } from './schema.ts'

const schema: Schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        known: { type: 'integer' },
        list: { type: 'array', items: { type: 'object', properties: { a: { type: 'string' } } } },
        map: { type: 'object', additionalProperties: { type: 'object', properties: { a: { type: 'string' } } } },
        open: {
          type: 'object',
          'x-kubernetes-preserve-unknown-fields': true,
          properties: { closed: { type: 'object', properties: { a: { type: 'string' } } } },
        },
        template: { type: 'object', 'x-kubernetes-embedded-resource': true, properties: { spec: { type: 'object' } } },
      },
    },
  },
}

describe('pruning', () => {
  it('removes what the schema does not name, and tells where it was', () => {
    const object = { kind: 'A', metadata: { x: 1 }, spec: { known: 1, b: 1, list: [{ a: 'x', b: 1 }], map: { k: { a: '', c: 1 } } }, z: 1 }
    expect(prune(object, schema, { isRoot: true })).toEqual(['spec.b', 'spec.list[0].b', 'spec.map.k.c', 'z'])
    expect(object).toEqual({ kind: 'A', metadata: { x: 1 }, spec: { known: 1, list: [{ a: 'x' }], map: { k: { a: '' } } } })
  })

  it('keeps all of an open object but what is unknown in its closed parts', () => {
    const object = { spec: { open: { any: { thing: 1 }, closed: { a: '', b: 1 } } } }
    expect(prune(object, schema, { isRoot: true })).toEqual(['spec.open.closed.b'])
    expect(object).toEqual({ spec: { open: { any: { thing: 1 }, closed: { a: '' } } } })
  })

  it('leaves the metadata of embedded resources alone', () => {
    const object = { spec: { template: { apiVersion: 'v1', kind: 'Pod', metadata: { labels: {} }, spec: { x: 1 }, status: {} } } }
    expect(prune(object, schema, { isRoot: true })).toEqual(['spec.template.spec.x', 'spec.template.status'])
    expect(object.spec.template).toEqual({ apiVersion: 'v1', kind: 'Pod', metadata: { labels: {} }, spec: {} })
  })

  it('is not led astray by names of JavaScript', () => {
    const object = JSON.parse('{"spec":{"__proto__":{"a":1},"constructor":1,"known":2}}') as object
    expect(prune(object, schema, { isRoot: true })).toEqual(['spec.__proto__', 'spec.constructor'])
    expect(JSON.stringify(object)).toBe('{"spec":{"known":2}}')
  })
})

describe('nulls', () => {
  it('go where they are not allowed and no default takes their place', () => {
    const object = { a: null, b: null, c: null, unknown: null, items: [{ a: null }, null] }
    pruneNulls(object, {
      type: 'object',
      properties: {
        a: { type: 'string' },
        b: { type: 'string', nullable: true },
        c: { type: 'string', default: 'x' },
        items: { type: 'array', items: { type: 'object', properties: { a: { type: 'string' } } } },
      },
    })
    expect(object).toEqual({ b: null, c: null, unknown: null, items: [{}, null] })
  })
})
