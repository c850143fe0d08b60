import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../codec/decode-object.ts'
import { decodeObject } from '../codec/json.ts'
import { knownType, schemaOf } from '../schema/table.ts'
import { deducedSchema, mergeSchemaOfCustom } from './merge-schema.ts'
import { applyPatch, updateManagedFields, type ApplyInput, type UpdateInput } from './server-side-apply.ts'

const deployment = schemaOf('apps/v1', 'Deployment')!
const now = new Date('2026-01-01T00:00:00Z')
const later = new Date('2026-01-01T00:01:00Z')

const of = (spec: object, meta: object = {}): JsonObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'a', ...meta },
  spec,
})
const apply = (live: JsonObject | undefined, patch: JsonObject, manager: string, more: Partial<ApplyInput> = {}): JsonObject => {
  const { object } = applyPatch({ live, patch, manager, schema: deployment, apiVersion: 'apps/v1', now, ...more })
  return more.schema === undefined ? decodeObject(object, deployment).object : object
}
const update = (previous: JsonObject | undefined, next: JsonObject, manager: string, more: Partial<UpdateInput> = {}): JsonObject =>
  updateManagedFields({
    previous,
    next: decodeObject(next, deployment).object,
    manager,
    schema: deployment,
    apiVersion: 'apps/v1',
    now,
    ...more,
  })
const managed = (object: JsonObject): JsonObject[] => ((object['metadata'] as JsonObject)['managedFields'] ?? []) as JsonObject[]
const fieldsOf = (object: JsonObject, manager: string): unknown =>
  managed(object).find((entry) => entry['manager'] === manager)?.['fieldsV1']
const containersOf = (object: JsonObject): JsonObject[] =>
  (object as { spec: { template: { spec: { containers: JsonObject[] } } } }).spec.template.spec.containers
const containers = (...list: object[]): object => ({ template: { spec: { containers: list } } })

