import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  compare,
  compactDatastore,
  migrate,
  openDatastore,
  openRestored,
  readStatus,
  restore,
  snapshot,
  verify,
  verifySnapshot,
} from '@k3s/datastore'
import type { CopyProgress, Datastore, KeyValue } from '@k3s/datastore'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { startWriter } from './start-writer.ts'

const directory = mkdtempSync(join(tmpdir(), 'datastore-snapshot-'))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
const newPath = (): string => join(directory, `${++files}.db`)
const newDsn = (): string => `sqlite://${newPath()}`
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const everything = { start: Uint8Array.of(0), end: new Uint8Array(0) }

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of chunks) parts.push(part)
  return Buffer.concat(parts)
}

/** The same bytes in pieces of a size of their own. */
async function* pieces(whole: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += size) yield whole.subarray(at, at + size)
}

/** What a store holds, for comparing. */
async function contentOf(store: Datastore, revision?: number): Promise<readonly string[]> {
  const { items } = await store.list(everything, { revision })
  return items.map(showItem)
}

const showItem = ({ key, value, createRevision, modRevision, version, leaseId }: KeyValue): string =>
  [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex'), createRevision, modRevision, version, leaseId].join(' ')

async function fill(store: Datastore, keys = 20): Promise<void> {
  const { id } = await store.grantLease({ ttlSeconds: 5000 })
  for (let index = 0; index < keys; index++) {
    const key = Uint8Array.of(47, index % 256, index >> 8)
    await store.create(key, bytes(`value ${index} ${'x'.repeat(index)}`), index % 3 === 0 ? { leaseId: id } : {})
    if (index % 4 === 0) await store.update(key, bytes('changed'), { leaseId: index % 3 === 0 ? id : 0n })
    if (index % 7 === 6) await store.delete(key)
  }
}

const drivers: Readonly<
  Record<string, { readonly open: () => Promise<Datastore>; readonly restored: (chunks: AsyncIterable<Uint8Array>) => Promise<Datastore> }>
> = {
  memory: { open: () => openDatastore('memory:'), restored: (chunks) => openRestored('memory:', chunks) },
  sqlite: { open: () => openDatastore(newDsn()), restored: (chunks) => openRestored(newDsn(), chunks) },
}

describe('a snapshot', () => {
  for (const [from, source] of Object.entries(drivers))
    for (const [to, target] of Object.entries(drivers))
      for (const isCompressed of [true, false])
        it(`of ${from}, ${isCompressed ? 'compressed' : 'plain'}, is restored into ${to}: same items, leases and revision`, async () => {
          await using store = await source.open()
          await fill(store)
          const whole = await collect(snapshot(store, { isCompressed }))
          await using other = await target.restored(pieces(whole, 100))
          expect(await contentOf(other)).toEqual(await contentOf(store))
          expect(await other.currentRevision()).toBe(await store.currentRevision())
          expect(await other.listLeases()).toEqual(await store.listLeases())
          const [id = 0n] = await store.listLeases()
          const [had, has] = [await store.leaseStatus(id), await other.leaseStatus(id)]
          expect(has.ttlSeconds).toBe(5000)
          expect(Math.abs(has.remainingSeconds - had.remainingSeconds)).toBeLessThan(2)
          expect(has.keys.map((key) => Buffer.from(key).toString('hex'))).toEqual(had.keys.map((key) => Buffer.from(key).toString('hex')))
        })

  it('tells what is in it, and how far it is', async () => {
    await using store = await openDatastore('memory:')
    await fill(store)
    const progress: CopyProgress[] = []
    const whole = await collect(snapshot(store, { nowMs: () => Date.UTC(2026, 0, 2), onProgress: (now) => progress.push(now) }))
    const { count, items, revision } = await store.list(everything)
    const size = items.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
    expect(await verifySnapshot(pieces(whole))).toEqual({
      revision,
      items: count,
      leases: 1,
      bytes: size,
      driver: 'memory',
      createdAt: new Date(Date.UTC(2026, 0, 2)),
    })
    expect(progress.at(-1)).toEqual({ revision, items: count, totalItems: count, bytes: size, isFinishing: true })
  })

  it('of an empty datastore restores an empty one', async () => {
    await using store = await openDatastore('memory:')
    await store.create(bytes('a'), bytes('1'))
    await store.delete(bytes('a'))
    await using other = (await drivers['sqlite']?.restored(snapshot(store))) ?? store
    expect(await other.list(everything)).toMatchObject({ revision: 3, count: 0 })
    expect((await other.create(bytes('a'), bytes('1'))).revision).toBe(4)
  })

  for (const [driver, { open }] of Object.entries(drivers))
    it(`taken beside writers is the state of its revision (${driver})`, async () => {
      await using store = await open()
      const value = new Uint8Array(3000)
      await Promise.all(Array.from({ length: 2500 }, (_, index) => store.create(bytes(`key ${index}`), value)))
      const done = new AbortController()
      const writers = Array.from({ length: 8 }, async (_, client) => {
        for (let round = 0; !done.signal.aborted; round++) {
          await store.update(bytes(`key ${(client * 311 + round * 7) % 2500}`), bytes(`${client} ${round}`))
          if (round % 5 === 0) await store.delete(bytes(`key ${(client * 17 + round * 13) % 2500}`))
        }
      })
      const whole = await collect(snapshot(store))
      done.abort()
      await Promise.all(writers)
      const { revision } = await verifySnapshot(pieces(whole))
      expect(await store.currentRevision()).toBeGreaterThan(revision)
      await using other = await openRestored('memory:', pieces(whole))
      expect(await other.currentRevision()).toBe(revision)
      expect(await contentOf(other)).toEqual(await contentOf(store, revision))
    })

  it('that a compaction overtakes ends with Compacted and a remedy', async () => {
    await using store = await openDatastore('memory:')
    await Promise.all(Array.from({ length: 1200 }, (_, index) => store.create(bytes(`${index}`), new Uint8Array(10))))
    const chunks = snapshot(store)
    await chunks.next()
    await store.update(bytes('1'), bytes('x'))
    await store.compact(await store.currentRevision())
    await expect(collect(chunks)).rejects.toMatchObject({ code: 'Compacted', hint: expect.any(String) })
  })

  it('has a lease that ended while it was taken as one that has ended, so that its keys end too', async () => {
    await using store = await openDatastore('memory:')
    const { id } = await store.grantLease({ ttlSeconds: 1000 })
    await store.create(bytes('a'), bytes('1'), { leaseId: id })
    await store.create(bytes('b'), bytes('1'))
    const chunks = snapshot(store)
    const first = await chunks.next()
    await store.revokeLease(id)
    const rest = await collect(chunks)
    if (first.done === true) throw new Error('A snapshot has chunks')
    await using other = await openRestored('memory:', pieces(Buffer.concat([first.value, rest])))
    await expect.poll(async () => (await other.list(everything)).items.map(({ key }) => Buffer.from(key).toString())).toEqual(['b'])
  })

  it('stops when its signal aborts', async () => {
    await using store = await openDatastore('memory:')
    await Promise.all(Array.from({ length: 1200 }, (_, index) => store.create(bytes(`${index}`), new Uint8Array(10))))
    const stop = new AbortController()
    const chunks = snapshot(store, { signal: stop.signal })
    await chunks.next()
    stop.abort(new Error('enough'))
    await expect(collect(chunks)).rejects.toThrow('enough')
  })
})

describe('a damaged snapshot', () => {
  let nowMs = Date.UTC(2026, 0, 1)
  const sample = async (isCompressed: boolean): Promise<Buffer> => {
    await using store = await openDatastore('memory:')
    await fill(store, 6)
    return await collect(snapshot(store, { isCompressed, nowMs: () => ++nowMs }))
  }

  it('is refused with Damaged, whatever is flipped, cut off, appended, doubled, dropped or moved', async () => {
    const samples = [await sample(true), await sample(false)]
    const at = fc.nat({ max: 1_000_000 })
    const damage = fc.oneof(
      fc.record({ type: fc.constant('flip' as const), at, bit: fc.nat(7) }),
      fc.record({ type: fc.constant('cut' as const), at }),
      fc.record({ type: fc.constant('append' as const), tail: fc.uint8Array({ minLength: 1, maxLength: 100 }) }),
      fc.record({
        type: fc.constantFrom('drop' as const, 'double' as const, 'move' as const),
        at,
        length: fc.integer({ min: 1, max: 400 }),
      }),
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...samples), damage, async (whole, damage) => {
        const at = 'at' in damage ? damage.at % whole.length : 0
        const damaged = ((): Buffer => {
          switch (damage.type) {
            case 'flip': {
              const copy = Buffer.from(whole)
              copy[at] = (copy[at] ?? 0) ^ (1 << damage.bit)
              return copy
            }
            case 'cut':
              return whole.subarray(0, at)
            case 'append':
              return Buffer.concat([whole, damage.tail])
            case 'drop':
              return Buffer.concat([whole.subarray(0, at), whole.subarray(at + damage.length)])
            case 'double':
              return Buffer.concat([whole.subarray(0, at + damage.length), whole.subarray(at)])
            case 'move':
              return Buffer.concat([whole.subarray(at, at + damage.length), whole.subarray(0, at), whole.subarray(at + damage.length)])
          }
        })()
        if (damaged.equals(whole)) return
        await expect(verifySnapshot(pieces(damaged, 64))).rejects.toMatchObject({ code: 'Damaged', hint: expect.any(String) })
        await expect(openRestored('memory:', pieces(damaged, 64))).rejects.toMatchObject({ code: 'Damaged' })
      }),
      { numRuns: 1500 },
    )
  })

  it('with chunks of two snapshots is refused: a chunk belongs to those before it', async () => {
    const [one, other] = [await sample(false), await sample(false)]
    const metaEnd = 16 + 16 + one.readUInt32LE(16 + 4) + 32
    expect(one.subarray(0, metaEnd)).not.toEqual(other.subarray(0, metaEnd))
    const mixed = Buffer.concat([one.subarray(0, metaEnd), other.subarray(metaEnd)])
    await expect(verifySnapshot(pieces(mixed))).rejects.toMatchObject({
      code: 'Damaged',
      message: expect.stringContaining(`byte ${metaEnd}`),
    })
  })

  it('that is restored without looking before leaves a file that is refused, until a whole one is restored into it', async () => {
    const whole = await sample(true)
    const path = newPath()
    await expect(restore(`sqlite://${path}`, pieces(whole.subarray(0, -1)))).rejects.toMatchObject({ code: 'Damaged' })
    await expect(openDatastore(`sqlite://${path}`)).rejects.toMatchObject({ code: 'Incomplete', hint: expect.stringContaining('again') })
    await expect(readStatus(`sqlite://${path}`)).rejects.toMatchObject({ code: 'Incomplete' })
    const { revision, items } = await restore(`sqlite://${path}`, pieces(whole))
    expect(await readStatus(`sqlite://${path}`)).toMatchObject({ revision, keys: items, driver: 'sqlite' })
    await using store = await openDatastore(`sqlite://${path}`)
    expect((await store.list(everything)).count).toBe(items)
  })

  it('that is no snapshot at all is refused before anything is made', async () => {
    const path = newPath()
    await expect(restore(`sqlite://${path}`, pieces(bytes('SQLite format 3')))).rejects.toMatchObject({ code: 'Damaged' })
    await expect(restore(`sqlite://${path}`, pieces(new Uint8Array(0)))).rejects.toMatchObject({ code: 'Damaged' })
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
  })
})

