import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { runWorkers } from './run-workers.ts'
import { createWorkqueue } from './workqueue.ts'

const never = new AbortController().signal

function make() {
  const clock = new FakeClock()
  return { clock, queue: createWorkqueue({ name: 'test', clock }) }
}

describe('createWorkqueue()', () => {
  it('gives keys once, in the order in which they were first added', async () => {
    const { queue } = make()
    for (const key of ['a', 'b', 'a']) queue.add(key)
    expect(queue.depth).toBe(2)
    expect([await queue.take(never), await queue.take(never)]).toEqual(['a', 'b'])
    expect(queue.depth).toBe(0)
  })

  it('holds a key back while it is worked on and gives it once more after', async () => {
    const { queue } = make()
    queue.add('a')
    await queue.take(never)
    queue.add('a')
    queue.add('a')
    expect(queue.depth).toBe(0)
    queue.done('a')
    expect(queue.depth).toBe(1)
    await queue.take(never)
    queue.done('a')
    expect(queue.depth).toBe(0)
  })

  it('hands a key to a taker that waits', async () => {
    const { queue } = make()
    const taking = queue.take(never)
    queue.add('a')
    expect(await taking).toBe('a')
  })

  it('lets a taker go on abort and keeps the key for another', async () => {
    const { queue } = make()
    const abort = new AbortController()
    const taking = queue.take(abort.signal)
    abort.abort(new Error('enough'))
    await expect(taking).rejects.toThrow('enough')
    queue.add('a')
    expect(await queue.take(never)).toBe('a')
  })

  it('addAfter() counts the earliest time only', async () => {
    const { queue, clock } = make()
    queue.addAfter('a', 1000)
    queue.addAfter('a', 100)
    queue.addAfter('a', 5000)
    await clock.advance(99)
    expect(queue.depth).toBe(0)
    await clock.advance(1)
    expect(await queue.take(never)).toBe('a')
    queue.done('a')
    await clock.advance(10_000)
    expect(queue.depth).toBe(0)
  })

  it('addAfter() releases many keys in order of their time', async () => {
    const { queue, clock } = make()
    const delays = Array.from({ length: 200 }, (_, index) => ((index * 7919) % 200) + 1)
    for (const delay of delays) queue.addAfter(`k${delay}`, delay)
    await clock.advance(1000)
    const order = await Promise.all(delays.map(() => queue.take(never)))
    expect(order).toEqual(delays.toSorted((a, b) => a - b).map((delay) => `k${delay}`))
  })

  it('addRateLimited() doubles from 5 ms to 1000 s, until forget()', async () => {
    const { queue, clock } = make()
    const delayOf = async (): Promise<number> => {
      const before = clock.now()
      queue.addRateLimited('a')
      for (let step = 1; queue.depth === 0; step *= 2) await clock.advance(step)
      queue.done((await queue.take(never)) ?? '')
      return clock.now() - before
    }
    expect(await delayOf()).toBeLessThanOrEqual(7)
    for (let failure = 1; failure < 20; failure++) await delayOf()
    expect(queue.failures('a')).toBe(20)
    const before = clock.now()
    queue.addRateLimited('a')
    await clock.advance(999_999)
    expect(queue.depth).toBe(0)
    await clock.advance(1)
    expect(queue.depth).toBe(1)
    expect(clock.now() - before).toBe(1_000_000)
    queue.forget('a')
    expect(queue.failures('a')).toBe(0)
  })

  it('close() drops everything and gives waiting takers undefined', async () => {
    const { queue, clock } = make()
    queue.addAfter('b', 10)
    const taking = queue.take(never)
    queue.close()
    queue.add('a')
    expect(await taking).toBeUndefined()
    await clock.advance(100)
    expect(queue.depth).toBe(0)
    expect(clock.sleeping).toBe(0)
  })
})

describe('runWorkers()', () => {
  it('never works on one key twice at once, and works on different keys at once', async () => {
    const { queue } = make()
    const stop = new AbortController()
    const active = new Set<string>()
    let mostActive = 0
    let runs = 0
    const running = runWorkers({
      queue,
      concurrency: 3,
      signal: stop.signal,
      reconcile: async (key) => {
        expect(active.has(key)).toBe(false)
        active.add(key)
        mostActive = Math.max(mostActive, active.size)
        await new Promise((resolve) => setImmediate(resolve))
        if (runs++ < 50) queue.add(key)
        active.delete(key)
      },
    })
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
    await expect.poll(() => runs > 50 && active.size === 0 && queue.depth === 0, { timeout: 10_000 }).toBe(true)
    stop.abort()
    await running
    expect(mostActive).toBe(3)
  })

  it('retries what failed with back-off and forgets the back-off on success', async () => {
    const { queue, clock } = make()
    const stop = new AbortController()
    const times: number[] = []
    const reconcile = async (): Promise<void> => {
      times.push(clock.now())
      if (times.length < 4) throw new Error('not yet')
    }
    const running = runWorkers({ queue, concurrency: 1, reconcile, signal: stop.signal })
    queue.add('a')
    await clock.advance(0)
    await clock.advance(1000)
    expect(times).toEqual([0, 5, 15, 35])
    expect(queue.failures('a')).toBe(0)
    stop.abort()
    await running
  })

  it('waits for the reconcile that runs when it is stopped', async () => {
    const { queue } = make()
    const stop = new AbortController()
    const finish = Promise.withResolvers<void>()
    let seen: AbortSignal | undefined
    let ended = false
    const reconcile = async (_key: string, signal: AbortSignal): Promise<void> => {
      seen = signal
      await finish.promise
    }
    const running = runWorkers({ queue, concurrency: 2, reconcile, signal: stop.signal }).then(() => (ended = true))
    queue.add('a')
    await expect.poll(() => seen).toBeDefined()
    stop.abort()
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen?.aborted).toBe(true)
    expect(ended).toBe(false)
    finish.resolve()
    await running
  })
})
