import { expect, it } from 'vitest'
import { WatchDeliveries, type DeliveryTimers } from './watch-deliveries.ts'

/** Time that only work and waiting take. */
class ManualTimers implements DeliveryTimers {
  time = 0
  pauses: number[] = []
  #due: { readonly at: number; readonly run: () => void }[] = []

  now = (): number => this.time
  afterWrites = (run: () => void): void => void this.#due.push({ at: this.time, run })
  after = (ms: number, run: () => void): void => {
    this.pauses.push(ms)
    this.#due.push({ at: this.time + ms, run })
  }

  /** Runs what is due until `time`. */
  runUntil(time: number): void {
    for (;;) {
      const [next] = this.#due.toSorted((left, right) => left.at - right.at)
      if (next === undefined || next.at > time) break
      this.#due = this.#due.filter((other) => other !== next)
      this.time = Math.max(this.time, next.at)
      next.run()
    }
    this.time = Math.max(this.time, time)
  }
}

function withPump(
  costMs: number,
  mostAtOnce = 0,
): {
  readonly timers: ManualTimers
  readonly deliveries: WatchDeliveries
  readonly pump: () => void
  readonly pumped: number[]
} {
  const timers = new ManualTimers()
  const pumped: number[] = []
  const pump = (): void => {
    pumped.push(timers.time)
    timers.time += costMs
  }
  return { timers, deliveries: new WatchDeliveries(timers, mostAtOnce), pump, pumped }
}

it('pumps once for everything that happens in a turn', () => {
  const { timers, deliveries, pump, pumped } = withPump(0)
  deliveries.schedule(pump)
  deliveries.schedule(pump)
  expect(pumped).toEqual([])
  timers.runUntil(0)
  expect(pumped).toEqual([0])
})

it('pumps the first of a turn at once, in each turn anew, and the others in a round', () => {
  const { timers, deliveries } = withPump(0, 2)
  const order: string[] = []
  const schedule = (watcher: string): void => deliveries.schedule(() => void order.push(`${watcher} at ${timers.time}`))
  for (const watcher of ['a', 'b', 'c']) schedule(watcher)
  expect(order).toEqual(['a at 0', 'b at 0'])
  timers.runUntil(1)
  expect(order).toEqual(['a at 0', 'b at 0', 'c at 0'])
  schedule('a')
  expect(order.at(-1)).toBe('a at 1')
})

it('pumps nobody at once while others wait for their round', () => {
  const { timers, deliveries, pump, pumped } = withPump(5, 1)
  deliveries.schedule(pump)
  deliveries.schedule(pump)
  timers.runUntil(5)
  deliveries.schedule(pump)
  expect(pumped).toEqual([0, 5])
  timers.runUntil(20)
  expect(pumped).toEqual([0, 5, 12])
})

it('does not pause after a short round', () => {
  const { timers, deliveries, pump, pumped } = withPump(0.2)
  deliveries.schedule(pump)
  timers.runUntil(1)
  deliveries.schedule(pump)
  timers.runUntil(1)
  expect(pumped).toEqual([0, 1])
  expect(timers.pauses).toEqual([])
})

it('pauses after a long round for as long, and pumps what came meanwhile afterwards', () => {
  const { timers, deliveries, pump, pumped } = withPump(1.5)
  deliveries.schedule(pump)
  timers.runUntil(2)
  deliveries.schedule(pump)
  timers.runUntil(2.5)
  expect(pumped).toEqual([0])
  timers.runUntil(3)
  expect(pumped).toEqual([0, 3])
})

it('gives others a turn between many pumps, and pauses no longer than its bound', () => {
  const { timers, deliveries } = withPump(0)
  const order: number[] = []
  for (let watcher = 0; watcher < 30; watcher++)
    deliveries.schedule(() => {
      order.push(watcher)
      timers.time += 2
    })
  timers.runUntil(0)
  expect(order.length).toBeLessThan(10)
  timers.runUntil(1000)
  expect(order).toEqual(Array.from({ length: 30 }, (_, watcher) => watcher))
  expect(Math.max(...timers.pauses)).toBe(2)
})

it('joins the same frames once for all', () => {
  const { deliveries } = withPump(0)
  const [a, b, c] = [Buffer.from('a'), Buffer.from('b'), Buffer.from('c')]
  const joined = deliveries.join([a, b])
  expect(joined.toString()).toBe('ab')
  expect(deliveries.join([a, b])).toBe(joined)
  expect(deliveries.join([a, c]).toString()).toBe('ac')
  expect(deliveries.join([c])).toBe(c)
  expect(deliveries.join([]).length).toBe(0)
})
