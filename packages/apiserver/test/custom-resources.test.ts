import type { KubernetesObject } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { conditionsOf, definitionsPath, start, widget, widgets, widgetsPath } from './custom-api.ts'
import type { Answer } from './start-https.ts'

describe('custom resources', () => {
  it('are served as soon as their definition is established, with defaults and without unknown fields', async () => {
    const api = await start()
    await api.define(widgets())
    const created = await api.send('POST', widgetsPath, widget('a', { size: 3, unknown: { x: 1 } }))
    expect(created.status).toBe(201)
    expect(created.headers['warning']).toBe('299 - "unknown field \\"spec.unknown\\""')
    expect(created.json()).toMatchObject({ metadata: { generation: 1, name: 'a' }, spec: { size: 3, color: 'red' } })
    expect(created.json()['spec']).not.toHaveProperty('unknown')
    const strict = await api.send('POST', `${widgetsPath}?fieldValidation=Strict`, widget('b', { size: 3, unknown: 1 }))
    expect(strict.json()['message']).toBe(
      'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "spec.unknown"',
    )
    const list = (await api.send('GET', widgetsPath)).json() as { kind?: string; items?: KubernetesObject[] }
    expect(list.kind).toBe('WidgetList')
    // Unlike the items of other lists, they say what they are.
    expect(list.items).toMatchObject([{ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a' } }])
    expect(list).toMatchObject({ metadata: { continue: '' } })
  })

  it('must say what they are', async () => {
    const api = await start()
    await api.define(widgets())
    const { kind: _, ...nameless } = widget('a', { size: 3 }) as Record<string, unknown>
    expect((await api.send('POST', widgetsPath, nameless)).json()['message']).toMatch(
      /^the object provided is unrecognized \(must be of type Widget\): Object 'Kind' is missing in '/,
    )
    expect((await api.send('POST', widgetsPath, { ...nameless, kind: 'Other' })).json()).toMatchObject({
      code: 422,
      message: 'Other.example.com "a" is invalid: kind: Invalid value: "Other": must be Widget',
    })
    const other = await api.send('POST', widgetsPath, { ...widget('a', { size: 3 }), apiVersion: 'example.com/v9' })
    expect(other.json()).toMatchObject({ code: 400, reason: 'BadRequest' })
    expect(other.headers['warning']).toBe('299 - "unknown field \\"spec\\""')
  })

  it('are validated in upstream’s words', async () => {
    const api = await start()
    await api.define(widgets())
    const bad = await api.send('POST', widgetsPath, widget('a', { size: 0, color: 'green', tags: ['x', 'x'] }))
    expect(bad.status).toBe(422)
    expect(bad.json()['message']).toBe(
      'Widget.example.com "a" is invalid: [spec.color: Unsupported value: "green": supported values: "red", "blue", spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1, spec.tags[1]: Duplicate value: "x"]',
    )
    expect((await api.send('POST', widgetsPath, widget('a', {}))).json()['message']).toBe(
      'Widget.example.com "a" is invalid: spec.size: Required value',
    )
    expect((await api.send('POST', widgetsPath, widget('a', { size: 'big' }))).json()['message']).toBe(
      'Widget.example.com "a" is invalid: spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
    )
  })

  it('have status and scale of their own', async () => {
    const api = await start()
    const scale = { specReplicasPath: '.spec.size', statusReplicasPath: '.status.replicas' }
    await api.define(widgets({ version: { subresources: { status: {}, scale } } }))
    await api.send('POST', widgetsPath, { ...widget('a', { size: 2 }), status: { ready: true } })
    const a = (await api.send('GET', `${widgetsPath}/a`)).json()
    expect(a).not.toHaveProperty('status')
    const status = await api.send('PUT', `${widgetsPath}/a/status`, { ...a, spec: { size: 9 }, status: { ready: true, replicas: 1 } })
    expect(status.json()).toMatchObject({ spec: { size: 2 }, status: { ready: true, replicas: 1 }, metadata: { generation: 1 } })
    expect((await api.send('GET', `${widgetsPath}/a/scale`)).json()).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 2 },
      status: { replicas: 1 },
    })
    const patched = await api.send('PATCH', `${widgetsPath}/a/scale`, { spec: { replicas: 5 } }, 'application/merge-patch+json')
    expect(patched.json()).toMatchObject({ spec: { replicas: 5 } })
    expect((await api.send('GET', `${widgetsPath}/a`)).json()).toMatchObject({ spec: { size: 5 }, metadata: { generation: 2 } })
    const bad = await api.send('PATCH', `${widgetsPath}/a/status`, { status: { ready: 'yes' } }, 'application/merge-patch+json')
    expect(bad.json()['message']).toBe(
      'Widget.example.com "a" is invalid: status.ready: Invalid value: "string": ready in body must be of type boolean: "string"',
    )
  })

  it('are patched by JSON, merge and apply patches, but not by strategic ones', async () => {
    const api = await start()
    await api.define(widgets())
    await api.send('POST', widgetsPath, widget('a', { size: 2 }))
    const json = [{ op: 'replace', path: '/spec/size', value: 4 }]
    expect((await api.send('PATCH', `${widgetsPath}/a`, json, 'application/json-patch+json')).json()).toMatchObject({ spec: { size: 4 } })
    const strategic = await api.send('PATCH', `${widgetsPath}/a`, { spec: {} }, 'application/strategic-merge-patch+json')
    expect(strategic.status).toBe(415)
    expect(strategic.json()['message']).toBe(
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    )
    const applied = widget('b', { size: 1, tags: ['x'] })
    const first = await api.send('PATCH', `${widgetsPath}/b?fieldManager=one`, applied, 'application/apply-patch+yaml')
    expect(first.status).toBe(201)
    const second = await api.send(
      'PATCH',
      `${widgetsPath}/b?fieldManager=two`,
      widget('b', { size: 2, tags: ['y'] }),
      'application/apply-patch+yaml',
    )
    expect(second.status).toBe(409)
    expect(second.json()['message']).toBe('Apply failed with 1 conflict: conflict with "one": .spec.size')
    const forced = await api.send(
      'PATCH',
      `${widgetsPath}/b?fieldManager=two&force=true`,
      widget('b', { size: 2, tags: ['y'] }),
      'application/apply-patch+yaml',
    )
    expect(forced.json()).toMatchObject({ spec: { size: 2, tags: ['x', 'y'] } })
  })

  it('are told of keys that stand twice in what is applied', async () => {
    const api = await start()
    await api.define(widgets())
    const text = 'apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: a\nspec:\n  size: 1\n  size: 2\n'
    const duplicate = 'error converting YAML to JSON: yaml: unmarshal errors:\n  line 7: key "size" already set in map'
    const apply = (validation: string) =>
      api.send('PATCH', `${widgetsPath}/a?fieldManager=m&fieldValidation=${validation}`, text, 'application/apply-patch+yaml')
    const strict = await apply('Strict')
    expect([strict.status, strict.json()['message']]).toEqual([400, `error strict decoding YAML: ${duplicate}`])
    const warned = await apply('Warn')
    expect(warned.json()).toMatchObject({ spec: { size: 2 } })
    expect(warned.headers['warning']).toContain('already set in map')
    expect((await apply('Ignore')).headers['warning']).toBeUndefined()
  })

  it('are told of keys that stand twice in a patch, and of what an operation does not have', async () => {
    const api = await start()
    await api.define(widgets())
    await api.send('POST', widgetsPath, widget('a', { size: 1 }))
    const patch = (type: string, text: string, validation = 'Strict') =>
      api.send('PATCH', `${widgetsPath}/a?fieldValidation=${validation}`, text, `application/${type}+json`)
    const merge = '{"spec":{"size":2,"size":3}}'
    const strict = await patch('merge-patch', merge)
    expect([strict.status, strict.json()['message']]).toEqual([
      422,
      expect.stringMatching(/^ "" is invalid: patch: Invalid value: ".*": strict decoding error: duplicate field "spec.size"$/),
    ])
    const warned = await patch('merge-patch', merge, 'Warn')
    expect([warned.headers['warning'], warned.json()]).toMatchObject(['299 - "duplicate field \\"spec.size\\""', { spec: { size: 3 } }])
    const operation = await patch('json-patch', '[{"op":"replace","path":"/spec/size","value":4,"value":5,"why":""}]')
    expect(operation.json()['message']).toMatch(
      /strict decoding error: json patch unknown field "\[0\].why", json patch duplicate field "\[0\].value"$/,
    )
  })

  it('tolerate what was invalid before and did not change', async () => {
    const api = await start()
    await api.define(widgets())
    await api.send('POST', widgetsPath, widget('a', { size: 1, color: 'red' }))
    const present = (await api.send('GET', `${definitionsPath}/widgets.example.com`)).json()
    const tighter = widgets({
      schema: {
        type: 'object',
        properties: { spec: { type: 'object', properties: { size: { type: 'integer', minimum: 5 }, color: { type: 'string' } } } },
      },
    })
    const { metadata } = present
    expect((await api.send('PUT', `${definitionsPath}/widgets.example.com`, { ...tighter, metadata })).status).toBe(200)
    await expect
      .poll(async () => (await api.send('POST', `${widgetsPath}?dryRun=All`, widget('z', { size: 1 }))).status, { timeout: 10_000 })
      .toBe(422)
    const color = await api.send('PATCH', `${widgetsPath}/a`, { spec: { color: 'green' } }, 'application/merge-patch+json')
    expect(color.json()).toMatchObject({ spec: { size: 1, color: 'green' } })
    expect((await api.send('PATCH', `${widgetsPath}/a`, { spec: { size: 2 } }, 'application/merge-patch+json')).status).toBe(422)
  })

  it('go with their definition, after their finalizers', async () => {
    const api = await start()
    await api.define(widgets())
    await api.send('POST', widgetsPath, { ...widget('a', { size: 1 }), metadata: { name: 'a', finalizers: ['example.com/hold'] } })
    await api.send('POST', widgetsPath, widget('b', { size: 1 }))
    expect((await api.send('DELETE', `${definitionsPath}/widgets.example.com`)).json()).toMatchObject({
      metadata: { finalizers: ['customresourcecleanup.apiextensions.k8s.io'] },
    })
    await expect.poll(async () => (await api.send('GET', `${widgetsPath}/b`)).status, { timeout: 10_000 }).toBe(404)
    const refused = await api.send('POST', widgetsPath, widget('c', { size: 1 }))
    expect(refused.json()['message']).toBe(
      'widgets.example.com "c" is forbidden: create not allowed while custom resource definition is terminating',
    )
    await api.send('PATCH', `${widgetsPath}/a`, { metadata: { finalizers: null } }, 'application/merge-patch+json')
    await expect.poll(async () => (await api.send('GET', `${definitionsPath}/widgets.example.com`)).status, { timeout: 10_000 }).toBe(404)
    expect((await api.send('GET', widgetsPath)).text).toBe('404 page not found\n')
    expect(JSON.parse((await api.send('GET', '/apis')).text)).not.toMatchObject({
      groups: expect.arrayContaining([{ name: 'example.com' }]),
    })
  })

  it('are shown in discovery and in tables', async () => {
    const api = await start()
    const columns = [
      { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
      { name: 'Colour', type: 'string', jsonPath: '.spec.color', priority: 1 },
    ]
    await api.define(widgets({ version: { additionalPrinterColumns: columns, subresources: { status: {} } } }))
    await api.send('POST', widgetsPath, widget('a', { size: 3 }))
    expect((await api.send('GET', '/apis/example.com/v1')).json()).toMatchObject({
      resources: [
        { name: 'widgets', singularName: 'widget', kind: 'Widget', shortNames: ['wd'], categories: ['all'] },
        { name: 'widgets/status', kind: 'Widget', verbs: ['get', 'patch', 'update'] },
      ],
    })
    const table = await api.send('GET', widgetsPath, undefined, undefined, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' })
    expect(table.json()).toMatchObject({
      columnDefinitions: [{ name: 'Name' }, { name: 'Size', type: 'integer', priority: 0 }, { name: 'Colour', priority: 1 }],
      rows: [{ cells: ['a', 3, 'red'] }],
    })
  })

  it('are selected by the fields that their definition names', async () => {
    const api = await start()
    await api.define(widgets({ version: { selectableFields: [{ jsonPath: '.spec.color' }] } }))
    await api.send('POST', widgetsPath, widget('a', { size: 1 }))
    await api.send('POST', widgetsPath, widget('b', { size: 1, color: 'blue' }))
    const list = (await api.send('GET', `${widgetsPath}?fieldSelector=spec.color%3Dblue`)).json() as { items: KubernetesObject[] }
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(['b'])
    expect((await api.send('GET', `${widgetsPath}?fieldSelector=spec.size%3D1`)).json()['message']).toContain(
      'field label not supported: spec.size',
    )
  })

  it('are served in several versions that differ in their schemas', async () => {
    const api = await start()
    const schema = (extra: object): object => ({
      openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' }, ...extra } } } },
    })
    await api.define(
      widgets({
        spec: {
          versions: [
            { name: 'v1', served: true, storage: false, schema: schema({}), deprecated: true },
            { name: 'v2', served: true, storage: true, schema: schema({ extra: { type: 'string', default: 'x' } }) },
          ],
        },
      }),
    )
    const created = await api.send('POST', widgetsPath, widget('a', { size: 1 }))
    expect(created.json()).toMatchObject({ apiVersion: 'example.com/v1', spec: { size: 1 } })
    expect(created.headers['warning']).toBe('299 - "example.com/v1 Widget is deprecated; use example.com/v2 Widget"')
    const other = await api.send('GET', '/apis/example.com/v2/namespaces/default/widgets/a')
    expect(other.json()).toMatchObject({ apiVersion: 'example.com/v2', spec: { size: 1, extra: 'x' } })
    expect((await api.send('GET', `${widgetsPath}/a`)).json()['spec']).toEqual({ size: 1 })
    expect((await api.send('GET', '/apis/example.com')).json()).toMatchObject({ preferredVersion: { version: 'v2' } })
  })
})

const sized = (rules: readonly object[], more: object = {}): object => ({
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      'x-kubernetes-validations': rules,
      properties: { size: { type: 'integer' }, max: { type: 'integer' }, 'a-b': { type: 'string', maxLength: 10 }, ...more },
    },
  },
})

