import { compareQuantities, isQuantity } from '@k3s/api'
import type { PersistentVolumeClaimSpec } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids, optionalOneOf, requiredString } from '../../validation/fields.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { dns1123Label, dns1123Subdomain } from '../../validation/names.ts'
import { validateAmount } from '../shared/resource-validation.ts'

/** Access modes of volumes and claims, sorted. */
export const accessModes: readonly string[] = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
/** Volume modes, sorted. */
export const volumeModes: readonly string[] = ['Block', 'Filesystem']

/** Problems of a list of access modes, without the demand for one. */
export function validateAccessModes(modes: readonly string[] | undefined, field: string): FieldError[] {
  const errors = (modes ?? []).filter((mode) => !accessModes.includes(mode)).map((mode) => notSupported(field, mode, accessModes))
  const others = (modes ?? []).filter((mode) => mode !== 'ReadWriteOncePod' && accessModes.includes(mode))
  if (modes?.includes('ReadWriteOncePod') === true && others.length > 0)
    errors.push(forbiddenField(field, 'may not use ReadWriteOncePod with other access modes'))
  return errors
}

function validateSource(source: { name: string; kind: string; apiGroup?: string | undefined }, field: string): FieldError[] {
  const group = source.apiGroup ?? ''
  return [
    ...requiredString(`${field}.name`, source.name),
    ...requiredString(`${field}.kind`, source.kind),
    ...(group === '' && source.kind !== 'PersistentVolumeClaim'
      ? [invalidValue(field, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")]
      : []),
    ...(group === '' ? [] : invalids(`${field}.apiGroup`, group, dns1123Subdomain(group))),
  ]
}

/** Problems of a claim's spec, in claims and in templates of claims. */
export function validateClaimSpec(spec: PersistentVolumeClaimSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  if ((spec.accessModes ?? []).length === 0) errors.push(required(`${field}.accessModes`, 'at least 1 access mode is required'))
  errors.push(
    ...validateLabelSelector(spec.selector, `${field}.selector`),
    ...validateAccessModes(spec.accessModes, `${field}.accessModes`),
  )
  const storage = spec.resources?.requests?.['storage']
  const storageField = `${field}.resources[storage]`
  if (storage === undefined) errors.push(required(storageField))
  else if (isQuantity(storage) && compareQuantities(storage, '0') <= 0)
    errors.push(invalidValue(storageField, storage, 'must be greater than zero'))
  else append(errors, validateAmount('storage', storage, storageField))
  if (spec.storageClassName)
    append(errors, invalids(`${field}.storageClassName`, spec.storageClassName, dns1123Subdomain(spec.storageClassName)))
  append(errors, optionalOneOf(`${field}.volumeMode`, spec.volumeMode, volumeModes))
  const { dataSource, dataSourceRef } = spec
  if (dataSource !== undefined) append(errors, validateSource(dataSource, `${field}.dataSource`))
  if (dataSourceRef !== undefined) {
    append(errors, validateSource(dataSourceRef, `${field}.dataSourceRef`))
    if (dataSourceRef.namespace)
      append(errors, invalids(`${field}.dataSourceRef.namespace`, dataSourceRef.namespace, dns1123Label(dataSourceRef.namespace)))
  }
  if (dataSource !== undefined && dataSourceRef !== undefined) {
    const isSame =
      dataSource.name === dataSourceRef.name &&
      dataSource.kind === dataSourceRef.kind &&
      (dataSource.apiGroup ?? '') === (dataSourceRef.apiGroup ?? '')
    if (dataSourceRef.namespace)
      errors.push(invalidValue(field, `${field}.dataSource`, 'may not be specified when dataSourceRef.namespace is specified'))
    else if (!isSame) errors.push(invalidValue(field, `${field}.dataSource`, 'must match dataSourceRef'))
  }
  if (spec.volumeAttributesClassName) {
    errors.push(
      ...invalids(`${field}.volumeAttributesClassName`, spec.volumeAttributesClassName, dns1123Subdomain(spec.volumeAttributesClassName)),
    )
  }
  return errors
}
