import { resourceInfos } from '@k3s/api'
import { storedResource } from '../watch-cache/stored-resource.ts'
import { valueCipher, type ValueCipher } from './ciphers.ts'
import { parseEncryptionConfiguration, type EncryptedResources, type EncryptionProvider } from './configuration.ts'

/** What is done with the values of one resource. */
export interface ValueTransformer {
  /** The value as it is to be stored under `key`. */
  seal(plain: Uint8Array, key: string): Uint8Array
  /** What was stored under `key`. Throws an Error that says which key is missing, or that it is wrong. */
  open(stored: Uint8Array, key: string): Uint8Array
  /** True when today's first provider and key would have stored it otherwise. */
  isStale(stored: Uint8Array): boolean
}

interface Way {
  /** `k8s:enc:aescbc:v1:key1:`; empty for identity. */
  readonly prefix: Buffer
  readonly cipher: ValueCipher | undefined
}

const marker = Buffer.from('k8s:enc:')

/** How values are encrypted in the datastore. One object for the life of a server; its rules may be replaced while it runs. */
export class EncryptionAtRest {
  #rules: readonly { readonly resources: readonly string[]; readonly transformer: ValueTransformer }[] = []
  /** By key prefix. */
  #known = new Map<string, ValueTransformer | undefined>()
  readonly #builtIn = new Map<string, { readonly group: string; readonly resource: string }>()

  /** `configuration`: the text of an EncryptionConfiguration. Throws an Error that names what is wrong with it. */
  constructor(configuration: string) {
    for (const { group, version, resource, kind, namespaced } of resourceInfos()) {
      const { prefix } = storedResource({ group, version, resource, kind, namespaced })
      if (!this.#builtIn.has(prefix)) this.#builtIn.set(prefix, { group, resource })
    }
    this.replace(configuration)
  }

  /** Takes over another configuration for everything that is read and written from now on. Throws, and changes nothing, when it is wrong. */
  replace(configuration: string): void {
    const entries = parseEncryptionConfiguration(configuration)
    this.#rules = entries.map((entry: EncryptedResources) => ({ resources: entry.resources, transformer: transformerOf(entry.providers) }))
    this.#known = new Map()
  }

  /** The rules for a key of the datastore; undefined: its value is stored as it is. */
  transformerOf(key: string): ValueTransformer | undefined {
    const prefix = prefixOf(key, this.#builtIn)
    if (prefix === undefined) return undefined
    if (this.#known.has(prefix)) return this.#known.get(prefix)
    const [, first = '', second = ''] = prefix.slice(1).split('/')
    const { group, resource } = this.#builtIn.get(prefix) ?? { group: first, resource: second }
    const found = this.#rules.find(({ resources }) => resources.some((name) => names(name, group, resource)))?.transformer
    this.#known.set(prefix, found)
    return found
  }
}

/** `/registry/RESOURCE/`, `/registry/GROUP/RESOURCE/`, and what upstream stores elsewhere. */
function prefixOf(key: string, builtIn: ReadonlyMap<string, unknown>): string | undefined {
  if (!key.startsWith('/registry/')) return undefined
  const first = key.indexOf('/', '/registry/'.length) + 1
  if (first === 0) return undefined
  const short = key.slice(0, first)
  if (builtIn.has(short)) return short
  const second = key.indexOf('/', first) + 1
  return second === 0 ? undefined : key.slice(0, second)
}

/** `secrets`, `deployments.apps`, `*.`, `*.apps`, `*.*`. */
function names(name: string, group: string, resource: string): boolean {
  if (name === '*.*') return true
  if (name.startsWith('*.')) return name.slice(2) === group
  return name === (group === '' ? resource : `${resource}.${group}`)
}

function transformerOf(providers: readonly EncryptionProvider[]): ValueTransformer {
  const ways = providers.flatMap((provider): Way[] =>
    provider.type === 'identity'
      ? [{ prefix: Buffer.alloc(0), cipher: undefined }]
      : provider.keys.map(({ name, secret }) => ({
          prefix: Buffer.from(`k8s:enc:${provider.type}:v1:${name}:`),
          cipher: valueCipher(provider.type, secret),
        })),
  )
  const wayOf = (stored: Buffer): Way | undefined =>
    ways.find(({ prefix, cipher }) => (cipher === undefined ? !startsWith(stored, marker) : startsWith(stored, prefix)))
  const [writing] = ways
  return {
    seal(plain, key) {
      if (writing?.cipher === undefined) return plain
      return Buffer.concat([writing.prefix, writing.cipher.encrypt(plain, key)])
    },
    open(stored, key) {
      const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
      const way = wayOf(bytes)
      if (way === undefined) throw cannotOpen(key, `no provider of the encryption configuration has the key ${describe(bytes)}`)
      if (way.cipher === undefined) return stored
      try {
        return way.cipher.decrypt(bytes.subarray(way.prefix.length), key)
      } catch (cause) {
        throw cannotOpen(key, `the key ${describe(bytes)} is not the one that it was encrypted with`, cause)
      }
    },
    isStale: (stored) => wayOf(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)) !== writing,
  }
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.length >= prefix.length && bytes.compare(prefix, 0, prefix.length, 0, prefix.length) === 0
}

/** Provider and name of the key of an encrypted value. */
function describe(bytes: Buffer): string {
  // K3s's names have times, with colons.
  const [, , provider = '', , name = ''] =
    /^(k8s):(enc):([^:]*):([^:]*):([\w.:-]*):/.exec(bytes.subarray(0, 300).toString('latin1'))?.slice(1) ?? []
  return startsWith(bytes, marker) ? `${JSON.stringify(name)} of ${provider}` : 'that leaves values as they are (identity)'
}

function cannotOpen(key: string, why: string, cause?: unknown): Error {
  return new Error(`Cannot decrypt ${JSON.stringify(key)}: ${why}`, { cause })
}
