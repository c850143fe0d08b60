import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'

const all = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions?dryRun=All'
const names: JsonObject = { plural: 'things', kind: 'Thing' }

function definition(spec: JsonObject): JsonObject {
  return {
    metadata: { name: 'things.g$run.example.com' },
    spec: { group: 'g$run.example.com', scope: 'Namespaced', names, ...spec },
  }
}

const version = (schema: Json | undefined, more: JsonObject = {}): JsonObject => ({
  name: 'v1',
  served: true,
  storage: true,
  ...(schema === undefined ? {} : { schema: { openAPIV3Schema: schema } }),
  ...more,
})
const object = (spec: Json): JsonObject => ({ type: 'object', properties: { spec } })

/** What a schema may not say. */
function schemas(): Case {
  const built = new CaseBuilder('schemas-of-definitions')
  const ask = (label: string, schema: Json | undefined): void => {
    built.post(all, definition({ versions: [version(schema)] }), label)
  }
  ask('none', undefined)
  ask('empty', {})
  ask('no type', { properties: { spec: { type: 'object' } } })
  ask('root of a list', { type: 'array', items: { type: 'string' } })
  ask('unknown type', object({ type: 'text' }))
  ask('no type inside', object({ properties: { a: { type: 'string' } } }))
  ask('list without items', object({ type: 'array' }))
  ask('list of items', object({ type: 'array', items: [{ type: 'string' }] }))
  ask(
    'properties and additional',
    object({ type: 'object', properties: { a: { type: 'string' } }, additionalProperties: { type: 'string' } }),
  )
  ask('no additional properties', object({ type: 'object', additionalProperties: false }))
  ask('any additional properties', object({ type: 'object', additionalProperties: true }))
  ask('unique items', object({ type: 'array', items: { type: 'string' }, uniqueItems: true }))
  ask('reference', object({ $ref: '#/definitions/x' }))
  ask('definitions', { type: 'object', definitions: { x: { type: 'string' } } })
  ask('dependencies', object({ type: 'object', dependencies: { a: ['b'] } }))
  ask('pattern properties', object({ type: 'object', patternProperties: { a: { type: 'string' } } }))
  ask('type inside of all', object({ type: 'string', allOf: [{ type: 'string' }] }))
  ask('description inside of not', object({ type: 'string', not: { description: 'x' } }))
  ask('property only inside', object({ type: 'object', anyOf: [{ properties: { a: {} } }] }))
  ask('bad pattern', object({ type: 'string', pattern: '(' }))
  ask('unknown format', object({ type: 'string', format: 'other' }))
  ask('negative length', object({ type: 'string', minLength: -1 }))
  ask('default', object({ type: 'string', default: 'x' }))
  ask('default of a wrong type', object({ type: 'string', default: 5 }))
  ask('default that is not allowed', object({ type: 'string', enum: ['a'], default: 'b' }))
  ask('default with unknown fields', object({ type: 'object', properties: { a: { type: 'string' } }, default: { b: 1 } }))
  ask('default of the root', { type: 'object', default: {} })
  ask('default of metadata', { type: 'object', properties: { metadata: { type: 'object', default: {} } } })
  ask('metadata', { type: 'object', properties: { metadata: { type: 'object', properties: { name: { type: 'string', pattern: '^a' } } } } })
  ask('labels', { type: 'object', properties: { metadata: { type: 'object', properties: { labels: { type: 'object' } } } } })
  ask('type of kind', { type: 'object', properties: { kind: { type: 'integer' } } })
  ask('nullable', object({ type: 'string', nullable: true, default: null }))
  ask('set', object({ type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } }))
  ask('set of objects', object({ type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } }))
  ask('unknown list type', object({ type: 'array', 'x-kubernetes-list-type': 'other', items: { type: 'string' } }))
  ask('list type of a string', object({ type: 'string', 'x-kubernetes-list-type': 'set' }))
  const map = (more: JsonObject, items: JsonObject): Json =>
    object({ type: 'array', 'x-kubernetes-list-type': 'map', ...more, items: { type: 'object', ...items } })
  ask('map without keys', map({}, { properties: { a: { type: 'string' } } }))
  ask('map with keys', map({ 'x-kubernetes-list-map-keys': ['a'] }, { required: ['a'], properties: { a: { type: 'string' } } }))
  ask('map with optional keys', map({ 'x-kubernetes-list-map-keys': ['a'] }, { properties: { a: { type: 'string' } } }))
  ask('map with unknown keys', map({ 'x-kubernetes-list-map-keys': ['b'] }, { properties: { a: { type: 'string' } } }))
  ask('map with keys of objects', map({ 'x-kubernetes-list-map-keys': ['a'] }, { required: ['a'], properties: { a: { type: 'object' } } }))
  ask('map with keys twice', map({ 'x-kubernetes-list-map-keys': ['a', 'a'] }, { required: ['a'], properties: { a: { type: 'string' } } }))
  ask('map type', object({ type: 'object', 'x-kubernetes-map-type': 'other' }))
  ask('map type of a list', object({ type: 'array', items: { type: 'string' }, 'x-kubernetes-map-type': 'atomic' }))
  ask('int or string', object({ 'x-kubernetes-int-or-string': true }))
  ask('int or string with a type', object({ type: 'string', 'x-kubernetes-int-or-string': true }))
  ask('preserved', object({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true }))
  ask('not preserved', object({ type: 'object', 'x-kubernetes-preserve-unknown-fields': false }))
  ask('preserved string', object({ type: 'string', 'x-kubernetes-preserve-unknown-fields': true }))
  ask('embedded', object({ type: 'object', 'x-kubernetes-embedded-resource': true }))
  ask(
    'embedded and preserved',
    object({ type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true }),
  )
  ask('enum twice', object({ type: 'string', enum: ['a', 'a'] }))
  ask('minimum of a string', object({ type: 'string', minimum: 1 }))
  ask('exclusive without a bound', object({ type: 'integer', exclusiveMinimum: true }))
  ask('multiple of nothing', object({ type: 'integer', multipleOf: 0 }))
  ask('required but unknown', object({ type: 'object', required: ['z'] }))
  const rules = (label: string, ...list: JsonObject[]): void =>
    ask(label, object({ type: 'object', properties: { a: { type: 'integer' }, b: { type: 'string' } }, 'x-kubernetes-validations': list }))
  rules('rule', { rule: 'self.a > 1' })
  rules('rule with a message', { rule: 'self.a > 1', message: 'a is small', reason: 'FieldValueForbidden', fieldPath: '.a' })
  rules('empty rule', { rule: '' })
  rules('rule that is no claim', { rule: 'self.a' })
  rules('rule that is broken', { rule: 'self.a >' })
  rules('rule about nothing', { rule: 'self.z > 1' })
  rules('message of two lines', { rule: 'self.a > 1', message: 'a\nb' })
  rules('empty message', { rule: 'self.a > 1', message: ' ' })
  rules('unknown reason', { rule: 'self.a > 1', reason: 'Other' })
  rules('bad path', { rule: 'self.a > 1', fieldPath: 'a' })
  rules('path to nothing', { rule: 'self.a > 1', fieldPath: '.z' })
  rules('message that is no text', { rule: 'self.a > 1', messageExpression: 'self.a' })
  rules('message by expression', { rule: 'self.a > 1', messageExpression: '"a is " + self.b' })
  rules('rule about the old', { rule: 'oldSelf.a == self.a' })
  rules('optional old', { rule: 'oldSelf.orValue(self).a == self.a', optionalOldSelf: true })
  ask(
    'dear rule',
    object({ type: 'array', items: { type: 'string' }, 'x-kubernetes-validations': [{ rule: 'self.all(a, self.all(b, a == b))' }] }),
  )
  return built.build()
}

