import type { Service, ServiceSpec } from '@k3s/api/types/core/v1'
import { services } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { createProblems, defaulted, objectsOf, rowOf, scopeOf, updateProblems } from '../../../test/strategy-runs.ts'
import { ServiceAllocators } from './allocators.ts'
import { serviceStrategy } from './strategy.ts'

const strategyOf = (serviceCidrs = ['10.43.0.0/16'], random = Math.random) =>
  serviceStrategy(new ServiceAllocators({ serviceCidrs, random }))
const strategy = strategyOf()
const serviceOf = (spec: Partial<ServiceSpec> = {}, name = 'web'): Service => ({
  metadata: { name, namespace: 'default', creationTimestamp: '2024-05-01T11:00:00Z' },
  spec: { ports: [{ port: 80 }], selector: { app: 'web' }, ...spec },
})
const allocate = async (of: typeof strategy, service: Service, objects = objectsOf()): Promise<Service> => {
  const created = defaulted(of, service)
  of.prepareForCreate?.(created, scopeOf())
  await of.allocate?.(created, undefined, scopeOf({ objects }))
  return created
}

describe('defaults of services', () => {
  it.each<[string, Partial<ServiceSpec>, Partial<ServiceSpec>]>([
    [
      'of the plain kind',
      {},
      {
        sessionAffinity: 'None',
        type: 'ClusterIP',
        internalTrafficPolicy: 'Cluster',
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
      },
    ],
    ['of node ports', { type: 'NodePort' }, { externalTrafficPolicy: 'Cluster' }],
    ['of load balancers', { type: 'LoadBalancer' }, { externalTrafficPolicy: 'Cluster', allocateLoadBalancerNodePorts: true }],
    ['of affinity', { sessionAffinity: 'ClientIP' }, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } } }],
  ])('%s', (_what, spec, expected) => {
    expect(defaulted(strategy, serviceOf(spec)).spec).toMatchObject(expected)
  })
})

