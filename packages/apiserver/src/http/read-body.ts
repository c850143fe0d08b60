import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { StatusError } from '@k3s/api'
import type { RequestBody } from '../codec.ts'

// Upstream's limit: what the datastore takes (1.5 MiB) may be twice as long as a patch or in another encoding.
export const maxBodyBytes: number = 3 * 1024 * 1024

const tooLarge = (): StatusError =>
  new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${maxBodyBytes}`, { details: {} })

/** The whole body; undefined when it is empty. Throws RequestEntityTooLarge and rejects when the client goes away. */
export async function readBody(request: IncomingMessage | Http2ServerRequest): Promise<RequestBody | undefined> {
  const length = Number(request.headers['content-length'] ?? 0)
  if (length > maxBodyBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    // Both kinds of request give Buffers as long as no encoding is set.
    size += chunk.length
    if (size > maxBodyBytes) throw tooLarge()
    chunks.push(chunk)
  }
  if (size === 0) return undefined
  return {
    bytes: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size),
    contentType: request.headers['content-type'] ?? '',
  }
}
