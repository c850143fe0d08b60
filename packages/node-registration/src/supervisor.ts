import { timingSafeEqual, createHash, X509Certificate } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { StatusError, isStatusError, type StatusReason } from '@k3s/api'
import { noLogger, type Logger } from '@k3s/lifecycle'
import { readCertificate, signCertificateRequest, splitPem, type KeyPair } from '@k3s/pki'
import { renderClusterConfig, type ClusterConfig } from './cluster-config.ts'
import type { NodePasswordResult } from './node-password.ts'

type Request = IncomingMessage | Http2ServerRequest
type Response = ServerResponse | Http2ServerResponse

export interface SupervisorOptions {
  /** PEM bundle that clients are to trust: `/cacerts`. */
  readonly serverCa: KeyPair
  readonly clientCa: KeyPair
  /** Passwords of the users `server` and `node`. */
  readonly passwords: { readonly server: string; readonly node: string }
  /** The groups of a bootstrap token `id.secret`; undefined when it is unknown or expired. */
  readonly bootstrapTokenGroups: (id: string, secret: string) => Promise<readonly string[] | undefined>
  readonly config: () => ClusterConfig
  /** `host:port` of every server. */
  readonly apiservers: () => readonly string[]
  /** Checks a node's password; throws when it cannot be checked now. */
  readonly checkNodePassword: (nodeName: string, password: string) => Promise<NodePasswordResult>
  readonly nodeExists: (nodeName: string) => Promise<boolean>
  /** Takes over an agent's tunnel. */
  readonly acceptTunnel: (request: IncomingMessage, socket: Duplex, head: Buffer, nodeName: string) => void
  readonly isReady: () => boolean
  /** Encryption of Secrets: what `/v1-k3s/encrypt/` tells and changes. `change` throws a StatusError. Absent: those paths are not found. */
  readonly encryption?: { status(): Promise<object>; change(body: unknown): void } | undefined
  readonly logger?: Logger | undefined
}

export interface Supervisor {
  /** False when the path is not the supervisor's: the request is untouched then. */
  handleRequest(request: Request, response: Response): boolean
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
}

interface Identity {
  readonly name: string
  readonly groups: readonly string[]
}

const bootstrapGroup = 'system:bootstrappers:k3s:default-node-token'
// A certificate request for a P-256 key takes less than 1 KiB.
const maxRequestBytes = 64 * 1024
const certificateDays = 365

// Serving certificates of kubelets and of the API server are of one CA: none may be had for a name by which clients know the API server.
const serverNames = /^kubernetes(?:\.default(?:\.svc(?:\..*)?)?)?$/

const sameText = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())

const refuse = (reason: StatusReason, message: string): StatusError => new StatusError(reason, message)

