import type { Readable } from 'node:stream'
import { StatusError } from '@k3s/api'
import { checkBody, parsedJson } from '../body-text.ts'
import { mediaTypeOf, type RequestBody } from '../codec.ts'
import type { HttpRequest } from './send-answer.ts'
import type { YamlReader } from './yaml-reader.ts'

// Upstream's limit: what the datastore takes (1.5 MiB) may be twice as long as a patch or in another encoding.
export const maxBodyBytes: number = 3 * 1024 * 1024

/** What is said of a body that is longer. */
export const tooLargeBody = (): StatusError =>
  new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${maxBodyBytes}`, { details: {} })

// A few milliseconds of reading, which a thread of its own would not make shorter.
const maxYamlHere = 2048

// As much again, to see whether YAML is JSON.
const maxJsonHere = 64 * 1024

const yamlTypes = new Set(['application/yaml', 'application/apply-patch+yaml'])

/** The whole body; undefined when it is empty. Throws RequestEntityTooLarge, and the signal's reason on an abort; the rest of the body is then left unread. Long YAML comes as JSON, made by `yaml`, which reads what may be either. */
export async function readBody(request: HttpRequest, signal: AbortSignal, yaml: YamlReader): Promise<RequestBody | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLargeBody()
  const bytes = await collect(request, signal)
  if (bytes.length === 0) return undefined
  const contentType = request.headers['content-type'] ?? ''
  if (bytes.length <= maxYamlHere || !yamlTypes.has(mediaTypeOf(contentType))) return { bytes, contentType }
  // Before anybody waits for it.
  checkBody(bytes)
  // kubectl sends JSON as YAML.
  if (bytes.length <= maxJsonHere && parsedJson(bytes.toString('utf8')) !== undefined)
    return { bytes, contentType, fromYaml: { duplicates: [] } }
  const { json, duplicates } = await yaml.read(bytes, signal)
  return { bytes: json, contentType, fromYaml: { duplicates } }
}

/** What the body comes by: over HTTP/2 the stream itself, because node's request would buffer each piece once more. */
export function bodyStream(request: HttpRequest): Readable {
  return 'stream' in request ? request.stream : request
}

/** Not an iteration over the stream: leaving one early destroys the connection, and with it the answer. */
function collect(request: HttpRequest, signal: AbortSignal): Promise<Buffer> {
  const stream = bodyStream(request)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (finish: () => void): void => {
      stream.off('data', onData)
      stream.off('end', onEnd)
      stream.off('error', onError)
      signal.removeEventListener('abort', onAbort)
      finish()
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      if (size > maxBodyBytes) settle(() => reject(tooLargeBody()))
      else chunks.push(chunk)
    }
    const onEnd = (): void =>
      settle(() => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size)))
    const onError = (error: Error): void => settle(() => reject(error))
    const onAbort = (): void => settle(() => reject(signal.reason))
    stream.on('data', onData)
    stream.once('end', onEnd)
    stream.once('error', onError)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}