/** What else a definition may not say. */
function others(): Case {
  const schema: JsonObject = object({
    type: 'object',
    properties: {
      size: { type: 'integer' },
      color: { type: 'string' },
      on: { type: 'boolean' },
      list: { type: 'array', items: { type: 'string' } },
    },
  })
  const built = new CaseBuilder('definitions')
  const ask = (label: string, spec: JsonObject): void => {
    built.post(all, definition(spec), label)
  }
  const one = (label: string, more: JsonObject): void => ask(label, { versions: [version(schema, more)] })
  one('plain', {})
  ask('no versions', {})
  ask('two of one name', { versions: [version(schema), version(schema, { storage: false })] })
  ask('two stored', { versions: [version(schema), version(schema, { name: 'v2' })] })
  ask('two alike', { versions: [version(schema), version(schema, { name: 'v2', storage: false })] })
  ask('two that differ', { versions: [version(schema), version(object({ type: 'string' }), { name: 'v2', storage: false })] })
  ask('one without a schema', { versions: [version(schema), version(undefined, { name: 'v2', storage: false })] })
  one('deprecated', { deprecated: true, deprecationWarning: 'use v2' })
  one('warning without deprecation', { deprecationWarning: 'use v2' })
  one('empty warning', { deprecated: true, deprecationWarning: '' })
  one('long warning', { deprecated: true, deprecationWarning: 'x'.repeat(257) })
  one('subresources', { subresources: { status: {}, scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' } } })
  one('bad scale', {
    subresources: { scale: { specReplicasPath: 'spec', statusReplicasPath: '.spec.size', labelSelectorPath: '.spec.x' } },
  })
  one('no paths of scale', { subresources: { scale: {} } })
  one('paths with lists', { subresources: { scale: { specReplicasPath: '.spec.list[0]', statusReplicasPath: '.status.x' } } })
  one('columns', { additionalPrinterColumns: [{ name: 'Size', type: 'integer', jsonPath: '.spec.size', priority: 1 }] })
  one('bad columns', { additionalPrinterColumns: [{}, { name: 'x', type: 'text', format: 'other', jsonPath: 'spec[' }] })
  one('selectable', { selectableFields: [{ jsonPath: '.spec.color' }] })
  one('selectable list', { selectableFields: [{ jsonPath: '.spec.list' }, { jsonPath: '.spec.z' }, { jsonPath: '.metadata.name' }] })
  one('selectable twice', { selectableFields: [{ jsonPath: '.spec.color' }, { jsonPath: '.spec.color' }] })
  one('many selectable', { selectableFields: Array.from({ length: 9 }, () => ({ jsonPath: '.spec.color' })) })
  one('selectable nothing', { selectableFields: [{ jsonPath: '' }, {}] })
  const with1 = (label: string, spec: JsonObject): void => ask(label, { versions: [version(schema)], ...spec })
  with1('no group', { group: '' })
  with1('group without a dot', { group: 'things' })
  with1('bad group', { group: 'Bad.Group' })
  with1('scope', { scope: 'Other' })
  with1('no scope', { scope: undefined })
  with1('no names', { names: {} })
  with1('bad names', {
    names: { plural: 'Things', singular: 'Thing!', kind: 'bad kind', listKind: 'bad kind', shortNames: ['T'], categories: ['Bad'] },
  })
  with1('kind of a list', { names: { ...names, listKind: 'Thing' } })
  with1('conversion', { conversion: { strategy: 'Webhook' } })
  with1('no conversion', { conversion: { strategy: 'None', webhook: { conversionReviewVersions: ['v1'] } } })
  with1('unknown conversion', { conversion: { strategy: 'Other' } })
  with1('webhook', {
    conversion: { strategy: 'Webhook', webhook: { clientConfig: { url: 'https://x.example.com/' }, conversionReviewVersions: ['v1'] } },
  })
  with1('bad webhook', {
    conversion: {
      strategy: 'Webhook',
      webhook: { clientConfig: { url: 'http://x', service: { name: '', namespace: '' } }, conversionReviewVersions: ['v9', 'v9'] },
    },
  })
  with1('webhook of nothing', { conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: [] } } })
  with1('bad authority', {
    conversion: {
      strategy: 'Webhook',
      webhook: { clientConfig: { url: 'https://x.example.com/', caBundle: 'eA==' }, conversionReviewVersions: ['v1'] },
    },
  })
  with1('preserving', { preserveUnknownFields: true })
  with1('not preserving', { preserveUnknownFields: false })
  ask('preserving with defaults', { preserveUnknownFields: true, versions: [version(object({ type: 'string', default: 'x' }))] })
  built
    .post(
      all,
      { ...definition({ group: 'x$run.k8s.io', versions: [version(schema)] }), metadata: { name: 'things.x$run.k8s.io' } },
      'unapproved',
    )
    .post(
      all,
      {
        ...definition({ group: 'x$run.k8s.io', versions: [version(schema)] }),
        metadata: { name: 'things.x$run.k8s.io', annotations: { 'api-approved.kubernetes.io': 'text' } },
      },
      'badly approved',
    )
    .post(
      all,
      {
        ...definition({ group: 'x$run.k8s.io', versions: [version(schema)] }),
        metadata: {
          name: 'things.x$run.k8s.io',
          annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes/kubernetes/pull/1' },
        },
      },
      'approved',
    )
  return built.build()
}

export const definitions: Area = { name: 'definitions', cases: [schemas(), others()] }
