import { badRequest, StatusError } from '@k3s/api'

/** The only place that knows that a resourceVersion is a datastore revision in decimal. */

/** What clients see of a revision. */
export function formatResourceVersion(revision: number): string {
  return String(revision)
}

const versionError = (text: string): string =>
  `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`

/** The same of a list: BadRequest in other words. */
export function parseListVersion(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw badRequest(`invalid resource version: ${versionError(text)}`)
  return parseResourceVersion(text)
}

/** Revision of a resourceVersion that is not empty. Throws an error with code 500, as upstream, when it is not a decimal number. */
export function parseResourceVersion(text: string): number {
  const revision = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(revision)) throw new StatusError('', versionError(text), { code: 500 })
  return revision
}
