import { type ConfigMap, configmaps } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, tooLong } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { base64Bytes, maxDataBytes, validateImmutableData } from '../shared/data.ts'
import { configMapKey } from '../../validation/names.ts'

function validate(map: ConfigMap): FieldError[] {
  const errors: FieldError[] = []
  let bytes = 0
  for (const [key, value] of Object.entries(map.data ?? {})) {
    append(
      errors,
      configMapKey(key).map((message) => invalidValue(`data[${key}]`, key, message)),
    )
    if (Object.hasOwn(map.binaryData ?? {}, key)) errors.push(invalidValue(`data[${key}]`, key, 'duplicate of key present in binaryData'))
    bytes += Buffer.byteLength(value)
  }
  for (const [key, value] of Object.entries(map.binaryData ?? {})) {
    append(
      errors,
      configMapKey(key).map((message) => invalidValue(`binaryData[${key}]`, key, message)),
    )
    bytes += base64Bytes(value)
  }
  if (bytes > maxDataBytes) errors.push(tooLong('[]', maxDataBytes))
  return errors
}

/** Rules for config maps. */
export const configMapStrategy: ResourceStrategy<ConfigMap> = {
  type: configmaps,
  validate,
  update: {
    validate: (map, previous) => validateImmutableData(map, previous, 'data', 'binaryData'),
  },
  columns: [
    nameColumn(),
    column('Data', (map) => Object.keys(map.data ?? {}).length + Object.keys(map.binaryData ?? {}).length, {
      description: 'Number of entries',
    }),
    ageColumn(),
  ],
}
