import { createHash } from 'node:crypto'
import { loadDescriptions, openApiV2, openApiV3, openApiV3Index, type OpenApiOptions } from '@k3s/api'
import { notAcceptable, parseAccept } from '../http/negotiate.ts'
import type { Answer } from '../pipeline/answer.ts'
import { headerOf, type ApiCall } from '../pipeline/api-call.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'

interface Document {
  readonly body: Buffer
  readonly etag: string
}

const gnosticType = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'

/** `/openapi/v2` and `/openapi/v3`. Documents are made when they are first asked for, with the descriptions that came with the schema package. */
export function openApiHandler(core: ApiCore): NonResourceHandler {
  let options: Promise<OpenApiOptions> | undefined
  const made = new Map<string, Promise<Document | undefined>>()
  const load = (): Promise<OpenApiOptions> =>
    (options ??= loadDescriptions().then(
      (descriptions) => ({ descriptions }),
      (error: unknown) => {
        core.logger.warn({ err: error }, 'Field descriptions cannot be read')
        return {}
      },
    ))
  const document = (key: string, make: (options: OpenApiOptions) => object | undefined): Promise<Document | undefined> => {
    const known = made.get(key)
    if (known !== undefined) return known
    const fresh = load().then((loaded) => {
      const content = make(loaded)
      if (content === undefined) return undefined
      const body = Buffer.from(JSON.stringify(content))
      return { body, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` }
    })
    made.set(key, fresh)
    return fresh
  }
  return async (call, { path }) => {
    if (!path.startsWith('/openapi/')) return undefined
    if (path === '/openapi/v2') {
      // Only protobuf asked for: clients that can do with JSON say so.
      const accepted = parseAccept(headerOf(call, 'accept') ?? '')
      if (accepted.length > 0 && accepted.every(({ type }) => type === gnosticType)) throw notAcceptable()
      return answer(call, await document('v2', openApiV2), {})
    }
    if (path === '/openapi/v3' || path === '/openapi/v3/') return answer(call, await document('v3', openApiV3Index), {})
    const key = path.slice('/openapi/v3/'.length)
    const groupVersion = key.startsWith('apis/') ? key.slice('apis/'.length) : key.startsWith('api/') ? key.slice('api/'.length) : undefined
    if (groupVersion === undefined) return undefined
    // The index names each document with its hash: such an address never changes its content.
    const isHashed = call.query.has('hash')
    return answer(
      call,
      await document(key, (loaded) => openApiV3(groupVersion, loaded)),
      isHashed ? { 'cache-control': 'public, immutable', expires: inOneYear(core.clock.now()) } : {},
    )
  }
}

function inOneYear(nowMs: number): string {
  return new Date(nowMs + 365 * 24 * 3_600_000).toUTCString()
}

function answer(call: ApiCall, entry: Document | undefined, extra: Readonly<Record<string, string>>): Answer | undefined {
  if (entry === undefined) return undefined
  const headers = { etag: entry.etag, vary: 'Accept', ...extra }
  if (headerOf(call, 'if-none-match') === entry.etag)
    return { type: 'bytes', code: 304, contentType: 'application/json', bytes: '', headers }
  return { type: 'bytes', code: 200, contentType: 'application/json', bytes: entry.body, headers }
}
