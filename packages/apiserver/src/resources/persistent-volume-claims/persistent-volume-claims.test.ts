import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { scopeOf } from '../../../test/strategy-runs.ts'
import { persistentVolumeClaimStrategy as strategy } from './strategy.ts'

const claimOf = (spec: PersistentVolumeClaimSpec): PersistentVolumeClaim => ({ metadata: { name: 'c' }, spec })
const created = (spec: PersistentVolumeClaimSpec): PersistentVolumeClaim => {
  const claim = claimOf(structuredClone(spec))
  strategy.prepareForCreate?.(claim, scopeOf())
  return claim
}
const other = { kind: 'PersistentVolumeClaim', name: 'other' }

describe('sources of claims', () => {
  it('are told in both ways', () => {
    expect(created({ dataSource: other }).spec).toEqual({ dataSource: other, dataSourceRef: other })
    expect(created({ dataSourceRef: other }).spec).toEqual({ dataSource: other, dataSourceRef: other })
  })

  it('are dropped where old versions knew nothing of them', () => {
    expect(created({ dataSource: { kind: '', name: '' } }).spec).toEqual({})
    expect(created({ dataSource: { apiGroup: 'example.com', kind: 'Thing', name: 't' } }).spec).toEqual({})
    expect(created({ dataSourceRef: { ...other, namespace: 'elsewhere' } }).spec).toEqual({})
    const thing = { apiGroup: 'example.com', kind: 'Thing', name: 't' }
    expect(created({ dataSourceRef: thing }).spec).toEqual({ dataSource: thing, dataSourceRef: thing })
  })

  it('stay in claims that have them', () => {
    const thing = { apiGroup: 'example.com', kind: 'Thing', name: 't' }
    const claim = claimOf({ dataSource: thing })
    strategy.update?.prepare?.(claim, claimOf({ dataSource: thing, dataSourceRef: thing }), scopeOf())
    expect(claim.spec).toEqual({ dataSource: thing, dataSourceRef: thing })
  })
})

it('claims are stored without the phase that they begin in', () => {
  const claim = created({})
  expect(claim.status).toEqual({})
  expect(strategy.completeStored?.(claim)).toBe(true)
  expect(claim.status).toEqual({ phase: 'Pending' })
  expect(strategy.completeStored?.(claim)).toBe(false)
})
