import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodes } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { afterEach, describe, expect, it } from 'vitest'
import type { RunCommand } from '../command.ts'
import { ownAnnotations } from './peers.ts'
import { createPodNetwork } from './pod-network.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean()
})

const vxlan = [
  { ifname: 'flannel.1', address: '02:00:00:00:00:0a', linkinfo: { info_data: { id: 1, local: '192.0.2.1', link: 'eth0', port: 8472 } } },
]
const addresses = [{ ifname: 'eth0', mtu: 1500, addr_info: [{ local: '192.0.2.1', prefixlen: 24, family: 'inet', scope: 'global' }] }]

describe('createPodNetwork()', () => {
  it('waits for its pod CIDR, writes the CNI configuration, announces itself and follows other nodes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cni-'))
    cleanups.push(() => rm(folder, { recursive: true }))
    const client = createClient(new FakeApiServer())
    const informers = createInformerFactory(client)
    const calls: string[] = []
    const run: RunCommand = (command, args, options) => {
      calls.push(`${[command, ...args].join(' ')}\n${options?.input ?? ''}`)
      if (args.includes('vxlan') && args.includes('show')) return Promise.resolve(JSON.stringify(vxlan))
      return Promise.resolve(args.join(' ') === '-j address show' ? JSON.stringify(addresses) : '')
    }
    const file = join(folder, 'net.d/10-flannel.conflist')
    const network = createPodNetwork({
      client,
      informers,
      nodeName: 'a',
      nodeIp: '192.0.2.1',
      clusterCidr: '10.42.0.0/16',
      backend: 'vxlan',
      cniConfigFile: file,
      run,
    })
    const stop = new AbortController()
    const ready = Promise.withResolvers<void>()
    const running = [informers.run({ signal: stop.signal, ready() {} }), network.run({ signal: stop.signal, ready: ready.resolve })]
    cleanups.push(() => {
      stop.abort()
      return Promise.all(running)
    })
    const node = client.resource(nodes)
    await node.create({ metadata: { name: 'a' }, spec: {} })
    await node.patch('a', { spec: { podCIDR: '10.42.0.0/24' } }, { type: 'merge' })
    await ready.promise
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      name: 'cbr0',
      plugins: [{ type: 'bridge', mtu: 1450, ipam: { ranges: [[{ subnet: '10.42.0.0/24' }]] } }, {}, {}],
    })
    const deadline = { timeout: 10_000 }
    await expect
      .poll(async () => (await node.get('a')).metadata.annotations?.['flannel.alpha.coreos.com/backend-data'], deadline)
      .toBe('{"VNI":1,"VtepMAC":"02:00:00:00:00:0a"}')

    await node.create({
      metadata: { name: 'b', annotations: { ...ownAnnotations('vxlan', '192.0.2.2', '02:00:00:00:00:0b') } },
      spec: { podCIDR: '10.42.1.0/24' },
    })
    await expect.poll(() => calls.some((call) => call.includes('route replace 10.42.1.0/24')), deadline).toBe(true)
    await node.delete('b')
    await expect.poll(() => calls.some((call) => call.includes('route del 10.42.1.0/24')), deadline).toBe(true)
  })
})
