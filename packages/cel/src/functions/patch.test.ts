import { describe, expect, it } from 'vitest'
import { CompileError, Environment, formatType } from '../index.ts'

const environment = new Environment({ variables: { object: { kind: 'dyn' } }, makesPatches: true })

describe('expressions that make patches', () => {
  it('make objects of any fields, each below its name', () => {
    const program = environment.compile('Object{spec: Object.spec{replicas: 3, template: Object.spec.template{}}}')
    expect(formatType(program.type)).toBe('Object')
    expect(program.evaluate({}, 1000)).toMatchObject({ value: { typeName: 'Object' } })
    expect(environment.compile('Object{a: 1}.a + 1 == 2').evaluate({}, 1000)).toMatchObject({ value: true })
  })

  it('make JSON patches', () => {
    const program = environment.compile(
      'true ? [JSONPatch{op: "add", path: "/a/" + jsonpatch.escapeKey("x/y~z"), value: 1}] : [JSONPatch{op: "remove", path: "/b"}]',
    )
    expect(formatType(program.type)).toBe('list(JSONPatch)')
    expect(environment.compile('jsonpatch.escapeKey("k8s.io/my~label")').evaluate({}, 1000)).toMatchObject({ value: 'k8s.io~1my~0label' })
    expect(() => environment.compile('JSONPatch{what: "add"}')).toThrow("undefined field 'what'")
    expect(() => environment.compile('JSONPatch{op: 1}')).toThrow(CompileError)
  })

  it('are not known elsewhere', () => {
    const plain = new Environment({ variables: {} })
    for (const source of ['Object{}', 'JSONPatch{}', 'jsonpatch.escapeKey("a")']) expect(() => plain.compile(source)).toThrow(CompileError)
  })
})

it('marks what is wrong with a field at its colon, as cel-go does', () => {
  expect(() => environment.compile('[JSONPatch{op: 1}]')).toThrow(
    "ERROR: <input>:1:14: expected type of field 'op' is 'string' but provided type is 'int'\n | [JSONPatch{op: 1}]\n | .............^",
  )
})