describe('updateManagedFields()', () => {
  it('tracks a create as upstream does', () => {
    const created = update(
      undefined,
      of(
        {
          replicas: 1,
          selector: { matchLabels: { app: 'a' } },
          strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } },
          template: {
            metadata: { labels: { app: 'a' } },
            spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, protocol: 'TCP' }] }] },
          },
        },
        { labels: { app: 'a' } },
      ),
      'kubectl-create',
    )
    expect(managed(created)).toEqual([
      {
        manager: 'kubectl-create',
        operation: 'Update',
        apiVersion: 'apps/v1',
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
          'f:spec': {
            'f:replicas': {},
            'f:selector': {},
            'f:strategy': { 'f:rollingUpdate': { '.': {}, 'f:maxSurge': {} }, 'f:type': {} },
            'f:template': {
              'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
              'f:spec': {
                'f:containers': {
                  'k:{"name":"c"}': {
                    '.': {},
                    'f:image': {},
                    'f:name': {},
                    'f:ports': { '.': {}, 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {}, 'f:protocol': {} } },
                    'f:resources': {},
                  },
                },
              },
            },
          },
        },
      },
    ])
  })

  it('moves changed fields to the writer, and a time only moves with its entry', () => {
    const created = update(undefined, of({ replicas: 1, paused: true }), 'one')
    const scaled = update(created, { ...created, spec: { ...(created['spec'] as object), replicas: 2 } }, 'two', { now: later })
    expect(fieldsOf(scaled, 'one')).toEqual({ 'f:spec': { 'f:paused': {} } })
    expect(fieldsOf(scaled, 'two')).toEqual({ 'f:spec': { 'f:replicas': {} } })
    expect(managed(scaled).map((entry) => entry['time'])).toEqual(['2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z'])
    const same = update(scaled, scaled, 'three', { now: new Date() })
    expect(managed(same)).toBe(managed(scaled))
  })

  it('knows no owners where an item of a list lacks its keys', () => {
    const account = (secrets: object[]): JsonObject => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'a' }, secrets })
    const tracked = (previous: JsonObject | undefined, next: JsonObject): JsonObject =>
      updateManagedFields({ previous, next, manager: 'one', schema: knownType('core/v1.ServiceAccount'), apiVersion: 'v1', now })
    const created = tracked(undefined, account([{ name: 'x' }]))
    expect(managed(created)).toHaveLength(1)
    expect(tracked(created, account([{}]))['metadata']).toEqual({ name: 'a' })
    expect(tracked(undefined, account([{}]))['metadata']).toEqual({ name: 'a' })
  })

  it('knows the owners of what is null, and none of what is null from the beginning', () => {
    const role = (rules?: object[]): JsonObject => ({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'r' },
      ...(rules === undefined ? {} : { rules }),
    })
    const tracked = (previous: JsonObject | undefined, next: JsonObject, manager: string): JsonObject =>
      updateManagedFields({ previous, next, manager, schema: knownType('rbac/v1.Role'), apiVersion: 'rbac.authorization.k8s.io/v1', now })
    const created = tracked(undefined, role([{ verbs: ['get'] }]), 'one')
    expect(fieldsOf(tracked(created, role([]), 'two'), 'two')).toEqual({ 'f:rules': {} })
    expect(tracked(undefined, role(), 'one')['metadata']).toEqual({ name: 'r' })
  })

  it('keeps the managers when a client leaves them out, and forgets them when it empties them', () => {
    const created = update(undefined, of({ replicas: 1 }), 'one')
    expect(managed(update(created, of({ replicas: 1 }), 'two'))).toEqual(managed(created))
    for (const managedFields of [[], [{}]]) {
      const reset = updateManagedFields({
        previous: created,
        next: of({ replicas: 1 }, { managedFields }),
        manager: 'two',
        schema: deployment,
        apiVersion: 'apps/v1',
        now,
      })
      expect(reset['metadata']).not.toHaveProperty('managedFields')
      expect(update(reset, of({ replicas: 5 }), 'two')['metadata']).not.toHaveProperty('managedFields')
    }
  })

  it('tracks a status write apart and ignores status on the object itself', () => {
    const created = update(undefined, { ...of({ replicas: 1 }), status: { replicas: 3 } }, 'one')
    expect(JSON.stringify(managed(created))).not.toContain('f:status')
    const status = update(created, { ...created, status: { replicas: 4 } }, 'controller', { subresource: 'status' })
    expect(managed(status)).toHaveLength(2)
    expect(managed(status)[0]).toMatchObject({
      manager: 'controller',
      subresource: 'status',
      fieldsV1: { 'f:status': { 'f:replicas': {} } },
    })
  })

  it('merges the oldest of more than ten updaters', () => {
    let object = update(undefined, of({ replicas: 1 }), 'm00')
    for (let index = 1; index < 13; index++) {
      const labels = Object.fromEntries(Array.from({ length: index }, (_, at) => [`l${at}`, 'x']))
      object = update(object, of({ replicas: 1 }, { labels }), `m${String(index).padStart(2, '0')}`, {
        now: new Date(now.getTime() + index * 1000),
      })
    }
    const entries = managed(object)
    expect(entries).toHaveLength(10)
    expect(entries[0]).toMatchObject({
      manager: 'ancient-changes',
      fieldsV1: { 'f:metadata': { 'f:labels': { '.': {}, 'f:l0': {} } }, 'f:spec': { 'f:replicas': {} } },
    })
  })
})

