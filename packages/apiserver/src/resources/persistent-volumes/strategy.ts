import { compareQuantities, isQuantity } from '@k3s/api'
import { type PersistentVolume, type PersistentVolumeSpec, persistentvolumes } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { validateAccessModes, volumeModes } from '../persistent-volume-claims/claim-spec.ts'
import { shortAccessModes } from '../persistent-volume-claims/access-modes.ts'
import { validateNodeSelector } from '../pods/scheduling.ts'
import { templateRules } from '../pods/rules.ts'
import { validateDriverName, validateNoBacksteps, validateSource } from '../pods/volumes.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { describeDifference } from '../shared/difference.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { immutable, invalids, optionalOneOf, requiredString } from '../../validation/fields.ts'
import { dns1123Subdomain } from '../../validation/names.ts'
import { canonicalizeResources } from '../shared/resource-list.ts'
import { statusUpdate } from '../shared/status-rules.ts'
import { requiredSourceFields } from '../shared/volume-sources.ts'

const sources = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const
const reclaimPolicies = ['Delete', 'Recycle', 'Retain']
const legacyClass = 'volume.beta.kubernetes.io/storage-class'

function defaults(volume: PersistentVolume): void {
  volume.status ??= {}
  volume.status.phase ||= 'Pending'
  volume.spec.persistentVolumeReclaimPolicy ||= 'Retain'
  volume.spec.volumeMode ??= 'Filesystem'
  if (volume.spec.hostPath !== undefined) volume.spec.hostPath.type ??= ''
  canonicalizeResources(volume.spec.capacity)
}

function validateSources(spec: PersistentVolumeSpec): FieldError[] {
  const errors: FieldError[] = []
  let count = 0
  for (const name of sources) {
    if (spec[name] === undefined) continue
    // As upstream, whose rules forget flex volumes when they count.
    if (count === 0 || name === 'flexVolume') append(errors, problemsOf(name, spec))
    else errors.push(forbiddenField(`spec.${name === 'cephfs' ? 'cephFS' : name}`, 'may not specify more than 1 volume type'))
    count++
  }
  return count === 0 ? [required('spec', 'must specify a volume type')] : errors
}

/** What sources that have no other rules must say. */
const requiredFields: Readonly<Partial<Record<(typeof sources)[number], readonly string[]>>> = requiredSourceFields

function problemsOf(name: (typeof sources)[number], spec: PersistentVolumeSpec): FieldError[] {
  const { hostPath, nfs, local, csi } = spec
  const errors: FieldError[] = []
  if (name === 'hostPath' && hostPath !== undefined) {
    append(errors, requiredString('spec.hostPath.path', hostPath.path))
    if (hostPath.path) append(errors, validateNoBacksteps(hostPath.path, 'spec.hostPath.path'))
  }
  if (name === 'nfs' && nfs !== undefined) {
    append(errors, requiredString('spec.nfs.server', nfs.server), requiredString('spec.nfs.path', nfs.path))
    if (!nfs.path.startsWith('/')) errors.push(invalidValue('spec.nfs.path', nfs.path, 'must be an absolute path'))
  }
  if (name === 'local' && local !== undefined) {
    append(errors, requiredString('spec.local.path', local.path))
    if (local.path) append(errors, validateNoBacksteps(local.path, 'spec.local.path'))
    if (spec.nodeAffinity?.required === undefined) errors.push(required('spec.nodeAffinity', 'Local volume requires node affinity'))
  }
  if (name === 'csi' && csi !== undefined) {
    append(errors, validateDriverName(csi.driver, 'spec.csi.driver'), requiredString('spec.csi.volumeHandle', csi.volumeHandle))
  }
  const source: Readonly<Record<string, unknown>> = { ...spec[name] }
  const at = name === 'gcePersistentDisk' ? 'spec.persistentDisk' : `spec.${name}`
  for (const field of requiredFields[name] ?? []) {
    const value = source[field]
    if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) errors.push(required(`${at}.${field}`))
  }
  if (name === 'flocker' || name === 'fc') append(errors, validateSource({ name: '', [name]: spec[name] }, name, at, templateRules))
  if (name === 'quobyte' && spec.quobyte !== undefined) append(errors, validateQuobyte(spec.quobyte))
  if (name === 'azureDisk' && spec.azureDisk !== undefined) append(errors, validateAzureDisk(spec.azureDisk))
  return errors
}

