import { createHash } from 'node:crypto'
import { parseAccept } from '../http/negotiate.ts'
import type { Answer } from '../pipeline/answer.ts'
import { headerOf, type ApiCall } from '../pipeline/api-call.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'
import { aggregatedGroups } from './aggregated-groups.ts'
import { mergedGroups, type MergedGroup, type RemoteVersions } from './merged-groups.ts'
import { groupDocument, groupListDocument, legacyVersionsDocument, resourceListDocument } from './plain-documents.ts'

/** `/api`, `/apis`, `/apis/GROUP` and the lists of resources, plain or aggregated as the client asks. Documents are made once for each state of the table. */
export function discoveryHandler({ table }: ApiCore, remote?: RemoteVersions): NonResourceHandler {
  let generation = ''
  let made = new Map<string, { readonly body: Buffer; readonly etag: string }>()
  const document = (key: string, make: () => object | undefined): { readonly body: Buffer; readonly etag: string } | undefined => {
    const now = `${table.generation} ${remote?.generation ?? 0}`
    if (generation !== now) {
      generation = now
      made = new Map()
    }
    const known = made.get(key)
    if (known !== undefined) return known
    const content = make()
    if (content === undefined) return undefined
    const body = Buffer.from(`${JSON.stringify(content)}\n`)
    const entry = { body, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` }
    made.set(key, entry)
    return entry
  }
  const groups = (): readonly MergedGroup[] => mergedGroups(table, remote, 'service')
  return (call, { path }) => {
    const clean = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
    if (clean !== '/api' && clean !== '/apis' && !clean.startsWith('/api/') && !clean.startsWith('/apis/')) return undefined
    if (call.method !== 'GET' && call.method !== 'HEAD') return undefined
    const parts = clean.slice(1).split('/')
    if (parts.length === 1) {
      const isLegacy = parts[0] === 'api'
      if (asksForAggregated(call)) {
        const entry = document(`aggregated ${clean}`, () => aggregatedGroups(table, remote, isLegacy))
        return entry === undefined ? undefined : aggregatedAnswer(call, entry)
      }
      return plain(document(clean, () => (isLegacy ? legacyVersionsDocument() : groupListDocument(groups()))))
    }
    if (parts[0] === 'api' && parts.length === 2) return plain(document(clean, () => resourceListDocument(table, '', parts[1] ?? '')))
    if (parts[0] === 'apis' && parts.length === 2) return plain(document(clean, () => groupDocument(groups(), parts[1] ?? '')))
    if (parts[0] === 'apis' && parts.length === 3)
      return plain(document(clean, () => resourceListDocument(table, parts[1] ?? '', parts[2] ?? '')))
    return undefined
  }
}

const aggregatedType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

function asksForAggregated(call: ApiCall): boolean {
  const [first] = parseAccept(headerOf(call, 'accept') ?? '').filter(
    ({ type, parameters }) =>
      type === 'application/json' &&
      (parameters['as'] === undefined || (parameters['as'] === 'APIGroupDiscoveryList' && parameters['v'] === 'v2')),
  )
  return first?.parameters['as'] === 'APIGroupDiscoveryList'
}

function plain(entry: { readonly body: Buffer } | undefined): Answer | undefined {
  return entry === undefined
    ? undefined
    : { type: 'bytes', code: 200, contentType: 'application/json', bytes: entry.body, headers: { vary: 'Accept' } }
}

function aggregatedAnswer(call: ApiCall, { body, etag }: { readonly body: Buffer; readonly etag: string }): Answer {
  const headers = { etag, vary: 'Accept', 'cache-control': 'public' }
  if (headerOf(call, 'if-none-match') === etag) return { type: 'bytes', code: 304, contentType: aggregatedType, bytes: '', headers }
  return { type: 'bytes', code: 200, contentType: aggregatedType, bytes: body, headers }
}
