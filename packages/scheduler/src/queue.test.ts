import { FakeClock, noMetrics } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { testNode, testPod, testPodInfo } from '../test/cluster.ts'
import type { ClusterEvent, Plugin } from './framework.ts'
import { podInfoOf } from './pod-info.ts'
import { schedulingGates } from './plugins/scheduling-gates.ts'
import { SchedulingQueue, type QueuedPod } from './queue.ts'

const never = new AbortController().signal
const event: ClusterEvent = { kind: 'nodeChanged', node: testNode('n') }
const cares: Plugin = { name: 'cares', isWorthRetrying: (_pod, { kind }) => kind === 'nodeChanged' }
const caresNot: Plugin = { name: 'caresNot', isWorthRetrying: () => false }
const silent: Plugin = { name: 'silent' }

function make() {
  const clock = new FakeClock()
  const queue = new SchedulingQueue({
    clock,
    plugins: [schedulingGates, cares, caresNot, silent],
    pending: noMetrics.gauge({ name: '', help: '' }),
  })
  const tryPop = async (): Promise<string | undefined> => {
    const abort = new AbortController()
    const popped = pop(queue, abort.signal).then(
      ({ pod }) => pod.uid,
      () => undefined,
    )
    await clock.advance(0)
    abort.abort()
    return popped
  }
  return { clock, queue, tryPop }
}
async function pop(queue: SchedulingQueue, signal: AbortSignal = never): Promise<QueuedPod> {
  for (;;) {
    await queue.wait(signal)
    const queued = queue.take()
    if (queued !== undefined) return queued
  }
}
const named = (name: string, priority = 0) => podInfoOf(testPod({ priority }, { name, uid: name }))

describe('SchedulingQueue', () => {
  it('keeps a pod that was told of until it is taken, so that an event about it meanwhile queues it no second time', async () => {
    const { queue } = make()
    const waiting = queue.wait(never)
    queue.add(named('a'))
    queue.add(named('a'))
    expect(queue.update(testPod({}, { name: 'a', uid: 'a', labels: { app: 'x' } }))).toBe(true)
    await waiting
    expect(queue.take()?.pod.pod.metadata.labels).toEqual({ app: 'x' })
    expect(queue.take()).toBeUndefined()
  })

  it('has nothing to take when the pod that was told of has left', async () => {
    const { queue } = make()
    const waiting = queue.wait(never)
    queue.add(named('a'))
    queue.delete('a')
    await waiting
    expect(queue.take()).toBeUndefined()
  })

  it('gives pods of higher priority first, then those that wait longer', async () => {
    const { clock, queue } = make()
    for (const [name, priority] of [
      ['a', 0],
      ['b', 10],
      ['c', 0],
      ['d', 10],
    ] as const) {
      queue.add(named(name, priority))
      await clock.advance(1)
    }
    const order = []
    for (let count = 0; count < 4; count++) order.push((await pop(queue)).pod.uid)
    expect(order).toEqual(['b', 'd', 'a', 'c'])
  })

  it('gives a pod to a taker that waits', async () => {
    const { queue } = make()
    const popping = pop(queue)
    queue.add(named('a'))
    expect((await popping).pod.uid).toBe('a')
  })

  it.each<[string, readonly string[], boolean]>([
    ['the plugin cares for', ['cares'], true],
    ['the plugin does not care for', ['caresNot'], false],
    ['one of two plugins cares for', ['caresNot', 'cares'], true],
    ['a plugin without a hint is asked about', ['silent'], true],
    ['comes after a rejection by none', [], true],
  ])('retries a rejected pod when an event comes that %s', async (_case, plugins, expected) => {
    const { queue, tryPop } = make()
    queue.add(named('a'))
    queue.reject(await pop(queue), new Set(plugins))
    expect(await tryPop()).toBeUndefined()
    queue.move(event)
    expect(await tryPop()).toBe(expected ? 'a' : undefined)
  })

  it('tries others before a pod that backs off', async () => {
    const { queue, tryPop } = make()
    queue.add(named('rejected', 100))
    queue.reject(await pop(queue), new Set(['cares']))
    queue.move(event)
    queue.add(named('fresh'))
    expect(await tryPop()).toBe('fresh')
    expect(await tryPop()).toBe('rejected')
  })

  it('doubles the back-off after errors from 1 to 10 seconds', async () => {
    const { clock, queue } = make()
    queue.add(named('a'))
    let queued = await pop(queue)
    const waits: number[] = []
    for (let failure = 0; failure < 6; failure++) {
      queue.fail(queued)
      const before = clock.now()
      const next = pop(queue).then((pod) => ({ pod, at: clock.now() }))
      for (let step = 0; step < 24; step++) await clock.advance(500)
      const { pod, at } = await next
      queued = pod
      waits.push(at - before)
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 10_000, 10_000])
  })

  it('tries a rejected pod after five minutes, whatever happened', async () => {
    const { clock, queue, tryPop } = make()
    queue.add(named('a'))
    queue.reject(await pop(queue), new Set(['caresNot']))
    await clock.advance(299_000)
    expect(await tryPop()).toBeUndefined()
    await clock.advance(60_000)
    expect(await tryPop()).toBe('a')
  })

  it('retries a rejected pod that was changed, but not for its status', async () => {
    const { queue, tryPop } = make()
    const pod = testPod({}, { uid: 'a' })
    queue.add(podInfoOf(pod))
    queue.reject(await pop(queue), new Set(['caresNot']))
    queue.update({ ...pod, status: { phase: 'Pending', conditions: [] } })
    expect(await tryPop()).toBeUndefined()
    queue.update({ ...pod, metadata: { ...pod.metadata, labels: { x: 'y' } } })
    expect(await tryPop()).toBe('a')
  })

  it('holds gated pods back until they are changed', async () => {
    const { queue, tryPop } = make()
    const pod = testPod({ schedulingGates: [{ name: 'x' }] }, { uid: 'a' })
    queue.add(podInfoOf(pod))
    queue.move(event)
    expect(await tryPop()).toBeUndefined()
    queue.update({ ...pod, spec: { containers: pod.spec.containers } })
    expect(await tryPop()).toBe('a')
  })

  it('holds a pod while its victims are deleted, and remembers what happened meanwhile', async () => {
    const { queue, tryPop } = make()
    queue.add(named('a'))
    queue.reject(await pop(queue), new Set(['cares']))
    queue.hold('a')
    queue.move(event)
    expect(await tryPop()).toBeUndefined()
    queue.release('a', { retry: false })
    expect(await tryPop()).toBe('a')
  })

  it('forgets a deleted pod wherever it is', async () => {
    const { clock, queue, tryPop } = make()
    queue.add(named('active'))
    queue.delete('active')
    queue.add(named('failed'))
    queue.fail(await pop(queue))
    queue.delete('failed')
    queue.add(named('rejected'))
    queue.reject(await pop(queue), new Set())
    queue.delete('rejected')
    queue.move(event)
    await clock.advance(400_000)
    expect(await tryPop()).toBeUndefined()
  })

  it('does not queue a pod twice', async () => {
    const { queue, tryPop } = make()
    const pod = testPodInfo({}, { uid: 'a' })
    queue.add(pod)
    queue.add(pod)
    expect(await tryPop()).toBe('a')
    expect(await tryPop()).toBeUndefined()
  })
})
