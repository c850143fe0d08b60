import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { withNulls, type JsonObject, type StatusError } from '@k3s/api'
import type { Answer } from '../pipeline/answer.ts'
import type { IncludeObject } from '../table/table.ts'
import { longBytes } from '../watch-cache/cached-object.ts'
import { encodeInTurns, encodeList, encodeObject, type EncodeOptions } from './encode.ts'
import { negotiate, type Negotiated } from './negotiate.ts'
import type { WatchDeliveries } from './watch-deliveries.ts'
import { streamWatch, type WatchSink } from './watch-stream.ts'
import { writeYaml } from './write-yaml.ts'
import { PlainTextError } from '../errors.ts'

export type HttpRequest = IncomingMessage | Http2ServerRequest
export type HttpResponse = ServerResponse | Http2ServerResponse

const compress = promisify(gzip)
// Upstream's threshold: below it compression costs more than it saves.
const minCompressedBytes = 128 * 1024

// Of one answer in one turn of the event loop: well below a millisecond.
const maxWriteBytes = 256 * 1024

// JSON that is longer is not rewritten as YAML, which takes a millisecond for some ten KiB.
const maxYamlBytes = 256 * 1024

export interface SendContext {
  readonly request: HttpRequest
  readonly response: HttpResponse
  readonly query: URLSearchParams
  readonly now: () => number
  readonly deliveries: WatchDeliveries
  /** Headers of every answer: audit id, warnings. */
  headers(): OutgoingHttpHeaders
}

/** Writes an answer other than a connect. Throws NotAcceptable before anything is written. */
export async function sendAnswer(context: SendContext, answer: Exclude<Answer, { type: 'connect' }>): Promise<void> {
  const accept = context.request.headers.accept
  switch (answer.type) {
    case 'stored': {
      const negotiated = negotiate(accept, { transformable: true })
      const { served, object } = answer
      const options = encodeOptions(context, negotiated)
      const encoded = object.size > longBytes ? await encodeInTurns(served, object, options) : encodeObject(served, object, options)
      return sendBody(context, answer.code, negotiated, [encoded])
    }
    case 'object': {
      const negotiated = negotiate(accept, { transformable: false })
      const { object, schema } = answer
      const written = schema === undefined ? object : withNulls(object as JsonObject, schema) // API objects are JSON objects
      return sendBody(context, answer.code, negotiated, [Buffer.from(`${JSON.stringify(written)}\n`)])
    }
    case 'list': {
      const negotiated = negotiate(accept, { transformable: true, isList: true })
      return sendBody(context, 200, negotiated, await encodeList(answer.served, answer.page, encodeOptions(context, negotiated)))
    }
    case 'watch': {
      let negotiated: Negotiated
      try {
        negotiated = negotiate(accept, { transformable: true })
      } catch (error) {
        answer.watch.close()
        throw error
      }
      sendWatch(context, answer, encodeOptions(context, negotiated))
      return
    }
    case 'bytes': {
      const bytes = typeof answer.bytes === 'string' ? Buffer.from(answer.bytes) : answer.bytes
      return send(context, answer.code, { 'content-type': answer.contentType, ...answer.headers }, [bytes])
    }
  }
}

/** Writes a Status. Does nothing when the answer has begun already: then the connection is cut. */
export function sendError(
  { request, response, headers }: Pick<SendContext, 'response' | 'headers'> & Partial<Pick<SendContext, 'request'>>,
  error: StatusError,
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const isPlain = error instanceof PlainTextError
  const isYaml = !isPlain && /^application\/yaml\b/.test(request?.headers.accept ?? '')
  const body = Buffer.from(isPlain ? error.text : isYaml ? writeYaml(error.toStatus()) : `${JSON.stringify(error.toStatus())}\n`)
  const retry = error.details?.retryAfterSeconds
  const all: OutgoingHttpHeaders = {
    ...headers(),
    'content-type': isPlain ? 'text/plain; charset=utf-8' : isYaml ? 'application/yaml' : 'application/json',
    'content-length': body.length,
    ...(retry === undefined ? {} : { 'retry-after': String(retry) }),
  }
  respond(response, error.code, all, [body])
}

function encodeOptions({ query, now }: SendContext, { representation }: Negotiated): EncodeOptions {
  const include = query.get('includeObject')
  const includeObject: IncludeObject = include === 'None' || include === 'Object' ? include : 'Metadata'
  return { representation, includeObject, now }
}

type Pieces = readonly Buffer[]

const lengthOf = (pieces: Pieces): number => pieces.reduce((sum, { length }) => sum + length, 0)
const textOf = (pieces: Pieces): string => Buffer.concat(pieces).toString('utf8')

