import {
  type CSIDriver,
  csidrivers,
  type CSINode,
  csinodes,
  type CSIStorageCapacity,
  csistoragecapacities,
  type CSIDriverSpec,
  type StorageClass,
  storageclasses,
  type VolumeAttachment,
  volumeattachments,
  type VolumeAttributesClass,
  volumeattributesclasses,
} from '@k3s/api/types/storage/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import { semanticEqual } from '../../validation/equality.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { validateDriverName } from '../pods/volumes.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { immutable, invalids, oneOf, optionalOneOf, requiredString } from '../../validation/fields.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { dns1123Subdomain, qualifiedName } from '../../validation/names.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'

const defaultMarks = ['storageclass.kubernetes.io/is-default-class', 'storageclass.beta.kubernetes.io/is-default-class']

/** Each term means other places. As upstream, for which a term without expressions repeats one for each term that there is. */
function validateTopologies(terms: StorageClass['allowedTopologies'] = []): FieldError[] {
  const seen: (ReadonlyMap<string, ReadonlySet<string>> | undefined)[] = terms.map(() => undefined)
  return terms.flatMap(({ matchLabelExpressions = [] }, index) => {
    const at = `allowedTopologies[${index}].matchLabelExpressions`
    const places = new Map<string, ReadonlySet<string>>()
    const errors = matchLabelExpressions.flatMap(({ key, values }, position) => {
      const field = `${at}[${position}]`
      const found = values.length === 0 ? [required(`${field}.values`)] : []
      append(
        found,
        values.flatMap((value, place) => (values.indexOf(value) < place ? [duplicate(`${field}.values[${place}]`, value)] : [])),
        invalids(`${field}.key`, key, qualifiedName(key)),
        places.has(key) ? [duplicate(`${field}.key`, key)] : [],
      )
      places.set(key, new Set(values))
      return found
    })
    for (const other of seen) if (isSamePlace(places, other)) errors.push(duplicate(at, ''))
    seen.push(places)
    return errors
  })
}

function isSamePlace(
  places: ReadonlyMap<string, ReadonlySet<string>>,
  other: ReadonlyMap<string, ReadonlySet<string>> | undefined,
): boolean {
  if (places.size !== (other?.size ?? 0)) return false
  return [...places].every(([key, values]) => other?.get(key)?.symmetricDifference(values).size === 0)
}

/** Rules for storage classes: nothing that decides on volumes changes. */
export const storageClassStrategy: ResourceStrategy<StorageClass> = {
  type: storageclasses,
  hasGeneration: false,
  defaults(storage) {
    storage.reclaimPolicy ??= 'Delete'
    storage.volumeBindingMode ??= 'Immediate'
  },
  validate: ({ provisioner, reclaimPolicy, volumeBindingMode, allowedTopologies }) => [
    ...(provisioner
      ? invalids('provisioner', provisioner.toLowerCase(), qualifiedName(provisioner.toLowerCase()))
      : [required('provisioner')]),
    ...optionalOneOf('reclaimPolicy', reclaimPolicy, ['Delete', 'Retain']),
    ...oneOf('volumeBindingMode', volumeBindingMode, ['Immediate', 'WaitForFirstConsumer']),
    ...validateTopologies(allowedTopologies),
  ],
  update: {
    validate: (storage, previous) =>
      (['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'] as const).flatMap((name) =>
        immutable(name, storage[name], previous[name]),
      ),
  },
  columns: [
    column(
      'Name',
      ({ metadata }) => `${metadata.name}${defaultMarks.some((mark) => metadata.annotations?.[mark] === 'true') ? ' (default)' : ''}`,
      {
        format: 'name',
        description: 'Name of the object',
      },
    ),
    column('Provisioner', ({ provisioner }) => provisioner),
    column('ReclaimPolicy', ({ reclaimPolicy }) => reclaimPolicy ?? 'Delete'),
    column('VolumeBindingMode', ({ volumeBindingMode }) => volumeBindingMode ?? 'Immediate'),
    column('AllowVolumeExpansion', ({ allowVolumeExpansion }) => allowVolumeExpansion ?? false),
    ageColumn(),
  ],
}

