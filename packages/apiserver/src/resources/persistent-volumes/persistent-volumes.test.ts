import type { PersistentVolume, PersistentVolumeSpec } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { createProblems } from '../../../test/strategy-runs.ts'
import { persistentVolumeStrategy } from './strategy.ts'

const volumeOf = (spec: PersistentVolumeSpec): PersistentVolume => ({
  metadata: { name: 'v', creationTimestamp: '2024-05-01T11:00:00Z' },
  spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], ...spec },
})
const hostPath = { path: '/data' }

it.each<[string, PersistentVolumeSpec, string[]]>([
  ['no source', {}, ['spec: Required value: must specify a volume type']],
  ['two sources', { hostPath, cephfs: { monitors: [] } }, ['spec.cephFS: Forbidden: may not specify more than 1 volume type']],
  ['a flex volume beside another', { hostPath, flexVolume: { driver: '' } }, ['spec.flexVolume.driver: Required value']],
  [
    'another after a flex volume',
    { flexVolume: { driver: 'd' }, local: { path: '/x' } },
    ['spec.local: Forbidden: may not specify more than 1 volume type'],
  ],
  ['a source without what it needs', { cephfs: { monitors: [] } }, ['spec.cephfs.monitors: Required value']],
])('persistent volumes refuse %s', (_what, spec, expected) => {
  expect(createProblems(persistentVolumeStrategy, volumeOf(spec))).toEqual(expected)
})
