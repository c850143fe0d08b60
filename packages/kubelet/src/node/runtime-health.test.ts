import type { CriClient } from '@k3s/cri-client'
import { FakeClock, noLogger } from '@k3s/lifecycle'
import { expect, test } from 'vitest'
import { RuntimeHealth } from './runtime-health.ts'

test('tells once, with the reason, that the runtime does not answer, also when it never did', async () => {
  const warnings: unknown[] = []
  const away = (): Promise<never> => Promise.reject(new Error('Cannot reach container runtime'))
  const health = new RuntimeHealth({
    cri: { version: away, status: away } as unknown as CriClient, // all that is called
    clock: new FakeClock(),
    logger: { ...noLogger, warn: (fields) => warnings.push(fields['err']) },
    onChange: () => {},
  })
  const { signal } = new AbortController()
  await health.check(signal)
  await health.check(signal)
  expect(health.runtimeProblem).toBe('container runtime is down')
  expect(warnings).toEqual([new Error('Cannot reach container runtime')])
})
