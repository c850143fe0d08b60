import { type Secret, secrets } from '@k3s/api/types/core/v1'
import { invalidValue, required, tooLong } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { base64Bytes, maxDataBytes, validateImmutableData } from '../shared/data.ts'
import { immutable } from '../../validation/fields.ts'
import { configMapKey } from '../../validation/names.ts'

/** Merges `stringData`, which is never stored, and names the type. */
function defaults(secret: Secret): void {
  for (const [key, value] of Object.entries(secret.stringData ?? {})) {
    secret.data = { ...secret.data, [key]: Buffer.from(value).toString('base64') }
  }
  delete secret.stringData
  secret.type ||= 'Opaque'
}

function validateJson(secret: Secret, key: string): FieldError[] {
  const value = secret.data?.[key]
  if (value === undefined) return [required(`data[${key}]`)]
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, 'base64').toString())
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return []
    return [invalidValue(`data[${key}]`, '<secret contents redacted>', 'must be a JSON object')]
  } catch (error) {
    // Why it is no JSON is the client's business, and may not show the secret.
    return [invalidValue(`data[${key}]`, '<secret contents redacted>', error instanceof SyntaxError ? 'invalid JSON' : String(error))]
  }
}

/** What a type promises to its readers. */
function validateType(secret: Secret): FieldError[] {
  const data = secret.data ?? {}
  const demand = (key: string): FieldError[] => (data[key] === undefined ? [required(`data[${key}]`)] : [])
  switch (secret.type) {
    case 'kubernetes.io/service-account-token': {
      const name = 'kubernetes.io/service-account.name'
      return secret.metadata.annotations?.[name] ? [] : [required(`metadata.annotations[${name}]`)]
    }
    case 'kubernetes.io/dockercfg':
      return validateJson(secret, '.dockercfg')
    case 'kubernetes.io/dockerconfigjson':
      return validateJson(secret, '.dockerconfigjson')
    case 'kubernetes.io/basic-auth':
      return data['username'] === undefined && data['password'] === undefined
        ? [required('data[username]'), required('data[password]')]
        : []
    case 'kubernetes.io/ssh-auth':
      return data['ssh-privatekey'] ? [] : [required('data[ssh-privatekey]')]
    case 'kubernetes.io/tls':
      return [...demand('tls.crt'), ...demand('tls.key')]
    default:
      return []
  }
}

function validate(secret: Secret): FieldError[] {
  const entries = Object.entries(secret.data ?? {})
  const bytes = entries.reduce((sum, [, value]) => sum + base64Bytes(value), 0)
  return [
    ...entries.flatMap(([key]) => configMapKey(key).map((message) => invalidValue(`data[${key}]`, key, message))),
    ...(bytes > maxDataBytes ? [tooLong('data', maxDataBytes)] : []),
    ...validateType(secret),
  ]
}

/** Rules for secrets. */
export const secretStrategy: ResourceStrategy<Secret> = {
  type: secrets,
  defaults,
  validate,
  update: {
    validate: (secret, previous) => [...immutable('type', secret.type, previous.type), ...validateImmutableData(secret, previous, 'data')],
  },
  selectableFields: { type: (secret) => secret.type ?? '' },
  columns: [
    nameColumn(),
    column('Type', (secret) => secret.type ?? '', { description: 'What the secret is for' }),
    column('Data', (secret) => Object.keys(secret.data ?? {}).length, { description: 'Number of entries' }),
    ageColumn(),
  ],
}
