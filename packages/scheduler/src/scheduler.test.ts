import { StatusError } from '@k3s/api'
import { events, nodes, persistentvolumeclaims, persistentvolumes, pods, type Node, type Pod } from '@k3s/api/types/core/v1'
import { poddisruptionbudgets } from '@k3s/api/types/policy/v1'
import { storageclasses } from '@k3s/api/types/storage/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { FakeClock, runAll } from '@k3s/lifecycle'
import { afterEach, describe, expect, it } from 'vitest'
import { createScheduler } from './scheduler.ts'

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

interface Request {
  readonly method: string
  readonly path: string
}

async function start(onRequest?: (request: Request) => void) {
  const clock = new FakeClock(1_700_000_000_000)
  const requests: string[] = []
  const server = new FakeApiServer({
    clock,
    onRequest: (request) => {
      if (request.method !== 'GET') requests.push(`${request.method} ${request.path}`)
      onRequest?.(request)
    },
  })
  const client = createClient(server)
  const informers = createInformerFactory(client, { clock })
  const scheduler = createScheduler({ client, informers, clock, random: () => 0 })
  const stop = new AbortController()
  const ready = Promise.withResolvers<void>()
  const running = runAll([informers, scheduler], stop.signal, ready.resolve)
  stops.push(async () => {
    stop.abort()
    await running
  })
  await ready.promise
  const pod = (name: string): Pod | undefined => server.peek(pods, `default/${name}`)
  const placement = (): Record<string, string> =>
    Object.fromEntries(server.all(pods).map(({ metadata, spec }) => [metadata.name, spec.nodeName ?? '']))
  const condition = (name: string) => pod(name)?.status?.conditions?.find(({ type }) => type === 'PodScheduled')
  return { server, client, clock, requests, pod, placement, condition, addPod: (pod: Pod) => client.resource(pods).create(pod) }
}

const makeNode = (name: string, cpu = '1', extra: Partial<Node['spec']> = {}): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  spec: extra,
  status: { allocatable: { cpu, memory: '4Gi', pods: '110' } },
})
const makePod = (name: string, cpu: string | undefined = '100m', spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name, namespace: 'default', labels: { app: name } },
  spec: {
    containers: [{ name: 'main', image: 'a', ...(cpu === undefined ? {} : { resources: { requests: { cpu } } }) }],
    ...spec,
  },
})

const until = async (claim: () => boolean): Promise<void> => {
  await expect.poll(claim, { timeout: 10_000, interval: 2 }).toBe(true)
}

