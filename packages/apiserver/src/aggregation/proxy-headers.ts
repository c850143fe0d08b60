import type { OutgoingHttpHeaders } from 'node:http'
import { StatusError } from '@k3s/api'
import type { UserInfo } from '../auth/auth.ts'

/**
 * How a front proxy tells for whom it asks: X-Remote-User, -Uid, -Group and -Extra-KEY. Values are UTF-8, whatever their letters. Throws for a value
 * with control characters, which could end the header and begin another: names come from certificates and tokens of many issuers.
 */
export function proxyHeaders(user: UserInfo): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { 'x-remote-user': bytesOf(user.name) }
  if (user.uid !== undefined && user.uid !== '') headers['x-remote-uid'] = bytesOf(user.uid)
  if (user.groups.length > 0) headers['x-remote-group'] = user.groups.map(bytesOf)
  for (const [key, values] of Object.entries(user.extra ?? {})) headers[`x-remote-extra-${escapeKey(key)}`] = values.map(bytesOf)
  return headers
}

/** Node writes each UTF-16 unit of a header as one byte. */
function bytesOf(value: string): string {
  if (/[^\P{Cc}\t]/u.test(value))
    throw new StatusError('InternalError', 'invalid header field value: the user has control characters in its name, groups or extra')
  return Buffer.from(value, 'utf8').toString('latin1')
}

/** Bytes that are no part of an HTTP token, and the percent sign, are percent-encoded. */
function escapeKey(key: string): string {
  const plain = /[!#$&'*+\-.^_`|~0-9A-Za-z]/
  return [...Buffer.from(key, 'utf8')]
    .map((byte) => {
      const character = String.fromCodePoint(byte)
      return plain.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}
