import { describe, expect, it } from 'vitest'
import { bytes, everything, expectCode } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

export function describeLifecycle({ create }: DatastoreUnderTest): void {
  describe('lifecycle', () => {
    it('an aborted call rejects with the reason of its signal', async () => {
      await using store = await create({})
      const reason = new Error('given up')
      const aborted = AbortSignal.abort(reason)
      await expect(store.create(bytes('a'), bytes('1'), { signal: aborted })).rejects.toBe(reason)
      await expect(store.get(bytes('a'), { signal: aborted })).rejects.toBe(reason)
      await expect(store.currentRevision({ signal: aborted })).rejects.toBe(reason)
      expect((await store.list(everything)).count).toBe(0)
      const late = new AbortController()
      const read = store.list(everything, { signal: late.signal })
      late.abort(reason)
      await expect(read).rejects.toBe(reason)
    })

    it('a write that is aborted while it waits is withdrawn', async () => {
      await using store = await create({})
      const stop = new AbortController()
      const write = store.create(bytes('a'), bytes('1'), { signal: stop.signal })
      stop.abort(new Error('given up'))
      await expect(write).rejects.toThrow('given up')
      await store.create(bytes('b'), bytes('1'))
      expect((await store.get(bytes('a'))).item).toBeUndefined()
    })

    it('after disposal every call and watch fails with Closed, and disposal can be repeated', async () => {
      const store = await create({})
      const watch = store.watch(everything)[Symbol.asyncIterator]()
      const next = watch.next()
      await store.create(bytes('a'), bytes('1'))
      expect((await next).done).toBe(false)
      const waiting = watch.next()
      waiting.catch(() => {}) // looked at below
      await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()])
      await store[Symbol.asyncDispose]()
      await expectCode(waiting, 'Closed')
      await expectCode(store.get(bytes('a')), 'Closed')
      await expectCode(store.create(bytes('b'), bytes('1')), 'Closed')
      await expectCode(store.currentRevision(), 'Closed')
      expect(() => store.watch(everything)).toThrow('closed')
    })

    it('a write in progress at disposal is either done and answered, or refused with Closed', async () => {
      const store = await create({})
      const writes = Promise.allSettled(Array.from({ length: 100 }, (_, index) => store.create(bytes(`${index}`), bytes('1'))))
      await store[Symbol.asyncDispose]()
      for (const result of await writes) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'Closed' })
    })
  })
}
