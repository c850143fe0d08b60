import type { Pod } from '@k3s/api/types/core/v1'
import { FakeClock, noLogger, noMetrics } from '@k3s/lifecycle'
import { expect, test } from 'vitest'
import { EvictionManager } from './eviction-manager.ts'
import { parseThresholds, rankForEviction, thresholdValue, unmet, type EvictionSignal, type Observation } from './rank.ts'

const podOf = (name: string, requestMi: number, priority = 0): Pod => ({
  metadata: { name, namespace: 'ns', uid: name },
  spec: { priority, containers: [{ name: 'c', resources: { requests: { memory: `${requestMi}Mi` } } }] },
})
const mi = 2 ** 20

test('parseThresholds() reads amounts and percentages', () => {
  const [memory, disk] = parseThresholds('memory.available<100Mi, nodefs.available<10%')
  expect(memory).toEqual({ signal: 'memory.available', quantity: '100Mi' })
  expect(disk === undefined ? undefined : thresholdValue(disk, 1000)).toBe(100)
  for (const wrong of ['cpu<1', 'memory.available<x', 'nodefs.available<200%']) expect(() => parseThresholds(wrong)).toThrow(/./)
})

test('unmet() takes the signals that fell below', () => {
  const observations = new Map<EvictionSignal, Observation>([
    ['memory.available', { available: 50 * mi, capacity: 1000 * mi }],
    ['nodefs.available', { available: 200, capacity: 1000 }],
  ])
  expect(
    unmet(parseThresholds('memory.available<100Mi,nodefs.available<10%,pid.available<5'), observations).map(({ signal }) => signal),
  ).toEqual(['memory.available'])
})

test('rankForEviction() puts those above their request first, then low priorities, then the greediest; never critical ones', () => {
  const pods = [
    podOf('within', 100),
    podOf('above', 10),
    podOf('far-above', 10),
    podOf('important', 10, 1000),
    podOf('critical', 0, 2_000_000_000),
  ]
  const usage = new Map([
    ['within', 90 * mi],
    ['above', 20 * mi],
    ['far-above', 50 * mi],
    ['important', 500 * mi],
    ['critical', 900 * mi],
  ])
  expect(rankForEviction(pods, 'memory', usage).map(({ metadata }) => metadata.name)).toEqual(['far-above', 'above', 'important', 'within'])
})

test('EvictionManager ends one pod at a time and tells of the pressure for five minutes more', async () => {
  const clock = new FakeClock()
  const evicted: string[] = []
  let available = 50 * mi
  const manager = new EvictionManager({
    probe: {
      observe: () => Promise.resolve(new Map([['memory.available', { available, capacity: 1000 * mi }]])),
      usage: () =>
        Promise.resolve(
          new Map([
            ['a', 5 * mi],
            ['b', 9 * mi],
          ]),
        ),
    },
    thresholds: parseThresholds('memory.available<100Mi'),
    clock,
    logger: noLogger,
    metrics: noMetrics,
    events: { podEvent: () => {} },
    pods: () => [podOf('a', 0), podOf('b', 0)],
    evict: (pod, { reason, message, conditions }) =>
      evicted.push(`${pod.metadata.name} ${reason} ${conditions?.[0]?.type ?? ''}: ${message}`),
    reclaimDisk: () => Promise.resolve(0),
    onPressure: () => {},
  })
  const { signal } = new AbortController()
  await manager.check(signal)
  expect(evicted).toEqual([
    'b Evicted DisruptionTarget: The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Pod b was using 9Mi, request is 0, has larger consumption of memory. ',
  ])
  expect([manager.memoryPressure, manager.diskPressure]).toEqual([true, false])
  available = 500 * mi
  await manager.check(signal)
  expect(evicted).toHaveLength(1)
  expect(manager.memoryPressure).toBe(true)
  await clock.advance(300_000)
  expect(manager.memoryPressure).toBe(false)
})