describe('OpenAPI documents', () => {
  it('show custom resources at once, and change their addresses with them', async () => {
    const api = await start()
    interface Index {
      readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>>
    }
    interface Third {
      readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
      readonly paths: object
    }
    expect((await api.send('GET', '/openapi/v3')).text).not.toContain('example.com')
    await api.define(widgets({ version: { subresources: { status: {} } } }))
    const { paths } = JSON.parse((await api.send('GET', '/openapi/v3')).text) as Index
    const address = paths['apis/example.com/v1']?.serverRelativeURL ?? ''
    const third = JSON.parse((await api.send('GET', address)).text) as Third
    expect(third.components.schemas['com.example.v1.Widget']).toMatchObject({
      type: 'object',
      properties: {
        spec: { properties: { color: { type: 'string', enum: ['red', 'blue'], default: 'red' } } },
        metadata: { allOf: [{ $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }] },
      },
      'x-kubernetes-group-version-kind': [{ group: 'example.com', kind: 'Widget', version: 'v1' }],
    })
    expect(third.paths).toHaveProperty('/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/status')
    const second = JSON.parse((await api.send('GET', '/openapi/v2')).text) as { definitions: object; paths: object }
    expect(second.definitions).toHaveProperty(['com.example.v1.Widget', 'properties', 'spec', 'properties', 'size', 'type'], 'integer')
    expect(second.definitions).toHaveProperty(['io.k8s.api.core.v1.Pod'])
    expect(second.paths).toHaveProperty(['/apis/example.com/v1/widgets'])
    const { metadata } = (await api.send('GET', `${definitionsPath}/widgets.example.com`)).json()
    const changed = widgets({ schema: { type: 'object', description: 'Changed' } })
    await api.send('PUT', `${definitionsPath}/widgets.example.com`, { ...changed, metadata })
    const later = JSON.parse((await api.send('GET', '/openapi/v3')).text) as Index
    expect(later.paths['apis/example.com/v1']?.serverRelativeURL).not.toBe(address)
  })
})

