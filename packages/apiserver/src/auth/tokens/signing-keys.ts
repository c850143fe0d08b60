import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'

/** A key for tokens. */
export interface TokenKey {
  /** As upstream makes it: base64url of the SHA-256 of the public key's DER. */
  readonly id: string
  readonly algorithm: 'RS256' | 'ES256' | 'ES384' | 'ES512'
  readonly publicKey: KeyObject
  /** Absent for keys that only verify. */
  readonly privateKey: KeyObject | undefined
}

const curves: Readonly<Record<string, TokenKey['algorithm']>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

function algorithmOf(key: KeyObject): TokenKey['algorithm'] {
  if (key.asymmetricKeyType === 'rsa') return 'RS256'
  const algorithm = curves[key.asymmetricKeyDetails?.namedCurve ?? '']
  if (key.asymmetricKeyType === 'ec' && algorithm !== undefined) return algorithm
  throw new TypeError(`Cannot sign tokens with a key of type "${key.asymmetricKeyType}"`)
}

function keyOf(pem: string): TokenKey {
  const privateKey = pem.includes('PRIVATE KEY') ? createPrivateKey(pem) : undefined
  const publicKey = createPublicKey(privateKey ?? pem)
  const id = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
  return { id, algorithm: algorithmOf(publicKey), publicKey, privateKey }
}

/** The keys in a PEM text, in order: private keys, public keys and certificates. Other blocks are skipped. Throws a TypeError for keys that cannot sign tokens. */
export function parseTokenKeys(pem: string): readonly TokenKey[] {
  const blocks = pem.match(/-----BEGIN ((RSA |EC )?PRIVATE KEY|(RSA )?PUBLIC KEY|CERTIFICATE)-----[\s\S]*?-----END [A-Z ]+-----/g) ?? []
  return blocks.map(keyOf)
}

/** The keys of the service account issuer: the first private key signs, all verify. Can be replaced while the server runs. */
export class SigningKeys {
  #keys: readonly TokenKey[]

  /** Throws a TypeError when none of the texts has a private key. */
  constructor(pems: readonly string[]) {
    this.#keys = parse(pems)
  }

  /** Takes the keys from files; the first private key in the first file signs. Rejects when a file cannot be read or has bad keys. */
  static async load(paths: readonly string[]): Promise<SigningKeys> {
    return new SigningKeys(await readAll(paths))
  }

  get signing(): TokenKey & { readonly privateKey: KeyObject } {
    const key = this.#keys.find(
      (candidate): candidate is TokenKey & { readonly privateKey: KeyObject } => candidate.privateKey !== undefined,
    )
    if (key === undefined) throw new TypeError('No private key to sign tokens with')
    return key
  }

  get verifying(): readonly TokenKey[] {
    return this.#keys
  }

  /** Uses other keys from now on. On failure the old ones stay. */
  replace(pems: readonly string[]): void {
    this.#keys = parse(pems)
  }

  /** Reads the files again. On failure the old keys stay. */
  async reload(paths: readonly string[]): Promise<void> {
    this.replace(await readAll(paths))
  }
}

function parse(pems: readonly string[]): readonly TokenKey[] {
  const keys = [...new Map(pems.flatMap(parseTokenKeys).map((key) => [key.id, key])).values()]
  if (!keys.some(({ privateKey }) => privateKey !== undefined)) throw new TypeError('No private key to sign tokens with')
  return keys
}

const readAll = (paths: readonly string[]): Promise<string[]> => Promise.all(paths.map((path) => readFile(path, 'utf8')))
