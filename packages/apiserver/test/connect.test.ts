import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer, request as httpsRequest } from 'node:https'
import { connect, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import { nodes, pods, services, type Pod } from '@k3s/api/types/core/v1'
import { createCa, issueCertificate } from '@k3s/pki'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { NodeConnector } from '../src/index.ts'
import { ask, startHttps, type HttpsServer } from './start-https.ts'

const pod: Pod = {
  metadata: { name: 'web', namespace: 'default' },
  spec: { nodeName: 'node-1', containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 8080 }] }] },
}

/** A kubelet that tells what it was asked, and echoes upgraded connections. */
async function startKubelet(): Promise<{ readonly connector: NodeConnector; readonly port: number; readonly asked: string[] }> {
  const ca = await createCa('kubelet-ca')
  const [own, client] = await Promise.all([
    issueCertificate(ca, { commonName: 'node-1', usages: ['server'] }),
    issueCertificate(ca, { commonName: 'kube-apiserver', usages: ['client'] }),
  ])
  const asked: string[] = []
  const note = (request: IncomingMessage): void => {
    const certificate = (request.socket as TLSSocket).getPeerCertificate() // an HTTPS server's sockets
    asked.push(`${request.method ?? ''} ${request.url ?? ''} ${String(certificate.subject?.CN)}`)
  }
  const server = createServer({ ...own, ca: ca.cert, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    note(request)
    if (request.url?.includes('/broken/') === true) {
      response.writeHead(400).end('container "c" in pod "broken" is waiting to start: ContainerCreating')
      return
    }
    response.write('line 1\n')
    if (request.url?.includes('follow') !== true) response.end('line 2\n')
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    note(request)
    if (request.headers.upgrade === 'websocket') {
      sockets.handleUpgrade(request, socket, head, (ws) => ws.on('message', (data: Buffer) => ws.send(`echo ${data.toString()}`)))
      return
    }
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n')
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // it listens on TCP
  const connector: NodeConnector = {
    dial: (_node, dialled) =>
      new Promise<Duplex>((resolve, reject) => {
        const socket = connect(dialled, '127.0.0.1', () => resolve(socket))
        socket.once('error', reject)
      }),
    kubeletTls: () => ({ ...client, ca: ca.cert }),
  }
  return { connector, port, asked }
}

async function start(kubeletPort: number, connector: NodeConnector | undefined): Promise<HttpsServer> {
  const server = await startHttps({ nodeConnector: connector })
  await server.client
    .resource(nodes)
    .create({ metadata: { name: 'node-1' }, spec: {}, status: { daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } } } })
  await server.client.resource(pods).create(pod)
  return server
}

const podPath = '/api/v1/namespaces/default/pods/web'

describe('log', () => {
  it('comes from the kubelet, which sees our certificate', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const answer = await ask(server, `${podPath}/log?tailLines=5&container=c`, server.adminCertificate)
    expect([answer.status, answer.text]).toEqual([200, 'line 1\nline 2\n'])
    expect(kubelet.asked).toEqual(['GET /containerLogs/default/web/c?tailLines=5 kube-apiserver'])
  })

  it('is passed on line by line when it is followed', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const first = await new Promise<string>((resolve, reject) => {
      const request = httpsRequest(
        `${server.listening.url}${podPath}/log?follow=true`,
        { ca: server.ca.cert, ...server.adminCertificate, agent: false },
        (response) => {
          response.once('data', (chunk: Buffer) => {
            resolve(chunk.toString())
            request.destroy()
          })
        },
      )
      request.on('error', reject)
      request.end()
    })
    expect(first).toBe('line 1\n')
  })

  it('answers in upstream’s words when there is none', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const get = async (path: string): Promise<unknown> => (await ask(server, path, server.adminCertificate)).json()
    expect(await get(`${podPath}/log?container=x`)).toMatchObject({ code: 400, message: 'container x is not valid for pod web' })
    expect(await get('/api/v1/namespaces/default/pods/none/log')).toMatchObject({ code: 404, message: 'pods "none" not found' })
    await server.client.resource(pods).create({ ...pod, metadata: { name: 'broken', namespace: 'default' } })
    expect(await get('/api/v1/namespaces/default/pods/broken/log')).toMatchObject({
      code: 400,
      message: 'container "c" in pod "broken" is waiting to start: ContainerCreating',
    })
    await server.client
      .resource(pods)
      .create({ metadata: { name: 'waiting', namespace: 'default' }, spec: { containers: pod.spec.containers } })
    expect((await ask(server, '/api/v1/namespaces/default/pods/waiting/log', server.adminCertificate)).text).toBe('')
  })

  it('tells when the node cannot be reached', async () => {
    const server = await start(1, undefined)
    expect((await ask(server, `${podPath}/log`, server.adminCertificate)).json()).toMatchObject({
      code: 500,
      message: 'error dialing backend: no way to node "node-1"',
    })
  })

  it('comes over a WebSocket too', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const socket = new WebSocket(`${server.listening.url.replace('https', 'wss')}${podPath}/log`, 'binary.k8s.io', {
      ca: server.ca.cert,
      ...server.adminCertificate,
    })
    const text = await new Promise<string>((resolve, reject) => {
      let all = ''
      socket.on('message', (data: Buffer) => (all += data.toString()))
      socket.on('close', () => resolve(all))
      socket.on('error', reject)
    })
    expect(text).toBe('line 1\nline 2\n')
  })
})