describe('applyPatch()', () => {
  it('creates, owns what it names, and removes what it no longer names', () => {
    const one = apply(
      undefined,
      of({ replicas: 1, paused: true, ...containers({ name: 'c', image: 'i' }, { name: 'd', image: 'j' }) }),
      'me',
    )
    expect(fieldsOf(one, 'me')).toMatchObject({
      'f:spec': { 'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {} } } } } },
    })
    expect(managed(one)[0]).toMatchObject({ operation: 'Apply', time: '2026-01-01T00:00:00Z' })
    const two = apply(one, of({ replicas: 1, ...containers({ name: 'd', image: 'j' }) }), 'me', { now: later })
    expect(two['spec']).toMatchObject({ replicas: 1, template: { spec: { containers: [{ name: 'd', image: 'j' }] } } })
    expect(two['spec']).not.toHaveProperty('paused')
    expect(containersOf(two)).toHaveLength(1)
  })

  it('conflicts with another manager by path', () => {
    const live = update(undefined, of({ replicas: 3 }), 'kubectl-client-side-apply')
    expect(() => apply(live, of({ replicas: 1 }), 'me')).toThrow(
      expect.objectContaining({
        reason: 'Conflict',
        message: 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas',
        details: {
          causes: [
            { reason: 'FieldManagerConflict', message: 'conflict with "kubectl-client-side-apply" using apps/v1', field: '.spec.replicas' },
          ],
        },
      }),
    )
  })

  it('names all conflicts', () => {
    const live = apply(update(undefined, of({ replicas: 3, paused: true }), 'one'), of({ minReadySeconds: 4 }), 'two')
    expect(() => apply(live, of({ replicas: 1, paused: false, minReadySeconds: 1 }), 'me')).toThrow(
      'Apply failed with 3 conflicts: conflicts with "one" using apps/v1:\n- .spec.paused\n- .spec.replicas\nconflicts with "two":\n- .spec.minReadySeconds',
    )
  })

  it('takes over by force and shares by agreement', () => {
    const live = apply(undefined, of({ replicas: 3, paused: true }), 'one')
    const forced = apply(live, of({ replicas: 1 }), 'two', { force: true })
    expect(forced['spec']).toMatchObject({ replicas: 1, paused: true })
    expect(fieldsOf(forced, 'one')).toEqual({ 'f:spec': { 'f:paused': {} } })
    const shared = apply(forced, of({ replicas: 1, paused: true }), 'three')
    expect(fieldsOf(shared, 'two')).toEqual({ 'f:spec': { 'f:replicas': {} } })
    const left = apply(shared, of({ replicas: 1 }), 'three')
    expect(left['spec']).toMatchObject({ paused: true })
    const gone = apply(left, of({}), 'one')
    expect(gone['spec']).not.toHaveProperty('paused')
    expect(gone['spec']).toMatchObject({ replicas: 1 })
  })

  it('keeps list items of others, in a stable order', () => {
    const live = apply(undefined, of(containers({ name: 'a', image: '1' }, { name: 'b', image: '2' })), 'one')
    const two = apply(live, of(containers({ name: 'c', image: '3' }, { name: 'b', image: '2' })), 'two')
    expect(containersOf(two).map((item: JsonObject) => item['name'])).toEqual(['a', 'c', 'b'])
    const one = apply(two, of(containers({ name: 'a', image: '1' })), 'one')
    expect(containersOf(one).map((item: JsonObject) => item['name'])).toEqual(['a', 'c', 'b'])
    const none = apply(one, of({}), 'two')
    expect(containersOf(none).map((item: JsonObject) => item['name'])).toEqual(['a'])
  })

  it('guards objects that nobody has managed so far', () => {
    const live = decodeObject(of({ replicas: 3 }), deployment).object
    expect(() => apply(live, of({ replicas: 1 }), 'me')).toThrow('conflict with "before-first-apply" using apps/v1: .spec.replicas')
    const applied = apply(live, of({ paused: true }), 'me')
    expect(managed(applied).map((entry) => entry['manager'])).toEqual(['me', 'before-first-apply'])
  })

  it('upgrades from client-side apply for kubectl only', () => {
    const last = of({ replicas: 3 })
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(last) }
    const live = update(undefined, of({ replicas: 3 }, { annotations }), 'kubectl-client-side-apply')
    expect(() => apply(live, of({ replicas: 5 }), 'other')).toThrow('1 conflict')
    const upgraded = apply(live, of({ replicas: 5 }), 'kubectl')
    expect(upgraded['spec']).toMatchObject({ replicas: 5 })
    const { annotations: after } = upgraded['metadata'] as { annotations: Record<string, string> }
    expect(JSON.parse(Object.values(after)[0] ?? '')).toEqual(of({ replicas: 5 }))
    const changed = update(live, of({ replicas: 4 }, { annotations, managedFields: managed(live) }), 'scaler')
    expect(() => apply(changed, of({ replicas: 5 }), 'kubectl')).toThrow('conflict with "scaler" using apps/v1: .spec.replicas')
  })

  it('leaves an empty map to whoever applied it empty', () => {
    const one = apply(undefined, of({}, { labels: { a: 'b' } }), 'one')
    const two = apply(one, of({}, { labels: {} }), 'two')
    const three = apply(two, of({}, { labels: {} }), 'one')
    expect(three['metadata']).not.toHaveProperty('labels')
    expect(fieldsOf(three, 'two')).toMatchObject({ 'f:metadata': { 'f:labels': {} } })
  })

  it('takes __proto__ for a key like others', () => {
    const labels: unknown = JSON.parse('{"__proto__":"x","a":"y"}')
    const live = apply(undefined, of({}, { labels }), 'me')
    expect(Object.keys((live['metadata'] as { labels: object }).labels)).toEqual(['__proto__', 'a'])
    expect(apply(live, of({}, { labels: { a: 'y' } }), 'me')['metadata']).toMatchObject({ labels: { a: 'y' } })
  })

  it('does not write when nothing changes', () => {
    const one = apply(undefined, of({ replicas: 1 }), 'me')
    expect(apply(one, of({ replicas: 1 }), 'me', { now: later })).toEqual(one)
  })

  it.each([
    [
      of({ template: { metadata: { unknownSubMeta: 1 } } }),
      'failed to create typed patch object (/a; apps/v1, Kind=Deployment): .spec.template.metadata.unknownSubMeta: field not declared in schema',
    ],
    [of(containers({ name: 'a' }, { name: 'a' })), '.spec.template.spec.containers: duplicate entries for key [name="a"]'],
    [of({ replicas: 'x' }), '.spec.replicas: expected numeric (int or float), got string'],
    [of({ template: { spec: { containers: {} } } }), '.spec.template.spec.containers: expected list, got &{map[]}'],
    [of({ one: 1, two: 2 }), /: \.spec\.one: field not declared in schema$/],
    [of({}, { managedFields: [] }), 'metadata.managedFields must be nil'],
    [{ ...of({}), apiVersion: 'v1' }, 'invalid object type: v1, Kind=Deployment'],
  ])('refuses %j', (patch, message) => {
    expect(() => apply(undefined, patch, 'me')).toThrow(message)
  })

  it('refuses an item without its key, unless upstream always writes the key: then it is empty', () => {
    const patch = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'a' }, secrets: [{ kind: 'Secret' }] }
    expect(() => apply(undefined, patch, 'me', { schema: schemaOf('v1', 'ServiceAccount')!, apiVersion: 'v1' })).toThrow(
      '.secrets: element 0: associative list with keys has an element that omits all key fields ["name"]',
    )
    expect(containersOf(apply(undefined, of(containers({ image: 'a' })), 'me'))).toMatchObject([{ name: '', image: 'a' }])
  })

  it('uses the defaults of list keys', () => {
    const live = update(undefined, of(containers({ name: 'c', ports: [{ containerPort: 80, protocol: 'TCP', name: 'x' }] })), 'one')
    expect(() => apply(live, of(containers({ name: 'c', ports: [{ containerPort: 80, name: 'y' }] })), 'me')).toThrow(
      '.spec.template.spec.containers[name="c"].ports[containerPort=80,protocol="TCP"].name',
    )
  })

  it('works for custom resources with and without a schema', () => {
    const foo = (spec: object): JsonObject => ({ apiVersion: 'e.com/v1', kind: 'Foo', metadata: { name: 'a' }, spec })
    const plain = { schema: deducedSchema, apiVersion: 'e.com/v1' }
    const one = apply(undefined, foo({ a: 1, list: [{ name: 'x' }], map: { k: 'v' } }), 'one', plain)
    expect(fieldsOf(one, 'one')).toEqual({ 'f:spec': { '.': {}, 'f:a': {}, 'f:list': {}, 'f:map': { '.': {}, 'f:k': {} } } })
    expect(() => apply(one, foo({ list: [{ name: 'y' }] }), 'two', plain)).toThrow('conflict with "one": .spec.list')
    const schema = mergeSchemaOfCustom({
      type: 'object',
      properties: {
        spec: {
          type: 'object',
          properties: {
            list: {
              type: 'array',
              'x-kubernetes-list-type': 'map',
              'x-kubernetes-list-map-keys': ['name'],
              items: { type: 'object', properties: { name: { type: 'string' }, v: { type: 'integer' } } },
            },
          },
        },
      },
    })
    const typed = { schema, apiVersion: 'e.com/v1' }
    const first = apply(undefined, foo({ list: [{ name: 'x', v: 1 }] }), 'one', typed)
    const second = apply(first, foo({ list: [{ name: 'y' }] }), 'two', typed)
    expect(second['spec']).toEqual({ list: [{ name: 'x', v: 1 }, { name: 'y' }] })
    expect(apply(second, foo({}), 'one', typed)['spec']).toEqual({ list: [{ name: 'y' }] })
    expect(() => apply(first, foo({ other: 1 }), 'two', typed)).toThrow('.spec.other: field not declared in schema')
  })

  const name = fc.constantFrom('a', 'b', 'c')
  const config = fc
    .record(
      {
        replicas: fc.integer({ min: 0, max: 3 }),
        paused: fc.boolean(),
        list: fc.uniqueArray(
          fc.record({
            name,
            image: fc.constantFrom('x', 'y'),
            env: fc.uniqueArray(fc.record({ name, value: name }), { selector: (item) => item.name }),
          }),
          { selector: (item) => item.name },
        ),
        labels: fc.dictionary(name, name),
      },
      { requiredKeys: [] },
    )
    .map(({ list, labels, ...spec }) =>
      of({ ...spec, ...(list === undefined ? {} : containers(...list)) }, labels === undefined ? {} : { labels }),
    )
  /** Lists by name, so that order does not count. */
  const contents = (object: JsonObject): unknown =>
    JSON.parse(
      JSON.stringify({ ...object, metadata: { ...(object['metadata'] as object), managedFields: undefined } }),
      (_, value: unknown) => (Array.isArray(value) ? value.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : value),
    )

  it('of one manager only depends on the last configuration', () => {
    fc.assert(
      fc.property(config, config, (first, second) => {
        const fresh = apply(undefined, second, 'me')
        const live = apply(undefined, first, 'me')
        const before = JSON.stringify(live)
        const object = apply(live, second, 'me')
        expect(contents(object)).toEqual(contents(fresh))
        expect(managed(object).map((entry) => entry['fieldsV1'])).toEqual(managed(fresh).map((entry) => entry['fieldsV1']))
        expect(apply(object, second, 'me')).toEqual(object)
        expect(JSON.stringify(live)).toBe(before)
      }),
    )
  })

  it('of a second manager, undone, leaves what the first has', () => {
    fc.assert(
      fc.property(config, config, (first, second) => {
        const live = apply(undefined, first, 'one')
        const both = apply(live, second, 'two', { force: true })
        const back = apply(apply(both, first, 'one', { force: true }), of({}), 'two')
        expect(contents(back)).toEqual(contents(live))
      }),
    )
  })
})
