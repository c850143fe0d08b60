import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { CriError, type CriErrorCode } from '../errors.ts'

export interface UpgradeOptions {
  readonly method?: 'GET' | 'POST' | undefined
  /** `Connection: Upgrade` is added. */
  readonly headers: OutgoingHttpHeaders
  readonly signal?: AbortSignal | undefined
}

/** An HTTP connection that became a pipe of bytes. The caller owns the socket. */
export interface Upgraded {
  readonly socket: Duplex
  /** The first bytes after the response. */
  readonly head: Buffer
  readonly headers: IncomingHttpHeaders
}

/** An answer other than 101, whole. */
export interface UpgradeRefusal {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** At most 64 KiB of it. */
  readonly body: Buffer
}

const maxRefusalBytes = 64 * 1024

/**
 * Asks an `http:` URL of the runtime's streaming server to switch protocols, and gives its refusal when it does not.
 * Rejects with `UNAVAILABLE` when it cannot be reached, with the signal's reason on abort; after it has resolved the
 * signal does nothing.
 */
export async function tryUpgrade(url: string | URL, options: UpgradeOptions): Promise<Upgraded | UpgradeRefusal> {
  const { method = 'POST', headers, signal } = options
  signal?.throwIfAborted()
  const result = Promise.withResolvers<Upgraded | UpgradeRefusal>()
  const outgoing = request(url, { method, agent: false, headers: { ...headers, connection: 'Upgrade' } })
  const onAbort = (): void => {
    outgoing.destroy()
    result.reject(signal?.reason)
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  outgoing.on('error', (cause) => {
    result.reject(new CriError('UNAVAILABLE', `Cannot reach streaming server of the runtime: ${cause.message}`, { cause }))
  })
  outgoing.on('upgrade', (response, socket, head) => result.resolve({ socket, head, headers: response.headers }))
  outgoing.on('response', (response) => {
    const parts: Buffer[] = []
    let size = 0
    response.on('data', (part: Buffer) => {
      if (size < maxRefusalBytes) parts.push(part)
      size += part.length
    })
    response.on('error', (error) => result.reject(error))
    response.on('close', () =>
      result.resolve({
        status: response.statusCode ?? 502,
        headers: response.headers,
        body: Buffer.concat(parts).subarray(0, maxRefusalBytes),
      }),
    )
  })
  outgoing.end()
  try {
    return await result.promise
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/** As {@link tryUpgrade}, but a refusal is a {@link CriError}: `NOT_FOUND` for a URL that was used or has expired. */
export async function upgrade(url: string | URL, options: UpgradeOptions): Promise<Upgraded> {
  const result = await tryUpgrade(url, options)
  if ('socket' in result) return result
  const details = result.body.toString().trim()
  throw new CriError(
    codeOf(result.status),
    `Streaming server of the runtime answered ${result.status}${details === '' ? '' : `: ${details}`}`,
    {
      details,
    },
  )
}

function codeOf(status: number): CriErrorCode {
  if (status === 404) return 'NOT_FOUND'
  if (status === 403) return 'PERMISSION_DENIED'
  return status === 400 ? 'INVALID_ARGUMENT' : 'UNKNOWN'
}