describe('exec', () => {
  it('passes a WebSocket on', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const url = `${server.listening.url.replace('https', 'wss')}${podPath}/exec?command=ls&command=-l&stdin=true&stdout=true&tty=false`
    const socket = new WebSocket(url, { ca: server.ca.cert, ...server.adminCertificate })
    const answer = await new Promise<string>((resolve, reject) => {
      socket.on('open', () => socket.send('hello'))
      socket.on('message', (data: Buffer) => resolve(data.toString()))
      socket.on('error', reject)
    })
    expect(answer).toBe('echo hello')
    socket.terminate()
    expect(kubelet.asked).toEqual(['GET /exec/default/web/c?input=1&output=1&command=ls&command=-l kube-apiserver'])
  })

  it('passes SPDY on byte for byte', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const echoed = await new Promise<string>((resolve, reject) => {
      const request = httpsRequest(`${server.listening.url}${podPath}/portforward`, {
        method: 'POST',
        headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'portforward.k8s.io' },
        ca: server.ca.cert,
        ...server.adminCertificate,
        agent: false,
      })
      request.on('upgrade', (response, socket) => {
        socket.once('data', (chunk: Buffer) => {
          resolve(`${response.headers.upgrade ?? ''} ${chunk.toString('hex')}`)
          socket.destroy()
        })
        socket.write(Buffer.from('80030001', 'hex'))
      })
      request.on('error', reject)
      request.end()
    })
    expect(echoed).toBe('SPDY/3.1 80030001')
    expect(kubelet.asked).toEqual(['POST /portForward/default/web kube-apiserver'])
  })

  it('refuses an upgrade with a Status', async () => {
    const kubelet = await startKubelet()
    const server = await start(kubelet.port, kubelet.connector)
    const user = await issueCertificate(server.ca, { commonName: 'jane', usages: ['client'] })
    const socket = new WebSocket(`${server.listening.url.replace('https', 'wss')}${podPath}/exec?command=ls`, {
      ca: server.ca.cert,
      ...user,
    })
    const status = await new Promise<number | undefined>((resolve) => {
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode))
      socket.on('error', () => {})
    })
    expect(status).toBe(403)
  })
})

describe('proxy', () => {
  async function startBackend(): Promise<number> {
    const backend = createHttpServer((request, response) => {
      if (request.url === '/redirect') {
        response.writeHead(302, { location: '/there' }).end()
        return
      }
      response.setHeader('x-seen', `${request.method ?? ''} ${request.url ?? ''} ${String(request.headers['authorization'])}`)
      request.pipe(response)
    })
    await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      backend.closeAllConnections()
      backend.close()
    })
    return (backend.address() as AddressInfo).port // it listens on TCP
  }

  /** A pod network whose every address is this machine's. */
  const toLoopback: NodeConnector = {
    dial: () => Promise.reject(new Error('No nodes')),
    dialAddress: (_host, port) =>
      new Promise<Duplex>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => resolve(socket))
        socket.once('error', reject)
      }),
    kubeletTls: () => {
      throw new Error('No nodes')
    },
  }

  it('reaches pods and services with every method, body and query', async () => {
    const port = await startBackend()
    const server = await startHttps({ nodeConnector: toLoopback })
    await server.client.resource(pods).create(pod)
    const present = await server.client.resource(pods).get('web', { namespace: 'default' })
    await server.client.resource(pods).update({ ...present, status: { podIP: '192.0.2.1' } }, { subresource: 'status' })
    await server.client
      .resource(services)
      .create({ metadata: { name: 'svc', namespace: 'default' }, spec: { ports: [{ name: 'http', port: 80 }] } })
    await server.client.resource(endpointslices).create({
      metadata: { name: 'svc-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'svc' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready: true } }],
      ports: [{ name: 'http', port, protocol: 'TCP' }],
    })
    for (const base of [
      `/api/v1/namespaces/default/pods/web:${port}/proxy`,
      '/api/v1/namespaces/default/services/svc:http/proxy',
      '/api/v1/namespaces/default/services/http:svc:80/proxy',
    ]) {
      const answer = await ask(server, `${base}/a/b?c=d`, { ...server.adminCertificate, method: 'PUT', body: 'hello' })
      expect([answer.status, answer.text, answer.headers['x-seen']]).toEqual([200, 'hello', 'PUT /a/b?c=d undefined'])
      expect((await ask(server, `${base}/redirect`, server.adminCertificate)).headers['location']).toBe(`${base}/there`)
      expect((await ask(server, base, server.adminCertificate)).headers['location']).toBe(`${base}/`)
    }
    expect((await ask(server, '/api/v1/namespaces/default/services/nothing/proxy', server.adminCertificate)).status).toBe(404)
  })

  it('does not reach into the server itself or to link-local addresses, whatever objects say', async () => {
    const server = await startHttps()
    await server.client.resource(pods).create(pod)
    for (const podIP of ['127.0.0.1', '::1', '169.254.169.254']) {
      const present = await server.client.resource(pods).get('web', { namespace: 'default' })
      await server.client.resource(pods).update({ ...present, status: { podIP } }, { subresource: 'status' })
      const answer = await ask(server, '/api/v1/namespaces/default/pods/web:80/proxy/', server.adminCertificate)
      expect(answer.json()).toMatchObject({ code: 400, message: 'address not allowed' })
    }
  })

  it('answers 503 for a service without endpoints', async () => {
    const server = await startHttps()
    await server.client.resource(services).create({ metadata: { name: 'svc', namespace: 'default' }, spec: { ports: [{ port: 80 }] } })
    const answer = await ask(server, '/api/v1/namespaces/default/services/svc/proxy/', server.adminCertificate)
    expect(answer.json()).toMatchObject({ code: 503, reason: 'ServiceUnavailable', message: 'no endpoints available for service "svc"' })
  })
})