function validateQuobyte({ registry = '', tenant = '', volume = '' }: NonNullable<PersistentVolumeSpec['quobyte']>): FieldError[] {
  const at = 'spec.quobyte.registry'
  const why = 'must be a host:port pair or multiple pairs separated by commas'
  const isPair = (text: string): boolean => /^(?:[^:[\]]*|\[[^[\]]*\]):[^:[\]]*$/.test(text)
  const errors =
    registry === ''
      ? [required(at, why)]
      : tenant.length >= 65
        ? [required('spec.quobyte.tenant', 'must be a UUID and may not exceed a length of 64 characters')]
        : registry.split(',').flatMap((pair) => (isPair(pair) ? [] : [invalidValue(at, registry, why)]))
  return volume === '' ? [...errors, required('spec.quobyte.volume')] : errors
}

const managedDisks = '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}'
const blobDisks = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd'

function validateAzureDisk({ cachingMode, diskURI = '', kind }: NonNullable<PersistentVolumeSpec['azureDisk']>): FieldError[] {
  const isManaged = kind === 'Managed'
  const form = isManaged ? managedDisks : blobDisks
  return [
    ...optionalOneOf('spec.azureDisk.cachingMode', cachingMode, ['None', 'ReadOnly', 'ReadWrite']),
    ...optionalOneOf('spec.azureDisk.kind', kind, ['Dedicated', 'Managed', 'Shared']),
    ...(diskURI.startsWith(isManaged ? '/subscriptions/' : 'https://') ? [] : [notSupported('spec.azureDisk.diskURI', diskURI, [form])]),
  ]
}

function validate({ spec }: PersistentVolume): FieldError[] {
  const errors: FieldError[] = (spec.accessModes ?? []).length === 0 ? [required('spec.accessModes')] : []
  append(errors, validateAccessModes(spec.accessModes, 'spec.accessModes'))
  const capacity = spec.capacity ?? {}
  const names = Object.keys(capacity)
  if (names.length === 0) errors.push(required('spec.capacity'))
  if (names.length !== 1 || capacity['storage'] === undefined) errors.push(notSupported('spec.capacity', capacity, ['storage']))
  for (const [name, amount] of Object.entries(capacity)) {
    if (!isQuantity(amount) || compareQuantities(amount, '0') <= 0)
      errors.push(invalidValue(`spec.capacity[${name}]`, amount, 'must be greater than zero'))
  }
  append(errors, optionalOneOf('spec.persistentVolumeReclaimPolicy', spec.persistentVolumeReclaimPolicy, reclaimPolicies))
  if (spec.nodeAffinity !== undefined) {
    if (spec.nodeAffinity.required === undefined)
      errors.push(required('spec.nodeAffinity.required', 'must specify required node constraints'))
    else append(errors, validateNodeSelector(spec.nodeAffinity.required, 'spec.nodeAffinity.required'))
  }
  append(errors, validateSources(spec))
  if (spec.hostPath?.path.replaceAll(/\/+/g, '/') === '/' && spec.persistentVolumeReclaimPolicy === 'Recycle') {
    errors.push(forbiddenField('spec.persistentVolumeReclaimPolicy', "may not be 'recycle' for a hostPath mount of '/'"))
  }
  if (spec.storageClassName)
    append(errors, invalids('spec.storageClassName', spec.storageClassName, dns1123Subdomain(spec.storageClassName)))
  append(errors, optionalOneOf('spec.volumeMode', spec.volumeMode, volumeModes))
  const attributes = spec.volumeAttributesClassName
  if (attributes !== undefined) {
    if (attributes === '') errors.push(required('spec.volumeAttributesClassName', 'an empty string is disallowed'))
    else append(errors, invalids('spec.volumeAttributesClassName', attributes, dns1123Subdomain(attributes)))
    if (spec.csi === undefined) errors.push(required('spec.csi', 'has to be specified when using volumeAttributesClassName'))
  }
  return errors
}

