import { FakeClock } from '@k3s/lifecycle'
import { expect, test } from 'vitest'
import { formatDelay } from './container-starter.ts'
import { KeyedBackoff } from './keyed-backoff.ts'

test('KeyedBackoff doubles a delay up to the maximum and starts anew after a quiet time', async () => {
  const clock = new FakeClock(1000)
  const backoff = new KeyedBackoff({ clock, initialMs: 10, maxMs: 40, resetMs: 100 })
  expect(backoff.remaining('a', 1000)).toBe(0)
  const delays = [1, 2, 3, 4].map(() => {
    backoff.next('a', clock.now())
    return backoff.delayOf('a')
  })
  expect(delays).toEqual([10, 20, 40, 40])
  expect(backoff.remaining('a', clock.now())).toBe(40)
  await clock.advance(30)
  expect(backoff.remaining('a', 1000)).toBe(10)
  await clock.advance(200)
  expect(backoff.remaining('a', clock.now())).toBe(0)
  backoff.next('a', clock.now())
  expect(backoff.delayOf('a')).toBe(10)
})

test.each([
  [10_000, '10s'],
  [160_000, '2m40s'],
  [300_000, '5m0s'],
])('formatDelay(%i) is %s', (ms, expected) => {
  expect(formatDelay(ms)).toBe(expected)
})
