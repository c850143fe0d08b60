import { request as httpsRequest } from 'node:https'
import { parseToken, splitPem, caHash, type JoinToken, type KeyPair } from '@k3s/pki'

export type JoinErrorCode =
  | 'InvalidUrl'
  | 'InvalidToken'
  | 'CaMismatch'
  | 'Unauthorized'
  | 'NodePasswordRejected'
  | 'Unreachable'
  | 'Refused'

const brand = Symbol.for('@k3s/node-registration/JoinError')

/** Why a node cannot join. Only `Unreachable`, `Refused` and `NodePasswordRejected` may go away by themselves. */
export class JoinError extends Error {
  override readonly name = 'JoinError'
  readonly code: JoinErrorCode

  constructor(code: JoinErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    Object.defineProperty(this, brand, { value: true })
    this.code = code
  }

  get isRetryable(): boolean {
    return this.code === 'Unreachable' || this.code === 'Refused' || this.code === 'NodePasswordRejected'
  }
}

/** True for a {@link JoinError} of any copy of this package. */
export function isJoinError(error: unknown): error is JoinError {
  return typeof error === 'object' && error !== null && brand in error
}

const timeoutMs = 15_000

export interface SupervisorCall {
  readonly method?: 'GET' | 'POST' | 'PUT' | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
}

/** How to talk to a server: whom to trust and who we are. */
export interface SupervisorClient {
  readonly caBundle: string
  /** The answer's body. Throws a {@link JoinError}. */
  call(path: string, call?: SupervisorCall): Promise<string>
}

interface Raw {
  readonly status: number
  readonly body: string
}

function send(
  url: URL,
  call: SupervisorCall,
  tls: { readonly ca?: string | undefined; readonly pair?: KeyPair | undefined; readonly verify: boolean },
): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.any([...(call.signal === undefined ? [] : [call.signal]), AbortSignal.timeout(timeoutMs)])
    const request = httpsRequest(
      url,
      {
        method: call.method ?? 'GET',
        headers: { ...call.headers, ...(call.body === undefined ? {} : { 'content-length': call.body.length }) },
        agent: false,
        signal,
        rejectUnauthorized: tls.verify,
        ...(tls.ca === undefined ? {} : { ca: tls.ca }),
        ...(tls.pair === undefined ? {} : { cert: tls.pair.cert, key: tls.pair.key }),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }))
      },
    )
    request.on('error', reject)
    request.end(call.body)
  })
}

function messageOf(body: string): string {
  try {
    const status: unknown = JSON.parse(body)
    if (typeof status === 'object' && status !== null && 'message' in status && typeof status.message === 'string') return status.message
  } catch {
    // no Status: the text itself says what there is to say
  }
  return body.slice(0, 200)
}

/** Checks the form of `--server`. */
export function parseServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.protocol !== 'https:')
    throw new JoinError('InvalidUrl', `Cannot join "${text}": only https URLs are supported, such as https://192.0.2.1:6443`)
  return url
}

/**
 * Gets the cluster's CA certificates and checks them against the token's hash; a token without a hash trusts what it gets.
 *
 * @param shown as {@link createSupervisorClient} has it.
 */
export async function fetchCaBundle(server: URL, shown: URL, token: JoinToken | undefined, signal: AbortSignal): Promise<string> {
  let answer: Raw
  try {
    answer = await send(new URL('/cacerts', server), { signal }, { verify: false })
  } catch (cause) {
    signal.throwIfAborted()
    throw new JoinError('Unreachable', `Cannot reach server ${shown.origin}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
  if (answer.status !== 200 || splitPem(answer.body).length === 0)
    throw new JoinError('Refused', `Cannot get the CA certificates of ${shown.origin}: it answered ${answer.status}`)
  if (token?.caHash !== undefined) {
    const actual = caHash(answer.body)
    if (actual !== token.caHash)
      throw new JoinError('CaMismatch', `token CA hash does not match the Cluster CA certificate hash: ${token.caHash} != ${actual}`)
  }
  return answer.body
}

/** Reads a token for joining as an agent. Throws a {@link JoinError}. */
export function readJoinToken(text: string): JoinToken {
  try {
    return parseToken(text, 'node')
  } catch (error) {
    throw new JoinError('InvalidToken', error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** A client for administering a cluster, with the server's token. Throws a {@link JoinError}. */
export async function connectSupervisor(server: string, token: string, signal: AbortSignal): Promise<SupervisorClient> {
  const url = parseServerUrl(server)
  let parsed: JoinToken
  try {
    parsed = parseToken(token, 'server')
  } catch (error) {
    throw new JoinError('InvalidToken', error instanceof Error ? error.message : String(error), { cause: error })
  }
  return createSupervisorClient(url, url, await fetchCaBundle(url, url, parsed, signal), { token: parsed })
}

/**
 * A client that speaks with a token, or with a node's certificate.
 *
 * @param shown what errors name: the server that the user gave, where `server` is a way to it.
 */
export function createSupervisorClient(
  server: URL,
  shown: URL,
  caBundle: string,
  identity: { readonly token?: JoinToken | undefined; readonly pair?: KeyPair | undefined },
): SupervisorClient {
  const headers: Record<string, string> = {}
  const credentials = identity.token?.credentials
  if (credentials?.type === 'basic')
    headers['authorization'] = `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
  if (credentials?.type === 'bootstrap') headers['authorization'] = `Bearer ${credentials.id}.${credentials.secret}`
  return {
    caBundle,
    async call(path, call = {}) {
      let answer: Raw
      try {
        answer = await send(
          new URL(path, server),
          { ...call, headers: { ...headers, ...call.headers } },
          { ca: caBundle, pair: identity.pair, verify: true },
        )
      } catch (cause) {
        call.signal?.throwIfAborted()
        throw new JoinError(
          'Unreachable',
          `Cannot reach server ${shown.origin}: ${cause instanceof Error ? cause.message : String(cause)}`,
          { cause },
        )
      }
      if (answer.status === 200) return answer.body
      const message = messageOf(answer.body)
      if (answer.status === 401)
        throw new JoinError('Unauthorized', `Cannot join ${shown.origin}: the server does not accept the token (${message})`)
      if (answer.status === 403 && message.includes('hash does not match')) {
        throw new JoinError(
          'NodePasswordRejected',
          `Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag`,
        )
      }
      if (answer.status === 400) throw new JoinError('InvalidToken', `Cannot join ${shown.origin}: ${message}`)
      throw new JoinError('Refused', `Cannot join ${shown.origin}: it answered ${answer.status} to ${path}: ${message}`)
    },
  }
}
