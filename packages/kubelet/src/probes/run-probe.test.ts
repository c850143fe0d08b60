import { createServer, type Server } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import type { AddressInfo, Server as NetServer } from 'node:net'
import type { Probe } from '@k3s/api/types/core/v1'
import { CriError, type CriClient } from '@k3s/cri-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runProbe } from './run-probe.ts'

const listen = (server: NetServer): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))) // it listens on a port
let http: Server
let port: number
let grpcPort: number
let closedPort: number
const grpc = createHttp2Server()
const { signal } = new AbortController()

beforeAll(async () => {
  http = createServer((request, response) => {
    const status = Number(/^\/status\/(\d+)/.exec(request.url ?? '')?.[1] ?? 200)
    if (request.url === '/away') response.writeHead(302, { location: 'http://192.0.2.1/' })
    else if (request.url === '/here') response.writeHead(302, { location: '/status/200' })
    else if (request.url === '/hang') return
    else response.writeHead(status)
    response.end([request.headers['x-a'], request.headers['user-agent']].join(''))
  })
  grpc.on('stream', (stream) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      const name = Buffer.concat(chunks).subarray(7).toString()
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': name === 'absent' ? '5' : '0', 'grpc-message': 'unknown%20service' }),
      )
      stream.end(name === 'absent' ? undefined : Buffer.from([0, 0, 0, 0, 2, 8, name === 'sick' ? 2 : 1]))
    })
  })
  port = await listen(http)
  grpcPort = await listen(grpc)
  const closed = createServer()
  closedPort = await listen(closed)
  await new Promise((resolve) => closed.close(resolve))
})
afterAll(async () => {
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
  await new Promise((resolve) => grpc.close(resolve))
})

const cri = {
  execSync({ cmd }: { cmd: readonly string[] }) {
    if (cmd[0] === 'hang') return Promise.reject(new CriError('DEADLINE_EXCEEDED', 'timeout'))
    return Promise.resolve({ stdout: Buffer.from('out'), stderr: Buffer.from('err'), exitCode: Number(cmd[0]) })
  },
} as unknown as CriClient // the one call that a probe makes
const probe = (value: Probe): ReturnType<typeof runProbe> =>
  runProbe(
    value,
    { containerId: 'id', podIp: '127.0.0.1', container: { name: 'c', ports: [{ name: 'web', containerPort: port }] } },
    cri,
    signal,
  )

describe('runProbe()', () => {
  test.each<[string, () => Probe, string, RegExp]>([
    ['http 200', () => ({ httpGet: { port } }), 'success', /^kube-probe\//],
    ['http by port name with a header', () => ({ httpGet: { port: 'web', httpHeaders: [{ name: 'X-A', value: 'v' }] } }), 'success', /^v/],
    ['http 500', () => ({ httpGet: { port, path: 'status/500' } }), 'failure', /^HTTP probe failed with statuscode: 500$/],
    ['http redirect on the same host', () => ({ httpGet: { port, path: '/here' } }), 'success', /kube-probe/],
    ['http redirect elsewhere', () => ({ httpGet: { port, path: '/away' } }), 'warning', /^Probe terminated redirects/],
    ['http refused', () => ({ httpGet: { port: closedPort } }), 'failure', /: dial tcp 127\.0\.0\.1:\d+: connect: connection refused$/],
    ['http that hangs', () => ({ httpGet: { port, path: '/hang' }, timeoutSeconds: 0.05 }), 'failure', /context deadline exceeded/],
    ['tcp', () => ({ tcpSocket: { port } }), 'success', /^$/],
    ['tcp refused', () => ({ tcpSocket: { port: closedPort } }), 'failure', /connection refused$/],
    ['grpc', () => ({ grpc: { port: grpcPort } }), 'success', /^$/],
    ['grpc not serving', () => ({ grpc: { port: grpcPort, service: 'sick' } }), 'failure', /NOT_SERVING/],
    ['grpc unknown service', () => ({ grpc: { port: grpcPort, service: 'absent' } }), 'failure', /unknown service/],
    ['grpc refused', () => ({ grpc: { port: closedPort } }), 'failure', /connection refused/],
    ['exec', () => ({ exec: { command: ['0'] } }), 'success', /^outerr$/],
    ['exec that fails', () => ({ exec: { command: ['1'] } }), 'failure', /^outerr$/],
    ['exec that hangs', () => ({ exec: { command: ['hang'] } }), 'failure', /timed out after 1s$/],
  ])('%s', async (_title, make, result, output) => {
    const outcome = await probe(make())
    expect(outcome.result).toBe(result)
    expect(outcome.output).toMatch(output)
  })
  test('rejects what cannot be probed', async () => {
    await expect(probe({ httpGet: { port: 'none' } })).rejects.toThrow(`couldn't find port: "none" in container`)
    await expect(probe({})).rejects.toThrow('missing probe handler')
  })
})
