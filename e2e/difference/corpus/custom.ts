import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'

const group = 'c$run.example.com'
const text: JsonObject = { type: 'string' }

const schema: JsonObject = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      required: ['size'],
      properties: {
        size: { type: 'integer', minimum: 1, maximum: 100 },
        color: { type: 'string', enum: ['red', 'green'], default: 'red' },
        name: { type: 'string', maxLength: 5, pattern: '^[a-z]*$' },
        when: { type: 'string', format: 'date-time' },
        amount: { 'x-kubernetes-int-or-string': true },
        maybe: { type: 'string', nullable: true },
        ratio: { type: 'number', multipleOf: 0.5 },
        on: { type: 'boolean' },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        words: { type: 'array', 'x-kubernetes-list-type': 'set', items: text, maxItems: 3 },
        parts: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['id'],
          items: { type: 'object', required: ['id'], properties: { id: text, value: text } },
        },
        list: { type: 'array', items: text },
        labels: { type: 'object', additionalProperties: text, maxProperties: 2 },
        whole: { type: 'object', 'x-kubernetes-map-type': 'atomic', properties: { a: text, b: text } },
        fixed: { ...text, 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'is fixed' }] },
        either: { oneOf: [{ required: ['a'] }, { required: ['b'] }], type: 'object', properties: { a: text, b: text } },
      },
      'x-kubernetes-validations': [
        { rule: "!has(self.name) || self.name != 'bad'", messageExpression: "'no ' + self.name" },
        {
          rule: 'self.size < 50 || self.color == "green"',
          message: 'large ones are green',
          reason: 'FieldValueForbidden',
          fieldPath: '.color',
        },
      ],
    },
    status: { type: 'object', properties: { size: { type: 'integer' }, selector: text, phase: text } },
  },
}

