import { describe, expect, it } from 'vitest'
import { schemaOf } from '../schema/table.ts'
import { decodeJson, decodeObject, strictDecodingError, type SchemaPicker } from './json.ts'
import { decodeYaml, encodeYaml, parseYaml, splitYaml } from './yaml.ts'

const pick: SchemaPicker = ({ apiVersion, kind }) => schemaOf(apiVersion, kind)
const deployment = (spec: string): string => `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":${spec}}`

describe('decodeJson()', () => {
  it('names unknown and duplicate fields in the order of the text', () => {
    const { fieldErrors, object } = decodeJson(
      deployment(
        '{"unknownField":{"x":1,"x":2},"replicas":1,"template":{"spec":{"containers":[{"name":"a"},{"image":"b","image":"c","foo":1}]}},"replicas":2}',
      ),
      pick,
    )
    expect(fieldErrors).toEqual([
      'unknown field "spec.unknownField"',
      'duplicate field "spec.template.spec.containers[1].image"',
      'unknown field "spec.template.spec.containers[1].foo"',
      'duplicate field "spec.replicas"',
    ])
    expect(object['spec']).toMatchObject({ replicas: 2, template: { spec: { containers: [{ name: 'a' }, { image: 'c' }] } } })
    expect(object['spec']).not.toHaveProperty('unknownField')
  })

  it('finds duplicate keys of maps and fields that differ in case', () => {
    expect(decodeJson('{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","a":"2"},"metadata":{"Name":"a"}}', pick).fieldErrors).toEqual(
      ['duplicate field "data.a"', 'unknown field "metadata.Name"'],
    )
  })

  it('is not misled by quotes, colons and escapes in strings', () => {
    const text = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', data: { 'a\\': '"x": 1, \\"y\\":', 'b"': ':', '': ' ' } })
    expect(decodeJson(text, pick)).toMatchObject({ fieldErrors: [], object: { data: { 'a\\': '"x": 1, \\"y\\":', 'b"': ':', '': ' ' } } })
    expect(decodeJson('{"apiVersion":"v1","kind":"ConfigMap","data":{"a\\u0062":"1","ab":"2"}}', pick).fieldErrors).toEqual([
      'duplicate field "data.ab"',
    ])
  })

  it('does not look into raw parts of an object', () => {
    const text = '{"apiVersion":"apps/v1","kind":"ControllerRevision","data":{"a":1,"a":2,"b":null},"revision":1}'
    expect(decodeJson(text, pick)).toMatchObject({ fieldErrors: [], object: { data: { a: 2, b: null } } })
  })

  it('fills what upstream always writes and drops nulls and empty optional fields', () => {
    expect(
      decodeJson(
        '{"kind":"Pod","apiVersion":"v1","spec":{"hostNetwork":false,"nodeName":"","volumes":[],"containers":[{"name":"a","env":null}],"enableServiceLinks":false}}',
        pick,
      ).object,
    ).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: '' },
      spec: { containers: [{ name: 'a', resources: {} }], enableServiceLinks: false },
      status: {},
    })
  })

  it('normalises times and quantities of resource lists', () => {
    const { object } = decodeJson(
      '{"kind":"Pod","apiVersion":"v1","metadata":{"creationTimestamp":"2026-01-31T12:00:00.123+02:00"},"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":1,"memory":"1024Mi"},"requests":{"cpu":"1000m"}}}]}}',
      pick,
    )
    expect(object).toMatchObject({
      metadata: { creationTimestamp: '2026-01-31T10:00:00Z' },
      spec: { containers: [{ resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1' } } }] },
    })
  })

  it.each([
    ['{"replicas":"3"}', 'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32'],
    ['{"replicas":1.5}', 'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32'],
    [
      '{"template":{"spec":{"containers":{}}}}',
      'json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container',
    ],
    [
      '{"template":{"metadata":{"labels":{"a":1}}}}',
      'json: cannot unmarshal number into Go struct field ObjectMeta.spec.template.metadata.labels of type string',
    ],
    [
      '{"template":{"spec":{"containers":[{"imagePullPolicy":true}]}}}',
      'json: cannot unmarshal bool into Go struct field Container.spec.template.spec.containers.imagePullPolicy of type v1.PullPolicy',
    ],
    ['[]', 'json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec'],
    [
      '{"template":{"metadata":{"deletionTimestamp":"now"}}}',
      'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"',
    ],
    [
      '{"template":{"spec":{"overhead":{"cpu":"much"}}}}',
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
  ])('refuses %s', (spec, why) => {
    expect(() => decodeJson(deployment(spec), pick)).toThrow(`Deployment in version "v1" cannot be handled as a Deployment: ${why}`)
  })

  it('refuses text that is no JSON and bodies that are no objects with BadRequest', () => {
    for (const text of ['{"a":', '[]', '"x"', ''])
      expect(() => decodeJson(text, () => undefined)).toThrowError(/couldn't get version\/kind; json parse error/)
    expect(() => decodeJson('nope', pick)).toThrow(expect.objectContaining({ reason: 'BadRequest', code: 400 }))
  })

  it('keeps a custom resource as it is and still finds duplicates', () => {
    const text = '{"apiVersion":"example.com/v1","kind":"Foo","spec":{"a":null,"b":1,"b":2}}'
    expect(decodeJson(text, pick)).toEqual({
      object: { apiVersion: 'example.com/v1', kind: 'Foo', spec: { a: null, b: 2 } },
      fieldErrors: ['duplicate field "spec.b"'],
    })
  })

  it('is not open to __proto__', () => {
    const { object } = decodeJson('{"apiVersion":"v1","kind":"ConfigMap","data":{"__proto__":"x"}}', pick)
    expect(Object.keys(object['data'] as object)).toEqual(['__proto__'])
  })
})

describe('strictDecodingError()', () => {
  it('lists all errors in one message', () => {
    expect(
      strictDecodingError({ apiVersion: 'apps/v1', kind: 'Deployment' }, ['unknown field "spec.a"', 'duplicate field "spec.b"']).message,
    ).toBe(
      'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.a", duplicate field "spec.b"',
    )
  })
})

describe('decodeObject()', () => {
  it('leaves its input alone and names unknown fields', () => {
    const input = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', x: 1 }, data: null }
    const copy = structuredClone(input)
    const type = schemaOf('v1', 'ConfigMap')!
    expect(decodeObject(input, type)).toEqual({
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } },
      fieldErrors: ['unknown field "metadata.x"'],
    })
    expect(input).toEqual(copy)
  })
})

describe('decodeYaml()', () => {
  it('reads YAML 1.1 as Kubernetes does', () => {
    expect(parseYaml('a: yes\nb: 010\nc: 2026-01-31\nd: 12:30\ne: "on"\nf: 1e3\n1: x\nbase: &b {k: 1}\nmore:\n  <<: *b\n  l: 2\n')).toEqual(
      {
        a: true,
        b: 8,
        c: '2026-01-31',
        d: '12:30',
        e: 'on',
        f: 1000,
        1: 'x',
        base: { k: 1 },
        more: { k: 1, l: 2 },
      },
    )
  })

  it('tells duplicate keys by line and unknown fields by path', () => {
    const text = 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a\nspec:\n  unknownField: 1\n  replicas: 1\n  replicas: 2\n'
    expect(decodeYaml(text, pick)).toMatchObject({
      fieldErrors: ['yaml: unmarshal errors:\n  line 8: key "replicas" already set in map', 'unknown field "spec.unknownField"'],
      object: { spec: { replicas: 2 } },
    })
  })

  it('reads JSON as JSON and JSON-like YAML as YAML', () => {
    expect(decodeYaml(' {"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1"}}', pick).object).toMatchObject({ data: { a: '1' } })
    expect(decodeYaml('{apiVersion: v1, kind: ConfigMap, data: {a: "1"}}', pick).object).toMatchObject({ data: { a: '1' } })
  })

  it('refuses broken YAML', () => {
    expect(() => decodeYaml('a: [1', pick)).toThrow(/error converting YAML to JSON: yaml: line \d+: /)
    expect(() => decodeYaml('', pick)).toThrow(/couldn't get version\/kind/)
  })

  it('refuses YAML that would exhaust it', () => {
    const bomb = [
      'a: &a [1,1,1,1,1,1,1,1,1]',
      ...'bcdefghij'
        .split('')
        .map((key, at) => `${key}: &${key} [${Array.from({ length: 9 }, () => `*${'abcdefghij'[at] ?? ''}`).join(',')}]`),
    ]
    expect(() => decodeYaml(bomb.join('\n'), pick)).toThrow(/^error converting YAML to JSON: yaml: Excessive alias count/)
    expect(() => decodeYaml('a: *b', pick)).toThrow(/^error converting YAML to JSON: yaml: /)
    expect(() => decodeYaml(`a: ${'['.repeat(100_000)}${']'.repeat(100_000)}`, pick)).toThrow(/^error converting YAML to JSON: yaml: /)
  })
})

describe('encodeYaml()', () => {
  it('writes what Kubernetes reads back', () => {
    const value = {
      b: ['yes', '010', '1', null, ''],
      a: { d: 'line\nline\n', c: true, time: '2026-01-31T10:20:30Z', port: '12:30' },
      n: 1.5,
    }
    expect(parseYaml(encodeYaml(value))).toEqual(value)
    expect(encodeYaml({ b: 1, a: ['x'] })).toBe('a:\n- x\nb: 1\n')
  })
})

describe('splitYaml()', () => {
  it('splits documents and leaves empty ones out', () => {
    expect(splitYaml('# head\n---\na: 1\n--- # x\n\n---\nb: "---"\nc: |\n  ---\n')).toEqual(['a: 1\n', 'b: "---"\nc: |\n  ---\n'])
    expect(splitYaml('')).toEqual([])
  })
})
