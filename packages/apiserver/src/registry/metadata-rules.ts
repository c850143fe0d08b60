import type { KubernetesObject } from '@k3s/api'
import { forbiddenField, invalidValue, required, tooLong } from './field-error.ts'
import { labelValueProblems, pathSegmentProblems, qualifiedNameProblems, subdomainProblems } from './names.ts'
import type { FieldError, ResourceStrategy } from './strategy.ts'

// Upstream's limit on the sum of all annotations.
const maxAnnotationBytes = 256 * 1024

/** Problems of an object's metadata by itself; follows apimachinery's ValidateObjectMeta. */
export function metadataProblems(object: KubernetesObject, strategy: ResourceStrategy): FieldError[] {
  const { name, generateName, namespace, labels, annotations, ownerReferences, finalizers } = object.metadata
  const errors: FieldError[] = []
  const nameProblems = (text: string): readonly string[] => strategy.validateName?.(text) ?? subdomainProblems(text)
  if (generateName !== undefined && generateName !== '')
    for (const problem of nameProblems(name === '' ? `${generateName}x` : name))
      errors.push(invalidValue('metadata.generateName', generateName, problem))
  if (name === '') errors.push(required('metadata.name', 'name or generateName is required'))
  else
    for (const problem of new Set([...nameProblems(name), ...pathSegmentProblems(name)]))
      errors.push(invalidValue('metadata.name', name, problem))
  if (strategy.type.namespaced) {
    if (namespace === undefined || namespace === '') errors.push(required('metadata.namespace'))
    else for (const problem of subdomainProblems(namespace)) errors.push(invalidValue('metadata.namespace', namespace, problem))
  } else if (namespace !== undefined && namespace !== '') errors.push(forbiddenField('metadata.namespace', 'not allowed on this type'))
  for (const [key, value] of Object.entries(labels ?? {})) {
    for (const problem of qualifiedNameProblems(key)) errors.push(invalidValue('metadata.labels', key, problem))
    for (const problem of labelValueProblems(value)) errors.push(invalidValue('metadata.labels', value, problem))
  }
  let annotationBytes = 0
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const problem of qualifiedNameProblems(key.toLowerCase())) errors.push(invalidValue('metadata.annotations', key, problem))
    annotationBytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (annotationBytes > maxAnnotationBytes) errors.push(tooLong('metadata.annotations', maxAnnotationBytes))
  errors.push(...ownerProblems(ownerReferences ?? []))
  for (const finalizer of finalizers ?? [])
    for (const problem of qualifiedNameProblems(finalizer)) errors.push(invalidValue('metadata.finalizers', finalizer, problem))
  if (finalizers?.includes('orphan') === true && finalizers.includes('foregroundDeletion'))
    errors.push(invalidValue('metadata.finalizers', finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
  return errors
}

function ownerProblems(owners: NonNullable<KubernetesObject['metadata']['ownerReferences']>): FieldError[] {
  const errors: FieldError[] = []
  let controller: string | undefined
  for (const owner of owners) {
    if (owner.apiVersion === '') errors.push(invalidValue('metadata.ownerReferences.apiVersion', '', 'version must not be empty'))
    if (owner.kind === '') errors.push(invalidValue('metadata.ownerReferences.kind', '', 'must not be empty'))
    if (owner.name === '') errors.push(invalidValue('metadata.ownerReferences.name', '', 'must not be empty'))
    if (owner.uid === '') errors.push(invalidValue('metadata.ownerReferences.uid', '', 'must not be empty'))
    if (owner.controller !== true) continue
    if (controller !== undefined)
      errors.push(
        invalidValue(
          'metadata.ownerReferences',
          owners,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${owner.name}`,
        ),
      )
    controller = owner.name
  }
  return errors
}

/** Problems of a change of metadata; follows ValidateObjectMetaUpdate. */
export function metadataUpdateProblems(object: KubernetesObject, previous: KubernetesObject): FieldError[] {
  const errors: FieldError[] = []
  const [now, then] = [object.metadata, previous.metadata]
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp'] as const)
    if ((now[field] ?? '') !== (then[field] ?? '')) errors.push(invalidValue(`metadata.${field}`, now[field] ?? '', 'field is immutable'))
  if (then.deletionTimestamp !== undefined) {
    const added = (now.finalizers ?? []).filter((finalizer) => then.finalizers?.includes(finalizer) !== true).toSorted()
    if (added.length > 0)
      errors.push(
        forbiddenField(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((name) => JSON.stringify(name)).join(', ')}}`,
        ),
      )
  }
  return errors
}

/** Sets what the server owns of a new object's metadata. */
export function fillSystemMetadata(object: KubernetesObject, at: { readonly now: string; readonly uid: string }): void {
  const { metadata } = object
  metadata.creationTimestamp = at.now
  metadata.uid = at.uid
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  delete metadata.selfLink
}

/** Takes back what an update may not change of metadata. */
export function keepSystemMetadata(object: KubernetesObject, previous: KubernetesObject): void {
  const [now, then] = [object.metadata, previous.metadata]
  if (now.uid === undefined || now.uid === '') setOrDelete(now, 'uid', then.uid)
  if (then.creationTimestamp !== undefined) now.creationTimestamp = then.creationTimestamp
  setOrDelete(now, 'deletionTimestamp', then.deletionTimestamp)
  setOrDelete(now, 'deletionGracePeriodSeconds', then.deletionGracePeriodSeconds)
  setOrDelete(now, 'generation', then.generation)
  if (now.generateName === undefined) setOrDelete(now, 'generateName', then.generateName)
  delete now.selfLink
}

type Metadata = KubernetesObject['metadata']
function setOrDelete<K extends keyof Metadata>(metadata: Metadata, key: K, value: Metadata[K]): void {
  if (value === undefined) delete metadata[key]
  else metadata[key] = value
}
