import { badRequest } from '@k3s/api'

/** Splits a request target into path and query. Throws BadRequest for one that is no absolute path. */
export function splitTarget(target: string): { readonly path: string; readonly query: URLSearchParams } {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  if (!path.startsWith('/')) throw badRequest('the request target must be an absolute path')
  return { path, query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)) }
}

/** Product name of a user agent up to its version: what owns fields when a client names no manager. */
export function agentName(header: string | undefined): string {
  const name = (header ?? '').split('/', 1)[0] ?? ''
  return name.slice(0, 128) === '' ? 'unknown' : name.slice(0, 128)
}

// The longest that makes sense, such as `2562047h47m16.854775807s`, has 25.
const maxDurationLength = 64

/** Go's notation, such as `30s` or `1m30s`, in milliseconds; 0 for none. Throws BadRequest for anything else. */
export function parseDurationMs(text: string): number {
  if (text === '') return 0
  // Anyone may send one, and the pattern below takes quadratic time.
  if (text.length > maxDurationLength) throw badRequest('invalid timeout specified in the request URL')
  if (/^\d+$/.test(text)) return Number(text) * 1000
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
  let total = 0
  const rest = text.replace(/(\d+(?:\.\d+)?)(ms|s|m|h)/g, (_match, amount: string, unit: string) => {
    total += Number(amount) * (units[unit] ?? 0)
    return ''
  })
  if (rest !== '') throw badRequest(`invalid timeout specified in the request URL: ${JSON.stringify(text)}`)
  return total
}
