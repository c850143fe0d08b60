import { endpoints, pods, services, type Pod, type Service } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import { describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../test/harness.ts'
import { createEndpointsController } from './endpoints-controller.ts'
import { createEndpointSliceController } from './endpointslice-controller.ts'
import { createEndpointSliceMirroringController } from './endpointslice-mirroring-controller.ts'

const service = (spec: Partial<Service['spec']> = {}): Service => ({
  metadata: { name: 'web', namespace: 'default', labels: { team: 'a' } },
  spec: {
    clusterIP: '10.43.0.5',
    selector: { app: 'web' },
    ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    ipFamilies: ['IPv4'],
    ...spec,
  },
})
const pod = (name: string, ip: string, options: { readonly ready?: boolean; readonly port?: number } = {}): Pod => ({
  metadata: { name, namespace: 'default', labels: { app: 'web' } },
  spec: { nodeName: 'n', containers: [{ name: 'c', image: 'a', ports: [{ name: 'http', containerPort: options.port ?? 8080 }] }] },
  status: {
    phase: 'Running',
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [{ type: 'Ready', status: options.ready === false ? 'False' : 'True' }],
  },
})
const start = (maxEndpointsPerSlice = 100): Promise<World> =>
  startWorld((context) => [createEndpointSliceController(context, { maxEndpointsPerSlice }), createEndpointsController(context)])
const shape = (world: World): unknown =>
  world.server.all(endpointslices).map(({ ports, endpoints }) => ({
    ports: ports?.map(({ port }) => port),
    endpoints: endpoints?.map(({ addresses, conditions }) => `${addresses[0]} ${JSON.stringify(conditions)}`).toSorted(),
  }))
const flags = (ready: boolean, serving: boolean, terminating: boolean): string => JSON.stringify({ ready, serving, terminating })

describe('endpoint controllers', () => {
  it('publish a pod with its named port, labels and reference', async () => {
    await using world = await start()
    const made = world.server.put(pods, pod('a', '10.42.0.1'))
    world.server.put(services, service())
    const slice = await world.eventually(() => world.server.all(endpointslices).find((one) => one.endpoints?.length === 1))
    expect(slice.metadata.generateName).toBe('web-')
    expect(slice.metadata.labels).toEqual({
      team: 'a',
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    })
    expect(slice.ports).toEqual([{ name: 'http', protocol: 'TCP', port: 8080 }])
    expect(slice.endpoints?.[0]).toEqual({
      addresses: ['10.42.0.1'],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: 'n',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: made.metadata.uid },
    })
    const legacy = await world.eventually(() => world.server.peek(endpoints, 'default/web'))
    expect(legacy.subsets?.[0]?.addresses?.[0]?.ip).toBe('10.42.0.1')
    expect(legacy.subsets?.[0]?.ports).toEqual([{ name: 'http', protocol: 'TCP', port: 8080 }])
  })

  it('keep one empty slice for a Service without pods', async () => {
    await using world = await start()
    world.server.put(services, service())
    await world.eventually(() => JSON.stringify(shape(world)) === JSON.stringify([{ ports: [], endpoints: [] }]))
    world.server.put(pods, pod('a', '10.42.0.1'))
    await world.eventually(() => JSON.stringify(shape(world)).includes('10.42.0.1'))
    world.server.remove(pods, 'default/a')
    await world.eventually(() => JSON.stringify(shape(world)) === JSON.stringify([{ ports: [], endpoints: [] }]))
    expect(world.server.all(endpointslices)).toHaveLength(1)
  })

  it('tell ready, serving and terminating pods apart', async () => {
    await using world = await start()
    world.server.put(pods, pod('a', '10.42.0.1'))
    world.server.put(pods, pod('b', '10.42.0.2', { ready: false }))
    const leaving = pod('c', '10.42.0.3')
    world.server.put(pods, { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } })
    world.server.put(pods, { ...pod('d', '10.42.0.4'), status: { phase: 'Failed', podIP: '10.42.0.4' } })
    world.server.put(services, service())
    await world.eventually(() => {
      expect(shape(world)).toEqual([
        {
          ports: [8080],
          endpoints: [
            `10.42.0.1 ${flags(true, true, false)}`,
            `10.42.0.2 ${flags(false, false, false)}`,
            `10.42.0.3 ${flags(false, true, true)}`,
          ],
        },
      ])
      return true
    })
    const legacy = await world.eventually(() => world.server.peek(endpoints, 'default/web')?.subsets?.[0])
    expect([legacy.addresses, legacy.notReadyAddresses].map((list) => list?.map(({ ip }) => ip))).toEqual([['10.42.0.1'], ['10.42.0.2']])
  })

  it('publish pods that are not ready when the Service asks for it', async () => {
    await using world = await start()
    world.server.put(pods, pod('b', '10.42.0.2', { ready: false }))
    world.server.put(services, service({ publishNotReadyAddresses: true }))
    await world.eventually(() => JSON.stringify(shape(world)).includes(JSON.stringify(flags(true, false, false)).slice(1, -1)))
  })

  it('separate pods whose named port differs', async () => {
    await using world = await start()
    world.server.put(pods, pod('a', '10.42.0.1'))
    world.server.put(pods, pod('b', '10.42.0.2', { port: 9090 }))
    world.server.put(services, service())
    await world.eventually(() => world.server.all(endpointslices).length === 2)
    expect((shape(world) as { readonly ports: readonly number[] }[]).map(({ ports }) => ports[0]).toSorted()).toEqual([8080, 9090])
    await world.eventually(() => world.server.peek(endpoints, 'default/web')?.subsets?.length === 2)
  })

  it('fill slices up to their bound and change only one for a new pod', async () => {
    await using world = await start(3)
    world.server.put(services, service())
    for (let i = 1; i <= 7; i++) world.server.put(pods, pod(`p${i}`, `10.42.0.${i}`))
    const sizes = (): readonly number[] =>
      world.server
        .all(endpointslices)
        .map(({ endpoints }) => endpoints?.length ?? 0)
        .toSorted()
    await world.eventually(() => sizes().reduce((sum, size) => sum + size, 0) === 7)
    await world.quiet()
    expect(sizes()).toEqual([1, 3, 3])
    const versions = new Set(world.server.all(endpointslices).map(({ metadata }) => metadata.resourceVersion))
    world.server.put(pods, pod('p8', '10.42.0.8'))
    await world.eventually(() => sizes().join() === '2,3,3')
    expect(world.server.all(endpointslices).filter(({ metadata }) => !versions.has(metadata.resourceVersion))).toHaveLength(1)
  })

  it('give a headless Service without ports the addresses of its pods, and their hostnames', async () => {
    await using world = await start()
    const named = pod('a', '10.42.0.1')
    world.server.put(pods, { ...named, spec: { ...named.spec, hostname: 'a-0', subdomain: 'web' } })
    world.server.put(services, service({ clusterIP: 'None', ports: [] }))
    const slice = await world.eventually(() => world.server.all(endpointslices).find((one) => one.endpoints?.length === 1))
    expect(slice.endpoints?.[0]?.hostname).toBe('a-0')
    expect(slice.ports).toEqual([])
    expect(slice.metadata.labels?.['service.kubernetes.io/headless']).toBe('')
  })

  it('write nothing when nothing changed', async () => {
    await using world = await start()
    world.server.put(pods, pod('a', '10.42.0.1'))
    world.server.put(services, service())
    await world.eventually(() => world.server.all(endpointslices).length === 1 && world.server.all(endpoints).length === 1)
    await world.quiet()
    const versions = (): string =>
      JSON.stringify([...world.server.all(endpointslices), ...world.server.all(endpoints)].map(({ metadata }) => metadata.resourceVersion))
    const before = versions()
    const same = world.server.peek(pods, 'default/a')
    if (same !== undefined) world.server.put(pods, { ...same, metadata: { ...same.metadata, annotations: { x: 'y' } } })
    world.server.put(services, { ...service(), metadata: { ...service().metadata, annotations: { x: 'y' } } })
    await world.quiet()
    expect(versions()).toBe(before)
  })

  it('leave the endpoints of a Service without selector alone', async () => {
    await using world = await start()
    world.server.put(endpoints, { metadata: { name: 'web', namespace: 'default' }, subsets: [{ addresses: [{ ip: '1.2.3.4' }] }] })
    const { selector: _none, ...spec } = service().spec
    world.server.put(services, { ...service(), spec })
    await world.quiet()
    expect(world.server.all(endpointslices)).toEqual([])
    expect(world.server.peek(endpoints, 'default/web')?.subsets).toHaveLength(1)
  })

  it('mirror Endpoints that are written by hand, and forget them with their Service', async () => {
    await using world = await startWorld((context) => [
      createEndpointSliceController(context),
      createEndpointSliceMirroringController(context),
    ])
    world.server.put(services, { ...service(), spec: { ports: [{ port: 80 }] } })
    const subsets = [
      {
        addresses: [{ ip: '1.2.3.4' }, { ip: 'fd00::1' }],
        notReadyAddresses: [{ ip: '1.2.3.5' }],
        ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
      },
    ]
    world.server.put(endpoints, { metadata: { name: 'web', namespace: 'default', labels: { x: 'y' } }, subsets })
    await world.eventually(() => world.server.all(endpointslices).length === 2)
    const slices = world.server.all(endpointslices)
    const ipv4 = slices.find(({ addressType }) => addressType === 'IPv4')
    expect(ipv4?.endpoints).toEqual([
      { addresses: ['1.2.3.4'], conditions: { ready: true } },
      { addresses: ['1.2.3.5'], conditions: { ready: false } },
    ])
    expect(ipv4?.metadata.labels).toEqual({
      x: 'y',
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
    })
    expect(slices.find(({ addressType }) => addressType === 'IPv6')?.endpoints?.[0]?.addresses).toEqual(['fd00::1'])
    world.server.remove(services, 'default/web')
    await world.eventually(() => world.server.all(endpointslices).length === 0)
  })
})