describe('restore and migrate', () => {
  it('refuse a target that holds something, or has held it, and leave it as it is', async () => {
    const [used, once, leased] = [newDsn(), newDsn(), newDsn()]
    await using source = await openDatastore('memory:')
    await fill(source, 3)
    for (const [dsn, use] of [
      [used, (store: Datastore) => store.create(bytes('a'), bytes('1'))],
      [once, async (store: Datastore) => (await store.create(bytes('a'), bytes('1'))) && store.delete(bytes('a'))],
      [leased, (store: Datastore) => store.grantLease({ ttlSeconds: 100 })],
    ] as const) {
      await using store = await openDatastore(dsn)
      await use(store)
      const before = await contentOf(store)
      await store[Symbol.asyncDispose]()
      await expect(restore(dsn, snapshot(source))).rejects.toMatchObject({ code: 'NotEmpty', hint: expect.any(String) })
      await using again = await openDatastore(dsn)
      expect(await contentOf(again)).toEqual(before)
    }
  })

  it('migrate copies a file that a server is writing to, as of one revision, and only reads it', async () => {
    const [from, to] = [newDsn(), newDsn()]
    await using source = await openDatastore(from)
    await fill(source, 300)
    const expected = await contentOf(source)
    const progress: CopyProgress[] = []
    const summary = await migrate(from, to, { onProgress: (now) => progress.push(now) })
    expect(summary).toMatchObject({ revision: await source.currentRevision(), items: expected.length, leases: 1 })
    expect(progress.at(-1)).toMatchObject({ items: expected.length, totalItems: expected.length, isFinishing: true })
    expect(await compare({ dsn: from }, { dsn: to })).toMatchObject({ problems: [], items: expected.length })
    expect(await contentOf(source)).toEqual(expected)
    await using target = await openDatastore(to)
    expect(await contentOf(target)).toEqual(expected)
    await expect(migrate(from, from)).rejects.toMatchObject({ code: 'Locked' })
  })

  it('migrate refuses a source that does not exist, and makes no target', async () => {
    const path = newPath()
    await expect(migrate(newDsn(), `sqlite://${path}`)).rejects.toMatchObject({
      code: 'InvalidDsn',
      message: expect.stringContaining('does not exist'),
    })
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
  })
})

