import { describe, expect, it } from 'vitest'
import { ownAnnotations, peerOf, planRoutes, type Peer } from './peers.ts'

const peer: Peer = { nodeName: 'b', podCidr: '10.42.1.0/24', publicIp: '192.0.2.2', vtepMac: '02:00:00:00:00:01' }

describe('peerOf()', () => {
  const node = (annotations: Record<string, string>, podCIDR = '10.42.1.0/24') => ({
    metadata: { name: 'b', annotations },
    spec: { podCIDR },
  })
  it('reads what ownAnnotations() says', () => {
    expect(peerOf(node({ ...ownAnnotations('vxlan', '192.0.2.2', '02:00:00:00:00:01') }), 'vxlan')).toEqual(peer)
    expect(peerOf(node({ ...ownAnnotations('host-gw', '192.0.2.2', '') }), 'host-gw')).toEqual({ ...peer, vtepMac: '' })
  })
  it.each([
    ['no network yet', node({ ...ownAnnotations('vxlan', '192.0.2.2', '02:00:00:00:00:01') }, '')],
    ['another backend', node({ ...ownAnnotations('host-gw', '192.0.2.2', '') })],
    ['broken data', node({ ...ownAnnotations('vxlan', '192.0.2.2', 'x') })],
    ['no annotations', node({})],
  ])('knows no way to a node with %s', (_, other) => {
    expect(peerOf(other, 'vxlan')).toBeUndefined()
  })
})

describe('planRoutes()', () => {
  it('adds and removes only what changed', () => {
    expect(planRoutes('vxlan', [peer], [peer])).toEqual({ remove: { ip: [], bridge: [] }, add: { ip: [], bridge: [] } })
    const plan = planRoutes('vxlan', [peer], [{ ...peer, publicIp: '192.0.2.3' }])
    expect(plan.remove.bridge).toEqual(['fdb del 02:00:00:00:00:01 dev flannel.1 dst 192.0.2.2'])
    expect(plan.add.bridge).toEqual(['fdb replace 02:00:00:00:00:01 dev flannel.1 dst 192.0.2.3 self permanent'])
    expect(plan.add.ip).toEqual([
      'neigh replace 10.42.1.0 lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent',
      'route replace 10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink',
    ])
  })
  it('routes straight to the node with host-gw', () => {
    expect(planRoutes('host-gw', [], [peer]).add.ip).toEqual(['route replace 10.42.1.0/24 via 192.0.2.2'])
  })
})