/** Rules for volume attributes classes. */
export const volumeAttributesClassStrategy: ResourceStrategy<VolumeAttributesClass> = {
  type: volumeattributesclasses,
  hasGeneration: false,
  validate: (attributes) => [
    ...(attributes.driverName
      ? invalids('driverName', attributes.driverName.toLowerCase(), qualifiedName(attributes.driverName.toLowerCase()))
      : [required('driverName')]),
    ...(Object.keys(attributes.parameters ?? {}).length === 0 ? [required('parameters', 'must contain at least one key/value pair')] : []),
  ],
  update: {
    validate: (attributes, previous) =>
      (['driverName', 'parameters'] as const).flatMap((name) =>
        semanticEqual(attributes[name], previous[name]) ? [] : [forbiddenField(name, `updates to ${name} are forbidden.`)],
      ),
  },
  columns: [nameColumn(), column('DriverName', (attributes) => attributes.driverName), ageColumn()],
}

const minTokenSeconds = 600
const maxTokenSeconds = 2 ** 32

function validateTokenRequests({ tokenRequests = [], serviceAccountTokenInSecrets }: CSIDriverSpec): FieldError[] {
  const audiences = tokenRequests.map(({ audience }) => audience)
  const errors = tokenRequests.flatMap(({ audience, expirationSeconds }, index) => {
    const at = `spec.tokenRequests[${index}]`
    const field = `${at}.expirationSeconds`
    if (audiences.indexOf(audience) < index) return [duplicate(`${at}.audience`, audience)]
    if (expirationSeconds === undefined) return []
    if (expirationSeconds < minTokenSeconds)
      return [invalidValue(field, expirationSeconds, 'may not specify a duration less than 10 minutes')]
    return expirationSeconds > maxTokenSeconds
      ? [invalidValue(field, expirationSeconds, 'may not specify a duration larger than 2^32 seconds')]
      : []
  })
  if (serviceAccountTokenInSecrets === undefined || tokenRequests.length > 0) return errors
  const why = 'serviceAccountTokenInSecrets is set but no tokenRequests are specified'
  return [...errors, invalidValue('spec.serviceAccountTokenInSecrets', serviceAccountTokenInSecrets, why)]
}

/** Tokens among a volume's attributes end up in logs. */
function tokenWarnings({ tokenRequests = [], serviceAccountTokenInSecrets }: CSIDriverSpec): readonly string[] {
  return tokenRequests.length > 0 && serviceAccountTokenInSecrets === undefined
    ? [
        'spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes',
      ]
    : []
}

/** Rules for CSI drivers. */
export const csiDriverStrategy: ResourceStrategy<CSIDriver> = {
  type: csidrivers,
  hasGeneration: true,
  startsUncounted: true,
  allowUnconditionalUpdate: false,
  defaults({ spec }) {
    spec.attachRequired ??= true
    spec.podInfoOnMount ??= false
    spec.storageCapacity ??= false
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType'
    if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ['Persistent']
    spec.requiresRepublish ??= false
    spec.seLinuxMount ??= false
  },
  prepareForCreate({ spec }) {
    // An alpha feature.
    delete spec.preventPodSchedulingIfMissing
  },
  warningsOnCreate: ({ spec }) => tokenWarnings(spec),
  validate: ({ spec }) => [
    ...(spec.attachRequired === undefined ? [required('spec.attachedRequired')] : []),
    ...optionalOneOf('spec.fsGroupPolicy', spec.fsGroupPolicy, ['File', 'None', 'ReadWriteOnceWithFSType']),
    ...(spec.nodeAllocatableUpdatePeriodSeconds !== undefined && spec.nodeAllocatableUpdatePeriodSeconds < 10
      ? [
          invalidValue(
            'spec.nodeAllocatableUpdatePeriodSeconds',
            spec.nodeAllocatableUpdatePeriodSeconds,
            'must be greater than or equal to 10 seconds',
          ),
        ]
      : []),
    ...(spec.volumeLifecycleModes ?? []).flatMap((mode) => oneOf('spec.volumeLifecycleModes', mode, ['Persistent', 'Ephemeral'])),
    ...validateTokenRequests(spec),
  ],
  update: {
    prepare({ spec }, { spec: old }) {
      if (old.preventPodSchedulingIfMissing === undefined) delete spec.preventPodSchedulingIfMissing
    },
    warnings: ({ spec }, { spec: old }) => (semanticEqual(spec.tokenRequests, old.tokenRequests) ? [] : tokenWarnings(spec)),
    validate: ({ spec }, { spec: old }) => [
      ...immutable('spec.attachedRequired', spec.attachRequired, old.attachRequired),
      ...immutable('spec.volumeLifecycleModes', spec.volumeLifecycleModes, old.volumeLifecycleModes),
    ],
  },
  columns: [
    nameColumn(),
    column('AttachRequired', ({ spec }) => spec.attachRequired ?? true, { type: 'boolean' }),
    column('PodInfoOnMount', ({ spec }) => spec.podInfoOnMount ?? false, { type: 'boolean' }),
    column('StorageCapacity', ({ spec }) => spec.storageCapacity ?? false, { type: 'boolean' }),
    column('TokenRequests', ({ spec }) => spec.tokenRequests?.map(({ audience }) => audience).join(',') ?? '<unset>'),
    column('RequiresRepublish', ({ spec }) => spec.requiresRepublish ?? false, { type: 'boolean' }),
    column('Modes', ({ spec }) => spec.volumeLifecycleModes?.join(',') || '<none>'),
    ageColumn(),
  ],
}

