import { loadDescriptions, openApiV3, openApiV3Index, type OpenApiOptions } from '@k3s/api'
import { parseAccept } from '../http/negotiate.ts'
import type { Answer } from '../pipeline/answer.ts'
import { headerOf, type ApiCall } from '../pipeline/api-call.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'
import { CustomDocuments, documentOf, wholeV2, type OpenApiDocument, type RemoteDocuments } from './custom-documents.ts'

// What clients accept, and what upstream calls the answer: the two differ in one character.
const protobufAccepted = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
const protobufType = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

// Documents hold no values that JSON changes.
const json = (content: object): Buffer => Buffer.from(JSON.stringify(content))

type Document = OpenApiDocument

/** `/openapi/v2` and `/openapi/v3`. Documents are made when they are first asked for, with the descriptions of `descriptionsFile`, or those that came with the schema package. */
export function openApiHandler(core: ApiCore, descriptionsFile?: URL | string, remote?: RemoteDocuments): NonResourceHandler {
  let options: Promise<OpenApiOptions> | undefined
  const made = new Map<string, Promise<Document | undefined>>()
  const load = (): Promise<OpenApiOptions> =>
    (options ??= loadDescriptions(descriptionsFile).then(
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
      return documentOf(json(content))
    })
    made.set(key, fresh)
    return fresh
  }
  const custom = new CustomDocuments(core.table, remote)
  return async (call, { path }) => {
    if (!path.startsWith('/openapi/')) return undefined
    const options = await load()
    if (path === '/openapi/v2') {
      const accepted = parseAccept(headerOf(call, 'accept') ?? '')
      const isProtobuf = accepted.some(({ type }) => type === protobufAccepted)
      const make = async (): Promise<Document> => {
        const parts = custom.v2Parts(options)
        const { heavy } = core.registry
        if (heavy === undefined) return documentOf(wholeV2(options, parts, isProtobuf), isProtobuf ? protobufType : undefined)
        const input = { parts: Buffer.from(JSON.stringify(parts)), descriptions: descriptionsFile?.toString(), isProtobuf }
        // For all who ask: it ends with the server.
        const { json: bytes } = await heavy.run('openApiV2', input, new AbortController().signal)
        return documentOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), isProtobuf ? protobufType : undefined)
      }
      return answer(call, await custom.remembered(isProtobuf ? 'v2 protobuf' : 'v2', make), {})
    }
    if (path === '/openapi/v3' || path === '/openapi/v3/')
      return answer(call, custom.isEmpty ? await document('v3', openApiV3Index) : custom.index(options), {})
    const key = path.slice('/openapi/v3/'.length)
    const groupVersion = key.startsWith('apis/') ? key.slice('apis/'.length) : key.startsWith('api/') ? key.slice('api/'.length) : undefined
    if (groupVersion === undefined) return undefined
    // The index names each document with its hash: such an address never changes its content.
    const isHashed = call.query.has('hash')
    return answer(
      call,
      (await document(key, (loaded) => openApiV3(groupVersion, loaded))) ?? custom.v3(groupVersion, options),
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
    return { type: 'bytes', code: 304, contentType: entry.contentType, bytes: '', headers }
  return { type: 'bytes', code: 200, contentType: entry.contentType, bytes: entry.body, headers }
}
