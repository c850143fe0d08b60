import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, required, tooLong } from './field-error.ts'
import type { FieldError } from '../registry/strategy.ts'
import { immutable, invalids, nonNegative } from './fields.ts'
import { dns1123Label, dns1123Subdomain, labelValue, maskTrailingDash, pathSegment, qualifiedName } from './names.ts'

/** Largest sum of the sizes of all annotations' keys and values, bytes. */
const maxAnnotationsBytes = 256 * 1024

// Each repeats the whole list: more would only make the answer as long as the square of the body.
const maxToldControllers = 10

export interface ObjectMetaRules {
  readonly namespaced: boolean
  /** Format of the name; default: a DNS-1123 subdomain. */
  readonly validateName?: ((name: string) => readonly string[]) | undefined
  /** Finalizers need not name their domain. */
  readonly allowsAnyFinalizer?: boolean | undefined
  /** The name is judged by a format that its type declares; see `MetadataFacts`. */
  readonly declaresName?: boolean | undefined
}

const inBytes = (message: string): string => message.replace(/^(must be no more than \d+) characters$/, '$1 bytes')

/** Problems of the metadata of an object that is to be created. Names were generated before. Order and wording follow apimachinery. */
export function validateObjectMeta(metadata: ObjectMeta, rules: ObjectMetaRules): FieldError[] {
  const validateName = rules.validateName ?? dns1123Subdomain
  const { name = '', namespace = '', generateName = '' } = metadata
  const errors: FieldError[] = []
  if (generateName !== '' && rules.declaresName !== true)
    append(errors, invalids('metadata.generateName', generateName, validateName(maskTrailingDash(generateName))))
  if (name === '') errors.push(required('metadata.name', 'name or generateName is required'))
  else append(errors, invalids('metadata.name', name, rules.declaresName === true ? validateName(name).map(inBytes) : validateName(name)))
  if (rules.namespaced) {
    if (namespace === '') errors.push(required('metadata.namespace'))
    else append(errors, invalids('metadata.namespace', namespace, dns1123Label(namespace)))
  } else if (namespace !== '') errors.push(forbiddenField('metadata.namespace', 'not allowed on this type'))
  // Not as arguments of a call, of which there may be a hundred thousand: a body may be wrong in more places.
  return [
    ...errors,
    ...nonNegative('metadata.generation', metadata.generation),
    ...validateLabels(metadata.labels, 'metadata.labels'),
    ...validateAnnotations(metadata.annotations, 'metadata.annotations'),
    ...validateOwnerReferences(metadata.ownerReferences, 'metadata.ownerReferences'),
    ...validateFinalizers(metadata.finalizers, 'metadata.finalizers'),
    ...validateManagedFields(metadata.managedFields, 'metadata.managedFields'),
    ...(rules.allowsAnyFinalizer === true ? [] : validateFinalizerOwners(metadata)),
  ]
}

/**
 * Problems of the metadata of an update, each once, in the order of rest.BeforeUpdate: of itself, then of the change. The name cannot change, so its
 * format was judged when the object was created. `metadata` must have its resourceVersion by now (unconditional updates get the current one).
 */
export function validateObjectMetaUpdate(
  metadata: ObjectMeta,
  previous: ObjectMeta,
  rules: Pick<ObjectMetaRules, 'namespaced' | 'allowsAnyFinalizer'>,
): FieldError[] {
  return [...validateObjectMeta(metadata, { ...rules, validateName: pathSegment }), ...validateObjectMetaChange(metadata, previous)]
}

