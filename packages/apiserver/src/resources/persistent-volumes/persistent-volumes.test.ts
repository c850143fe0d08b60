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
  ['a disk without a name', { gcePersistentDisk: { pdName: '' } }, ['spec.persistentDisk.pdName: Required value']],
  ['no set of data', { flocker: {} }, ['spec.flocker: Required value: one of datasetName and datasetUUID is required']],
  [
    'a registry that is no address',
    { quobyte: { registry: 'a:1,b', volume: '' } },
    [
      'spec.quobyte.registry: Invalid value: "a:1,b": must be a host:port pair or multiple pairs separated by commas',
      'spec.quobyte.volume: Required value',
    ],
  ],
  [
    'a managed disk of another form',
    { azureDisk: { diskName: 'd', diskURI: 'https://x', kind: 'Managed' } },
    [expect.stringMatching(/^spec\.azureDisk\.diskURI: Unsupported value: "https:\/\/x": supported values: "\/subscriptions\//)],
  ],
  ['a source without what it needs', { cephfs: { monitors: [] } }, ['spec.cephfs.monitors: Required value']],
])('persistent volumes refuse %s', (_what, spec, expected) => {
  expect(createProblems(persistentVolumeStrategy, volumeOf(spec))).toEqual(expected)
})