/**
 * K3s's supervisor: the routes on the API server's port by which nodes join. Requests are authenticated by the cluster's passwords,
 * bootstrap tokens, or client certificates of this cluster.
 */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const logger = options.logger ?? noLogger
  const cas = splitPem(options.clientCa.cert).map((pem) => new X509Certificate(pem))

  function certificateIdentity(request: Request): Identity | undefined {
    const socket = 'stream' in request && request.stream !== undefined ? request.stream.session?.socket : request.socket
    if (
      !(socket instanceof TLSSocket) &&
      typeof (socket as { getPeerX509Certificate?: unknown } | undefined)?.getPeerX509Certificate !== 'function'
    )
      return undefined
    const certificate = (socket as TLSSocket).getPeerX509Certificate() // checked above; HTTP/2 hands out a proxy of the socket
    if (certificate === undefined) return undefined
    const now = Date.now()
    const isValid = certificate.validFromDate.getTime() <= now && certificate.validToDate.getTime() >= now
    if (!isValid || !cas.some((ca) => certificate.checkIssued(ca) && certificate.verify(ca.publicKey))) return undefined
    const { commonName, organizations } = readCertificate(certificate.raw)
    return { name: commonName, groups: organizations }
  }

  /** Throws Unauthorized. */
  async function authenticate(request: Request): Promise<Identity> {
    const header = request.headers.authorization
    if (header?.startsWith('Basic ') === true) {
      const [user = '', ...rest] = Buffer.from(header.slice(6), 'base64').toString().split(':')
      const password = rest.join(':')
      const known = user === 'server' || user === 'node' ? options.passwords[user] : undefined
      if (known !== undefined && sameText(known, password))
        return { name: user, groups: user === 'server' ? ['k3s:server', 'k3s:agent'] : ['k3s:agent'] }
    } else if (header?.startsWith('Bearer ') === true) {
      const match = /^([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(header.slice(7))
      const groups = match === null ? undefined : await options.bootstrapTokenGroups(match[1] ?? '', match[2] ?? '')
      if (groups !== undefined) return { name: `system:bootstrap:${match?.[1] ?? ''}`, groups }
    } else {
      const identity = certificateIdentity(request)
      if (identity !== undefined) return identity
    }
    throw refuse('Unauthorized', 'not authorized')
  }

  async function agent(request: Request): Promise<Identity> {
    const identity = await authenticate(request)
    if (identity.groups.some((group) => group === 'k3s:agent' || group === 'system:nodes' || group === bootstrapGroup)) return identity
    throw refuse('Forbidden', 'forbidden')
  }

  /** Who administers the cluster: holders of the server's token. */
  async function administrator(request: Request): Promise<void> {
    const { groups } = await authenticate(request)
    if (!groups.includes('k3s:server')) throw refuse('Forbidden', 'forbidden')
  }

  /** The node that a certificate is asked for, once its password was checked. */
  async function nodeOf(request: Request, identity: Identity): Promise<string> {
    const name = headerOf(request, 'k3s-node-name')
    const password = headerOf(request, 'k3s-node-password')
    if (name === undefined || password === undefined) throw refuse('BadRequest', 'node name or password not set')
    if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) || name.length > 253)
      throw refuse('BadRequest', `node name "${name}" is no DNS subdomain`)
    if (serverNames.test(name)) throw refuse('BadRequest', `node name "${name}" is a name of the API server`)
    if (identity.name.startsWith('system:node:')) {
      if (identity.name !== `system:node:${name}`) throw refuse('BadRequest', 'header node name does not match auth node name')
      if (!(await options.nodeExists(name).catch(() => true))) throw refuse('Unauthorized', `node "${name}" not found`)
    }
    try {
      if ((await options.checkNodePassword(name, password)) === 'rejected')
        throw refuse('Forbidden', `unable to verify password for node ${name}: hash does not match`)
    } catch (error) {
      if (isStatusError(error) && error.reason === 'Forbidden' && error.message.startsWith('unable to verify')) throw error
      // K3s lets nodes join while Secrets cannot be reached: a check that is out of order must not take the cluster's nodes away.
      logger.warn({ node: name, err: error }, 'Cannot check the node password now; the node is let in')
    }
    return name
  }

  async function sign(request: Request, identity: Identity, usage: 'client' | 'server'): Promise<string> {
    const node = await nodeOf(request, identity)
    const csr = await readBody(request)
    const ips = (headerOf(request, 'k3s-node-ip') ?? '').split(',').filter((ip) => isIP(ip) !== 0)
    const names =
      usage === 'client'
        ? { commonName: `system:node:${node}`, organizations: ['system:nodes'] }
        : { commonName: node, sans: [...new Set([node, 'localhost', '127.0.0.1', '::1', ...ips])] }
    try {
      return await signCertificateRequest(usage === 'client' ? options.clientCa : options.serverCa, csr, {
        ...names,
        usages: [usage],
        days: certificateDays,
      })
    } catch (error) {
      throw new StatusError('BadRequest', error instanceof Error ? error.message : String(error), { cause: error })
    }
  }

  async function signComponent(request: Request, commonName: string): Promise<string> {
    await agent(request)
    return signCertificateRequest(options.clientCa, await readBody(request), {
      commonName,
      usages: ['client'],
      days: certificateDays,
    }).catch((error: unknown) => {
      throw new StatusError('BadRequest', error instanceof Error ? error.message : String(error), { cause: error })
    })
  }

  interface Answer {
    readonly type: 'text/plain' | 'application/json'
    readonly body: string
  }
  const plain = (body: string): Answer => ({ type: 'text/plain', body })
  const json = (body: string): Answer => ({ type: 'application/json', body })

  const gets: Readonly<Record<string, (request: Request) => Promise<Answer> | Answer>> = {
    '/cacerts': () => plain(options.serverCa.cert),
    '/ping': () => plain('pong'),
    '/v1-k3s/config': async (request) => {
      await agent(request)
      return json(renderClusterConfig(options.config()))
    },
    '/v1-k3s/apiservers': async (request) => {
      await agent(request)
      return json(JSON.stringify(options.apiservers()))
    },
    '/v1-k3s/readyz': async (request) => {
      await agent(request)
      if (!options.isReady()) throw refuse('ServiceUnavailable', 'not ready')
      return plain('ok')
    },
    '/v1-k3s/client-ca.crt': async (request) => {
      await agent(request)
      return plain(options.clientCa.cert)
    },
    '/v1-k3s/encrypt/status': async (request) => {
      await administrator(request)
      if (options.encryption === undefined) throw refuse('NotFound', 'the server could not find the requested resource')
      return json(JSON.stringify(await options.encryption.status()))
    },
    '/v1-k3s/server-ca.crt': async (request) => {
      await agent(request)
      return plain(options.serverCa.cert)
    },
  }
  const posts: Readonly<Record<string, (request: Request) => Promise<Answer>>> = {
    '/v1-k3s/client-kubelet.crt': async (request) => plain(await sign(request, await agent(request), 'client')),
    '/v1-k3s/serving-kubelet.crt': async (request) => plain(await sign(request, await agent(request), 'server')),
    '/v1-k3s/client-kube-proxy.crt': async (request) => plain(await signComponent(request, 'system:kube-proxy')),
    '/v1-k3s/client-k3s-controller.crt': async (request) => plain(await signComponent(request, 'system:k3s-controller')),
  }

  const puts: Readonly<Record<string, (request: Request) => Promise<Answer>>> = {
    '/v1-k3s/encrypt/config': async (request) => {
      await administrator(request)
      if (options.encryption === undefined) throw refuse('NotFound', 'the server could not find the requested resource')
      const text = Buffer.from(await readBody(request)).toString('utf8')
      let body: unknown
      try {
        body = JSON.parse(text)
      } catch (cause) {
        throw new StatusError('BadRequest', 'the body of the request is no JSON', { cause })
      }
      options.encryption.change(body)
      return plain('ok')
    },
  }

  async function answer(request: Request, path: string): Promise<Answer> {
    const routes = { GET: gets, POST: posts, PUT: puts }[request.method ?? ''] ?? {}
    const route = routes[path]
    if (route !== undefined) return route(request)
    if (gets[path] !== undefined || posts[path] !== undefined || puts[path] !== undefined)
      throw refuse('MethodNotAllowed', `method ${request.method ?? ''} is not allowed on ${path}`)
    throw refuse('NotFound', 'the server could not find the requested resource')
  }

  return {
    handleRequest(request, response) {
      const path = (request.url ?? '/').replace(/\?.*$/s, '')
      if (path !== '/cacerts' && path !== '/ping' && !path.startsWith('/v1-k3s/')) return false
      answer(request, path).then(
        ({ type, body }) => send(response, 200, type, body),
        (error: unknown) => {
          const status = isStatusError(error) ? error : new StatusError('InternalError', 'Internal error occurred', { cause: error })
          if (status !== error) logger.error({ path, err: error }, 'Supervisor request failed')
          send(response, status.code, 'application/json', JSON.stringify(status.toStatus()))
        },
      )
      return true
    },
    handleUpgrade(request, socket, head) {
      if ((request.url ?? '').replace(/\?.*$/s, '') !== '/v1-k3s/connect') return false
      const identity = certificateIdentity(request)
      if (identity === undefined || !identity.groups.includes('system:nodes') || !identity.name.startsWith('system:node:')) {
        socket.on('error', () => {}) // the other side may be gone already
        socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        return true
      }
      options.acceptTunnel(request, socket, head, identity.name.slice('system:node:'.length))
      return true
    },
  }
}

function headerOf(request: Request, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

async function readBody(request: Request): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    const part = chunk as Buffer // no encoding was set
    bytes += part.length
    if (bytes > maxRequestBytes) throw refuse('RequestEntityTooLarge', `Request entity too large: limit is ${maxRequestBytes}`)
    chunks.push(part)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

function send(response: Response, code: number, type: string, body: string): void {
  const bytes = Buffer.from(body)
  if ('stream' in response) response.writeHead(code, { 'content-type': type, 'content-length': bytes.length }).end(bytes)
  else response.writeHead(code, { 'content-type': type, 'content-length': bytes.length }).end(bytes)
}
