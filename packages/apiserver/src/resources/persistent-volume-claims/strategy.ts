import { compareQuantities } from '@k3s/api'
import { type PersistentVolumeClaim, type PersistentVolumeClaimSpec, persistentvolumeclaims } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { describeDifference } from '../shared/difference.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { immutable } from '../../validation/fields.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { shortAccessModes } from './access-modes.ts'
import { validateClaimSpec } from './claim-spec.ts'
import { defaultClaim } from './defaults.ts'

const legacyClass = 'volume.beta.kubernetes.io/storage-class'
const storageField = 'spec.resources.requests.storage'

const claimKind = 'PersistentVolumeClaim'
const snapshotGroup = 'snapshot.storage.k8s.io'

/** What `dataSource` could say before there was `dataSourceRef`. */
function isOldSource({ dataSource }: PersistentVolumeClaimSpec): boolean {
  const { kind, apiGroup = '' } = dataSource ?? {}
  return (kind === claimKind && apiGroup === '') || (kind === 'VolumeSnapshot' && apiGroup === snapshotGroup)
}

/**
 * `dataSource` and `dataSourceRef` say the same; clients may know only one of them. What a new claim cannot be made from is dropped, as upstream does, whose
 * old versions knew nothing of it.
 */
function settleSources({ spec }: PersistentVolumeClaim, previous?: PersistentVolumeClaimSpec): void {
  // Sources in other namespaces are an alpha feature.
  if (spec.dataSourceRef?.namespace && previous?.dataSourceRef === undefined) delete spec.dataSourceRef
  const hadSource = previous?.dataSource !== undefined || previous?.dataSourceRef !== undefined
  if (!hadSource && spec.dataSourceRef === undefined && !isOldSource(spec)) delete spec.dataSource
  if (spec.dataSource !== undefined && spec.dataSourceRef === undefined) spec.dataSourceRef = { ...spec.dataSource }
  else if (spec.dataSource === undefined && spec.dataSourceRef !== undefined && !spec.dataSourceRef.namespace) {
    const { apiGroup, kind, name } = spec.dataSourceRef
    spec.dataSource = { ...(apiGroup === undefined ? {} : { apiGroup }), kind, name }
  }
}

function validateUpdate(claim: PersistentVolumeClaim, previous: PersistentVolumeClaim): FieldError[] {
  const [now, then] = [claim.spec, previous.spec]
  const errors: FieldError[] = []
  const munged: PersistentVolumeClaimSpec = { ...now }
  const old: PersistentVolumeClaimSpec = { ...then }
  // A claim gets its volume once.
  if (!then.volumeName) old.volumeName = now.volumeName
  // A class may be given to a claim that has none.
  if (then.storageClassName === undefined && previous.metadata.annotations?.[legacyClass] === undefined)
    munged.storageClassName = then.storageClassName
  if (claim.status?.phase === 'Bound') {
    munged.resources = { ...now.resources, requests: { ...now.resources?.requests, storage: then.resources?.requests?.['storage'] ?? '0' } }
    munged.volumeAttributesClassName = then.volumeAttributesClassName
  }
  if (!semanticEqual(munged, old)) {
    const difference = describeDifference(old, munged)
    errors.push(
      forbiddenField(
        'spec',
        `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${difference}`,
      ),
    )
  }
  const [size, before] = [now.resources?.requests?.['storage'] ?? '0', then.resources?.requests?.['storage'] ?? '0']
  if (compareQuantities(size, before) < 0 && compareQuantities(size, previous.status?.capacity?.['storage'] ?? '0') <= 0) {
    errors.push(forbiddenField(storageField, 'field can not be less than status.capacity'))
  }
  append(errors, immutable('volumeMode', now.volumeMode, then.volumeMode))
  const attributes = 'spec.volumeAttributesClassName'
  if (previous.status?.currentVolumeAttributesClassName !== undefined && now.volumeAttributesClassName !== then.volumeAttributesClassName) {
    const isEmpty = now.volumeAttributesClassName === ''
    const what = isEmpty ? 'empty string' : 'nil'
    if (!now.volumeAttributesClassName)
      errors.push(forbiddenField(attributes, `update to ${what} is forbidden when status.currentVolumeAttributesClassName is not nil`))
  }
  return errors
}

/** Rules for persistent volume claims. */
export const persistentVolumeClaimStrategy: ResourceStrategy<PersistentVolumeClaim> = {
  type: persistentvolumeclaims,
  hasGeneration: false,
  defaults: defaultClaim,
  prepareForCreate(claim) {
    claim.status = {}
    settleSources(claim)
  },
  completeStored({ status }) {
    if (status === undefined || status.phase) return false
    status.phase = 'Pending'
    return true
  },
  validate: ({ spec }) => validateClaimSpec(spec, 'spec'),
  update: {
    prepare(claim, previous) {
      keepStatus(claim, previous)
      settleSources(claim, previous.spec)
    },
    validate: validateUpdate,
  },
  status: statusUpdate(),
  columns: [
    nameColumn(),
    column('Status', ({ metadata, status }) => (metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating')),
    column('Volume', ({ spec }) => spec.volumeName ?? ''),
    column('Capacity', ({ spec, status }) => (spec.volumeName ? (status?.capacity?.['storage'] ?? '0') : '')),
    column('Access Modes', ({ spec, status }) => (spec.volumeName ? shortAccessModes(status?.accessModes) : '')),
    column('StorageClass', ({ spec, metadata }) => metadata.annotations?.[legacyClass] ?? spec.storageClassName ?? ''),
    column('VolumeAttributesClass', ({ spec }) => spec.volumeAttributesClassName ?? '<unset>'),
    ageColumn(),
    column('VolumeMode', ({ spec }) => spec.volumeMode ?? '<unset>', { wide: true }),
  ],
}
