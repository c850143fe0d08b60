import { createHash, timingSafeEqual } from 'node:crypto'
import { StatusError } from '@k3s/api'
import type { Authenticator, UserInfo } from '../auth.ts'
import type { TokenAuthenticator } from './token-authenticator.ts'

/** One line of a file of tokens or passwords: `SECRET,USER,UID[,"GROUP,GROUP"]`. */
interface Line {
  readonly secret: string
  readonly user: UserInfo
}

/** Fields of a line of comma separated values; a field in double quotes may hold commas. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)]
    .filter(({ index }) => index < line.length)
    .map(([, quoted, plain = '']) => (quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"')))
}

/** Reads a file of credentials as upstream's `--token-auth-file`. Empty lines and comments are skipped. Throws a TypeError for a line with fewer than three fields. */
function parseCredentials(text: string): Line[] {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line, index) => {
    const [secret = '', name = '', uid, groups = ''] = fieldsOf(line)
    if (secret === '' || name === '' || uid === undefined)
      throw new TypeError(`Line ${index + 1} of a credentials file has not the fields "secret,user,uid"`)
    return {
      secret,
      user: {
        name,
        uid,
        groups: groups
          .split(',')
          .map((group) => group.trim())
          .filter((group) => group !== ''),
      },
    }
  })
}

/** Comparing digests takes the same time wherever secrets differ. */
const digest = (secret: string): Buffer => createHash('sha256').update(secret).digest()

/** Bearer tokens from a file's text. Throws a TypeError for bad lines. */
export function staticTokenAuthenticator(text: string): TokenAuthenticator {
  const users = new Map(parseCredentials(text).map(({ secret, user }) => [digest(secret).toString('hex'), user]))
  return {
    name: 'StaticToken',
    async authenticateToken(token) {
      const user = users.get(digest(token).toString('hex'))
      return user === undefined ? undefined : { user }
    },
  }
}

/** Names and passwords from a file's text, for `Authorization: Basic`. Throws a TypeError for bad lines. */
export function basicAuthenticator(text: string): Authenticator {
  const lines = new Map(parseCredentials(text).map(({ secret, user }) => [user.name, { digest: digest(secret), user }]))
  return {
    name: 'BasicAuth',
    async authenticate({ headers }) {
      const { authorization } = headers
      const match = /^basic\s+(\S+)\s*$/i.exec(typeof authorization === 'string' ? authorization : '')
      if (match === null) return undefined
      const text = Buffer.from(match[1] ?? '', 'base64').toString()
      const colon = text.indexOf(':')
      const line = lines.get(text.slice(0, Math.max(colon, 0)))
      if (line === undefined || !timingSafeEqual(line.digest, digest(text.slice(colon + 1))))
        throw new StatusError('Unauthorized', 'Unauthorized')
      return { user: line.user }
    },
  }
}
