import { once } from 'node:events'
import { createServer, request, type Server } from 'node:https'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodes, secrets } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { FakeClock } from '@k3s/lifecycle'
import { createCa, formatToken, issueCertificate, readCertificate, type KeyPair } from '@k3s/pki'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  createNodePasswordCleaner,
  ensureNodePassword,
  hashPassword,
  joinCluster,
  verifyPassword,
  createSupervisor,
  type ClusterConfig,
  type JoinOptions,
} from './index.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean()
})

const config: ClusterConfig = {
  clusterCidr: '10.42.0.0/16',
  serviceCidr: '10.43.0.0/16',
  clusterDns: '10.43.0.10',
  clusterDomain: 'cluster.local',
  flannelBackend: 'vxlan',
  egressSelectorMode: 'agent',
  httpsPort: 6443,
  disableKubeProxy: false,
  disableDns: false,
}

let serverCa: KeyPair
let clientCa: KeyPair
let serving: KeyPair
beforeAll(async () => {
  serverCa = await createCa('k3s-server-ca@1')
  clientCa = await createCa('k3s-client-ca@1')
  serving = await issueCertificate(serverCa, { commonName: 'k3s', sans: ['127.0.0.1'], usages: ['server'] })
})

interface Cluster {
  readonly url: string
  readonly token: string
  readonly api: FakeApiServer
  /** Options of a machine of its own. */
  machine(change?: Partial<JoinOptions>): Promise<JoinOptions>
}

