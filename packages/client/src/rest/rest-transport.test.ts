import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSecureServer, type ServerHttp2Session } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { isStatusError } from '@k3s/api'
import { afterEach, describe, expect, it } from 'vitest'
import type { ApiWatchEvent } from '../transport.ts'
import { createRestTransport, type RestTransport, type RestTransportOptions } from './rest-transport.ts'
import { certificates } from '../../test/certificates.ts'

/** Node's HTTP/2 requests and answers have the parts of these that tests use. */
type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup()
})

interface TestServer {
  readonly url: string
  readonly sessions: Set<ServerHttp2Session>
  readonly sockets: Set<Socket>
}

async function serve(protocol: 'h2' | 'https' | 'http', handler: Handler, maxConcurrentStreams = 100): Promise<TestServer> {
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => handler(request, response, Buffer.concat(chunks).toString()))
  }
  const tls = { key: certificates.serverKey, cert: certificates.serverCert }
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Socket>()
  const server =
    protocol === 'h2'
      ? createSecureServer(
          { ...tls, ca: certificates.ca, requestCert: true, rejectUnauthorized: false, settings: { maxConcurrentStreams } },
          listener as never,
        ).on('session', (session) => {
          sessions.add(session)
          session.on('close', () => sessions.delete(session))
        })
      : protocol === 'https'
        ? createHttpsServer(tls, listener)
        : createHttpServer(listener)
  server.on(protocol === 'http' ? 'connection' : 'secureConnection', (socket: Socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `${protocol === 'http' ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`, sessions, sockets } // listens on TCP
}

function transportTo(server: string, options: Partial<RestTransportOptions> = {}): RestTransport {
  const transport = createRestTransport({ server, ca: certificates.ca, ...options })
  cleanups.push(() => void transport[Symbol.asyncDispose]())
  return transport
}

function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

const get = (path: string) => ({ method: 'GET', path }) as const

describe.each(['h2', 'https', 'http'] as const)('createRestTransport() over %s', (protocol) => {
  it('sends method, path, query, headers and body and gives the answer', async () => {
    const { url } = await serve(protocol, (request, response, body) =>
      answer(response, 201, { method: request.method, url: request.url, body, headers: request.headers }),
    )
    const transport = transportTo(`${url}/base`, { token: () => 'secret', userAgent: 'tests' })
    const { status, body } = await transport.request({
      method: 'POST',
      path: '/api/v1/namespaces/a/pods',
      query: { labelSelector: 'a=b,c', dryRun: ['All'] },
      body: { kind: 'Pod' },
    })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      method: 'POST',
      url: '/base/api/v1/namespaces/a/pods?labelSelector=a%3Db%2Cc&dryRun=All',
      body: '{"kind":"Pod"}',
      headers: { authorization: 'Bearer secret', 'user-agent': 'tests', 'content-type': 'application/json', accept: 'application/json' },
    })
  })

  it('throws a Status as StatusError', async () => {
    const status = { kind: 'Status', status: 'Failure', reason: 'NotFound', message: 'pods "a" not found', code: 404 }
    const { url } = await serve(protocol, (_request, response) => answer(response, 404, status))
    await expect(transportTo(url).request(get('/x'))).rejects.toMatchObject({
      reason: 'NotFound',
      code: 404,
      message: 'pods "a" not found',
    })
  })

  it('makes a StatusError of an answer that is no Status', async () => {
    const { url } = await serve(protocol, (_request, response) => {
      response.writeHead(503, { 'content-type': 'text/plain', 'retry-after': '7' })
      response.end('starting up')
    })
    const error = await transportTo(url)
      .request(get('/x'))
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ reason: 'ServiceUnavailable', message: 'starting up', details: { retryAfterSeconds: 7 } })
  })

  it('gives events of a watch as they come, however they are cut', async () => {
    const next = Promise.withResolvers<void>()
    const { url } = await serve(protocol, (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"type":"ADDED","object":{"metadata":{"name":"ä"}}}\n{"type":"MODI')
      void next.promise.then(() => response.end('FIED","object":{"metadata":{"name":"b"}}}\n'))
    })
    const seen: ApiWatchEvent[] = []
    for await (const event of transportTo(url).watch(get('/x'))) {
      seen.push(event)
      next.resolve()
    }
    expect(seen).toEqual([
      { type: 'ADDED', object: { metadata: { name: 'ä' } } },
      { type: 'MODIFIED', object: { metadata: { name: 'b' } } },
    ])
  })

  it('throws ERROR events of a watch', async () => {
    const { url } = await serve(protocol, (_request, response) =>
      answer(response, 200, { type: 'ERROR', object: { kind: 'Status', reason: 'Expired', message: 'too old', code: 410 } }),
    )
    const read = async () => {
      for await (const event of transportTo(url).watch(get('/x'))) expect(event).toBeUndefined()
    }
    await expect(read()).rejects.toMatchObject({ reason: 'Expired', code: 410 })
  })

  it('throws ServiceUnavailable when a watch breaks, and ends quietly on abort', async () => {
    const { url, sockets } = await serve(protocol, (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"type":"ADDED","object":{}}\n')
    })
    const transport = transportTo(url)
    const broken = (async () => {
      for await (const event of transport.watch(get('/x'))) {
        expect(event.type).toBe('ADDED')
        for (const socket of sockets) socket.destroy()
      }
    })()
    await expect(broken).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
    const abort = new AbortController()
    for await (const event of transport.watch({ ...get('/x'), signal: abort.signal })) {
      expect(event.type).toBe('ADDED')
      abort.abort()
    }
  })

  it('closes the stream of a watch that is left', async () => {
    const closed = Promise.withResolvers<void>()
    const { url } = await serve(protocol, (_request, response) => {
      response.on('close', () => closed.resolve())
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"type":"ADDED","object":{}}\n')
    })
    for await (const event of transportTo(url).watch(get('/x'))) if (event.type === 'ADDED') break
    await expect(closed.promise).resolves.toBeUndefined()
  })

  it("rejects with the caller's abort reason", async () => {
    const abort = new AbortController()
    const { url } = await serve(protocol, () => abort.abort(new Error('enough')))
    await expect(transportTo(url).request({ ...get('/x'), signal: abort.signal })).rejects.toThrow('enough')
  })

  it('gives up a request that is not answered in time', async () => {
    const { url } = await serve(protocol, () => {})
    const transport = transportTo(url, { timeouts: { requestMs: 50 } })
    await expect(transport.request(get('/x'))).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
  })

  it('connects anew after the server lost its connections', async () => {
    const { url, sockets } = await serve(protocol, (_request, response) => answer(response, 200, {}))
    const transport = transportTo(url)
    await transport.request(get('/x'))
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    await expect
      .poll(
        () =>
          transport.request(get('/x')).then(
            ({ status }) => status,
            () => 0,
          ),
        { timeout: 10_000 },
      )
      .toBe(200)
  })
})