const definition: JsonObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `things.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural: 'things', singular: 'thing', kind: 'Thing', shortNames: ['th'], categories: ['all'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: schema },
        subresources: {
          status: {},
          scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size', labelSelectorPath: '.status.selector' },
        },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'Words', type: 'string', jsonPath: '.spec.words[*]', priority: 1 },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        selectableFields: [{ jsonPath: '.spec.color' }],
      },
      {
        name: 'v1beta1',
        served: true,
        storage: false,
        deprecated: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const all = `/apis/${group}/v1/namespaces/$ns/things`
const at = `${all}/t`
const thing = (spec: Json, metadata: JsonObject = { name: 't' }): JsonObject => ({
  apiVersion: `${group}/v1`,
  kind: 'Thing',
  metadata,
  spec,
})

function life(): Case {
  const built = new CaseBuilder('custom')
    .post(definitions, definition, 'define')
    .get(all, 'served', { isAwaited: true })
    .post(`${all}?fieldManager=a`, thing({ size: 3, bogus: 1, free: { any: { thing: [1] } }, amount: '30%' }), 'create')
    .get(at, 'get')
    .get(`/apis/${group}/v1beta1/namespaces/$ns/things/t`, 'get in the other version')
    .get(all, 'list')
    .get(all, 'table', { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } })
    .get(all, 'metadata', { headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' } })
    .get(at, 'yaml', { headers: { accept: 'application/yaml' } })
    .get(`${all}?fieldSelector=spec.color%3Dred`, 'selected')
    .get(`${all}?fieldSelector=spec.size%3D3`, 'selected by another field')
  const dry = `${all}?dryRun=All`
  const ask = (label: string, spec: Json): void => {
    built.post(dry, thing(spec, { name: 'u' }), label)
  }
  ask('no spec', null)
  ask('nothing required', {})
  ask('wrong type', { size: 'many' })
  ask('fraction', { size: 1.5 })
  ask('too small', { size: 0 })
  ask('too large', { size: 101 })
  ask('not in the enum', { size: 1, color: 'blue' })
  ask('long and bad', { size: 1, name: 'TOO LONG' })
  ask('bad time', { size: 1, when: 'now' })
  ask('int', { size: 1, amount: 5 })
  ask('neither int nor string', { size: 1, amount: true })
  ask('null', { size: 1, maybe: null })
  ask('null that may not be', { size: 1, name: null })
  ask('null default', { size: 1, color: null })
  ask('no multiple', { size: 1, ratio: 0.3 })
  ask('text for a boolean', { size: 1, on: 'true' })
  ask('set with doubles', { size: 1, words: ['a', 'a'] })
  ask('too many', { size: 1, words: ['a', 'b', 'c', 'd'] })
  ask('map with doubles', { size: 1, parts: [{ id: 'a' }, { id: 'a' }] })
  ask('map without keys', { size: 1, parts: [{ value: 'a' }] })
  ask('number in a list', { size: 1, list: [1] })
  ask('null in a list', { size: 1, list: [null] })
  ask('list for a map', { size: 1, labels: [] })
  ask('number in a map', { size: 1, labels: { a: 1 } })
  ask('too many properties', { size: 1, labels: { a: '1', b: '2', c: '3' } })
  ask('neither', { size: 1, either: {} })
  ask('both', { size: 1, either: { a: '1', b: '2' } })
  ask('bad by a rule', { size: 1, name: 'bad' })
  ask('large', { size: 60 })
  ask('large and green', { size: 60, color: 'green' })
  ask('text for a spec', 'text')
  ask('first of a fixed', { size: 1, fixed: 'x' })
  built
    .post(`${dry}&fieldValidation=Strict`, thing({ size: 1, bogus: 1, parts: [{ id: 'a', bogus: 2 }] }, { name: 'u' }), 'strict')
    .post(`${dry}&fieldValidation=Warn`, thing({ size: 1, bogus: 1 }, { name: 'u' }), 'warned')
    .post(`${dry}&fieldValidation=Strict`, undefined, 'doubled', {
      raw: `{"apiVersion":"${group}/v1","kind":"Thing","metadata":{"name":"u"},"spec":{"size":1,"size":2}}`,
    })
    .post(dry, { ...thing({ size: 1 }, { name: 'u' }), kind: 'Other' }, 'another kind')
    .post(dry, { ...thing({ size: 1 }, { name: 'u' }), apiVersion: `${group}/v9` }, 'another version')
    .post(dry, { spec: { size: 1 }, metadata: { name: 'u' } }, 'no kind')
    .post(dry, thing({ size: 1 }, { name: 'Bad_Name' }), 'bad name')
    .post(dry, thing({ size: 1 }, { name: 'u', labels: { a: 5 } }), 'number for a label')
    .post(dry, thing({ size: 1 }, { name: 'u', unknown: 5 }), 'unknown metadata')
    .post(dry, thing({ size: 1 }, { name: 'u', finalizers: ['nodomain'] }), 'finalizer without a domain')
    .put(at, thing({ size: 4 }), 'put without a version')
    .put(at, thing({ size: 4 }, { name: 't', resourceVersion: '$(get:metadata.resourceVersion)' }), 'put')
    .patch(at, 'merge', { spec: { size: 5, fixed: 'x' } }, 'merge')
    .patch(at, 'merge', { spec: { fixed: 'y' } }, 'change what is fixed')
    .patch(at, 'strategic', { spec: { size: 5 } }, 'strategic')
    .patch(at, 'json', [{ op: 'replace', path: '/spec/size', value: 0 }], 'bad operation')
    .patch(`${at}?fieldValidation=Strict`, 'merge', { spec: { bogus: 1 } }, 'strict merge')
    .patch(at, 'merge', { status: { phase: 'x' } }, 'status by the object')
    .patch(`${at}/status`, 'merge', { spec: { size: 9 }, status: { phase: 'x', size: 2, selector: 'a=b' } }, 'status')
    .patch(`${at}/status`, 'merge', { status: { size: 'many' } }, 'bad status')
    .patch(`${at}/status`, 'merge', { metadata: { labels: { a: 'b' } } }, 'labels by status')
    .get(`${at}/scale`, 'scale')
    .patch(`${at}/scale`, 'merge', { spec: { replicas: 7 } }, 'scaled')
    .patch(`${at}/scale`, 'merge', { spec: { replicas: 0 } }, 'scaled too far')
    .patch(
      `${at}/scale?fieldManager=s`,
      'apply',
      { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 't' }, spec: { replicas: 8 } },
      'applied scale',
    )
    .get(`${at}/other`, 'another subresource')
    .patch(`${at}?fieldManager=b`, 'apply', thing({ size: 7, words: ['a'], parts: [{ id: 'x', value: '1' }] }), 'apply')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ words: ['b'], parts: [{ id: 'y', value: '1' }], labels: { a: 'b' } }), 'apply more')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ parts: [{ id: 'x', value: '2' }] }), 'conflict')
    .patch(`${at}?fieldManager=c&force=true`, 'apply', thing({ parts: [{ id: 'x', value: '2' }] }), 'force')
    .patch(`${at}?fieldManager=b`, 'apply', thing({ whole: { a: '1' }, free: { x: { y: 1 } } }), 'apply whole')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ whole: { b: '1' } }), 'conflict in a whole')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ free: { x: { z: 1 } } }), 'apply to what is free')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ unknown: 1 }), 'apply the unknown')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ size: 'many' }), 'apply a wrong type')
    .patch(`${at}?fieldManager=c`, 'apply', thing({ words: ['a', 'a'] }), 'apply doubles')
    .patch(`${all}/n?fieldManager=c`, 'apply', thing({ size: 1 }, { name: 'n' }), 'apply a new one')
    .get(at, 'at last')
    .delete(`${at}?dryRun=All`, undefined, 'dry delete')
    .delete(at, undefined, 'delete')
    .delete(at, undefined, 'delete again')
    .delete(all, undefined, 'delete all')
    .delete(`${definitions}/things.${group}`, undefined, 'undefine')
  return built.build()
}

export const custom: Area = { name: 'custom', cases: [life()] }