describe('rules of custom resources', () => {
  it('are asked about new objects', async () => {
    const api = await start()
    const rules = [
      { rule: '!has(self.max) || self.size <= self.max', messageExpression: '"size %d is above %d".format([self.size, self.max])' },
      {
        rule: "!has(self.a__dash__b) || self.a__dash__b.startsWith('x')",
        message: 'must begin with x',
        fieldPath: '.a-b',
        reason: 'FieldValueForbidden',
      },
    ]
    await api.define(widgets({ schema: sized(rules) }))
    expect((await api.send('POST', widgetsPath, widget('a', { size: 1, max: 2, 'a-b': 'xy' }))).status).toBe(201)
    expect((await api.send('POST', widgetsPath, widget('b', { size: 3, max: 2, 'a-b': 'y' }))).json()['message']).toBe(
      'Widget.example.com "b" is invalid: [spec: Invalid value: size 3 is above 2, spec.a-b: Forbidden: must begin with x]',
    )
  })

  it('compare with the old object', async () => {
    const api = await start()
    await api.define(widgets({ schema: sized([{ rule: 'self.size >= oldSelf.size', message: 'size may only grow' }]) }))
    expect((await api.send('POST', widgetsPath, widget('a', { size: 5 }))).status).toBe(201)
    const patch = (size: number): Promise<Answer> =>
      api.send('PATCH', `${widgetsPath}/a`, { spec: { size } }, 'application/merge-patch+json')
    expect((await patch(6)).status).toBe(200)
    expect((await patch(4)).json()['message']).toBe('Widget.example.com "a" is invalid: spec: Invalid value: size may only grow')
  })

  it('are tolerated where nothing changed', async () => {
    const api = await start()
    await api.define(widgets({ schema: sized([]) }))
    await api.send('POST', widgetsPath, widget('a', { size: 1 }))
    const { metadata } = (await api.send('GET', `${definitionsPath}/widgets.example.com`)).json()
    const changed = widgets({ schema: sized([{ rule: 'self.size > 3' }]) })
    expect((await api.send('PUT', `${definitionsPath}/widgets.example.com`, { ...changed, metadata })).status).toBe(200)
    await expect
      .poll(async () => (await api.send('POST', `${widgetsPath}?dryRun=All`, widget('z', { size: 1 }))).status, { timeout: 10_000 })
      .toBe(422)
    const labels = await api.send('PATCH', `${widgetsPath}/a`, { metadata: { labels: { a: 'b' } } }, 'application/merge-patch+json')
    expect(labels.status).toBe(200)
    expect(labels.headers['warning']).toBe('299 - "spec: Invalid value: failed rule: self.size > 3"')
  })

  it('must compile, and must not be too dear', async () => {
    const api = await start()
    const bad = await api.send('POST', definitionsPath, widgets({ schema: sized([{ rule: 'self.siz > 3' }]) }))
    expect(bad.json()['message']).toBe(
      'CustomResourceDefinition.apiextensions.k8s.io "widgets.example.com" is invalid: spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: {"rule":"self.siz > 3"}: compilation failed: ERROR: <input>:1:5: undefined field \'siz\'\n | self.siz > 3\n | ....^',
    )
    const list = { names: { type: 'array', items: { type: 'string' } } }
    const dear = await api.send(
      'POST',
      definitionsPath,
      widgets({ schema: sized([{ rule: 'self.names.all(a, self.names.exists(b, a.contains(b)))' }], list) }),
    )
    expect(dear.status).toBe(422)
    expect(dear.json()['message']).toContain(
      'x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)',
    )
  })
})

