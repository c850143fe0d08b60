import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { apiservices, type APIService } from '@k3s/api/types/apiregistration/v1'
import { services } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import type { Client } from '@k3s/client'
import { createCa, issueCertificate, type KeyPair } from '@k3s/pki'
import { onTestFinished } from 'vitest'
import { WebSocketServer } from 'ws'

/** A request as the aggregated server saw it. */
export interface Seen {
  readonly method: string
  readonly url: string
  /** Common name of the front proxy's verified certificate. */
  readonly proxy: string
  readonly headers: IncomingMessage['headers']
  /** Of headers that came more than once, in order. */
  readonly groups: readonly string[]
  readonly body: string
}

export interface AggregatedServer {
  readonly port: number
  readonly ca: KeyPair
  readonly seen: Seen[]
  /** Answers 500 while set. */
  isBroken: boolean
  /** Lines that the watch sends, one for each call. */
  send(line: string): void
  /** Bytes that `/big` could write without waiting for its reader. */
  readonly written: { bytes: number; isWaiting: boolean }
}

export const groupVersion = 'metrics.example.com/v1beta1'
const gauges = `/apis/${groupVersion}/gauges`

const resources = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion,
  resources: [
    {
      name: 'gauges',
      singularName: 'gauge',
      namespaced: false,
      kind: 'Gauge',
      verbs: ['get', 'list', 'watch', 'create', 'delete'],
      shortNames: ['ga'],
    },
    { name: 'gauges/status', singularName: '', namespaced: false, kind: 'Gauge', verbs: ['get'] },
  ],
}

const openApi = {
  swagger: '2.0',
  info: { title: 'gauges', version: '1' },
  paths: {
    [gauges]: { get: { responses: { 200: { description: 'OK', schema: { $ref: '#/definitions/com.example.Gauge' } } } } },
    '/apis/other.example.com/v1/x': { get: { responses: {} } },
  },
  definitions: {
    'com.example.Gauge': {
      type: 'object',
      properties: { metadata: { $ref: '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' } },
    },
    'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta': { type: 'object', description: 'Somebody else’s idea of it' },
    'com.example.Unused': { type: 'object' },
  },
}

/** Serves `metrics.example.com/v1beta1` to whom the front proxy's CA vouches for, and to nobody else. */
export async function startAggregatedServer(proxyCa: string): Promise<AggregatedServer> {
  const ca = await createCa('aggregated-ca')
  const own = await issueCertificate(ca, { commonName: 'gauges', sans: ['gauges.monitoring.svc'], usages: ['server'] })
  const seen: Seen[] = []
  const watchers = new Set<ServerResponse>()
  const state: AggregatedServer = {
    port: 0,
    ca,
    seen,
    isBroken: false,
    send: (line) => {
      for (const watcher of watchers) watcher.write(`${line}\n`)
    },
    written: { bytes: 0, isWaiting: false },
  }
  const note = (request: IncomingMessage, body: string): void => {
    const socket = request.socket as TLSSocket // an HTTPS server's
    seen.push({
      method: request.method ?? '',
      url: request.url ?? '',
      proxy: String(socket.getPeerCertificate().subject?.CN),
      headers: request.headers,
      groups: request.rawHeaders.filter((_value, index, all) => index % 2 === 1 && all[index - 1]?.toLowerCase() === 'x-remote-group'),
      body,
    })
  }
  const server = createServer({ ...own, ca: proxyCa, requestCert: true, rejectUnauthorized: true }, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      note(request, body)
      if (state.isBroken) {
        response.writeHead(500).end('broken')
        return
      }
      answer(request, response, state, watchers)
    })
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    note(request, '')
    sockets.handleUpgrade(request, socket, head, (ws) => ws.on('message', (data: Buffer) => ws.send(`echo ${data.toString()}`)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(state, { port: (server.address() as AddressInfo).port }) // it listens on TCP
}

function answer(request: IncomingMessage, response: ServerResponse, state: AggregatedServer, watchers: Set<ServerResponse>): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'https://x')
  const json = (value: unknown, code = 200): void => {
    response.writeHead(code, { 'content-type': 'application/json', 'x-from': 'gauges' }).end(JSON.stringify(value))
  }
  if (pathname === `/apis/${groupVersion}`) json(resources)
  else if (pathname === '/openapi/v2') json(openApi)
  else if (pathname === '/openapi/v3')
    json({ paths: { [`apis/${groupVersion}`]: { serverRelativeURL: `/openapi/v3/apis/${groupVersion}?hash=ABC` } } })
  else if (pathname === `/openapi/v3/apis/${groupVersion}`) json({ openapi: '3.0.0', from: 'gauges' })
  else if (pathname === gauges && searchParams.get('watch') === 'true') {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    watchers.add(response)
    response.once('close', () => watchers.delete(response))
  } else if (pathname === gauges) json({ kind: 'GaugeList', apiVersion: groupVersion, metadata: {}, items: [] })
  else if (pathname === `${gauges}/big`) big(response, state)
  else if (pathname === `${gauges}/a`) json({ kind: 'Gauge', apiVersion: groupVersion, metadata: { name: 'a' } })
  else if (pathname.startsWith(gauges)) {
    const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404, message: 'no such gauge' }
    json(status, 404)
  } else json({}, 404)
}

/** Writes 64 MiB at the pace of its reader. */
function big(response: ServerResponse, { written }: AggregatedServer): void {
  const chunk = Buffer.alloc(1024 * 1024)
  const more = (): void => {
    while (written.bytes < 64 * chunk.length) {
      written.bytes += chunk.length
      if (!response.write(chunk)) {
        written.isWaiting = true
        response.once('drain', () => {
          written.isWaiting = false
          more()
        })
        return
      }
    }
    response.end()
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  more()
}

/** The Service, its endpoints and the APIService of the server. */
export async function register(client: Client, { port, ca }: AggregatedServer, change: Partial<APIService['spec']> = {}): Promise<void> {
  const namespace = 'monitoring'
  await client.resource(services).create({
    metadata: { name: 'gauges', namespace },
    spec: { type: 'ClusterIP', ports: [{ name: 'https', port: 443 }] },
  })
  await client.resource(endpointslices).create({
    metadata: { name: 'gauges-1', namespace, labels: { 'kubernetes.io/service-name': 'gauges' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'] }],
    ports: [{ name: 'https', port }],
  })
  await createApiService(client, ca, change)
}

export async function createApiService(client: Client, ca: KeyPair, change: Partial<APIService['spec']> = {}): Promise<void> {
  const [group = '', version = ''] = groupVersion.split('/')
  await client.resource(apiservices).create({
    metadata: { name: `${version}.${group}` },
    spec: {
      group,
      version,
      groupPriorityMinimum: 100,
      versionPriority: 10,
      service: { namespace: 'monitoring', name: 'gauges' },
      caBundle: Buffer.from(ca.cert).toString('base64'),
      ...change,
    },
  })
}
