import { createHash, randomBytes, X509Certificate } from 'node:crypto'
import { splitPem } from './certificate.ts'

/** A cluster secret as users pass it; K3s's forms. */
export interface JoinToken {
  /** SHA-256 of the cluster's CA, hex; absent for the short form, which cannot check whom it talks to. */
  readonly caHash?: string | undefined
  readonly credentials:
    | { readonly type: 'basic'; readonly username: string; readonly password: string }
    | { readonly type: 'bootstrap'; readonly id: string; readonly secret: string }
}

const bootstrapPattern = /^([a-z0-9]{6})\.([a-z0-9]{16})$/

/**
 * Reads `K10<64 hex>::<user>:<password>`, `K10<64 hex>::<id>.<secret>`, `<id>.<secret>` or a bare password (then `username` is used).
 * Throws with one sentence when it is none of these.
 */
export function parseToken(text: string, username: 'server' | 'node'): JoinToken {
  const token = text.trim()
  if (token === '') throw new Error('Cannot use token: it is empty')
  const credentialsOf = (secret: string, withUser: boolean): JoinToken['credentials'] => {
    const bootstrap = bootstrapPattern.exec(secret)
    if (bootstrap !== null) return { type: 'bootstrap', id: bootstrap[1] ?? '', secret: bootstrap[2] ?? '' }
    const colon = secret.indexOf(':')
    if (!withUser) return { type: 'basic', username, password: secret }
    if (colon <= 0 || colon === secret.length - 1)
      throw new Error('Cannot use token: after "K10<hash>::" it must read "<user>:<password>" or "<id>.<secret>"')
    return { type: 'basic', username: secret.slice(0, colon), password: secret.slice(colon + 1) }
  }
  if (!token.startsWith('K10')) return { credentials: credentialsOf(token, false) }
  const match = /^K10([0-9a-f]{64})::(.+)$/.exec(token)
  if (match === null) {
    if (!token.includes('::')) return { credentials: credentialsOf(token, false) } // a password that happens to begin so
    throw new Error('Cannot use token: "K10" must be followed by 64 hexadecimal digits and "::"')
  }
  return { caHash: match[1], credentials: credentialsOf(match[2] ?? '', true) }
}

/** The full form, which lets a joining machine check the cluster's identity. */
export function formatToken(caBundle: string, username: string, password: string): string {
  return `K10${caHash(caBundle)}::${username}:${password}`
}

/** SHA-256, hex, of the bundle's bytes when it holds one certificate, else of the DER of its root; follows K3s's clientaccess package. */
export function caHash(caBundle: string): string {
  const certificates = splitPem(caBundle)
  const hash = createHash('sha256')
  if (certificates.length <= 1) return hash.update(caBundle).digest('hex')
  const parsed = certificates.map((pem) => new X509Certificate(pem))
  const root = parsed.find((certificate) => certificate.subject === certificate.issuer) ?? parsed.at(-1)
  return hash.update(root?.raw ?? '').digest('hex')
}

/** 16 random bytes, hex: the password of a new cluster or node. */
export function generatePassword(): string {
  return randomBytes(16).toString('hex')
}
