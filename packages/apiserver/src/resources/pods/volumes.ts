import { canonicalQuantity, compareQuantities, isQuantity } from '@k3s/api'
import type {
  DownwardAPIVolumeFile,
  KeyToPath,
  ObjectFieldSelector,
  PersistentVolumeClaimTemplate,
  ProjectedVolumeSource,
  ResourceFieldSelector,
  Volume,
  VolumeProjection,
} from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids, nonNegative, oneOf, requiredString } from '../../validation/fields.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { dns1123Label, dns1123Subdomain, qualifiedName } from '../../validation/names.ts'
import { validateAnnotations, validateLabels } from '../../validation/object-meta.ts'
import { validateClaimSpec } from '../persistent-volume-claims/claim-spec.ts'
import { signerName } from '../shared/signer-name.ts'
import { requiredSourceFields } from '../shared/volume-sources.ts'
import type { PodRules } from './rules.ts'

const modeMessage = 'must be a number between 0 and 0777 (octal), both inclusive'
const moreThanOne = 'may not specify more than 1 volume type'

/** Kinds of volumes in the order in which upstream looks at them, with the field it names when there is a second. */
const volumeTypes = [
  'emptyDir',
  'hostPath',
  'gitRepo',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'secret',
  'nfs',
  'iscsi',
  'glusterfs',
  'flocker',
  'persistentVolumeClaim',
  'rbd',
  'cinder',
  'cephfs',
  'quobyte',
  'downwardAPI',
  'fc',
  'flexVolume',
  'configMap',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'storageos',
  'projected',
  'scaleIO',
  'csi',
  'ephemeral',
  'image',
] as const

/** The fields of each kind of network volume that must not be empty. */
const requiredFields: Readonly<Partial<Record<(typeof volumeTypes)[number], readonly string[]>>> = {
  ...requiredSourceFields,
  gitRepo: ['repository'],
  persistentVolumeClaim: ['claimName'],
  quobyte: ['registry', 'volume'],
}

const hostPathTypes = ['', 'BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket']
const pullPolicies = ['Always', 'IfNotPresent', 'Never']

const volumeFieldPaths = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid']
const knownFieldPaths = new Set([
  ...volumeFieldPaths,
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.serviceAccountName',
  'spec.schedulerName',
  'status.phase',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
])
const resourcePaths = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const memoryUnits = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei']

function validateMode(mode: number | undefined, field: string): FieldError[] {
  return mode !== undefined && (mode > 0o777 || mode < 0) ? [invalidValue(field, mode, modeMessage)] : []
}

/** Refuses `..` as a part of a path. */
export function validateNoBacksteps(path: string, field: string): FieldError[] {
  return path.split('/').includes('..') ? [invalidValue(field, path, "must not contain '..'")] : []
}

/** A relative path that stays below where it starts. */
export function validateDescendingPath(path: string, field: string): FieldError[] {
  return [...(path.startsWith('/') ? [invalidValue(field, path, 'must be a relative path')] : []), ...validateNoBacksteps(path, field)]
}

function validateNonReservedPath(path: string, field: string): FieldError[] {
  const errors = validateDescendingPath(path, field)
  if (path.startsWith('..') && !path.startsWith('../')) errors.push(invalidValue(field, path, "must not start with '..'"))
  return errors
}

function validateKeyToPath(item: KeyToPath, field: string): FieldError[] {
  return [
    ...requiredString(`${field}.key`, item.key),
    ...requiredString(`${field}.path`, item.path),
    ...validateNonReservedPath(item.path ?? '', `${field}.path`),
    ...validateMode(item.mode, `${field}.mode`),
  ]
}