async function startCluster(options: { readonly failSecrets?: boolean } = {}): Promise<Cluster> {
  const api = new FakeApiServer({
    onRequest: ({ path }) => (options.failSecrets === true && path.includes('secrets') ? Promise.reject(new Error('down')) : undefined),
  })
  const client = createClient(api)
  const supervisor = createSupervisor({
    serverCa,
    clientCa,
    passwords: { server: 'spw', node: 'npw' },
    bootstrapTokenGroups: async (id, secret) =>
      id === 'abcdef' && secret === '0123456789abcdef' ? ['system:bootstrappers:k3s:default-node-token'] : undefined,
    config: () => config,
    apiservers: () => ['127.0.0.1:6443'],
    checkNodePassword: (name, password) => ensureNodePassword(client, name, password),
    nodeExists: async (name) => (await client.resource(nodes).list()).items.some(({ metadata }) => metadata.name === name),
    acceptTunnel: (_request, socket, _head, name) => socket.end(`HTTP/1.1 101 Switching Protocols\r\n\r\n${name}`),
    isReady: () => true,
  })
  const server: Server = createServer({ ...serving, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    if (!supervisor.handleRequest(request, response)) response.writeHead(418).end()
  })
  server.on('upgrade', (request, socket, head) => supervisor.handleUpgrade(request, socket, head))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const address = server.address()
  const url = `https://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  return {
    url,
    token: formatToken(serverCa.cert, 'node', 'npw'),
    api,
    async machine(change = {}) {
      const folder = await mkdtemp(join(tmpdir(), 'join-'))
      cleanups.push(() => rm(folder, { recursive: true }))
      return {
        server: url,
        token: formatToken(serverCa.cert, 'node', 'npw'),
        nodeName: 'node-a',
        nodeIps: ['192.0.2.7'],
        agentDir: join(folder, 'agent'),
        nodePasswordFile: join(folder, 'node/password'),
        signal: AbortSignal.timeout(30_000),
        ...change,
      }
    },
  }
}

describe('joinCluster()', () => {
  it('gets configuration and certificates, and keeps them with K3s’s names and modes', async () => {
    const cluster = await startCluster()
    const machine = await cluster.machine()
    const result = await joinCluster(machine)
    expect(result.config).toEqual(config)
    expect(readCertificate(result.kubelet.cert)).toMatchObject({ commonName: 'system:node:node-a', organizations: ['system:nodes'] })
    expect(readCertificate(result.kubeletServing.cert).sans).toEqual(expect.arrayContaining(['node-a', 'localhost', '192.0.2.7']))
    expect(readCertificate(result.kubeProxy.cert).commonName).toBe('system:kube-proxy')
    expect((await stat(join(machine.agentDir, 'client-kubelet.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(machine.nodePasswordFile)).mode & 0o777).toBe(0o600)
    const secret = await createClient(cluster.api).resource(secrets).get('node-a.node-password.k3s', { namespace: 'kube-system' })
    expect(secret.immutable).toBe(true)
    expect(Buffer.from(secret.data?.['hash'] ?? '', 'base64').toString()).toMatch(/^\$1:[0-9a-f]{16}:15:8:1:/)
  })

  it('joins again without a token, by its certificate', async () => {
    const cluster = await startCluster()
    const machine = await cluster.machine()
    const first = await joinCluster(machine)
    await createClient(cluster.api)
      .resource(nodes)
      .create({ metadata: { name: 'node-a' }, spec: {} })
    const again = await joinCluster({ ...machine, token: undefined })
    expect(again.kubelet.key).toBe(first.kubelet.key)
    expect(again.kubeProxy).toEqual(first.kubeProxy)
  })

  it('accepts the short token and bootstrap tokens', async () => {
    const cluster = await startCluster()
    expect((await joinCluster(await cluster.machine({ token: 'npw' }))).config).toEqual(config)
    expect((await joinCluster(await cluster.machine({ token: 'abcdef.0123456789abcdef', nodeName: 'node-b' }))).config).toEqual(config)
  })

  it.each([
    ['a wrong password', { token: 'nope' }, 'Unauthorized', /does not accept the token/],
    [
      'a token of another cluster',
      { token: `K10${'0'.repeat(64)}::node:npw` },
      'CaMismatch',
      /^token CA hash does not match the Cluster CA certificate hash: 0{64} != [0-9a-f]{64}$/,
    ],
    ['a damaged token', { token: 'K10abc::node:x' }, 'InvalidToken', /must be followed by 64/],
    ['no token', { token: undefined }, 'InvalidToken', /--token is required/],
    ['plain http', { server: 'http://127.0.0.1:1' }, 'InvalidUrl', /only https URLs are supported/],
  ])('refuses %s with one sentence', async (_, change, code, message) => {
    const cluster = await startCluster()
    await expect(joinCluster(await cluster.machine(change))).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('tells why the server is away when a load balancer stands between', async () => {
    const hangsUp = createTcpServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(hangsUp, 'listening')
    cleanups.push(() => hangsUp.close())
    const { port } = hangsUp.address() as AddressInfo // it listens on a port
    const cluster = await startCluster()
    const said = Promise.withResolvers<unknown>()
    const stop = new AbortController()
    const logger = { debug() {}, info() {}, error() {}, warn: (fields: { err?: unknown }) => said.resolve(fields.err), child: () => logger }
    const change = { server: 'https://127.0.0.1:1', via: `https://127.0.0.1:${port}` }
    const joining = joinCluster(await cluster.machine({ ...change, signal: stop.signal, clock: new FakeClock(), logger }))
    const ended = expect(joining).rejects.toThrow('stop')
    expect(await said.promise).toBe('Cannot reach server https://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1')
    stop.abort(new Error('stop'))
    await ended
  })

  it('keeps asking while the server is away or the name belongs to another machine', async () => {
    const cluster = await startCluster()
    await joinCluster(await cluster.machine())
    for (const change of [{}, { server: 'https://127.0.0.1:1' }]) {
      const warnings: unknown[] = []
      const stop = new AbortController()
      const clock = new FakeClock()
      const logger = {
        debug() {},
        info() {},
        error() {},
        warn: (fields: { err?: unknown }) => warnings.push(fields.err),
        child: () => logger,
      }
      const joining = joinCluster(await cluster.machine({ ...change, signal: stop.signal, clock, logger }))
      const ended = expect(joining).rejects.toThrow('stop')
      await expect.poll(() => warnings.length, { timeout: 20_000 }).toBeGreaterThan(0)
      expect(String(warnings[0])).toMatch('server' in change ? /^Cannot reach server/ : /^Node password rejected, duplicate hostname/)
      stop.abort(new Error('stop'))
      await ended
    }
  })

  it('lets nodes in while Secrets cannot be reached', async () => {
    const cluster = await startCluster({ failSecrets: true })
    expect((await joinCluster(await cluster.machine())).config).toEqual(config)
  })
})