describe('createScheduler()', () => {
  it('binds a pod to a node that fits and tells of it', async () => {
    const { server, addPod, placement } = await start()
    server.put(nodes, makeNode('small', '100m'))
    server.put(nodes, makeNode('large', '2'))
    await addPod(makePod('a', '500m'))
    await until(() => placement()['a'] === 'large')
    await until(() => server.all(events).length === 1)
    expect(server.all(events)).toMatchObject([
      {
        reason: 'Scheduled',
        type: 'Normal',
        message: 'Successfully assigned default/a to large',
        source: { component: 'default-scheduler' },
      },
    ])
  })

  it('says why no node fits, in upstream words', async () => {
    const { server, addPod, condition, pod } = await start()
    server.put(nodes, makeNode('tainted', '4', { taints: [{ key: 'x', effect: 'NoSchedule' }] }))
    server.put(nodes, makeNode('small', '100m'))
    await addPod(makePod('a', '500m'))
    const message =
      '0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). ' +
      'preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.'
    await until(() => condition('a') !== undefined)
    expect(condition('a')).toMatchObject({ status: 'False', reason: 'Unschedulable', message, lastTransitionTime: '2023-11-14T22:13:20Z' })
    expect(pod('a')?.spec.nodeName).toBeUndefined()
    await until(() => server.all(events).length === 1)
    expect(server.all(events)).toMatchObject([{ reason: 'FailedScheduling', type: 'Warning', message }])
  })

  it('says that there are no nodes', async () => {
    const { addPod, condition } = await start()
    await addPod(makePod('a'))
    await until(() => condition('a') !== undefined)
    expect(condition('a')).toMatchObject({ reason: 'Unschedulable', message: 'no nodes available to schedule pods' })
  })

  it('tries an unschedulable pod again when a node comes that it fits on', async () => {
    const { server, addPod, condition, placement } = await start()
    await addPod(makePod('a'))
    await until(() => condition('a') !== undefined)
    server.put(nodes, makeNode('n'))
    await until(() => placement()['a'] === 'n')
    expect(condition('a')).toMatchObject({ status: 'True' })
  })

  it('tries an unschedulable pod again when another one is gone', async () => {
    const { server, addPod, condition, placement } = await start()
    server.put(nodes, makeNode('n'))
    await addPod(makePod('a', '800m'))
    await until(() => placement()['a'] === 'n')
    await addPod(makePod('b', '800m'))
    await until(() => condition('b')?.status === 'False')
    expect(condition('b')?.message).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.',
    )
    server.remove(pods, 'default/a')
    await until(() => placement()['b'] === 'n')
  })

  it('does not retry for an event that does not help', async () => {
    const { server, addPod, condition, requests } = await start()
    server.put(nodes, makeNode('n'))
    await addPod(makePod('a', '8'))
    await until(() => condition('a') !== undefined)
    await until(() => server.all(events).length === 1)
    const before = requests.length
    server.put(nodes, makeNode('m', '2'))
    server.put(nodes, { ...makeNode('n'), status: { ...makeNode('n').status, conditions: [{ type: 'Ready', status: 'True' }] } })
    await addPod(makePod('b'))
    await until(() => server.all(events).length === 2)
    expect(requests.slice(before).filter((request) => request.includes('/pods/a'))).toEqual([])
  })

  it('does not put more on a node than fits before the first binding is told of', async () => {
    const { server, addPod, placement, condition } = await start()
    server.put(nodes, makeNode('n'))
    await Promise.all(['a', 'b', 'c'].map((name) => addPod(makePod(name, '400m'))))
    await until(() => Object.values(placement()).filter((node) => node === 'n').length === 2)
    await until(() => ['a', 'b', 'c'].some((name) => condition(name)?.status === 'False'))
    expect(Object.values(placement()).filter((node) => node === 'n')).toHaveLength(2)
  })

  it('leaves pods of other schedulers alone', async () => {
    const { server, addPod, placement } = await start()
    server.put(nodes, makeNode('n'))
    await addPod(makePod('other', '1m', { schedulerName: 'mine' }))
    await addPod(makePod('a'))
    await until(() => placement()['a'] === 'n')
    expect(placement()['other']).toBe('')
  })

  it('holds a gated pod back until its gates are gone', async () => {
    const { server, client, addPod, placement, condition } = await start()
    server.put(nodes, makeNode('n'))
    await addPod(makePod('gated', '1m', { schedulingGates: [{ name: 'x' }] }))
    await addPod(makePod('a'))
    await until(() => placement()['a'] === 'n')
    expect(placement()['gated']).toBe('')
    expect(condition('gated')).toBeUndefined()
    await client.resource(pods).patch('gated', { spec: { schedulingGates: null } }, { type: 'merge', namespace: 'default' })
    await until(() => placement()['gated'] === 'n')
  })

  it('retries with back-off when binding fails, and frees what it had assumed', async () => {
    let failures = 1
    const { server, clock, addPod, placement, condition } = await start(({ path }) => {
      if (path.endsWith('/binding') && failures-- > 0) throw new StatusError('InternalError', 'disk full')
    })
    server.put(nodes, makeNode('n'))
    await addPod(makePod('a', '800m'))
    await until(() => condition('a') !== undefined)
    expect(condition('a')).toMatchObject({ reason: 'SchedulerError', message: 'binding rejected: disk full' })
    await until(() => clock.sleeping > 0)
    await clock.advance(1000)
    await until(() => placement()['a'] === 'n')
  })

  it('deletes pods of lower priority to make room, and uses it', async () => {
    const { server, addPod, placement, pod } = await start()
    server.put(nodes, makeNode('n'))
    for (const name of ['low1', 'low2']) await addPod(makePod(name, '500m'))
    await until(() => placement()['low1'] === 'n' && placement()['low2'] === 'n')
    await addPod(makePod('high', '400m', { priority: 1000 }))
    await until(() => server.all(pods).some(({ metadata }) => metadata.deletionTimestamp !== undefined))
    const ending = server.all(pods).filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
    expect(ending).toHaveLength(1)
    expect(ending[0]?.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'PreemptionByScheduler',
        message: 'default-scheduler: preempting to accommodate a higher priority pod',
      }),
    )
    await until(() => pod('high')?.status?.nominatedNodeName === 'n')
    expect(placement()['high']).toBe('')
    // The kubelet ends the victim.
    server.remove(pods, `default/${ending[0]?.metadata.name}`)
    await until(() => placement()['high'] === 'n')
    expect(server.all(pods)).toHaveLength(2)
    await until(() => server.all(events).some(({ reason }) => reason === 'Preempted'))
  })

  it('keeps the room made for a pod from pods of lower priority', async () => {
    const { server, addPod, placement, condition } = await start()
    server.put(nodes, makeNode('n'))
    await addPod(makePod('low', '900m'))
    await until(() => placement()['low'] === 'n')
    await addPod(makePod('high', '900m', { priority: 1000 }))
    await until(() => server.peek(pods, 'default/high')?.status?.nominatedNodeName === 'n')
    await addPod(makePod('late', '900m'))
    await until(() => condition('late') !== undefined)
    server.remove(pods, 'default/low')
    await until(() => placement()['high'] === 'n')
    expect(placement()['late']).toBe('')
  })

  it('gives the room kept for a pod to others when that pod is deleted', async () => {
    const { server, addPod, placement, condition } = await start()
    server.put(nodes, makeNode('n'))
    for (const name of ['victim', 'other']) await addPod(makePod(name, '300m', { priority: name === 'other' ? 5000 : 0 }))
    await until(() => placement()['victim'] === 'n' && placement()['other'] === 'n')
    await addPod(makePod('high', '600m', { priority: 1000 }))
    await until(() => server.peek(pods, 'default/high')?.status?.nominatedNodeName === 'n')
    // There is room for it beside the victim, but not beside the pod that the victim makes room for.
    await addPod(makePod('low', '300m'))
    await until(() => condition('low')?.status === 'False')
    server.remove(pods, 'default/high')
    await until(() => placement()['low'] === 'n')
    expect(server.peek(pods, 'default/victim')?.metadata.deletionTimestamp).toBeDefined()
  })

  it('prefers victims that no disruption budget protects', async () => {
    const { server, addPod, placement } = await start()
    for (const name of ['n1', 'n2']) {
      server.put(nodes, makeNode(name))
      await addPod({ ...makePod(`on-${name}`, '900m', { nodeSelector: { 'kubernetes.io/hostname': name } }) })
    }
    server.put(poddisruptionbudgets, {
      metadata: { name: 'b', namespace: 'default' },
      spec: { selector: { matchLabels: { app: 'on-n1' } } },
      status: { disruptionsAllowed: 0 },
    })
    await until(() => placement()['on-n1'] === 'n1' && placement()['on-n2'] === 'n2')
    await addPod(makePod('high', '900m', { priority: 1000 }))
    await until(() => server.all(pods).some(({ metadata }) => metadata.deletionTimestamp !== undefined))
    expect(server.peek(pods, 'default/on-n2')?.metadata.deletionTimestamp).toBeDefined()
    expect(server.peek(pods, 'default/on-n1')?.metadata.deletionTimestamp).toBeUndefined()
  })

  it('selects the node of a claim that waits for its first consumer, and binds the pod when the claim is bound', async () => {
    const { server, addPod, placement } = await start()
    server.put(nodes, makeNode('n'))
    server.put(storageclasses, { metadata: { name: 'local-path' }, provisioner: 'x', volumeBindingMode: 'WaitForFirstConsumer' })
    const claim = { metadata: { name: 'data', namespace: 'default' }, spec: { storageClassName: 'local-path' } }
    server.put(persistentvolumeclaims, claim)
    await addPod(makePod('a', '1m', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] }))
    const current = () => server.peek(persistentvolumeclaims, 'default/data')
    await until(() => current()?.metadata.annotations?.['volume.kubernetes.io/selected-node'] === 'n')
    expect(placement()['a']).toBe('')
    const annotations = { ...current()?.metadata.annotations, 'pv.kubernetes.io/bind-completed': 'yes' }
    server.put(persistentvolumes, { metadata: { name: 'pv' }, spec: {} })
    server.put(persistentvolumeclaims, {
      ...claim,
      metadata: { ...claim.metadata, annotations },
      spec: { ...claim.spec, volumeName: 'pv' },
    })
    await until(() => placement()['a'] === 'n')
  })

  it('waits for a claim that is not there', async () => {
    const { server, addPod, condition, placement } = await start()
    server.put(nodes, makeNode('n'))
    await addPod(makePod('a', '1m', { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] }))
    await until(() => condition('a') !== undefined)
    expect(condition('a')?.message).toBe(
      '0/1 nodes are available: persistentvolumeclaim "data" not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
    )
    server.put(persistentvolumes, { metadata: { name: 'pv' }, spec: {} })
    server.put(persistentvolumeclaims, {
      metadata: { name: 'data', namespace: 'default', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
      spec: { volumeName: 'pv' },
    })
    await until(() => placement()['a'] === 'n')
  })
})