/** A field of the pod for the downward API. `allowed` are the paths that stand for themselves; labels and annotations may be subscripted. */
export function validateFieldRef(ref: ObjectFieldSelector, allowed: readonly string[], field: string): FieldError[] {
  if ((ref.apiVersion ?? '') === '') return [required(`${field}.apiVersion`)]
  if ((ref.fieldPath ?? '') === '') return [required(`${field}.fieldPath`)]
  const subscripted = /^([^[]*)\['(.*)'\]$/.exec(ref.fieldPath)
  const path = subscripted?.[1] ?? ref.fieldPath
  if (ref.apiVersion !== 'v1') {
    return [invalidValue(`${field}.fieldPath`, ref.fieldPath, `error converting fieldPath: unsupported pod version: ${ref.apiVersion}`)]
  }
  const isMap = path === 'metadata.annotations' || path === 'metadata.labels'
  if (subscripted !== null) {
    const subscript = subscripted[2] ?? ''
    if (isMap) return invalids(field, subscript, qualifiedName(path === 'metadata.annotations' ? subscript.toLowerCase() : subscript))
    if (knownFieldPaths.has(path)) return [invalidValue(field, path, 'does not support subscript')]
  }
  if (subscripted !== null || !knownFieldPaths.has(path)) {
    return [invalidValue(`${field}.fieldPath`, ref.fieldPath, `error converting fieldPath: field label not supported: ${ref.fieldPath}`)]
  }
  return allowed.includes(path) ? [] : [notSupported(`${field}.fieldPath`, path, allowed)]
}

/** An amount of a container for the downward API. Volumes must say which container. */
export function validateResourceFieldRef(ref: ResourceFieldSelector, field: string, needsContainer: boolean): FieldError[] {
  const errors: FieldError[] = []
  const isHugePages = /^(requests|limits)\.hugepages-/.test(ref.resource ?? '')
  if (needsContainer && (ref.containerName ?? '') === '') errors.push(required(`${field}.containerName`))
  else if ((ref.resource ?? '') === '') errors.push(required(`${field}.resource`))
  else if (!resourcePaths.includes(ref.resource) && !isHugePages)
    errors.push(notSupported(`${field}.resource`, ref.resource, resourcePaths))
  const given = ref.divisor ?? '0'
  const divisor = isQuantity(given) ? canonicalQuantity(given) : given
  if (divisor === '0') return errors
  const kind = ref.resource.replace(/^(requests|limits)\./, '')
  if (kind === 'cpu' && divisor !== '1' && divisor !== '1m') {
    errors.push(invalidValue(`${field}.divisor`, ref.resource, "only divisor's values 1m and 1 are supported with the cpu resource"))
  }
  const names: Readonly<Record<string, string>> = { memory: 'memory', 'ephemeral-storage': 'local ephemeral storage' }
  const name = isHugePages ? 'hugepages' : names[kind]
  if (name !== undefined && !memoryUnits.includes(divisor)) {
    errors.push(
      invalidValue(
        `${field}.divisor`,
        ref.resource,
        `only divisor's values ${memoryUnits.join(', ')} are supported with the ${name} resource`,
      ),
    )
  }
  return errors
}

function validateDownwardFile(file: DownwardAPIVolumeFile, field: string): FieldError[] {
  const errors = [...requiredString(`${field}.path`, file.path), ...validateNonReservedPath(file.path ?? '', `${field}.path`)]
  if (file.fieldRef !== undefined) {
    append(errors, validateFieldRef(file.fieldRef, volumeFieldPaths, `${field}.fieldRef`))
    if (file.resourceFieldRef !== undefined)
      errors.push(invalidValue(field, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'))
  } else if (file.resourceFieldRef !== undefined) {
    append(errors, validateResourceFieldRef(file.resourceFieldRef, `${field}.resourceFieldRef`, true))
  } else errors.push(required(field, 'one of fieldRef and resourceFieldRef is required'))
  append(errors, validateMode(file.mode, `${field}.mode`))
  return errors
}

/** One source of a projected volume. `paths` collects what the sources before it fill; `field` is the volume's `projected`. */
function validateProjection(source: VolumeProjection, index: number, paths: Set<string>, field: string): FieldError[] {
  const errors: FieldError[] = []
  const at = `${field}.sources[${index}]`
  const claimPath = (path: string, value: string): void => {
    if (paths.has(path)) errors.push(invalidValue(field, value, 'conflicting duplicate paths'))
    paths.add(path)
  }
  for (const kind of ['secret', 'configMap'] as const) {
    const projection = source[kind]
    if (projection === undefined) continue
    append(errors, requiredString(`${at}.${kind}.name`, projection.name))
    for (const [item, keyToPath] of (projection.items ?? []).entries()) {
      append(errors, validateKeyToPath(keyToPath, `${at}.${kind}.items[${item}]`))
      if (keyToPath.path) claimPath(keyToPath.path, projection.name ?? '')
    }
  }
  for (const file of source.downwardAPI?.items ?? []) {
    append(errors, validateDownwardFile(file, `${at}.downwardAPI`))
    if (file.path) claimPath(file.path, file.path)
  }
  const token = source.serviceAccountToken
  if (token !== undefined) {
    const seconds = token.expirationSeconds ?? 0
    const secondsField = `${at}.serviceAccountToken.expirationSeconds`
    if (seconds < 600) errors.push(invalidValue(secondsField, seconds, 'may not specify a duration less than 10 minutes'))
    if (seconds > 2 ** 32) errors.push(invalidValue(secondsField, seconds, 'may not specify a duration larger than 2^32 seconds'))
    if (!token.path) errors.push(required(`${field}.path`))
    else append(errors, validateNonReservedPath(token.path, `${field}.path`))
  }
  const bundle = source.clusterTrustBundle
  if (bundle !== undefined) {
    const bundleField = `${at}.clusterTrustBundle`
    if (bundle.name !== undefined && bundle.signerName !== undefined)
      errors.push(invalidValue(bundleField, bundle, 'only one of name and signerName may be used'))
    else if (bundle.name !== undefined) {
      if (bundle.name === '') errors.push(required(`${bundleField}.name`, 'must be a valid object name'))
      if (bundle.labelSelector !== undefined)
        errors.push(invalidValue(`${bundleField}.labelSelector`, bundle.labelSelector, 'labelSelector must be unset if name is specified'))
    } else if (bundle.signerName !== undefined) {
      errors.push(
        ...signerName(`${bundleField}.signerName`, bundle.signerName),
        ...validateLabelSelector(bundle.labelSelector, `${bundleField}.labelSelector`),
      )
    } else errors.push(required(bundleField, 'either name or signerName must be specified'))
    append(errors, requiredString(`${bundleField}.path`, bundle.path), validateNonReservedPath(bundle.path ?? '', `${bundleField}.path`))
    claimPath(bundle.path, bundle.path)
  }
  const kinds = Object.values(source).filter((kind) => kind !== undefined).length
  if (kinds > 1) errors.push(forbiddenField(at, 'may not specify more than 1 volume type per source'))
  return errors
}

function validateProjected(projected: ProjectedVolumeSource, field: string): FieldError[] {
  const paths = new Set<string>()
  return [
    ...validateMode(projected.defaultMode, `${field}.defaultMode`),
    ...(projected.sources ?? []).flatMap((source, index) => validateProjection(source, index, paths, field)),
  ]
}

/** The claim that a generic ephemeral volume makes. */
function validateClaimTemplate(template: PersistentVolumeClaimTemplate, field: string): FieldError[] {
  const { labels, annotations, ...others } = template.metadata ?? {}
  return [
    ...validateLabels(labels, `${field}.metadata.labels`),
    ...validateAnnotations(annotations, `${field}.metadata.annotations`),
    ...Object.entries(others)
      .filter(([, value]) => value !== undefined)
      .map(([name]) => forbiddenField(`${field}.metadata.${name}`, 'cannot be set for an ephemeral volume')),
    ...validateClaimSpec(template.spec, `${field}.spec`),
  ]
}

/** Problems of the source of this type, which the volume has. */
export function validateSource(volume: Volume, type: (typeof volumeTypes)[number], field: string, rules: PodRules): FieldError[] {
  switch (type) {
    case 'emptyDir': {
      const limit = volume.emptyDir?.sizeLimit
      return limit !== undefined && (!isQuantity(limit) || compareQuantities(limit, '0') < 0)
        ? [forbiddenField(`${field}.sizeLimit`, 'SizeLimit field must be a valid resource quantity')]
        : []
    }
    case 'hostPath': {
      const { path = '', type: kind = '' } = volume.hostPath ?? {}
      if (path === '') return [required(`${field}.path`)]
      return [
        ...validateNoBacksteps(path, `${field}.path`),
        ...(hostPathTypes.includes(kind) ? [] : [notSupported(`${field}.type`, kind, hostPathTypes)]),
      ]
    }
    case 'secret':
    case 'configMap': {
      const name = type === 'secret' ? volume.secret?.secretName : volume.configMap?.name
      const { defaultMode, items = [] } = volume[type] ?? {}
      return [
        ...requiredString(`${field}.${type === 'secret' ? 'secretName' : 'name'}`, name),
        ...validateMode(defaultMode, `${field}.defaultMode`),
        ...items.flatMap((item, index) => validateKeyToPath(item, `${field}.items[${index}]`)),
      ]
    }
    case 'nfs': {
      const { server = '', path = '' } = volume.nfs ?? {}
      return [
        ...requiredString(`${field}.server`, server),
        ...requiredString(`${field}.path`, path),
        ...(path.startsWith('/') ? [] : [invalidValue(`${field}.path`, path, 'must be an absolute path')]),
      ]
    }
    case 'downwardAPI':
      return [
        ...validateMode(volume.downwardAPI?.defaultMode, `${field}.defaultMode`),
        ...(volume.downwardAPI?.items ?? []).flatMap((file) => validateDownwardFile(file, field)),
      ]
    case 'projected':
      return validateProjected(volume.projected ?? {}, field)
    case 'csi': {
      const secret = volume.csi?.nodePublishSecretRef
      return [
        ...validateDriverName(volume.csi?.driver ?? '', `${field}.driver`),
        ...(secret === undefined ? [] : requiredString(`${field}.nodePublishSecretRef.name`, secret.name)),
      ]
    }
    case 'ephemeral': {
      const template = volume.ephemeral?.volumeClaimTemplate
      return template === undefined
        ? [required(`${field}.volumeClaimTemplate`)]
        : validateClaimTemplate(template, `${field}.volumeClaimTemplate`)
    }
    case 'image':
      return [
        ...(rules.isPod ? requiredString(`${field}.reference`, volume.image?.reference) : []),
        ...oneOf(`${field}.pullPolicy`, volume.image?.pullPolicy, pullPolicies),
      ]
    case 'iscsi':
      return [...requiredOf(volume, type, field), ...nonNegative(`${field}.lun`, volume.iscsi?.lun)]
    case 'flocker': {
      const { datasetName = '', datasetUUID = '' } = volume.flocker ?? {}
      return datasetName === '' && datasetUUID === '' ? [required(field, 'one of datasetName and datasetUUID is required')] : []
    }
    case 'fc': {
      const { targetWWNs = [], wwids = [] } = volume.fc ?? {}
      if (targetWWNs.length === 0 && wwids.length === 0)
        return [required(`${field}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both')]
      return targetWWNs.length > 0 && wwids.length > 0
        ? [invalidValue(`${field}.targetWWNs`, targetWWNs, 'targetWWNs and wwids can not be specified simultaneously')]
        : []
    }
    default:
      return requiredOf(volume, type, field)
  }
}

function requiredOf(volume: Volume, type: (typeof volumeTypes)[number], field: string): FieldError[] {
  // Every source is a plain object of scalars and lists.
  const source = (volume[type] ?? {}) as Readonly<Record<string, unknown>>
  return (requiredFields[type] ?? []).flatMap((name) => {
    const value = source[name]
    return value === undefined || value === '' || (Array.isArray(value) && value.length === 0) ? [required(`${field}.${name}`)] : []
  })
}

/** The name of a CSI driver: a subdomain of at most 63 characters, any case. */
export function validateDriverName(driver: string, field: string): FieldError[] {
  if (driver === '') return [required(field)]
  return [
    ...(driver.length > 63 ? [{ reason: 'FieldValueTooLong', message: 'Too long: may not be more than 63 bytes', field }] : []),
    ...invalids(field, driver, dns1123Subdomain(driver.toLowerCase())),
  ]
}

function validateVolumeSource(volume: Volume, field: string, podName: string | undefined, rules: PodRules): FieldError[] {
  const errors: FieldError[] = []
  const present = volumeTypes.filter((type) => volume[type] !== undefined)
  for (const [index, type] of present.entries()) {
    if (index > 0) errors.push(forbiddenField(`${field}.${type}`, moreThanOne))
    else append(errors, validateSource(volume, type, `${field}.${type === 'gcePersistentDisk' ? 'persistentDisk' : type}`, rules))
    if (index === 0 && type === 'ephemeral' && podName !== undefined && volume.name) {
      const claim = `${podName}-${volume.name}`
      errors.push(
        ...dns1123Subdomain(claim).map((message) =>
          invalidValue(`${field}.name`, volume.name, `PVC name ${JSON.stringify(claim)}: ${message}`),
        ),
      )
    }
  }
  if (present.length === 0) errors.push(required(field, 'must specify a volume type'))
  return errors
}

/** Problems of a pod's volumes, and those that are sound, by name, for the mounts to refer to. `podName` is absent in templates. */
export function validateVolumes(
  volumes: readonly Volume[],
  podName: string | undefined,
  field: string,
  rules: PodRules,
): { readonly errors: FieldError[]; readonly known: ReadonlyMap<string, Volume> } {
  const errors: FieldError[] = []
  const known = new Map<string, Volume>()
  const created = new Set(
    podName === undefined ? [] : volumes.filter(({ ephemeral }) => ephemeral !== undefined).map(({ name }) => `${podName}-${name}`),
  )
  for (const [index, volume] of volumes.entries()) {
    const at = `${field}[${index}]`
    const own = validateVolumeSource(volume, at, podName, rules)
    if (!volume.name) own.push(required(`${at}.name`))
    else append(own, invalids(`${at}.name`, volume.name, dns1123Label(volume.name)))
    if (known.has(volume.name)) own.push(duplicate(`${at}.name`, volume.name))
    if (own.length === 0) known.set(volume.name, volume)
    append(errors, own)
    const claim = volume.persistentVolumeClaim?.claimName
    if (claim !== undefined && created.has(claim)) {
      errors.push(
        invalidValue(`${at}.persistentVolumeClaim.claimName`, claim, 'must not reference a PVC that gets created for an ephemeral volume'),
      )
    }
  }
  return { errors, known }
}