const sourceOf = (spec: PersistentVolumeSpec): unknown => Object.fromEntries(sources.map((name) => [name, spec[name]]))

/** As upstream, whose rules of an update judge the whole volume again. */
function validateUpdate(volume: PersistentVolume, { spec: old }: PersistentVolume): FieldError[] {
  const { spec } = volume
  const errors = validate(volume)
  // A secret for growing may be added once.
  const isAdded = old.csi !== undefined && old.csi.controllerExpandSecretRef === undefined && spec.csi !== undefined
  const now = isAdded
    ? {
        ...spec,
        csi: {
          ...spec.csi,
          driver: spec.csi?.driver ?? '',
          volumeHandle: spec.csi?.volumeHandle ?? '',
          controllerExpandSecretRef: undefined,
        },
      }
    : spec
  if (!semanticEqual(sourceOf(now), sourceOf(old))) {
    const difference = describeDifference(sourceOf(old), sourceOf(now))
    errors.push(forbiddenField('spec.persistentvolumesource', `spec.persistentvolumesource is immutable after creation\n${difference}`))
  }
  append(errors, immutable('volumeMode', spec.volumeMode, old.volumeMode))
  if (old.nodeAffinity !== undefined) append(errors, immutable('nodeAffinity', spec.nodeAffinity, old.nodeAffinity))
  if (old.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined) {
    errors.push(forbiddenField('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'))
  }
  return errors
}

/** Rules for persistent volumes. */
export const persistentVolumeStrategy: ResourceStrategy<PersistentVolume> = {
  type: persistentvolumes,
  hasGeneration: false,
  defaults,
  prepareForCreate(volume, scope) {
    volume.status = { phase: 'Pending', lastPhaseTransitionTime: scope.now }
  },
  validate,
  update: { validate: validateUpdate },
  status: {
    prepare(volume, previous, scope) {
      statusUpdate<PersistentVolume>().prepare?.(volume, previous, scope)
      const [now, then] = [volume.status, previous.status]
      if (now !== undefined && now.phase !== then?.phase && now.lastPhaseTransitionTime === then?.lastPhaseTransitionTime)
        now.lastPhaseTransitionTime = scope.now
      else if (now !== undefined) now.lastPhaseTransitionTime ??= then?.lastPhaseTransitionTime
    },
  },
  columns: [
    nameColumn(),
    column('Capacity', ({ spec }) => spec.capacity?.['storage'] ?? '0'),
    column('Access Modes', ({ spec }) => shortAccessModes(spec.accessModes)),
    column('Reclaim Policy', ({ spec }) => spec.persistentVolumeReclaimPolicy ?? ''),
    column('Status', ({ metadata, status }) => (metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating')),
    column('Claim', ({ spec }) => (spec.claimRef === undefined ? '' : `${spec.claimRef.namespace ?? ''}/${spec.claimRef.name ?? ''}`)),
    column('StorageClass', ({ spec, metadata }) => metadata.annotations?.[legacyClass] ?? spec.storageClassName ?? ''),
    column('VolumeAttributesClass', ({ spec }) => spec.volumeAttributesClassName ?? '<unset>'),
    column('Reason', ({ status }) => status?.reason ?? ''),
    ageColumn(),
    column('VolumeMode', ({ spec }) => spec.volumeMode ?? '<unset>', { wide: true }),
  ],
}