/** What is written at once is not waited for. */
function sendBody(context: SendContext, code: number, { mediaType, version }: Negotiated, encoded: Pieces): Promise<void> | undefined {
  const json = version === 'v1beta1' ? [Buffer.from(textOf(encoded).replace('"meta.k8s.io/v1"', '"meta.k8s.io/v1beta1"'))] : encoded
  // JSON is YAML, too: writing long YAML would hold up everybody else.
  if (mediaType === 'application/json' || lengthOf(json) > maxYamlBytes) return send(context, code, { 'content-type': mediaType }, json)
  const text = writeYaml(JSON.parse(textOf(json)))
  return send(context, code, { 'content-type': mediaType }, [Buffer.from(text)])
}

function send(context: SendContext, code: number, own: OutgoingHttpHeaders, body: Pieces): Promise<void> | undefined {
  const { request } = context
  const headers: OutgoingHttpHeaders = { ...context.headers(), ...own }
  const encodings = request.headers['accept-encoding']
  if (request.method === 'GET' && typeof encodings === 'string' && lengthOf(body) > minCompressedBytes && /\bgzip\b/.test(encodings))
    return sendCompressed(context, code, headers, body)
  sendPieces(context, code, headers, body)
  return undefined
}

async function sendCompressed(context: SendContext, code: number, headers: OutgoingHttpHeaders, body: Pieces): Promise<void> {
  const compressed = await compress(Buffer.concat(body), { level: 1 })
  sendPieces(context, code, { ...headers, 'content-encoding': 'gzip', vary: 'Accept-Encoding' }, [compressed])
}

function sendPieces({ request, response }: SendContext, code: number, headers: OutgoingHttpHeaders, pieces: Pieces): void {
  if (response.destroyed) return
  headers['content-length'] = lengthOf(pieces)
  respond(response, code, headers, request.method === 'HEAD' ? [] : pieces)
}

/** Writes a whole answer at once. Does nothing when the client has gone. */
function respond(response: HttpResponse, code: number, headers: OutgoingHttpHeaders, body: Pieces): void {
  let to: Writable
  if ('stream' in response) {
    // To the stream itself: node's response would wait for trailers and end each answer with a frame of its own to say that there are none.
    to = response.stream
    response.statusCode = code
    if (response.stream.closed || to.destroyed) return
    response.stream.respond({ ':status': code, ...headers })
    // Node ends what has no body, such as a 304.
    if (to.writableEnded) return
  } else {
    to = response
    writeHead(response, code, headers)
  }
  if (lengthOf(body) > maxWriteBytes) return writeInTurns(to, body)
  // Until the end: the pieces leave together.
  if (body.length > 1) to.cork()
  for (const piece of body.slice(0, -1)) to.write(piece)
  to.end(body.at(-1))
}

/** Each part when the one before has left: node encrypts what it is given at once, and holds all of that twice. */
function writeInTurns(to: Writable, body: Pieces): void {
  const parts = body.flatMap((piece) =>
    Array.from({ length: Math.ceil(piece.length / maxWriteBytes) }, (_, at) =>
      piece.subarray(at * maxWriteBytes, (at + 1) * maxWriteBytes),
    ),
  )
  let at = 0
  const writeOn = (): void => {
    for (let part = parts[at++]; part !== undefined; part = parts[at++]) {
      if (to.destroyed) return
      if (at === parts.length) to.end(part)
      else if (!to.write(part)) return void to.once('drain', writeOn)
    }
  }
  writeOn()
}

/** Bytes that an answer's headers say its body has; undefined for streams and for what was not answered. */
export function answeredBytes(response: HttpResponse): number | undefined {
  const length = 'stream' in response ? response.stream.sentHeaders?.['content-length'] : response.getHeader('content-length')
  return length === undefined ? undefined : Number(length)
}

function sendWatch(context: SendContext, answer: Extract<Answer, { type: 'watch' }>, encode: EncodeOptions): void {
  const { response } = context
  writeHead(response, 200, { ...context.headers(), 'content-type': 'application/json' })
  // Clients wait for the headers before they trust the watch.
  if ('stream' in response) response.writeHead(200)
  else response.flushHeaders()
  streamWatch(responseSink(response), { ...answer, encode, deliveries: context.deliveries })
}

function responseSink(response: HttpResponse): WatchSink {
  return {
    write: (lines) => writeBytes(response, lines),
    onDrain: (callback) => response.on('drain', callback),
    onClose: (callback) => response.on('close', callback),
    end: () => response.end(),
    destroy: () => response.destroy(),
  }
}

/** Both kinds of response have this, with signatures that TypeScript cannot join. */
export function writeHead(response: HttpResponse, code: number, headers: OutgoingHttpHeaders): void {
  response.statusCode = code
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value)
}

function writeBytes(response: HttpResponse, bytes: Buffer): boolean {
  if (response.destroyed || response.writableEnded) return true
  return 'stream' in response ? response.write(bytes) : response.write(bytes)
}
