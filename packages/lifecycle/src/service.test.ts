import { describe, expect, it } from 'vitest'
import { runAll, type Service } from './service.ts'

/** A service that notes what happens to it. */
function noting(
  name: string,
  log: string[],
  options: { readonly readyAfter?: Promise<unknown>; readonly fails?: Promise<unknown> } = {},
): Service {
  return {
    name,
    async run({ signal, ready }) {
      log.push(`${name} starts`)
      await options.readyAfter
      ready()
      await Promise.race([
        new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
        options.fails ?? new Promise(() => {}),
      ])
      log.push(`${name} stops`)
    },
  }
}

describe('runAll()', () => {
  it('starts in order, each after the one before is ready, and stops in reverse', async () => {
    const log: string[] = []
    const stop = new AbortController()
    const gate = Promise.withResolvers<void>()
    const running = runAll([noting('a', log, { readyAfter: gate.promise }), noting('b', log)], stop.signal, () => log.push('ready'))
    await Promise.resolve()
    expect(log).toEqual(['a starts'])
    gate.resolve()
    await expect.poll(() => log).toContain('ready')
    stop.abort()
    await running
    expect(log).toEqual(['a starts', 'b starts', 'ready', 'b stops', 'a stops'])
  })

  it('stops all when one fails, and throws every failure', async () => {
    const log: string[] = []
    const failure = Promise.withResolvers<never>()
    const running = runAll([noting('a', log), noting('b', log, { fails: failure.promise })], new AbortController().signal, () =>
      failure.reject(new Error('broken')),
    )
    await expect(running).rejects.toThrow('Service "b" failed: broken')
    expect(log.at(-1)).toBe('a stops')
  })

  it('takes an end without abort as a failure', async () => {
    const running = runAll([noting('a', [], { fails: Promise.resolve() })], new AbortController().signal)
    await expect(running).rejects.toThrow('Service "a" ended by itself')
  })

  it('starts nothing after an abort', async () => {
    const log: string[] = []
    await runAll([noting('a', log)], AbortSignal.abort())
    expect(log).toEqual([])
  })
})
