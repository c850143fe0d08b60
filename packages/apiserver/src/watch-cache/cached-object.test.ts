import type { KubernetesObject } from '@k3s/api'
import { deployments } from '@k3s/api/types/apps/v1'
import { namespaces, pods } from '@k3s/api/types/core/v1'
import { roles } from '@k3s/api/types/rbac/v1'
import { array, assert, boolean, property, record, stringMatching } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CachedObject, encodeStored } from './cached-object.ts'
import { SortedObjects } from './sorted-objects.ts'
import { relativeKey, storedResource } from './stored-resource.ts'

describe('CachedObject', () => {
  const resource = storedResource(deployments)
  const object = { metadata: { name: 'a', namespace: 'x', resourceVersion: '5' }, spec: { text: 'ä', selector: {} } }

  it('puts the resourceVersion into its slot', () => {
    const stored = encodeStored(resource, object)
    expect(stored.toString()).toBe(
      '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"x"},"spec":{"text":"ä","selector":{}}}',
    )
    const cached = CachedObject.fromStored(resource, 'x/a', 12, stored)
    expect(cached.bytes.toString()).toBe(
      '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"resourceVersion":"12","name":"a","namespace":"x"},"spec":{"text":"ä","selector":{}}}',
    )
    expect(cached.itemTail.toString().startsWith('"metadata":{"resourceVersion":"12"')).toBe(true)
    expect(cached.object.metadata.resourceVersion).toBe('12')
    expect([cached.namespace, cached.name]).toEqual(['x', 'a'])
  })

  it('shows its last state at the revision of its deletion', () => {
    const cached = CachedObject.fromStored(resource, 'x/a', 99, encodeStored(resource, object))
    expect(cached.atRevision(100).object).toEqual({ ...cached.object, metadata: { ...cached.object.metadata, resourceVersion: '100' } })
  })

  it('reads its metadata alone as it reads them with the rest, whatever stands in its texts', () => {
    const resource = storedResource(pods)
    const text = stringMatching(/^["\\\\{}[\]:,a-zé\n]{0,12}$/)
    const labels = record({ label: text, more: array(text) }).map(({ label, more }) => ({ [label]: more.join('}'), a: label }))
    assert(
      property(labels, (annotations) => {
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', annotations }, spec: { nodeName: 'metadata":{' } }
        const stored = (): CachedObject => CachedObject.fromStored(resource, 'default/a', 12, encodeStored(resource, pod))
        expect(stored().metadata).toEqual(stored().object.metadata)
        expect(stored().atRevision(130).metadata.resourceVersion).toBe('130')
      }),
    )
  })

  it('knows its size before it has its bytes', () => {
    const resource = storedResource(pods)
    const value = Buffer.from(`${resource.head}"name":"a"}}`)
    const deleted = CachedObject.fromStored(resource, 'default/a', 9, value).atRevision(10)
    expect(deleted.size).toBe(deleted.bytes.length)
  })

  it('encodes anew what another program stored in another order', () => {
    const foreign = Buffer.from(
      '{"kind":"Deployment","apiVersion":"apps/v1","spec":{"selector":{}},"metadata":{"name":"a","namespace":"x"}}',
    )
    expect(CachedObject.fromStored(resource, 'x/a', 3, foreign).bytes.toString()).toBe(
      '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"resourceVersion":"3","name":"a","namespace":"x"},"spec":{"selector":{}}}',
    )
  })
})

describe('what is nothing', () => {
  it('is null in bytes, and an empty list or no time in objects', () => {
    const resource = storedResource(roles)
    const stored = encodeStored(resource, { metadata: { name: 'r', namespace: 'x' }, rules: [] } as KubernetesObject)
    expect(stored.toString()).toContain('"rules":null')
    expect(CachedObject.fromStored(resource, 'x/r', 1, stored).object).toMatchObject({ rules: [] })
    const podOf = { metadata: { name: 'p', namespace: 'x' }, spec: {}, status: { conditions: [{ type: 'Ready', status: 'True' }] } }
    const pod = encodeStored(storedResource(pods), podOf)
    expect(pod.toString()).toContain('"lastProbeTime":null,"lastTransitionTime":null')
    expect(CachedObject.fromStored(storedResource(pods), 'x/p', 1, pod).parseCopy()).toMatchObject({ status: podOf.status })
  })

  it('stays null in custom resources, whose schemas say what it means', () => {
    const resource = storedResource({ ...pods, group: 'example.com', resource: 'foos', kind: 'Foo' }, { isCustom: true })
    const stored = encodeStored(resource, { metadata: { name: 'a', namespace: 'x' }, spec: { a: null } } as KubernetesObject)
    expect(CachedObject.fromStored(resource, 'x/a', 1, stored).object).toMatchObject({ spec: { a: null } })
  })
})

describe('what is stored without its last defaults', () => {
  const resource = storedResource(pods, {
    complete(object) {
      const { metadata } = object
      if (metadata.labels !== undefined) return false
      metadata.labels = { by: 'default' }
      return true
    },
  })
  const encoded = (labels?: Record<string, string>): Buffer =>
    encodeStored(resource, { metadata: { name: 'p', namespace: 'x', ...(labels === undefined ? {} : { labels }) } })

  it('has them when it is read, and says so', () => {
    const read = CachedObject.fromStored(resource, 'x/p', 4, encoded())
    expect(read.object.metadata).toMatchObject({ labels: { by: 'default' }, resourceVersion: '4' })
    expect(read.isCompleted).toBe(true)
    expect(read.atRevision(5).isCompleted).toBe(true)
    expect(CachedObject.withoutVersion(resource, 'x/p', encoded()).object.metadata.labels).toEqual({ by: 'default' })
  })

  it('says nothing when nothing is missing', () => {
    expect(CachedObject.fromStored(resource, 'x/p', 4, encoded({ by: 'user' })).isCompleted).toBe(false)
  })
})

describe('storedResource()', () => {
  it('lays keys out as Kubernetes does', () => {
    expect(storedResource(pods).prefix).toBe('/registry/pods/')
    expect(storedResource(deployments).prefix).toBe('/registry/deployments/')
    expect(storedResource({ ...pods, resource: 'services' }).prefix).toBe('/registry/services/specs/')
    expect(storedResource({ ...pods, resource: 'nodes' }).prefix).toBe('/registry/minions/')
    expect(storedResource({ ...pods, group: 'example.com', resource: 'foos' }, { isCustom: true }).prefix).toBe(
      '/registry/example.com/foos/',
    )
    expect(relativeKey(storedResource(pods), 'x', 'a')).toBe('x/a')
    expect(relativeKey(storedResource(namespaces), '', 'a')).toBe('a')
  })
})

describe('SortedObjects', () => {
  it('gives runs of keys in order, whatever the order of changes', () => {
    const resource = storedResource(pods)
    const make = (key: string): CachedObject => new CachedObject(resource, key, 1, Buffer.alloc(0))
    const change = record({ key: stringMatching(/^[ab]\/[abc]{1,2}$/), isDeletion: boolean() })
    assert(
      property(array(change), (changes) => {
        const sorted = new SortedObjects()
        const model = new Set<string>()
        for (const { key, isDeletion } of changes) {
          const previous = isDeletion ? sorted.delete(key) : sorted.set(make(key))
          expect(previous !== undefined).toBe(model.has(key))
          if (isDeletion) model.delete(key)
          else model.add(key)
        }
        const keys = [...model].toSorted()
        expect(sorted.slice('').map(({ key }) => key)).toEqual(keys)
        expect(sorted.slice('a/').map(({ key }) => key)).toEqual(keys.filter((key) => key.startsWith('a/')))
        expect(sorted.slice('', 'a/b').map(({ key }) => key)).toEqual(keys.filter((key) => key >= 'a/b'))
        expect(sorted.size).toBe(keys.length)
        for (const prefix of ['', 'a/', 'b/'])
          for (const start of ['', 'a/b', 'b/a']) {
            const wanted = keys.filter((key) => key.startsWith(prefix) && key >= start)
            expect(sorted.slice(prefix, start, 2).map(({ key }) => key)).toEqual(wanted.slice(0, 2))
            expect(sorted.count(prefix, start)).toBe(wanted.length)
          }
      }),
    )
  })
})
