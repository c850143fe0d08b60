import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { writeYaml } from './write-yaml.ts'

describe('writeYaml()', () => {
  it('writes an object as upstream does', () => {
    const object = {
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { name: 'web', labels: {}, finalizers: [], creationTimestamp: '2026-01-01T00:00:00Z', generation: 12 },
      data: {
        'a-10': '1',
        'a-9': 'yes',
        A: 'plain',
        text: 'one\n  two\n',
        open: 'one\ntwo',
        quoted: "it's: here",
        path: '/a:b',
        empty: '',
      },
      spec: { lists: [[1, 2], [{ b: 1.5, a: null }], []], isOn: true, tiny: 0.00001, big: 1234567.5 },
    }
    expect(writeYaml(object)).toBe(`apiVersion: v1
data:
  A: plain
  a-9: "yes"
  a-10: "1"
  empty: ""
  open: |-
    one
    two
  path: /a:b
  quoted: 'it''s: here'
  text: |
    one
      two
kind: ConfigMap
metadata:
  creationTimestamp: "2026-01-01T00:00:00Z"
  finalizers: []
  generation: 12
  labels: {}
  name: web
spec:
  big: 1.2345675e+06
  isOn: true
  lists:
  - - 1
    - 2
  - - a: null
      b: 1.5
  - []
  tiny: 1e-05
`)
  })

  it('breaks long lines at single spaces', () => {
    const message =
      'only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch'
    expect(writeYaml({ message })).toBe(`message: 'only the following media types are accepted: application/json;stream=watch,
  application/vnd.kubernetes.protobuf;stream=watch'
`)
    expect(writeYaml({ list: [{ text: `${'word '.repeat(20)}end` }] })).toBe(`list:
- text: ${'word '.repeat(14)}word
    word word word word word end
`)
    expect(writeYaml({ text: `"${'word  '.repeat(20)}\t` })).toBe(`text: "\\"${'word  '.repeat(12)}word
  \\ ${'word  '.repeat(7)}\\t"
`)
  })

  it('writes what YAML reads as it was', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: fc.constantFrom('a', ' ', '\n', ':', '#', '-', "'", '"', '1', '.', '\t', '\u2028', '😀', '{') }),
      fc.constantFrom('true', 'null', '~', '1_000', '0x1f', '1:30', '2026-01-01', '.5', '-', '? a', 'x'.repeat(200), 'word '.repeat(40)),
    )
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        text,
        fc.boolean(),
        fc.constant(null),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((one) => (Object.is(one, -0) ? 0 : one)),
        fc.array(tie('value')),
        fc.dictionary(text, tie('value'), { noNullPrototype: true }),
      ),
    }))
    fc.assert(
      fc.property(value, (inner) => {
        expect(parse(writeYaml({ inner }), { merge: false })).toEqual({ inner })
      }),
    )
  })
})
