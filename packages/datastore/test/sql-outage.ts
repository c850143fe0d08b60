import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { openDatastore } from '@k3s/datastore'
import type { Datastore, WatchEvent } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freeze } from './servers/freeze.ts'
import { startProxy } from './servers/tcp-proxy.ts'
import { eventually, everything } from './sql-servers.ts'
import type { SqlServer } from './sql-servers.ts'

/** Declares the tests of what becomes of a datastore when its database, or the way to it, fails; every SQL database passes them. */
export function describeOutages(name: string, start: () => Promise<SqlServer>): void {
  let server: SqlServer
  beforeAll(async () => {
    server = await start()
  }, 60_000)
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  let databases = 0
  const newDsn = (port = server.port): string => server.dsn(`outage${++databases}`).replace(`:${server.port}`, `:${port}`)

  /** The values that a watch delivers. */
  function record(store: Datastore): { readonly values: () => readonly string[]; readonly failure: () => unknown } {
    const events: WatchEvent[] = []
    let failure: unknown
    void (async () => {
      for await (const batch of store.watch(everything, { fromRevision: 2 })) events.push(...batch.events)
    })().catch((error: unknown) => {
      failure = error
    })
    return { values: () => events.map(({ item }) => Buffer.from(item.value).toString()), failure: () => failure }
  }

  const codeOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'done',
      (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
    )

  describe(`an outage of ${name}`, () => {
    it('fails calls with Unavailable within seconds; watches wait, and go on by themselves when it is back', async () => {
      await using a = await openDatastore(newDsn())
      const dsn = server.dsn(`outage${databases}`)
      await using b = await openDatastore(dsn)
      const watches = [record(a), record(b)]
      await a.update(Buffer.from('k'), Buffer.from('before'))
      for (const watch of watches) await eventually(() => expect(watch.values()).toEqual(['before']))
      for (const end of [server.stop, server.kill]) {
        const known = watches[0]?.values().length ?? 0
        await end()
        const begin = performance.now()
        const calls = [
          a.update(Buffer.from('k'), Buffer.from('lost')),
          a.get(Buffer.from('k')),
          b.list(everything),
          b.currentRevision(),
          b.compact(2),
        ]
        for (const code of await Promise.all(calls.map(codeOf))) expect(code).toBe('Unavailable')
        const fresh = a.watch(everything)[Symbol.asyncIterator]()
        expect(await codeOf(fresh.next())).toBe('Unavailable')
        expect(performance.now() - begin).toBeLessThan(10_000)
        await server.start()
        const back = performance.now()
        await eventually(() => a.update(Buffer.from('k'), Buffer.from('after')).then(() => {}))
        for (const watch of watches) await eventually(() => expect(watch.values().slice(known)).toEqual(['after']))
        expect((await b.get(Buffer.from('k'))).item?.version).toBe(known + 1)
        expect(performance.now() - back).toBeLessThan(2000)
      }
      for (const watch of watches) expect(watch.failure()).toBeUndefined()
    })

    it('is noticed, and ends, also when the server does not say a word', async () => {
      await using store = await openDatastore(newDsn())
      const watch = record(store)
      await store.update(Buffer.from('k'), Buffer.from('before'))
      const begin = performance.now()
      server.pause()
      try {
        const calls = [store.update(Buffer.from('k'), Buffer.from('lost')), store.get(Buffer.from('k')), store.currentRevision()]
        expect(await Promise.all(calls.map(codeOf))).toEqual(['Unavailable', 'Unavailable', 'Unavailable'])
        expect(performance.now() - begin).toBeLessThan(12_000)
      } finally {
        server.resume()
      }
      const back = performance.now()
      await eventually(() => store.update(Buffer.from('k'), Buffer.from('after')).then(() => {}))
      await eventually(() => expect(watch.values().at(-1)).toBe('after'))
      expect(performance.now() - back).toBeLessThan(2000)
    })

    it('a write waits through a short one', async () => {
      await using store = await openDatastore(newDsn())
      await store.update(Buffer.from('k'), Buffer.from('before'))
      await server.stop()
      const write = store.update(Buffer.from('k'), Buffer.from('during'))
      await server.start()
      await write
      expect((await store.get(Buffer.from('k'))).item?.version).toBe(2)
    })
  })

  describe('a connection that is lost at the commit', () => {
    it.each(['answer lost', 'request lost'] as const)('does the batch once (%s)', async (fault) => {
      await using proxy = await startProxy(server.port)
      await using store = await openDatastore(newDsn(proxy.port))
      const watch = record(store)
      const expected: string[] = []
      for (let round = 0; round < 10; round++) {
        const values = Array.from({ length: 5 }, (_, index) => `${fault} ${round}.${index}`)
        // Values travel with the writes only, in hexadecimal, so this is the exchange that ends with the commit.
        proxy.failNext(Buffer.from(values[0] ?? '').toString('hex'), fault)
        const results = await Promise.all([
          ...values.map((value, index) => store.update(Buffer.from(`${index}`), Buffer.from(value))),
          codeOf(store.create(Buffer.from('0'), Buffer.from('again'))),
        ])
        const revisions = results.flatMap((result) => (typeof result === 'string' ? [] : result.revision))
        expect(revisions).toEqual(revisions.map((_, index) => (revisions[0] ?? 0) + index))
        expect(results.at(-1)).toBe('KeyExists')
        expect(proxy.faults).toBe(round + 1)
        expected.push(...values)
      }
      await eventually(() => expect(watch.values()).toHaveLength(expected.length))
      expect(watch.values()).toEqual(expected)
      for (let index = 0; index < 5; index++) expect((await store.get(Buffer.from(`${index}`))).item?.version).toBe(10)
    })

    it('that is not there again in time fails the write, which may have happened', async () => {
      await using proxy = await startProxy(server.port)
      await using store = await openDatastore(newDsn(proxy.port))
      const watch = record(store)
      await store.update(Buffer.from('k'), Buffer.from('first'))
      proxy.failNext(Buffer.from('doubtful').toString('hex'), 'answer lost')
      const write = store.update(Buffer.from('k'), Buffer.from('doubtful'))
      await eventually(() => expect(proxy.faults).toBe(1))
      proxy.cut(true)
      await expect(write).rejects.toMatchObject({ code: 'Unavailable', message: expect.stringContaining('may have happened') as string })
      proxy.cut(false)
      await eventually(() => expect(watch.values()).toEqual(['first', 'doubtful']))
      await store.update(Buffer.from('k'), Buffer.from('last'))
      await eventually(() => expect(watch.values()).toEqual(['first', 'doubtful', 'last']))
    })
  })

  describe('a server that is frozen while it writes', () => {
    it('holds the others up for seconds at most, and does nothing twice when it wakes', async () => {
      const dsn = newDsn()
      await using store = await openDatastore(dsn)
      const watch = record(store)
      const child = spawn(process.execPath, ['--conditions=@k3s/source', join(import.meta.dirname, 'sql-member.ts'), dsn], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const said: string[] = []
      createInterface(child.stdout).on('line', (line) => said.push(line))
      const gone = new Promise((resolve) => child.once('exit', resolve))
      try {
        await eventually(() => expect(said.length).toBeGreaterThan(20))
        let longest = 0
        for (let round = 0; round < 12; round++) {
          const known = said.length
          await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 20))
          freeze(child.pid ?? 0)
          for (let index = 0; index < 3; index++) {
            const begin = performance.now()
            await store.update(Buffer.from('other'), Buffer.from('x'))
            longest = Math.max(longest, performance.now() - begin)
          }
          child.kill('SIGCONT')
          await eventually(() => expect(said.length).toBeGreaterThan(known + 5))
        }
        expect(longest).toBeLessThan(20_000)
        // Some freezes hit the holder of the lock: they are seen by what the others waited.
        expect(longest).toBeGreaterThan(1000)
      } finally {
        child.kill('SIGCONT')
        child.stdin.write('end\n')
        await gone
      }
      const answered = said.filter((line) => !line.startsWith('failed')).map((line) => line.split(' ')[1])
      const { item } = await store.get(Buffer.from('member'))
      await eventually(() => expect(watch.values().filter((value) => value !== 'x')).toHaveLength(item?.version ?? 0))
      const seen = watch.values().filter((value) => value !== 'x')
      expect(new Set(seen).size).toBe(seen.length)
      expect(answered.filter((value) => !seen.includes(value ?? ''))).toEqual([])
    })
  })
}