describe('definitions of custom resources', () => {
  it('must be structural', async () => {
    const api = await start()
    const answer = await api.send(
      'POST',
      definitionsPath,
      widgets({ schema: { type: 'object', properties: { spec: { properties: { a: { type: 'array' } } } } } }),
    )
    expect(answer.status).toBe(422)
    expect(answer.json()['message']).toBe(
      'CustomResourceDefinition.apiextensions.k8s.io "widgets.example.com" is invalid: [spec.validation.openAPIV3Schema.properties[spec].properties[a].items: Required value: must be specified, spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields]',
    )
  })

  it('of taken names wait until the names are free', async () => {
    const api = await start()
    await api.define(widgets())
    const other: Record<string, unknown> = {
      ...widgets(),
      metadata: { name: 'gadgets.example.com' },
    }
    const spec = { ...(other['spec'] as object), names: { plural: 'gadgets', kind: 'Widget' } }
    await api.send('POST', definitionsPath, { ...other, spec })
    const gadgets = async (): Promise<Record<string, string>> =>
      conditionsOf((await api.send('GET', `${definitionsPath}/gadgets.example.com`)).json())
    await expect.poll(gadgets, { timeout: 10_000 }).toMatchObject({ NamesAccepted: 'False', Established: 'False' })
    await api.send('DELETE', `${definitionsPath}/widgets.example.com`)
    await expect.poll(gadgets, { timeout: 10_000 }).toMatchObject({ NamesAccepted: 'True', Established: 'True' })
  })
})
