import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Resolver } from 'node:dns/promises'
import type { Service } from '@k3s/api/types/core/v1'
import type { EndpointSlice } from '@k3s/api/types/discovery/v1'
import { decode, encode } from 'dns-packet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDnsServer } from './dns-server.ts'
import { resolve, reversedIp, type ClusterView } from './records.ts'

const services: readonly Service[] = [
  {
    metadata: { name: 'web', namespace: 'default' },
    spec: { clusterIP: '10.43.0.7', clusterIPs: ['10.43.0.7'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  },
  {
    metadata: { name: 'db', namespace: 'default' },
    spec: { clusterIP: 'None', clusterIPs: ['None'], ports: [{ name: 'sql', port: 5432 }] },
  },
  { metadata: { name: 'many', namespace: 'default' }, spec: { clusterIP: 'None', clusterIPs: ['None'] } },
  { metadata: { name: 'outside', namespace: 'default' }, spec: { type: 'ExternalName', externalName: 'example.org' } },
  { metadata: { name: 'alias', namespace: 'default' }, spec: { type: 'ExternalName', externalName: 'web.default.svc.cluster.local' } },
]
const slice = (service: string, endpoints: EndpointSlice['endpoints']): EndpointSlice => ({
  metadata: { name: `${service}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
  endpoints,
})
const slices: readonly EndpointSlice[] = [
  slice('db', [
    { addresses: ['10.42.0.2'], hostname: 'db-0', conditions: { ready: true } },
    { addresses: ['10.42.0.3'], conditions: { ready: true } },
    { addresses: ['10.42.0.4'], hostname: 'db-2', conditions: { ready: false } },
  ]),
  slice(
    'many',
    Array.from({ length: 200 }, (_, at) => ({ addresses: [`10.42.1.${at}`], conditions: { ready: true } })),
  ),
]
const view: ClusterView = {
  isSynced: true,
  service: (namespace, name) => services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  slices: (_, service) => slices.filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service),
  hasNamespace: (name) => name === 'default',
  node: (name) =>
    name === 'node-a' ? { metadata: { name }, spec: {}, status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] } } : undefined,
  servicesByIp: (ip) => services.filter(({ spec }) => spec.clusterIP === ip),
  slicesByIp: (ip) => slices.filter(({ endpoints }) => endpoints?.some(({ addresses }) => addresses.includes(ip))),
}
const dataOf = (name: string, type: string): unknown => {
  const answer = resolve(view, 'cluster.local', name, type)
  return answer === undefined ? undefined : answer.rcode === 'NOERROR' ? answer.answers.map(({ data }) => data) : answer.rcode
}

describe('resolve()', () => {
  it.each([
    ['web.default.svc.cluster.local', 'A', ['10.43.0.7']],
    ['web.default.svc.cluster.local', 'AAAA', []],
    ['_http._tcp.web.default.svc.cluster.local', 'SRV', [{ priority: 0, weight: 100, port: 80, target: 'web.default.svc.cluster.local' }]],
    ['_other._tcp.web.default.svc.cluster.local', 'SRV', 'NXDOMAIN'],
    ['x.web.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['db.default.svc.cluster.local', 'A', ['10.42.0.2', '10.42.0.3']],
    ['db-0.db.default.svc.cluster.local', 'A', ['10.42.0.2']],
    ['10-42-0-3.db.default.svc.cluster.local', 'A', ['10.42.0.3']],
    ['db-2.db.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['nope.default.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['web.nope.svc.cluster.local', 'A', 'NXDOMAIN'],
    ['default.svc.cluster.local', 'A', []],
    ['svc.cluster.local', 'A', []],
    ['nope.cluster.local', 'A', 'NXDOMAIN'],
    ['outside.default.svc.cluster.local', 'A', ['example.org']],
    ['10-42-0-9.default.pod.cluster.local', 'A', ['10.42.0.9']],
    ['nope.default.pod.cluster.local', 'A', 'NXDOMAIN'],
    ['dns-version.cluster.local', 'TXT', ['1.1.0']],
    ['7.0.43.10.in-addr.arpa', 'PTR', ['web.default.svc.cluster.local']],
    ['2.0.42.10.in-addr.arpa', 'PTR', ['db-0.db.default.svc.cluster.local']],
    ['1.2.0.192.in-addr.arpa', 'PTR', undefined],
    ['node-a', 'A', ['192.0.2.1']],
    ['example.org', 'A', undefined],
  ])('%s %s', (name, type, expected) => {
    expect(dataOf(name, type)).toEqual(expected)
  })
  it('denies nothing before it knows the cluster', () => {
    expect(resolve({ ...view, isSynced: false }, 'cluster.local', 'web.default.svc.cluster.local', 'A')?.rcode).toBe('SERVFAIL')
  })
  it('reads reversed IPv6 addresses', () => {
    expect(reversedIp('7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.4.d.f.ip6.arpa')).toBe('fd43::7')
  })
})

describe('createDnsServer()', () => {
  const stop = new AbortController()
  const upstream = createSocket('udp4')
  const resolver = new Resolver({ timeout: 5000, tries: 2 })
  let running: Promise<void>
  let port = 0
  let asked = 0

  beforeAll(async () => {
    upstream.on('message', (message, from) => {
      asked++
      const query = decode(message)
      const name = query.questions?.[0]?.name ?? ''
      const answer = encode({
        type: 'response',
        id: query.id ?? 0,
        questions: query.questions ?? [],
        answers: name === 'example.org' ? [{ name, type: 'A', class: 'IN', ttl: 60, data: '198.51.100.1' }] : [],
      })
      upstream.send(answer, from.port, from.address)
    })
    upstream.bind(0, '127.0.0.1')
    await once(upstream, 'listening')
    const ready = Promise.withResolvers<void>()
    const server = createDnsServer({
      view,
      clusterDomain: 'cluster.local',
      address: '127.0.0.1',
      port: 0,
      upstreams: [['127.0.0.1', upstream.address().port]],
      onListening: (bound) => (port = bound),
    })
    running = server.run({ signal: stop.signal, ready: ready.resolve })
    await ready.promise
    resolver.setServers([`127.0.0.1:${port}`])
  })
  afterAll(async () => {
    stop.abort()
    await running
    upstream.close()
  })

  it('answers names of the cluster, in any case', async () => {
    expect(await resolver.resolve4('WEB.default.svc.Cluster.local')).toEqual(['10.43.0.7'])
    expect(await resolver.resolveSrv('_sql._tcp.db.default.svc.cluster.local')).toHaveLength(2)
    expect(await resolver.reverse('10.43.0.7')).toEqual(['web.default.svc.cluster.local'])
  })
  it('denies what is not there', async () => {
    await expect(resolver.resolve4('nope.default.svc.cluster.local')).rejects.toMatchObject({ code: 'ENOTFOUND' })
    await expect(resolver.resolve6('web.default.svc.cluster.local')).rejects.toMatchObject({ code: 'ENODATA' })
  })
  it('sends what does not fit a datagram over TCP', async () => {
    expect(await resolver.resolve4('many.default.svc.cluster.local')).toHaveLength(200)
  })
  it('forwards the rest, and keeps the answer for its time', async () => {
    expect(await resolver.resolve4('example.org')).toEqual(['198.51.100.1'])
    const before = asked
    expect(await resolver.resolve4('example.org')).toEqual(['198.51.100.1'])
    expect(asked).toBe(before)
  })
  it('follows external names, outside and inside', async () => {
    expect(await resolver.resolve4('outside.default.svc.cluster.local')).toEqual(['198.51.100.1'])
    expect(await resolver.resolve4('alias.default.svc.cluster.local')).toEqual(['10.43.0.7'])
  })
  it('ignores what is no query', async () => {
    const socket = createSocket('udp4')
    socket.send(Buffer.from('hello'), port, '127.0.0.1')
    socket.send(Buffer.alloc(0), port, '127.0.0.1')
    expect(await resolver.resolve4('web.default.svc.cluster.local')).toEqual(['10.43.0.7'])
    socket.close()
  })
})
