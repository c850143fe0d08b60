import { badRequest } from '@k3s/api'

/** The only place that knows that a resourceVersion is a datastore revision in decimal. */

/** What clients see of a revision. */
export function formatResourceVersion(revision: number): string {
  return String(revision)
}

/** Revision of a resourceVersion that is not empty. Throws BadRequest when it is not a decimal number. */
export function parseResourceVersion(text: string): number {
  const revision = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(revision)) throw badRequest(`Invalid value: ${JSON.stringify(text)}: resourceVersion must be a decimal number`)
  return revision
}