function validateCsiNode({ spec }: CSINode): FieldError[] {
  const names = new Set<string>()
  return (spec.drivers ?? []).flatMap((driver, index) => {
    const at = `spec.drivers[${index}]`
    const errors = [...validateDriverName(driver.name, `${at}.name`), ...requiredString(`${at}.nodeID`, driver.nodeID)]
    if (names.has(driver.name)) errors.push(duplicate(`${at}.name`, driver.name))
    names.add(driver.name)
    for (const key of driver.topologyKeys ?? []) append(errors, key === '' ? [required(at)] : [], invalids(at, key, qualifiedName(key)))
    return errors
  })
}

/** Rules for CSI nodes. */
export const csiNodeStrategy: ResourceStrategy<CSINode> = {
  type: csinodes,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: validateCsiNode,
  update: {
    // What a driver says of the node stays, but how much it can take.
    validate: ({ spec }, { spec: old }) =>
      (old.drivers ?? []).flatMap(({ allocatable: _, ...before }) =>
        (spec.drivers ?? [])
          .filter(({ name }) => name === before.name)
          .flatMap(({ allocatable: __, ...driver }) => immutable('spec.drivers', driver, before)),
      ),
  },
  columns: [nameColumn(), column('Drivers', ({ spec }) => spec.drivers?.length ?? 0, { type: 'integer' }), ageColumn()],
}

/** Rules for storage capacities. */
export const csiStorageCapacityStrategy: ResourceStrategy<CSIStorageCapacity> = {
  type: csistoragecapacities,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: ({ storageClassName, nodeTopology }) => [
    ...invalids('storageClassName', storageClassName, dns1123Subdomain(storageClassName)),
    ...validateLabelSelector(nodeTopology, 'nodeTopology'),
  ],
  update: {
    validate: (capacity, previous) => [
      ...immutable('nodeTopology', capacity.nodeTopology, previous.nodeTopology),
      ...immutable('storageClassName', capacity.storageClassName, previous.storageClassName),
    ],
  },
}

function volumeNameProblems(name: string | undefined): FieldError[] {
  if (name === undefined) return []
  const at = 'spec.source.persistentVolumeName'
  return [
    ...(name === '' ? [required(at, 'must specify non empty persistentVolumeName')] : []),
    ...invalids(at, name, dns1123Subdomain(name)),
  ]
}

/** Rules for volume attachments: what is attached where never changes. */
export const volumeAttachmentStrategy: ResourceStrategy<VolumeAttachment> = {
  type: volumeattachments,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  prepareForCreate(attachment) {
    attachment.status = { attached: false }
  },
  validate: ({ spec }) => [
    ...validateDriverName(spec.attacher, 'spec.attacher'),
    ...(spec.source.persistentVolumeName === undefined && spec.source.inlineVolumeSpec === undefined
      ? [required('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName')]
      : []),
    ...volumeNameProblems(spec.source.persistentVolumeName),
    ...invalids('spec.nodeName', spec.nodeName, dns1123Subdomain(spec.nodeName)),
  ],
  update: { prepare: keepStatus, validate: (attachment, previous) => immutable('spec', attachment.spec, previous.spec) },
  status: statusUpdate(),
  columns: [
    nameColumn(),
    column('Attacher', ({ spec }) => spec.attacher, { format: 'name' }),
    column('PV', ({ spec }) => spec.source.persistentVolumeName ?? ''),
    column('Node', ({ spec }) => spec.nodeName),
    column('Attached', ({ status }) => status?.attached ?? false, { type: 'boolean' }),
    ageColumn(),
  ],
}