/** The second half of {@link validateObjectMetaUpdate}: of the change alone. */
export function validateObjectMetaChange(metadata: ObjectMeta, previous: ObjectMeta): FieldError[] {
  const errors: FieldError[] = []
  if (previous.deletionTimestamp !== undefined) {
    const known = new Set(previous.finalizers)
    const added = [...new Set(metadata.finalizers)].filter((finalizer) => !known.has(finalizer)).toSorted()
    if (added.length > 0) {
      errors.push(
        forbiddenField(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((name) => JSON.stringify(name)).join(', ')}}`,
        ),
      )
    }
  }
  if ((metadata.resourceVersion ?? '') === '') errors.push(invalidValue('metadata.resourceVersion', '', 'must be specified for an update'))
  if ((metadata.generation ?? 0) < (previous.generation ?? 0)) {
    errors.push(invalidValue('metadata.generation', metadata.generation ?? 0, 'must not be decremented'))
  }
  errors.push(
    ...immutable('metadata.name', metadata.name, previous.name),
    ...immutable('metadata.namespace', metadata.namespace ?? '', previous.namespace ?? ''),
    ...immutable('metadata.uid', metadata.uid, previous.uid),
    ...immutable('metadata.creationTimestamp', metadata.creationTimestamp, previous.creationTimestamp),
    ...immutable('metadata.deletionTimestamp', metadata.deletionTimestamp, previous.deletionTimestamp),
    ...immutable('metadata.deletionGracePeriodSeconds', metadata.deletionGracePeriodSeconds, previous.deletionGracePeriodSeconds),
    ...validateLabels(metadata.labels, 'metadata.labels'),
    ...validateAnnotations(metadata.annotations, 'metadata.annotations'),
    ...validateOwnerReferences(metadata.ownerReferences, 'metadata.ownerReferences'),
    ...validateManagedFields(metadata.managedFields, 'metadata.managedFields'),
  )
  return errors
}

/** Problems of a map of labels. */
export function validateLabels(labels: Readonly<Record<string, string>> | undefined, field: string): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...invalids(field, key, qualifiedName(key)),
    ...invalids(field, value, labelValue(value)),
  ])
}

/** Problems of a map of annotations: keys are qualified names of any case; 256 KiB altogether. */
export function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, field: string): FieldError[] {
  const errors: FieldError[] = []
  let bytes = 0
  for (const [key, value] of Object.entries(annotations ?? {})) {
    append(errors, invalids(field, key, qualifiedName(key.toLowerCase())))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (bytes > maxAnnotationsBytes) errors.push(tooLong(field, maxAnnotationsBytes))
  return errors
}

function validateOwnerReference(reference: OwnerReference, field: string): FieldError[] {
  const errors: FieldError[] = []
  const slash = reference.apiVersion.indexOf('/')
  const version = reference.apiVersion.slice(slash + 1)
  if (version === '') errors.push(invalidValue(`${field}.apiVersion`, reference.apiVersion, 'version must not be empty'))
  if (reference.kind === '') errors.push(invalidValue(`${field}.kind`, reference.kind, 'must not be empty'))
  if (reference.name === '') errors.push(invalidValue(`${field}.name`, reference.name, 'must not be empty'))
  if (reference.uid === '') errors.push(invalidValue(`${field}.uid`, reference.uid, 'must not be empty'))
  if (reference.apiVersion === 'v1' && reference.kind === 'Event') {
    errors.push(invalidValue(field, reference, '/v1, Kind=Event is disallowed from being an owner'))
  }
  return errors
}

function validateOwnerReferences(references: readonly OwnerReference[] | undefined, field: string): FieldError[] {
  const errors: FieldError[] = []
  let controller: string | undefined
  let controllers = 0
  for (const reference of references ?? []) {
    append(errors, validateOwnerReference(reference, field))
    if (reference.controller !== true || ++controllers > maxToldControllers) continue
    const name = `${reference.kind}/${reference.name}`
    if (controller === undefined) controller = name
    else {
      errors.push(
        invalidValue(
          field,
          references,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`,
        ),
      )
    }
  }
  return errors
}

/** Problems of a list of finalizers. */
export function validateFinalizers(finalizers: readonly string[] | undefined, field: string): FieldError[] {
  const errors = (finalizers ?? []).flatMap((finalizer) => invalids(field, finalizer, qualifiedName(finalizer)))
  if (finalizers?.includes('orphan') === true && finalizers.includes('foregroundDeletion')) {
    errors.push(invalidValue(field, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
  }
  return errors
}

const standardFinalizers: readonly string[] = ['kubernetes', 'orphan', 'foregroundDeletion']

/** Problems of finalizers that belong to nobody. */
export function validateFinalizerOwners({ finalizers = [] }: ObjectMeta): FieldError[] {
  return finalizers.flatMap((finalizer, index) => validateFinalizerOwner(finalizer, `metadata.finalizers[${index}]`))
}

/** A finalizer of a built-in kind is one of Kubernetes' own or names the domain that it belongs to. */
export function validateFinalizerOwner(finalizer: string, field: string): FieldError[] {
  return finalizer.includes('/') || standardFinalizers.includes(finalizer)
    ? []
    : [invalidValue(field, finalizer, 'name is neither a standard finalizer name nor is it fully qualified')]
}

/** Problems of the name of a field manager: at most 128 bytes, printable. */
export function validateFieldManager(manager: string, field: string): FieldError[] {
  // Nearly all are.
  if (manager.length <= 128 && /^[ -~]*$/.test(manager)) return []
  const errors: FieldError[] = Buffer.byteLength(manager) > 128 ? [tooLong(field, 128)] : []
  for (const { index, 0: character } of manager.matchAll(/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu)) {
    const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
    errors.push(invalidValue(field, manager, `invalid character U+${code} (at position ${Buffer.byteLength(manager.slice(0, index))})`))
  }
  return errors
}

function validateManagedFields(entries: readonly ManagedFieldsEntry[] | undefined, field: string): FieldError[] {
  return (entries ?? []).flatMap((entry, index) => {
    const at = `${field}[${index}]`
    const errors: FieldError[] = []
    if (entry.operation !== 'Apply' && entry.operation !== 'Update') {
      errors.push(invalidValue(`${at}.operation`, entry.operation ?? '', 'must be `Apply` or `Update`'))
    }
    if (entry.fieldsType !== undefined && entry.fieldsType !== '' && entry.fieldsType !== 'FieldsV1') {
      errors.push(invalidValue(`${at}.fieldsType`, entry.fieldsType, 'must be `FieldsV1`'))
    }
    append(errors, validateFieldManager(entry.manager ?? '', `${at}.manager`))
    if ((entry.subresource ?? '').length > 256) errors.push(tooLong(`${at}.subresource`, 256))
    return errors
  })
}
