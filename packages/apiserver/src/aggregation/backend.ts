import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import type { APIService } from '@k3s/api/types/apiregistration/v1'
import type { NodeConnector } from '../connect/node-connector.ts'
import type { UserInfo } from '../auth/auth.ts'
import { openConnection } from '../connect/open-connection.ts'
import type { ConnectTarget } from '../pipeline/answer.ts'
import type { ObjectReader } from '../registry/strategy.ts'
import { proxyHeaders } from './proxy-headers.ts'
import { resolveEndpoint, type Endpoint, type ServicePort } from './service-endpoint.ts'

/** Our certificate as a front proxy: aggregated servers believe our headers because of it. */
export interface ProxyCertificate {
  readonly cert: string
  readonly key: string
}

export interface BackendOptions {
  readonly objects: ObjectReader
  readonly random: () => number
  readonly connector: NodeConnector | undefined
  /** Read for every connection. */
  readonly proxyCertificate: () => ProxyCertificate | undefined
}

/** What an aggregated server answered, whole. */
export interface Fetched {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface FetchOptions {
  readonly user: UserInfo
  readonly headers?: OutgoingHttpHeaders | undefined
  readonly timeoutMs: number
  /** More is an error. */
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** The Service behind an APIService; undefined for one that is local. */
export function servicePortOf({ spec }: APIService): ServicePort | undefined {
  const { service } = spec
  return service === undefined ? undefined : { namespace: service.namespace ?? '', name: service.name ?? '', port: service.port ?? 443 }
}

/** Reaches the servers behind APIServices. */
export class Backend {
  readonly #options: BackendOptions

  constructor(options: BackendOptions) {
    this.#options = options
  }

  /** An endpoint of the Service. Throws when there is none. */
  resolve(port: ServicePort): Endpoint {
    return resolveEndpoint(this.#options.objects, this.#options.random, port)
  }

  /** Where a request of `user` goes. `path` has the query. Throws when the Service has no endpoint. */
  target(service: APIService, path: string, user: UserInfo, endpoint?: Endpoint): ConnectTarget {
    const port = servicePortOf(service) ?? { namespace: '', name: '', port: 443 }
    const { caBundle = '', insecureSkipTLSVerify = false } = service.spec
    const certificate = this.#options.proxyCertificate()
    return {
      dial: endpoint ?? this.resolve(port),
      scheme: 'https',
      path,
      isKubelet: false,
      aggregated: {
        tls: {
          ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
          ...(caBundle === '' ? {} : { ca: Buffer.from(caBundle, 'base64').toString('utf8') }),
          servername: `${port.name}.${port.namespace}.svc`,
          rejectUnauthorized: !insecureSkipTLSVerify,
        },
        headers: proxyHeaders(user),
      },
    }
  }

  /** Sends a request without a client behind it. The answer's stream is the caller's: reading it to its end or destroying it closes the connection. */
  async send(
    target: ConnectTarget,
    request: { readonly method: string; readonly headers?: OutgoingHttpHeaders | undefined; readonly body?: Buffer | undefined },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const connection = await openConnection(this.#options.connector, target, signal)
    return new Promise((resolve, reject) => {
      const { dial } = target
      const host = 'node' in dial ? dial.node : dial.host.includes(':') ? `[${dial.host}]` : dial.host
      const { body } = request
      const outgoing = httpRequest({
        method: request.method,
        path: target.path,
        headers: {
          ...request.headers,
          ...target.aggregated?.headers,
          ...(body === undefined ? {} : { 'content-length': body.length }),
          host: `${host}:${dial.port}`,
          connection: 'close',
        },
        createConnection: () => connection,
        signal,
      })
      outgoing.once('response', (answer) => {
        answer.once('close', () => connection.destroy())
        resolve(answer)
      })
      outgoing.once('error', (error) => {
        connection.destroy()
        reject(error)
      })
      outgoing.end(body)
    })
  }

  /** Asks for a document and reads all of it. */
  async fetch(service: APIService, path: string, options: FetchOptions & { readonly endpoint?: Endpoint | undefined }): Promise<Fetched> {
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)])
    const target = this.target(service, path, options.user, options.endpoint)
    const answer = await this.send(target, { method: 'GET', headers: options.headers }, signal)
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await readAll(answer, options.maxBytes) }
  }
}

/** The whole body. Throws when it has more than `maxBytes`. */
export async function readAll(answer: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    // No encoding is set: chunks are buffers.
    size += chunk.length
    if (size > maxBytes) {
      answer.destroy()
      throw new Error(`the answer has more than ${maxBytes} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
