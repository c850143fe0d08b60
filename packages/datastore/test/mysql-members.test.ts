/** How members of one MySQL or MariaDB datastore hear of each other's writes. */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import type { Datastore, KeyRange } from '@k3s/datastore'
import { noLogger } from '@k3s/lifecycle'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { HintChannel } from '../src/drivers/mysql/hint-channel.ts'
import { startMariadb } from './servers/mariadb.ts'
import type { MariadbServer } from './servers/mariadb.ts'

let server: MariadbServer
beforeAll(async () => {
  server = await startMariadb({ autoIncrementIncrement: 2 })
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const everything: KeyRange = { start: Buffer.from('\0'), end: new Uint8Array(0) }
const eventually = async (check: () => void | Promise<void>): Promise<void> => vi.waitFor(check, { timeout: 30_000, interval: 5 })
let databases = 0
const newDatabase = (): string => `members${++databases}`
const addresses = (database: string): string[] => server.sql(`select address from ${database}.hint_member`).split('\n').filter(Boolean)

/** How long an event of `writer` takes to `reader`, some times; milliseconds. */
async function lags(writer: Datastore, reader: Datastore, count: number): Promise<number[]> {
  const watch = reader.watch(everything, { fromRevision: (await reader.currentRevision()) + 1 })[Symbol.asyncIterator]()
  const measured: number[] = []
  for (let round = 0; round < count; round++) {
    const { revision } = await writer.update(Buffer.from('k'), Buffer.from(`${round}`))
    const begin = performance.now()
    const { value } = await watch.next()
    measured.push(performance.now() - begin)
    expect(value).toMatchObject({ revision, events: [{ item: { modRevision: revision } }] })
  }
  await watch.return?.()
  return measured.toSorted((a, b) => a - b)
}

describe('members of one database', () => {
  it('hear of writes at once, long before they would ask', async () => {
    const dsn = server.dsn(newDatabase())
    await using a = await openDatastore(dsn)
    await using b = await openDatastore(dsn)
    // Connected when the first hint has come.
    await lags(a, b, 5)
    await lags(b, a, 5)
    expect((await lags(a, b, 50))[25]).toBeLessThan(400)
    expect((await lags(b, a, 50))[25]).toBeLessThan(400)
  })

  it('hear of them by asking where no hint comes through', async () => {
    const [dsn, hints] = [server.dsn(newDatabase()), { listen: '127.0.0.1:0', advertise: '127.0.0.1:1' }]
    await using a = await openDatastore(dsn, { server: { hints } })
    await using b = await openDatastore(dsn, { server: { hints } })
    await lags(a, b, 3)
    await lags(b, a, 3)
  })

  it('register where they take hints, and leave', async () => {
    const database = newDatabase()
    {
      await using _a = await openDatastore(server.dsn(database))
      await using _b = await openDatastore(server.dsn(database), {
        server: { hints: { listen: '127.0.0.1:0', advertise: 'b.example:7000' } },
      })
      await eventually(() => expect(addresses(database)).toHaveLength(2))
      expect(addresses(database)).toContain('b.example:7000')
    }
    expect(addresses(database)).toEqual([])
  })

  it('look again for one that connects before its row can be seen, as between nodes of Galera', async () => {
    const database = newDatabase()
    await using a = await openDatastore(server.dsn(database))
    await eventually(() => expect(addresses(database)).toHaveLength(1))
    const known = server.sql(`select hex(id), address from ${database}.hint_member`).split(/\s+/)
    const secret = Buffer.from(server.sql(`select hex(secret) from ${database}.hint_secret`).trim(), 'hex')
    const heard: number[] = []
    const id = randomBytes(16).toString('hex')
    await using channel = await HintChannel.open({
      id,
      listen: '127.0.0.1:0',
      onHint: (revision) => void heard.push(revision),
      onNewcomer: () => {},
      logger: noLogger,
    })
    channel.start(secret, [{ id: known[0]?.toLowerCase() ?? '', address: known[1] ?? '' }])
    await delay(1000)
    server.sql(`insert into ${database}.hint_member values (x'${id}', '${channel.address}', unix_timestamp())`)
    const { revision } = await a.create(Buffer.from('k'), Buffer.from('v'))
    // Much sooner than the next look that is due in any case, 20 s after the first.
    await vi.waitFor(() => expect(heard).toContain(revision), { timeout: 12_000, interval: 5 })
  })

  it('forget a member that was not seen for a minute', async () => {
    const database = newDatabase()
    await (await openDatastore(server.dsn(database)))[Symbol.asyncDispose]()
    server.sql(
      `insert into ${database}.hint_member values (x'${'ab'.repeat(16)}', '127.0.0.1:1', unix_timestamp() - 61), (x'${'cd'.repeat(16)}', '127.0.0.1:2', unix_timestamp() - 30)`,
    )
    await using _store = await openDatastore(server.dsn(database))
    await eventually(() => expect(addresses(database)).not.toContain('127.0.0.1:1'))
    expect(addresses(database)).toContain('127.0.0.1:2')
  })

  it('give nothing to strangers, and go on', async () => {
    const database = newDatabase()
    await using a = await openDatastore(server.dsn(database))
    await using b = await openDatastore(server.dsn(database))
    await lags(a, b, 5)
    for (const address of addresses(database)) {
      const socket = connect(Number(address.split(':')[1]), '127.0.0.1')
      let received = 0
      socket.on('data', (data: Buffer) => (received += data.length))
      socket.on('error', () => {}) // a close follows
      socket.write(randomBytes(200))
      await new Promise((resolve) => socket.once('close', resolve))
      // The greeting: a random challenge.
      expect(received).toBeLessThanOrEqual(36)
    }
    expect((await lags(a, b, 20))[10]).toBeLessThan(400)
  })

  it('cannot listen where that is not possible: InvalidArgument', async () => {
    for (const listen of ['nowhere', '203.0.113.1:7000'])
      await expect(
        openDatastore(server.dsn(newDatabase()), { server: { hints: { listen, advertise: '127.0.0.1:7000' } } }),
      ).rejects.toMatchObject({
        code: 'InvalidArgument',
      })
  })

  it('have events in order, exactly once, though numbers that the database gives have gaps', async () => {
    expect(server.sql('select @@auto_increment_increment').trim()).toBe('2')
    const dsn = server.dsn(newDatabase())
    const stores = await Promise.all([openDatastore(dsn), openDatastore(dsn)])
    const stop = new AbortController()
    const seen = stores.map((): number[] => [])
    const watches = stores.map(async (store, index) => {
      for await (const { events } of store.watch(everything, { fromRevision: 2, signal: stop.signal }))
        seen[index]?.push(...events.map(({ item }) => item.modRevision))
    })
    const writes = await Promise.all(
      stores.flatMap((store, member) =>
        Array.from({ length: 16 }, async (_, client) => {
          const revisions: number[] = []
          for (let round = 0; round < 25; round++)
            revisions.push((await store.create(Buffer.from(`${member}.${client}.${round}`), Buffer.alloc(100))).revision)
          return revisions
        }),
      ),
    )
    const expected = Array.from({ length: 2 * 16 * 25 }, (_, index) => index + 2)
    expect(writes.flat().toSorted((a, b) => a - b)).toEqual(expected)
    await eventually(() => expect(seen.map(({ length }) => length)).toEqual([expected.length, expected.length]))
    expect(seen).toEqual([expected, expected])
    stop.abort()
    await Promise.all(watches)
    for (const store of stores) await store[Symbol.asyncDispose]()
  })

  it('ask less than once a second when nothing happens', async () => {
    await using idle = await startMariadb()
    const dsn = idle.dsn('idle')
    await using a = await openDatastore(dsn)
    await using b = await openDatastore(dsn)
    await lags(a, b, 5)
    await lags(b, a, 5)
    const questions = (): number => Number(idle.sql("show global status like 'Questions'").split('\t')[1])
    const [before, begin] = [questions(), performance.now()]
    // It takes time to see that nothing happens: the slowest thing that they do comes every 20 s.
    await new Promise((resolve) => setTimeout(resolve, 21_000))
    const [asked, seconds] = [questions() - before, (performance.now() - begin) / 1000]
    expect(asked).toBeGreaterThan(10)
    expect(asked / seconds / 2).toBeLessThan(1)
  })
})
