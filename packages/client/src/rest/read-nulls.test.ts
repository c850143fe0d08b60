import { describe, expect, it } from 'vitest'
import { readNulls } from './read-nulls.ts'

describe('readNulls()', () => {
  it('reads null as an empty list and as no time, in objects and in lists of them', () => {
    expect(readNulls({ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', rules: null })).toMatchObject({ rules: [] })
    const status = { conditions: [{ type: 'Ready', status: 'True', lastProbeTime: null }] }
    expect(readNulls({ apiVersion: 'v1', kind: 'PodList', items: [{ metadata: { name: 'p' }, status }] })).toEqual({
      apiVersion: 'v1',
      kind: 'PodList',
      items: [{ metadata: { name: 'p' }, status: { conditions: [{ type: 'Ready', status: 'True' }] } }],
    })
    expect(readNulls({ apiVersion: 'v1', kind: 'PodList', items: null })).toMatchObject({ items: [] })
  })

  it('leaves alone what it does not know', () => {
    const custom = { apiVersion: 'example.com/v1', kind: 'Thing', spec: { nothing: null } }
    expect(readNulls(structuredClone(custom))).toEqual(custom)
    expect(readNulls(['a'])).toEqual(['a'])
    expect(readNulls(null)).toBe(null)
  })
})