describe('validation of services', () => {
  it.each<[string, Partial<ServiceSpec>, string[]]>([
    ['nothing', {}, []],
    ['no ports', { ports: [] }, ['spec.ports: Required value']],
    ['a type', { type: 'Other' }, [expect.stringMatching(/^spec\.type: Unsupported value: "Other"/)]],
    [
      'two ports without names',
      { ports: [{ port: 80 }, { port: 81 }] },
      ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'],
    ],
    [
      'a port twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      [expect.stringMatching(/^spec\.ports\[1\]: Duplicate value/)],
    ],
    ['an address', { clusterIP: 'here' }, [expect.stringMatching(/^spec\.clusterIPs\[0\]: Invalid value: "here"/)]],
    ['no external name', { type: 'ExternalName', ports: undefined }, ['spec.externalName: Required value']],
  ])('refuses %s', (_what, spec, expected) => {
    const problems = createProblems(strategy, serviceOf(spec))
    expect(problems.slice(0, Math.max(expected.length, 1))).toEqual(expected)
  })

  it('keeps the address', () => {
    const old = serviceOf({
      clusterIP: '10.43.0.9',
      clusterIPs: ['10.43.0.9'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      type: 'ClusterIP',
    })
    const problems = updateProblems(strategy, old, ({ spec }) => {
      spec.clusterIP = '10.43.0.10'
      spec.clusterIPs = ['10.43.0.10']
    })
    expect(problems).toContainEqual(expect.stringMatching(/^spec\.clusterIPs\[0\]: Invalid value: .*may not change once set/))
  })
})

describe('addresses of services', () => {
  it('come from the upper band while it has room', async () => {
    const of = strategyOf(['10.43.0.0/24'])
    for (let index = 0; index < 50; index++) {
      const { spec } = await allocate(of, serviceOf({}, `s${index}`))
      expect(Number(spec.clusterIP?.split('.')[3])).toBeGreaterThan(16)
      expect(spec).toMatchObject({ clusterIPs: [spec.clusterIP], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' })
    }
  })

  it('are never given twice, and run out', async () => {
    const of = strategyOf(['10.43.0.0/28'])
    const given = new Set<string | undefined>()
    for (let index = 0; index < 14; index++) given.add((await allocate(of, serviceOf({}, `s${index}`))).spec.clusterIP)
    expect(given.size).toBe(14)
    await expect(allocate(of, serviceOf({}, 'more'))).rejects.toThrow(/range is full/)
  })

  it('are known of services that are stored', async () => {
    const stored = serviceOf({ clusterIP: '10.43.0.7', clusterIPs: ['10.43.0.7'] }, 'old')
    const wanted = allocate(strategyOf(), serviceOf({ clusterIP: '10.43.0.7' }, 'new'), objectsOf([services, stored]))
    await expect(wanted).rejects.toMatchObject({
      code: 422,
      details: { causes: [{ field: 'spec.clusterIPs', message: expect.stringContaining('provided IP is already allocated') as string }] },
    })
  })

  it('are free again after a release', async () => {
    const of = strategyOf()
    const created = defaulted(of, serviceOf({ clusterIP: '10.43.0.7' }))
    of.prepareForCreate?.(created, scopeOf())
    const held = await of.allocate?.(created, undefined, scopeOf())
    await expect(allocate(of, serviceOf({ clusterIP: '10.43.0.7' }, 'b'))).rejects.toMatchObject({ code: 422 })
    await held?.release()
    await expect(allocate(of, serviceOf({ clusterIP: '10.43.0.7' }, 'b'))).resolves.toMatchObject({ spec: { clusterIP: '10.43.0.7' } })
  })

  it('lie in the range', async () => {
    await expect(allocate(strategyOf(), serviceOf({ clusterIP: '10.44.0.1' }))).rejects.toMatchObject({
      details: {
        causes: [{ message: expect.stringContaining('not in the valid range. The range of valid IPs is 10.43.0.0/16') as string }],
      },
    })
  })

  it('are of both families when asked', async () => {
    const { spec } = await allocate(strategyOf(['10.43.0.0/16', 'fd00:43::/112']), serviceOf({ ipFamilyPolicy: 'RequireDualStack' }))
    expect(spec).toMatchObject({
      ipFamilies: ['IPv4', 'IPv6'],
      clusterIPs: [expect.stringMatching(/^10\.43\./), expect.stringMatching(/^fd00:43::/)],
    })
  })

  it('are not for services without one', async () => {
    const { spec } = await allocate(strategyOf(), serviceOf({ clusterIP: 'None' }))
    expect(spec).toMatchObject({ clusterIP: 'None', clusterIPs: ['None'] })
  })

  it('give node ports to services that have them', async () => {
    const { spec } = await allocate(strategyOf(), serviceOf({ type: 'NodePort' }))
    expect(spec.ports?.[0]?.nodePort).toBeGreaterThanOrEqual(30000)
    expect(spec.ports?.[0]?.nodePort).toBeLessThanOrEqual(32767)
  })

  it('refuse a node port that is taken or out of range', async () => {
    const of = strategyOf()
    const port = (nodePort: number, name: string) => allocate(of, serviceOf({ type: 'NodePort', ports: [{ port: 80, nodePort }] }, name))
    await port(30080, 'a')
    await expect(port(30080, 'b')).rejects.toMatchObject({
      details: { causes: [{ field: 'spec.ports[0].nodePort', message: 'Invalid value: 30080: provided port is already allocated' }] },
    })
    await expect(port(80, 'c')).rejects.toMatchObject({
      details: {
        causes: [{ message: 'Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767' }],
      },
    })
  })
})

describe('columns of services', () => {
  it.each<[string, Service, Record<string, unknown>]>([
    [
      'a node port',
      serviceOf({
        type: 'NodePort',
        clusterIP: '10.43.0.7',
        clusterIPs: ['10.43.0.7'],
        ports: [{ port: 80, nodePort: 30080, protocol: 'TCP' }],
      }),
      {
        Name: 'web',
        Type: 'NodePort',
        'Cluster-IP': '10.43.0.7',
        'External-IP': '<none>',
        'Port(s)': '80:30080/TCP',
        Age: '60m',
        Selector: 'app=web',
      },
    ],
    [
      'a load balancer',
      {
        ...serviceOf({ type: 'LoadBalancer', clusterIPs: ['10.43.0.7'] }),
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { ip: '192.0.2.2' }] } },
      },
      { 'External-IP': '192.0.2.1,192.0.2.2' },
    ],
    ['a load balancer that waits', serviceOf({ type: 'LoadBalancer' }), { 'External-IP': '<pending>' }],
    [
      'another name',
      serviceOf({ type: 'ExternalName', externalName: 'example.com', ports: [] }),
      { 'External-IP': 'example.com', 'Port(s)': '<none>' },
    ],
  ])('%s', (_what, service, cells) => {
    expect(rowOf(strategy, service)).toMatchObject(cells)
  })
})
