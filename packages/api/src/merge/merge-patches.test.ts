import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeObject } from '../codec/json.ts'
import { schemaOf } from '../schema/table.ts'
import { jsonMergePatch } from './json-merge-patch.ts'
import { strategicMergePatch } from './strategic-merge-patch.ts'

const pod = schemaOf('v1', 'Pod')!
const deployment = schemaOf('apps/v1', 'Deployment')!
const service = schemaOf('v1', 'Service')!

describe('jsonMergePatch()', () => {
  // The cases of RFC 7386, appendix A.
  it.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j', (target, patch, expected) => {
    expect(jsonMergePatch(target, patch)).toEqual(expected)
  })

  it('applied twice is applied once, and changes no argument', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (target, patch) => {
        const before = JSON.stringify([target, patch])
        const once = jsonMergePatch(target, patch)
        expect(jsonMergePatch(once, patch)).toEqual(once)
        expect(JSON.stringify([target, patch])).toBe(before)
      }),
    )
  })
})

/** Without the nulls that upstream leaves in new elements. */
const decoded = (object: Record<string, unknown>): unknown => decodeObject(object, pod).object

describe('strategicMergePatch()', () => {
  const containers = (...list: object[]): Record<string, unknown> => ({ spec: { containers: list } })

  it('merges lists by their merge key and replaces the others', () => {
    expect(
      strategicMergePatch(
        containers({ name: 'a', image: '1', args: ['x'], env: [{ name: 'E', value: '1' }] }, { name: 'b' }),
        containers({ name: 'a', image: '2', args: ['y'], env: [{ name: 'F', value: '2' }] }),
        pod,
      ),
    ).toEqual(
      containers(
        {
          name: 'a',
          image: '2',
          args: ['y'],
          env: [
            { name: 'F', value: '2' },
            { name: 'E', value: '1' },
          ],
        },
        { name: 'b' },
      ),
    )
  })

  it.each([
    ['deletes an element', containers({ name: 'a', $patch: 'delete' }), containers({ name: 'b' })],
    ['replaces a list', containers({ name: 'c' }, { $patch: 'replace' }), containers({ name: 'c' })],
    ['replaces a map', { spec: { $patch: 'replace', nodeName: 'n' } }, { spec: { nodeName: 'n' } }],
    ['empties a map', { spec: { $patch: 'delete' } }, { spec: {} }],
    ['removes a field', { spec: { containers: null } }, { spec: {} }],
    [
      'orders a list',
      { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } },
      containers({ name: 'b' }, { name: 'a' }),
    ],
    [
      'orders a list with changes',
      { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }], containers: [{ name: 'c', image: 'i' }] } },
      containers({ name: 'c', image: 'i' }, { name: 'a' }, { name: 'b' }),
    ],
  ])('%s', (_, patch, expected) => {
    expect(strategicMergePatch(containers({ name: 'a' }, { name: 'b' }), patch, pod)).toEqual(expected)
  })

  it('merges lists of plain values without duplicates and deletes from them', () => {
    const meta = (finalizers: string[]): Record<string, unknown> => ({ metadata: { finalizers } })
    expect(strategicMergePatch(meta(['a', 'b']), meta(['c', 'b']), pod)).toEqual(meta(['c', 'a', 'b']))
    expect(strategicMergePatch(meta(['a', 'b']), { metadata: { '$deleteFromPrimitiveList/finalizers': ['a', 'x'] } }, pod)).toEqual(
      meta(['b']),
    )
  })

  it('puts a new element where a deleted one was, as upstream does', () => {
    const order = { '$setElementOrder/containers': [{ name: 'b' }, { name: 'c' }] }
    const patch = {
      spec: {
        ...order,
        containers: [
          { name: 'c', env: null, x: { $patch: 'replace' } },
          { name: 'a', $patch: 'delete' },
        ],
      },
    }
    // What upstream adds as a whole it does not clean.
    expect(strategicMergePatch(containers({ name: 'a' }, { name: 'b' }, { name: 'z' }), patch, pod)).toEqual(
      containers({ name: 'b' }, { name: 'z' }, { name: 'c', env: null, x: { $patch: 'replace' } }),
    )
  })

  it('keeps only the fields that $retainKeys names', () => {
    expect(
      strategicMergePatch(
        { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
        { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
        deployment,
      ),
    ).toEqual({ spec: { strategy: { type: 'Recreate' } } })
    expect(() =>
      strategicMergePatch({ spec: { strategy: {} } }, { spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } }, deployment),
    ).toThrow('invalid patch format of retainKeys')
  })

  it('merges service ports by port', () => {
    expect(
      strategicMergePatch(
        { spec: { ports: [{ port: 80, name: 'a' }, { port: 81 }] } },
        { spec: { ports: [{ port: 80, targetPort: 'x' }] } },
        service,
      ),
    ).toEqual({ spec: { ports: [{ port: 80, name: 'a', targetPort: 'x' }, { port: 81 }] } })
  })

  it.each([
    [containers({ image: 'x' }), 'map: map[image:x] does not contain declared merge key: name'],
    [containers({ name: 'a', $patch: 'merge' }), 'merging lists cannot yet be specified in the patch'],
    [containers({ name: 'a', $patch: 'x' }), 'unknown patch type: x in map: map[$patch:x name:a]'],
    [containers({ name: 'a', $patch: 5 }), 'unknown patch type: %!s(int64=5) in map: map[$patch:5 name:a]'],
    [{ spec: { containers: ['x'] } }, 'list element types are not identical: [[map[name:a]] [x]]'],
    [{ spec: { '$setElementOrder/containers': [{ image: 'x' }] } }, 'map: map[image:x] does not contain declared merge key: name'],
    [{ spec: { '$setElementOrder/containers': {} } }, 'expected a []interface {}, but received a map[string]interface {}'],
    [{ spec: { '$setElementOrder/foo': [] } }, 'unable to find api field in struct PodSpec for the json field "foo"'],
    [{ spec: { $setElementOrder: [] } }, 'invalid patch format of setElementOrder list'],
    [{ spec: { '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a' }] } }, /The order in patch list/],
  ])('refuses %j', (patch, message) => {
    expect(() => strategicMergePatch(containers({ name: 'a' }), patch, pod)).toThrow(message)
  })

  it('applied twice is applied once, and changes no argument', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd')
    const env = fc.uniqueArray(fc.record({ name, value: fc.constantFrom('1', '2') }), { selector: (item) => item.name })
    const list = fc.uniqueArray(fc.record({ name, image: fc.option(fc.constantFrom('x', 'y')), env }, { requiredKeys: ['name'] }), {
      selector: (item) => item.name,
    })
    const object = fc.record(
      {
        spec: fc.record({ containers: list, nodeName: fc.option(name) }, { requiredKeys: [] }),
        metadata: fc.record({ labels: fc.dictionary(name, name), finalizers: fc.uniqueArray(name) }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(object, object, (live, patch) => {
        const before = JSON.stringify([live, patch])
        const once = strategicMergePatch(live, patch, pod)
        expect(decoded(strategicMergePatch(once, patch, pod))).toEqual(decoded(once))
        expect(JSON.stringify([live, patch])).toBe(before)
      }),
    )
  })
})
