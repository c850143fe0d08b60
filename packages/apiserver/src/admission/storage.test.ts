import { type PersistentVolumeClaim, persistentvolumeclaims } from '@k3s/api/types/core/v1'
import { type StorageClass, storageclasses } from '@k3s/api/types/storage/v1'
import { describe, expect, it } from 'vitest'
import { runAdmission } from '../../test/run-admission.ts'
import { stored } from '../../test/strategy-runs.ts'

const claimOf = (storage: string, phase = 'Bound', storageClassName = 'growing'): PersistentVolumeClaim => ({
  metadata: { name: 'c', namespace: 'a' },
  spec: { storageClassName, resources: { requests: { storage } } },
  status: { phase },
})
const classes: readonly StorageClass[] = [
  { metadata: { name: 'growing' }, provisioner: 'p', allowVolumeExpansion: true },
  { metadata: { name: 'fixed' }, provisioner: 'p' },
]
const resize = (old: PersistentVolumeClaim, storage: string) => {
  const claim = structuredClone(old)
  claim.spec.resources = { requests: { storage } }
  const options = { only: ['PersistentVolumeClaimResize'], old, stored: classes.map((each) => stored(storageclasses, each)) }
  return runAdmission(persistentvolumeclaims, claim, options)
}

describe('PersistentVolumeClaimResize', () => {
  it('lets bound claims grow where the class allows it', async () => {
    await expect(resize(claimOf('1Gi'), '2Gi')).resolves.toBeDefined()
  })

  it('asks nothing when the amount is the same or less', async () => {
    await expect(resize(claimOf('1Gi', 'Pending', 'fixed'), '1024Mi')).resolves.toBeDefined()
    await expect(resize(claimOf('1Gi', 'Bound', 'fixed'), '1Mi')).resolves.toBeDefined()
  })

  it.each<readonly [PersistentVolumeClaim, string]>([
    [claimOf('1Gi', 'Pending'), 'Only bound persistent volume claims can be expanded'],
    ...['fixed', 'none', ''].map(
      (name) =>
        [
          claimOf('1Gi', 'Bound', name),
          'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
        ] as const,
    ),
  ])('refuses other growth: %#', async (claim, message) => {
    await expect(resize(claim, '2Gi')).rejects.toMatchObject({
      code: 403,
      message: `persistentvolumeclaims "c" is forbidden: ${message}`,
    })
  })
})
