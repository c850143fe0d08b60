import { describe, expect, it } from 'vitest'
import { dns1123Subdomain } from './names.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from './object-meta.ts'

const rules = { namespaced: true, validateName: dns1123Subdomain }

describe('validateObjectMeta()', () => {
  it('takes what is right', () => {
    const metadata = { name: 'a', namespace: 'b', labels: { 'example.com/x': 'y' }, annotations: { 'Example.com/Any': 'text\n' } }
    expect(validateObjectMeta(metadata, rules)).toEqual([])
  })

  it('names every problem', () => {
    const metadata = {
      name: '',
      namespace: '',
      labels: { 'a b': 'c' },
      annotations: { big: 'x'.repeat(262145) },
      finalizers: ['plain'],
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Pod', name: 'a', uid: '1', controller: true },
        { apiVersion: 'v1', kind: 'Event', name: '', uid: '', controller: true },
      ],
    }
    const fields = validateObjectMeta(metadata, rules).map(({ field, reason }) => `${field} ${reason}`)
    expect(fields).toEqual(
      expect.arrayContaining([
        'metadata.name FieldValueRequired',
        'metadata.namespace FieldValueRequired',
        'metadata.labels FieldValueInvalid',
        'metadata.annotations FieldValueTooLong',
        'metadata.ownerReferences.name FieldValueInvalid',
        'metadata.ownerReferences.uid FieldValueInvalid',
        'metadata.ownerReferences FieldValueInvalid',
        'metadata.finalizers[0] FieldValueInvalid',
      ]),
    )
  })

  it('judges the beginning of a generated name as well', () => {
    const metadata = { name: 'Web-x7k2p', namespace: 'b', generateName: 'Web-' }
    expect(validateObjectMeta(metadata, rules).map(({ field }) => field)).toEqual(['metadata.generateName', 'metadata.name'])
    expect(validateObjectMeta({ name: 'web-x7k2p', namespace: 'b', generateName: 'web-' }, rules)).toEqual([])
  })

  it('wants a namespace exactly where the kind has one', () => {
    expect(validateObjectMeta({ name: 'a', namespace: 'b' }, { namespaced: false })).toEqual([
      { reason: 'FieldValueForbidden', field: 'metadata.namespace', message: 'Forbidden: not allowed on this type' },
    ])
  })
})

describe('validateObjectMetaUpdate()', () => {
  it('keeps what identifies an object', () => {
    const old = { name: 'a', namespace: 'b', uid: '1', resourceVersion: '1' }
    expect(validateObjectMetaUpdate({ ...old, name: 'c' }, old, rules)).toMatchObject([
      { field: 'metadata.name', message: 'Invalid value: "c": field is immutable' },
    ])
    expect(validateObjectMetaUpdate(old, old, rules)).toEqual([])
  })

  it('names its problems in upstream’s order', () => {
    const old = { name: 'a', namespace: 'b', uid: '1', resourceVersion: '1', generation: 2, deletionTimestamp: '2024-05-01T12:00:00Z' }
    const changed = {
      ...old,
      resourceVersion: '',
      generation: 1,
      uid: '2',
      finalizers: ['x.io/b', 'x.io/a', 'x.io/b'],
      deletionGracePeriodSeconds: 5,
      labels: { a: '?' },
    }
    expect(validateObjectMetaUpdate(changed, old, rules)).toMatchObject([
      { field: 'metadata.labels' },
      {
        field: 'metadata.finalizers',
        message:
          'Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"x.io/a", "x.io/b"}',
      },
      { field: 'metadata.resourceVersion', message: 'Invalid value: "": must be specified for an update' },
      { field: 'metadata.generation', message: 'Invalid value: 1: must not be decremented' },
      { field: 'metadata.uid', message: 'Invalid value: "2": field is immutable' },
      { field: 'metadata.deletionGracePeriodSeconds', message: 'Invalid value: 5: field is immutable' },
      { field: 'metadata.labels' },
    ])
  })
})
