import { describe, expect, it } from 'vitest'
import { backoffDelay, retry } from './backoff.ts'
import { FakeClock, systemClock } from './clock.ts'

describe('FakeClock', () => {
  it('wakes sleepers in order of their time', async () => {
    const clock = new FakeClock(1000)
    const woken: number[] = []
    const sleeps = [30, 10, 20].map((ms) => clock.sleep(ms).then(() => woken.push(clock.now())))
    await clock.advance(20)
    expect(woken).toEqual([1010, 1020])
    await clock.advance(10)
    await Promise.all(sleeps)
    expect(woken).toEqual([1010, 1020, 1030])
  })

  it('forgets a sleeper that was aborted', async () => {
    const clock = new FakeClock()
    const stop = new AbortController()
    const sleep = clock.sleep(10, stop.signal)
    stop.abort(new Error('stop'))
    await expect(sleep).rejects.toThrow('stop')
    expect(clock.sleeping).toBe(0)
  })
})

describe('retry()', () => {
  it('waits longer each time, up to the bound, and stops at what is not retryable', async () => {
    expect([0, 1, 2, 10].map((attempt) => backoffDelay(attempt, { initialMs: 100, maxMs: 1000, jitter: 0 }))).toEqual([100, 200, 400, 1000])
    const clock = new FakeClock()
    const tries: number[] = []
    const work = retry(
      (attempt) => {
        tries.push(clock.now())
        return Promise.reject(new Error(attempt < 2 ? 'again' : 'final'))
      },
      { signal: new AbortController().signal, clock, jitter: 0, isRetryable: (error) => (error as Error).message === 'again' },
    )
    const failed = expect(work).rejects.toThrow('final')
    await clock.advance(1000)
    await failed
    expect(tries).toEqual([0, 100, 300])
  })
})

describe('systemClock', () => {
  it('waits longer than one timer can', async () => {
    const stop = new AbortController()
    const sleeping = systemClock.sleep(2 ** 40, stop.signal).then(
      () => 'woke',
      () => 'aborted',
    )
    // With one timer only it would wake after a millisecond.
    expect(await Promise.race([sleeping, systemClock.sleep(30).then(() => 'asleep')])).toBe('asleep')
    stop.abort()
    expect(await sleeping).toBe('aborted')
  })
  it('takes a wait that is over as none', async () => {
    await expect(systemClock.sleep(-5)).resolves.toBeUndefined()
  })
})
