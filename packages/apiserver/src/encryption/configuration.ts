import { parse } from 'yaml'
import { isObject } from '../json.ts'
import { keyLengths, type CipherName } from './ciphers.ts'

export interface EncryptionKey {
  readonly name: string
  /** Never to be logged. */
  readonly secret: Buffer
}

/** One way to store a value; `identity` leaves it as it is. */
export type EncryptionProvider =
  | { readonly type: 'identity' }
  | { readonly type: CipherName; /** The first writes; all read. */ readonly keys: readonly EncryptionKey[] }

export interface EncryptedResources {
  /** `secrets`, `deployments.apps`, `*.` (all of the core group), `*.apps`, `*.*`. */
  readonly resources: readonly string[]
  /** The first writes; all read. */
  readonly providers: readonly EncryptionProvider[]
}

const apiVersion = 'apiserver.config.k8s.io/v1'
const kind = 'EncryptionConfiguration'
const cipherNames: readonly string[] = ['aescbc', 'aesgcm', 'secretbox']

/** Reads an EncryptionConfiguration in YAML or JSON. Throws an Error that names the field; key material is in no message. */
export function parseEncryptionConfiguration(text: string): readonly EncryptedResources[] {
  let value: unknown
  try {
    value = parse(text)
  } catch {
    throw new Error('Cannot read the encryption configuration: it is neither YAML nor JSON') // the cause would quote it
  }
  if (!isObject(value) || value['apiVersion'] !== apiVersion || value['kind'] !== kind)
    throw wrong('', `must be a ${kind} of ${apiVersion}`)
  const { resources } = value
  if (!Array.isArray(resources) || resources.length === 0) throw wrong('resources', 'must not be empty')
  const parsed = resources.map((entry: unknown, index) => parseEntry(entry, `resources[${index}]`))
  const seen = new Set<string>()
  for (const name of parsed.flatMap((entry) => entry.resources)) {
    if (seen.has(name)) throw wrong('resources', `${JSON.stringify(name)} is named twice`)
    seen.add(name)
  }
  return parsed
}

function parseEntry(entry: unknown, field: string): EncryptedResources {
  if (!isObject(entry)) throw wrong(field, 'must be an object')
  const { resources, providers } = entry
  if (!Array.isArray(resources) || resources.length === 0) throw wrong(`${field}.resources`, 'must not be empty')
  if (!Array.isArray(providers) || providers.length === 0) throw wrong(`${field}.providers`, 'must not be empty')
  return {
    resources: resources.map((name: unknown, index) => {
      if (typeof name !== 'string' || name === '' || (name.includes('*') && !name.startsWith('*.')))
        throw wrong(`${field}.resources[${index}]`, 'must be RESOURCE, RESOURCE.GROUP, "*.", "*.GROUP" or "*.*"')
      return name
    }),
    providers: providers.map((provider: unknown, index) => parseProvider(provider, `${field}.providers[${index}]`)),
  }
}

function parseProvider(provider: unknown, field: string): EncryptionProvider {
  const names = isObject(provider) ? Object.keys(provider) : []
  const [name = ''] = names
  if (names.length !== 1 || !isObject(provider)) throw wrong(field, 'must name exactly one provider')
  if (name === 'identity') return { type: 'identity' }
  if (name === 'kms') throw wrong(field, 'kms is not supported: use secretbox, aesgcm or aescbc')
  if (!cipherNames.includes(name)) throw wrong(field, `${JSON.stringify(name)} is no provider`)
  const type = name as CipherName // one of the names, see above
  const options = provider[name]
  const keys = isObject(options) ? options['keys'] : undefined
  if (!Array.isArray(keys) || keys.length === 0) throw wrong(`${field}.${name}.keys`, 'must not be empty')
  return { type, keys: keys.map((key: unknown, index) => parseKey(key, type, `${field}.${name}.keys[${index}]`)) }
}

function parseKey(key: unknown, type: CipherName, field: string): EncryptionKey {
  const { name, secret } = isObject(key) ? key : {}
  if (typeof name !== 'string' || name === '') throw wrong(`${field}.name`, 'must not be empty')
  const bytes = typeof secret === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(secret) ? Buffer.from(secret, 'base64') : undefined
  if (bytes === undefined) throw wrong(`${field}.secret`, 'must be base64')
  if (!keyLengths[type].includes(bytes.length))
    throw wrong(`${field}.secret`, `must be ${keyLengths[type].join(', ')} bytes long and is ${bytes.length}`)
  return { name, secret: bytes }
}

function wrong(field: string, why: string): Error {
  return new Error(`Cannot use the encryption configuration: ${field === '' ? 'it' : field} ${why}`)
}
