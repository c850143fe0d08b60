import type { Service } from '@k3s/api/types/core/v1'
import type { Endpoint, EndpointSlice } from '@k3s/api/types/discovery/v1'
import { describe, expect, it } from 'vitest'
import { renderRules } from './render.ts'
import { servicePorts, type ServicePortRules } from './snapshot.ts'

const service = (spec: Partial<Service['spec']>): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { clusterIP: '10.43.0.7', clusterIPs: ['10.43.0.7'], ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
})
const slice = (endpoints: Endpoint[]): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints,
})
const endpoint = (ip: string, nodeName: string, conditions: Endpoint['conditions'] = { ready: true }): Endpoint => ({
  addresses: [ip],
  nodeName,
  conditions,
})
const rulesOf = (services: readonly Service[], slices: readonly EndpointSlice[]): readonly ServicePortRules[] =>
  servicePorts({ services, slices, nodeName: 'a', family: 'IPv4' })

describe('servicePorts()', () => {
  it('takes ready endpoints', () => {
    const [rules] = rulesOf(
      [service({})],
      [slice([endpoint('10.42.0.2', 'a'), endpoint('10.42.1.2', 'b'), endpoint('10.42.1.3', 'b', { ready: false })])],
    )
    expect(rules?.internal).toEqual([
      { ip: '10.42.0.2', port: 8080, isLocal: true },
      { ip: '10.42.1.2', port: 8080, isLocal: false },
    ])
  })
  it('falls back to those that terminate but still serve', () => {
    const [rules] = rulesOf(
      [service({})],
      [
        slice([
          endpoint('10.42.0.2', 'a', { ready: false, serving: true, terminating: true }),
          endpoint('10.42.1.2', 'b', { ready: false }),
        ]),
      ],
    )
    expect(rules?.internal.map(({ ip }) => ip)).toEqual(['10.42.0.2'])
  })
  it('keeps to the node for local policies', () => {
    const both = [slice([endpoint('10.42.0.2', 'a'), endpoint('10.42.1.2', 'b')])]
    const [rules] = rulesOf(
      [
        service({
          internalTrafficPolicy: 'Local',
          externalTrafficPolicy: 'Local',
          type: 'NodePort',
          ports: [{ name: 'http', port: 80, nodePort: 30080 }],
        }),
      ],
      both,
    )
    expect(rules?.internal.map(({ ip }) => ip)).toEqual(['10.42.0.2'])
    expect(rules?.external.map(({ ip }) => ip)).toEqual(['10.42.0.2'])
    expect(rules).toMatchObject({ isExternalLocal: true, nodePort: 30080 })
  })
  it.each([
    ['headless', { clusterIP: 'None', clusterIPs: ['None'] }],
    ['an external name', { type: 'ExternalName' }],
  ])('has no rules for a service that is %s', (_, spec) => {
    expect(rulesOf([service(spec)], [])).toEqual([])
  })
})

describe('renderRules()', () => {
  const options = { family: 'IPv4', clusterCidr: '10.42.0.0/16', ownServiceIps: [] } as const
  const ports = rulesOf([service({})], [slice([endpoint('10.42.0.2', 'a'), endpoint('10.42.1.2', 'b')])])

  it('maps the service address to a chain that rewrites to an endpoint', () => {
    const { text, chains } = renderRules(ports, options)
    const [chain = ''] = chains.filter((name) => name.startsWith('svc-'))
    expect(text).toContain(`add element ip k3s-proxy service-ips { 10.43.0.7 . tcp . 80 : goto ${chain} }`)
    expect(text).toContain('numgen random mod 2 vmap')
    expect(text).toContain('meta l4proto tcp dnat to 10.42.1.2:8080')
  })
  it('rejects a service without endpoints', () => {
    const { text } = renderRules(rulesOf([service({})], []), options)
    expect(text).toContain('add element ip k3s-proxy no-endpoint-services { 10.43.0.7 . tcp . 80 : goto reject-chain }')
  })
  it('leaves addresses alone that the node answers itself', () => {
    expect(renderRules(ports, { ...options, ownServiceIps: ['10.43.0.7'] }).chains).toEqual([])
  })
  it('removes what an earlier ruleset made and keeps affinity sets that stay', () => {
    const sticky = rulesOf([service({ sessionAffinity: 'ClientIP' })], [slice([endpoint('10.42.0.2', 'a')])])
    const first = renderRules(sticky, options)
    expect(first.sets).toHaveLength(1)
    expect(renderRules(sticky, options, first).text).not.toContain('delete')
    const last = renderRules([], options, first).text
    for (const name of first.chains) expect(last).toContain(`delete chain ip k3s-proxy ${name}`)
    expect(last).toContain(`delete set ip k3s-proxy ${first.sets[0]}`)
  })
})
