import { describe, expect, it } from 'vitest'
import { knownType, schemaOf } from '../schema/table.ts'
import { clearNulls, withNulls } from './nulls.ts'

const pod = knownType('core/v1.Pod')
const role = knownType('rbac/v1.Role')

describe('withNulls()', () => {
  it('writes null for times that are not left out, however deep they are', () => {
    const object = {
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c' }] },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    }
    expect(withNulls(object, pod)).toEqual({
      ...object,
      status: { conditions: [{ type: 'Ready', status: 'True', lastProbeTime: null, lastTransitionTime: null }] },
    })
  })

  it('writes null for lists that hold nothing and are not left out', () => {
    expect(withNulls({ metadata: { name: 'r' }, rules: [] }, role)).toEqual({ metadata: { name: 'r' }, rules: null })
    expect(withNulls({ metadata: { name: 'r' } }, role)).toEqual({ metadata: { name: 'r' }, rules: null })
    expect(withNulls({ rules: [{ verbs: [], apiGroups: [] }] }, role)).toEqual({ rules: [{ verbs: null, apiGroups: [] }] })
  })

  it('writes null for pointers that are not left out', () => {
    const claim = knownType('core/v1.PersistentVolumeClaim')
    const spec = { dataSource: { kind: 'PersistentVolumeClaim', name: 'other' } }
    expect(withNulls({ spec }, claim)).toEqual({ spec: { dataSource: { ...spec.dataSource, apiGroup: null } } })
  })

  it('leaves out the creation time of templates', () => {
    const object = { template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } } }
    expect(withNulls(object, knownType('core/v1.PodTemplate'))).toBe(object)
  })

  it('returns the object itself when it needs no null, and shares the rest when it does', () => {
    const object = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c' }] } }
    expect(withNulls(object, pod)).toBe(object)
    const event = { metadata: { name: 'e' }, source: {} }
    expect(withNulls(event, knownType('core/v1.Event'))['metadata']).toBe(event.metadata)
  })

  it('ends on types that hold themselves', () => {
    const schema = schemaOf('apiextensions.k8s.io/v1', 'CustomResourceDefinition')
    expect(schema?.aboveNullable.map(({ name }) => name)).toEqual(['spec', 'status'])
  })
})

describe('clearNulls()', () => {
  it('undoes withNulls()', () => {
    const object = { metadata: { name: 'n' }, rules: [], status: undefined }
    const written = structuredClone(withNulls(object, role))
    clearNulls(written, role)
    expect(written).toEqual({ metadata: { name: 'n' }, rules: [] })
    const withStatus = { status: { conditions: [{ type: 'Ready', status: 'True', lastProbeTime: null, lastTransitionTime: null }] } }
    clearNulls(withStatus, pod)
    expect(withStatus).toEqual({ status: { conditions: [{ type: 'Ready', status: 'True' }] } })
  })

  it('keeps nulls that say something', () => {
    const status = { phase: 'Running', message: null }
    clearNulls({ status }, pod)
    expect(status).toEqual({ phase: 'Running', message: null })
  })
})