describe('createRestTransport()', () => {
  it('is ServiceUnavailable with its cause when nobody listens', async () => {
    const error = await transportTo('https://127.0.0.1:1')
      .request(get('/x'))
      .catch((error: unknown) => error)
    expect(isStatusError(error) && error.reason).toBe('ServiceUnavailable')
    expect(error).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  it('trusts only its CA, unless told to trust any', async () => {
    const { url } = await serve('h2', (_request, response) => answer(response, 200, {}))
    await expect(transportTo(url, { ca: certificates.otherCa }).request(get('/x'))).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
    expect((await transportTo(url, { ca: certificates.otherCa, insecureSkipTlsVerify: true }).request(get('/x'))).status).toBe(200)
  })

  it('sends all requests and watches through one HTTP/2 session', async () => {
    const { url, sessions } = await serve('h2', (request, response) => {
      if (request.url === '/watch') response.writeHead(200).write('{"type":"ADDED","object":{}}\n')
      else answer(response, 200, {})
    })
    const transport = transportTo(url)
    const abort = new AbortController()
    const watches = Array.from({ length: 20 }, () => transport.watch({ ...get('/watch'), signal: abort.signal })[Symbol.asyncIterator]())
    await Promise.all(watches.map((watch) => watch.next()))
    await Promise.all(Array.from({ length: 20 }, () => transport.request(get('/x'))))
    expect(sessions.size).toBe(1)
    abort.abort()
  })

  it('opens another session when the streams of one are used up', async () => {
    const hold = Promise.withResolvers<void>()
    let running = 0
    const { url, sessions } = await serve(
      'h2',
      (_request, response) => {
        if (++running === 5) hold.resolve()
        void hold.promise.then(() => answer(response, 200, {}))
      },
      2,
    )
    const transport = transportTo(url)
    await Promise.all(Array.from({ length: 5 }, () => transport.request(get('/x'))))
    expect(sessions.size).toBe(3)
  })

  it('presents new certificates on new connections after rotate()', async () => {
    const subjects: string[] = []
    const { url } = await serve('h2', (request, response) => {
      const socket = request.socket as TLSSocket // the server's are
      subjects.push(String(socket.getPeerCertificate().subject.CN))
      answer(response, 200, {})
    })
    let cert = certificates.clientCert
    const reload = async () => ({ ca: certificates.ca, cert, key: certificates.clientKey })
    const transport = transportTo(url, { reload })
    await transport.request(get('/x'))
    cert = certificates.renewedClientCert
    await transport.request(get('/x'))
    transport.rotate()
    await transport.request(get('/x'))
    expect(subjects).toEqual(['client', 'client', 'renewed'])
  })

  it('notices a peer that is silent', async () => {
    const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
    const tls = { key: certificates.serverKey, cert: certificates.serverCert, ALPNProtocols: ['h2'] }
    const sockets = new Set<Socket>()
    const server = createTlsServer(tls, (socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).resume()
      socket.write(emptySettings)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}` // listens on TCP
    const transport = transportTo(url, { timeouts: { pingIntervalMs: 20, pingTimeoutMs: 20, requestMs: 0 } })
    const read = async (): Promise<void> => {
      for await (const event of transport.watch(get('/x'))) expect(event).toBeUndefined()
    }
    await expect(read()).rejects.toMatchObject({ reason: 'ServiceUnavailable', message: expect.stringContaining('No answer to a ping') })
  })

  it('refuses requests after it was disposed', async () => {
    const { url } = await serve('h2', (_request, response) => answer(response, 200, {}))
    const transport = transportTo(url)
    await transport.request(get('/x'))
    await transport[Symbol.asyncDispose]()
    await expect(transport.request(get('/x'))).rejects.toMatchObject({ reason: 'ServiceUnavailable' })
  })
})