describe('a file whose server was killed', () => {
  it('is read, saved and verified as it is, and no server is kept from it', async () => {
    const path = newPath()
    const dsn = `sqlite://${path}`
    const writer = startWriter(dsn, 1, `${path}.answers`)
    await writer.answered(500)
    const answers = await writer.kill()
    expect(statSync(`${path}-wal`).size).toBeGreaterThan(0)
    const { revision } = await readStatus(dsn)
    expect(revision).toBeGreaterThanOrEqual(Number.parseInt(answers.at(-1) ?? '', 10))
    expect(await verify({ dsn })).toMatchObject({ revision, problems: [] })
    await using copy = await openRestored('memory:', snapshot(dsn))
    await using store = await openDatastore(dsn)
    expect(await contentOf(copy)).toEqual(await contentOf(store))
    expect(await store.currentRevision()).toBe(revision)
  })
})

describe('verify', () => {
  it('finds nothing wrong with a datastore in use, its copy, or its snapshot', async () => {
    const [dsn, copy] = [newDsn(), newDsn()]
    await using store = await openDatastore(dsn)
    await fill(store, 400)
    await store.compact(100)
    const revision = await store.currentRevision()
    expect(await verify({ dsn })).toMatchObject({ revision, revisions: revision - 100, problems: [] })
    const whole = await collect(snapshot(store))
    expect(await verify({ snapshot: pieces(whole) })).toMatchObject({ revision, leases: 1, problems: [] })
    await restore(copy, pieces(whole))
    expect(await verify({ dsn: copy })).toMatchObject({ revision, revisions: 0, problems: [] })
    expect(await compare({ dsn }, { snapshot: pieces(whole) })).toMatchObject({ problems: [] })
    expect(await compare({ snapshot: pieces(whole) }, { dsn: copy })).toMatchObject({ problems: [] })
  })

  it('compares at the revision that both have', async () => {
    const dsn = newDsn()
    await using store = await openDatastore(dsn)
    await fill(store, 10)
    const whole = await collect(snapshot(store))
    const { revision } = await store.create(bytes('later'), bytes('1'))
    expect(await compare({ dsn }, { snapshot: pieces(whole) })).toMatchObject({ revision: revision - 1, problems: [] })
    await store.compact(revision)
    await expect(compare({ dsn }, { snapshot: pieces(whole) })).rejects.toMatchObject({ code: 'Compacted' })
  })

  it('tells each difference', async () => {
    const [one, other] = [newDsn(), newDsn()]
    for (const [dsn, values] of [
      [one, { a: '1', b: '1', c: '1' }],
      [other, { a: '1', b: '2', d: '1' }],
    ] as const) {
      await using store = await openDatastore(dsn)
      for (const [key, value] of Object.entries(values)) await store.create(bytes(key), bytes(value))
    }
    const { problems } = await compare({ dsn: one }, { dsn: other })
    expect(problems).toEqual(['Key "b" has another value in the second', 'Only the first has key "c"', 'Only the second has key "d"'])
  })

  it('finds what was changed in a file behind its back', async () => {
    for (const [sql, sentence] of [
      ["delete from log where key = x'61'", 'A key that lives has no row in the log, or one that differs: "a"'],
      ['update live set version = 9 where created = 2', 'has version 9'],
      ["delete from live where key = x'62'", 'Key "b" should exist'],
      ['delete from log where revision = 3', 'between revisions 2 and 4'],
      ["update live set lease = '5' where key = x'62'", 'lease'],
    ] as const) {
      const path = newPath()
      {
        await using store = await openDatastore(`sqlite://${path}`)
        for (const key of ['a', 'c', 'b', 'a']) await store.update(bytes(key), bytes('1'))
      }
      const database = new Database(path)
      database.exec(sql)
      database.close()
      const { problems } = await verify({ dsn: `sqlite://${path}` })
      expect(problems.join('\n'), sql).toContain(sentence)
    }
  })
})

describe('compactDatastore', () => {
  it('frees the space of history before it resolves, and is refused while a server has the file', async () => {
    const path = newPath()
    const dsn = `sqlite://${path}`
    const store = await openDatastore(dsn)
    for (let round = 0; round < 20; round++)
      await Promise.all(Array.from({ length: 50 }, (_, index) => store.update(bytes(`${index}`), new Uint8Array(20_000))))
    await expect(compactDatastore(dsn)).rejects.toMatchObject({ code: 'Locked' })
    const revision = await store.currentRevision()
    await store[Symbol.asyncDispose]()
    const before = statSync(path).size
    expect(await compactDatastore(dsn)).toMatchObject({ revision, compactRevision: revision })
    expect(statSync(path).size).toBeLessThan(before / 2)
    await expect(compactDatastore(dsn, { revision: revision + 1 })).rejects.toMatchObject({ code: 'FutureRevision' })
  })
})
