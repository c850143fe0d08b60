import { describe, expect, it } from 'vitest'
import { applyJsonPatch } from './json-patch.ts'

const document = { a: { b: 'c', 'x/y~z': 1 }, list: [1, 2, 3], nothing: null }

describe('applyJsonPatch()', () => {
  it.each([
    ['adds', { op: 'add', path: '/a/d', value: { e: 1 } }, { a: { b: 'c', 'x/y~z': 1, d: { e: 1 } } }],
    ['adds over what is there', { op: 'add', path: '/a/b', value: 1 }, { a: { b: 1, 'x/y~z': 1 } }],
    ['inserts', { op: 'add', path: '/list/1', value: 9 }, { list: [1, 9, 2, 3] }],
    ['appends', { op: 'add', path: '/list/-', value: 9 }, { list: [1, 2, 3, 9] }],
    ['appends at the length', { op: 'add', path: '/list/3', value: 9 }, { list: [1, 2, 3, 9] }],
    ['inserts from the end', { op: 'add', path: '/list/-1', value: 9 }, { list: [1, 2, 3, 9] }],
    ['removes', { op: 'remove', path: '/a/b' }, { a: { 'x/y~z': 1 } }],
    ['removes from the end', { op: 'remove', path: '/list/-1' }, { list: [1, 2] }],
    ['replaces by escaped name', { op: 'replace', path: '/a/x~1y~0z', value: 2 }, { a: { b: 'c', 'x/y~z': 2 } }],
    ['replaces null', { op: 'replace', path: '/nothing', value: 2 }, { nothing: 2 }],
    ['moves', { op: 'move', from: '/a/b', path: '/list/0' }, { a: { 'x/y~z': 1 }, list: ['c', 1, 2, 3] }],
    ['copies', { op: 'copy', from: '/list', path: '/a/b' }, { a: { b: [1, 2, 3], 'x/y~z': 1 } }],
    ['tests', { op: 'test', path: '/a', value: { 'x/y~z': 1, b: 'c' } }, {}],
    ['replaces what is not there', { op: 'replace', path: '/none', value: 1 }, { none: 1 }],
    ['adds nothing as null', { op: 'add', path: '/a/d' }, { a: { b: 'c', 'x/y~z': 1, d: null } }],
    ['tests for nothing', { op: 'test', path: '/none', value: null }, {}],
  ])('%s', (_what, operation, changed) => {
    const before = structuredClone(document)
    expect(applyJsonPatch([operation], document)).toEqual({ ...document, ...changed })
    expect(document).toEqual(before)
  })

  it.each([
    [{ op: 'add', path: '/none/b', value: 1 }],
    [{ op: 'add', path: '/list/5', value: 1 }],
    [{ op: 'add', path: '/list/x', value: 1 }],
    [{ op: 'add', path: '/list/01', value: 1 }],
    [{ op: 'add', path: 'a', value: 1 }],
    [{ op: 'add', path: '/a/b/c', value: 1 }],
    [{ op: 'replace', path: '/list/3', value: 1 }],
    [{ op: 'remove', path: '/none' }],
    [{ op: 'remove', path: '/list/3' }],
    [{ op: 'move', from: '/none', path: '/a' }],
    [{ op: 'move', from: '/a', path: '/a/b' }],
    [{ op: 'copy', path: '/a' }],
    [{ op: 'test', path: '/a/b', value: 'x' }],
    [{ op: 'constructor', path: '/a/b', value: 'x' }],
    [{ path: '/a/b' }],
    [null],
    [1],
  ])('refuses %j', (operation) => {
    expect(() => applyJsonPatch([operation], document)).toThrow()
  })

  it('reaches nothing but the document', () => {
    const { keys } = Object
    for (const path of [
      '/constructor/keys',
      '/a/constructor/prototype/polluted',
      '/__proto__/polluted',
      '/list/constructor/isArray',
      '/a/b/length',
    ])
      for (const op of ['add', 'replace', 'remove']) expect(() => applyJsonPatch([{ op, path, value: 1 }], document), path).toThrow()
    expect(Object.keys).toBe(keys)
    expect({}).not.toHaveProperty('polluted')
    const patched = applyJsonPatch([{ op: 'add', path: '/a/__proto__', value: { x: 1 } }], document) as { readonly a: object }
    expect(Object.getPrototypeOf(patched.a)).toBe(Object.prototype)
    expect(Object.keys(patched.a)).toContain('__proto__')
  })

  it('bounds what is copied', () => {
    const doubling = Array.from({ length: 40 }, (_, index) => ({ op: 'copy', from: '/a', path: `/a/x${index}` }))
    expect(() => applyJsonPatch(doubling, document)).toThrow('copies more than')
  })
})
