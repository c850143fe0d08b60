import { isStatusError, StatusError } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { retryOnConflict } from './retry-on-conflict.ts'

describe('retryOnConflict()', () => {
  it.each([
    { reasons: ['Conflict', 'Conflict'], calls: 3, thrown: undefined },
    { reasons: ['Conflict', 'NotFound'], calls: 2, thrown: 'NotFound' },
    { reasons: ['Conflict', 'Conflict', 'Conflict', 'Conflict', 'Conflict', 'Conflict'], calls: 5, thrown: 'Conflict' },
  ] as const)('after $reasons has called $calls times', async ({ reasons, calls, thrown }) => {
    let called = 0
    const clock = { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() }
    const work = retryOnConflict(
      async () => {
        const reason = reasons[called++]
        if (reason !== undefined) throw new StatusError(reason, '')
        return 'done'
      },
      { clock },
    )
    const outcome = await work.catch((error: unknown) => (isStatusError(error) ? error.reason : error))
    expect(outcome).toBe(thrown ?? 'done')
    expect(called).toBe(calls)
  })
})
