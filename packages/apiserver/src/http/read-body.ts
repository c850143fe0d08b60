import { StatusError } from '@k3s/api'
import type { RequestBody } from '../codec.ts'
import type { HttpRequest } from './send-answer.ts'

// Upstream's limit: what the datastore takes (1.5 MiB) may be twice as long as a patch or in another encoding.
export const maxBodyBytes: number = 3 * 1024 * 1024

const tooLarge = (): StatusError =>
  new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${maxBodyBytes}`, { details: {} })

/** The whole body; undefined when it is empty. Throws RequestEntityTooLarge, and the signal's reason on an abort; the rest of the body is then left unread. */
export async function readBody(request: HttpRequest, signal: AbortSignal): Promise<RequestBody | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge()
  const bytes = await collect(request, signal)
  return bytes.length === 0 ? undefined : { bytes, contentType: request.headers['content-type'] ?? '' }
}

/** Not an iteration over the stream: leaving one early destroys the connection, and with it the answer. */
function collect(request: HttpRequest, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (finish: () => void): void => {
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('error', onError)
      signal.removeEventListener('abort', onAbort)
      finish()
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      if (size > maxBodyBytes) settle(() => reject(tooLarge()))
      else chunks.push(chunk)
    }
    const onEnd = (): void =>
      settle(() => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size)))
    const onError = (error: Error): void => settle(() => reject(error))
    const onAbort = (): void => settle(() => reject(signal.reason))
    request.on('data', onData)
    request.once('end', onEnd)
    request.once('error', onError)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}