describe('createSupervisor()', () => {
  it('answers what anybody may ask and refuses the rest as a Status', async () => {
    const { url } = await startCluster()
    const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<{ status: number; body: string }> =>
      new Promise((resolve, reject) => {
        request(`${url}${path}`, { method, headers, rejectUnauthorized: false, agent: false }, (response) => {
          let body = ''
          response.setEncoding('utf8').on('data', (part: string) => (body += part))
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        })
          .on('error', reject)
          .end()
      })
    const basic = (user: string): Record<string, string> => ({ authorization: `Basic ${Buffer.from(user).toString('base64')}` })
    expect(await get('/ping')).toEqual({ status: 200, body: 'pong' })
    expect((await get('/cacerts')).body).toBe(serverCa.cert)
    expect(JSON.parse((await get('/v1-k3s/config')).body)).toMatchObject({ kind: 'Status', code: 401, message: 'not authorized' })
    expect((await get('/v1-k3s/config', basic('node:nope'))).status).toBe(401)
    expect((await get('/v1-k3s/config', basic('node:npw'))).status).toBe(200)
    expect((await get('/v1-k3s/nope', basic('node:npw'))).status).toBe(404)
    expect((await get('/v1-k3s/client-kubelet.crt', basic('node:npw'), 'GET')).status).toBe(405)
    expect(JSON.parse((await get('/v1-k3s/client-kubelet.crt', basic('node:npw'), 'POST')).body)).toMatchObject({
      code: 400,
      message: 'node name or password not set',
    })
    for (const name of ['kubernetes', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'])
      expect(
        (await get('/v1-k3s/serving-kubelet.crt', { ...basic('node:npw'), 'k3s-node-name': name, 'k3s-node-password': 'x' }, 'POST')).body,
      ).toContain('is a name of the API server')
    expect((await get('/api/v1/pods')).status).toBe(418)
  })
})

describe('node passwords', () => {
  it('are checked against their hash', async () => {
    const hash = await hashPassword('secret')
    expect(await verifyPassword('secret', hash)).toBe(true)
    expect(await verifyPassword('other', hash)).toBe(false)
    expect(await verifyPassword('secret', 'nonsense')).toBe(false)
  })

  it('go when their node is deleted', async () => {
    const client = createClient(new FakeApiServer())
    const informers = createInformerFactory(client)
    const stop = new AbortController()
    const cleaner = createNodePasswordCleaner({ client, informers })
    const running = [informers.run({ signal: stop.signal, ready() {} }), cleaner.run({ signal: stop.signal, ready() {} })]
    await client.resource(nodes).create({ metadata: { name: 'node-a' }, spec: {} })
    expect(await ensureNodePassword(client, 'node-a', 'secret')).toBe('accepted')
    expect(await ensureNodePassword(client, 'node-a', 'other')).toBe('rejected')
    await informers.synced(AbortSignal.timeout(10_000))
    await client.resource(nodes).delete('node-a')
    await expect
      .poll(async () => (await client.resource(secrets).list({ namespace: 'kube-system' })).items.length, { timeout: 10_000 })
      .toBe(0)
    expect(await ensureNodePassword(client, 'node-a', 'other')).toBe('accepted')
    stop.abort()
    await Promise.all(running)
  })
})
