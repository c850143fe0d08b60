import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { openDatastore } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startEtcd } from './servers/etcd.ts'
import { freePort } from './servers/free-port.ts'
import type { EtcdServer } from './servers/etcd.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const everything = { start: bytes('\0'), end: new Uint8Array(0) }

let etcd: EtcdServer
beforeAll(async () => {
  etcd = await startEtcd({ program: process.env['ETCD_PROGRAM'] })
})
afterAll(() => etcd[Symbol.asyncDispose]())

async function openEmpty(dsn: string): Promise<Datastore> {
  const store = await openDatastore(dsn)
  await store.txn({ compare: [], success: [{ type: 'delete', range: everything }], failure: [] })
  return store
}

/** The revisions of all events from a revision on, as they come. */
function watchRevisions(
  store: Datastore,
  fromRevision: number,
): { readonly revisions: readonly number[]; readonly failure: () => unknown } {
  const revisions: number[] = []
  let failure: unknown
  void (async () => {
    try {
      for await (const { events } of store.watch(everything, { fromRevision }))
        revisions.push(...events.map(({ item }) => item.modRevision))
    } catch (error) {
      failure = error
    }
  })()
  return { revisions, failure: () => failure }
}

/** A way to etcd that can be cut. */
interface Proxy extends AsyncDisposable {
  readonly address: string
  /** What comes from that side goes nowhere from now on. */
  readonly swallow: (side: 'client' | 'server') => void
  /** Ends all connections; new ones pass all again. */
  readonly cut: () => void
  readonly close: () => void
}

async function startProxy(port: number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let swallowed: 'client' | 'server' | undefined
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    for (const [from, to, side] of [
      [client, upstream, 'client'],
      [upstream, client, 'server'],
    ] as const) {
      sockets.add(from)
      from.on('data', (data) => void (swallowed === side || to.write(data)))
      from.on('error', () => {}) // followed by close
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    swallowed = undefined
    for (const socket of sockets) socket.destroy()
  }
  const close = (): void => {
    server.close()
    cut()
  }
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`, // it listens on TCP
    swallow: (side) => {
      swallowed = side
    },
    cut,
    close,
    async [Symbol.asyncDispose]() {
      close()
    },
  }
}

const portOf = ({ endpoint }: EtcdServer): number => Number(endpoint.split(':')[1])

describe('several endpoints', () => {
  it.each(['first', 'last'])('of which the %s is dead: everything works', async (place) => {
    const dead = `http://127.0.0.1:${await freePort()}`
    await using store = await openEmpty(place === 'first' ? `${dead},${etcd.dsn}` : `${etcd.dsn},${dead}`)
    const { revision } = await store.create(bytes('a'), bytes('1'))
    const watch = watchRevisions(store, revision)
    await store.update(bytes('a'), bytes('2'))
    await vi.waitFor(() => expect(watch.revisions).toEqual([revision, revision + 1]))
  })

  it('of which one goes away under load: no write is done twice, watches go on, and every failure says what it means', async () => {
    await using proxy = await startProxy(portOf(etcd))
    await using store = await openEmpty(`http://${proxy.address},${etcd.dsn}`)
    const start = await store.currentRevision()
    const watch = watchRevisions(store, start + 1)
    const answered = new Map<number, string>()
    const unsure = new Set<string>()
    await Promise.all(
      Array.from({ length: 8 }, async (_, client) => {
        for (let round = 0; round < 60; round++) {
          const name = `${client}.${round}`
          if (client === 0 && round === 20) proxy.close()
          try {
            answered.set((await store.create(bytes(name), bytes('1'))).revision, name)
          } catch (error) {
            expect(error).toMatchObject({ code: 'Unavailable', message: expect.stringContaining('may have happened') })
            unsure.add(name)
          }
        }
      }),
    )
    // At most what was under way when it went.
    expect(unsure.size).toBeLessThanOrEqual(8)
    const last = await store.currentRevision()
    await vi.waitFor(() => expect(watch.revisions.at(-1)).toBe(last), { timeout: 20_000 })
    expect(watch.revisions).toEqual(Array.from({ length: last - start }, (_, index) => start + 1 + index))
    const { items } = await store.list(everything)
    for (const { key, modRevision } of items) {
      const name = new TextDecoder().decode(key)
      expect([name, answered.get(modRevision) === name || unsure.has(name)]).toEqual([name, true])
    }
    for (const name of answered.values()) expect(items.some(({ key }) => new TextDecoder().decode(key) === name)).toBe(true)
  })
})

describe('a write whose answer is lost', () => {
  it('is sent again when it was to change a known version and was not done', async () => {
    await using proxy = await startProxy(portOf(etcd))
    await using store = await openEmpty(`http://${proxy.address}`)
    const { revision } = await store.create(bytes('a'), bytes('1'))
    proxy.swallow('client')
    const write = store.update(bytes('a'), bytes('2'), { expectedRevision: revision })
    await new Promise((resolve) => setTimeout(resolve, 100)) // it is sent
    proxy.cut()
    expect(await write).toMatchObject({ revision: revision + 1, previous: { value: bytes('1') } })
    expect((await store.get(bytes('a'))).item).toMatchObject({ version: 2, value: bytes('2') })
  })

  it('may have happened, and is not done again, when it was done', async () => {
    await using proxy = await startProxy(portOf(etcd))
    await using store = await openEmpty(`http://${proxy.address}`)
    const { revision } = await store.create(bytes('a'), bytes('1'))
    proxy.swallow('server')
    const writes = [
      store.update(bytes('a'), bytes('2'), { expectedRevision: revision }),
      store.update(bytes('b'), bytes('2')),
      store.create(bytes('c'), bytes('2')),
      store.delete(bytes('none')),
    ]
    const outcomes = Promise.allSettled(writes)
    await using other = await openDatastore(etcd.dsn)
    await vi.waitFor(async () => expect((await other.list(everything)).count).toBe(3))
    proxy.cut()
    for (const outcome of await outcomes)
      expect(outcome).toMatchObject({ reason: { code: 'Unavailable', message: expect.stringContaining('may have happened') } })
    expect((await other.list(everything)).items.map(({ version }) => version)).toEqual([2, 1, 1])
    expect(await store.currentRevision()).toBe(revision + 3)
  })
})

describe('an outage', () => {
  it('is told as Unavailable within seconds; requests and watches are back by themselves when etcd is', async () => {
    await using store = await openEmpty(etcd.dsn)
    const { revision } = await store.create(bytes('a'), bytes('1'))
    const watch = watchRevisions(store, revision)
    await vi.waitFor(() => expect(watch.revisions).toEqual([revision]))
    await etcd.stop()
    const begunMs = performance.now()
    for (const call of [store.get(bytes('a')), store.create(bytes('b'), bytes('1')), store.currentRevision(), store.listLeases()])
      await expect(call).rejects.toMatchObject({ code: 'Unavailable' })
    expect(performance.now() - begunMs).toBeLessThan(10_000)
    await etcd.start()
    await vi.waitFor(() => store.update(bytes('a'), bytes('2')), { timeout: 20_000 })
    await vi.waitFor(() => expect(watch.revisions).toEqual([revision, revision + 1]), { timeout: 20_000, interval: 5 })
    expect(watch.failure()).toBeUndefined()
  })

  it('of a frozen etcd is noticed, and over when it goes on', async () => {
    await using store = await openEmpty(etcd.dsn)
    const { revision } = await store.create(bytes('a'), bytes('1'))
    const watch = watchRevisions(store, revision)
    await vi.waitFor(() => expect(watch.revisions).toEqual([revision]))
    etcd.pause()
    try {
      await expect(store.get(bytes('a'))).rejects.toMatchObject({ code: 'Unavailable' })
    } finally {
      etcd.resume()
    }
    await vi.waitFor(() => store.update(bytes('a'), bytes('2')), { timeout: 20_000 })
    await vi.waitFor(() => expect(watch.revisions).toEqual([revision, revision + 1]), { timeout: 20_000, interval: 5 })
  })

  it('does not keep a watch from ending, nor the datastore from closing', async () => {
    const store = await openEmpty(etcd.dsn)
    const old = store.watch(everything, { fromRevision: (await store.currentRevision()) - 1 })[Symbol.asyncIterator]()
    await etcd.stop()
    try {
      const next = old.next()
      await old.return?.()
      expect(await next).toEqual({ done: true, value: undefined })
      const read = store.get(bytes('a'))
      read.catch(() => {}) // looked at below
      await store[Symbol.asyncDispose]()
      await expect(read).rejects.toMatchObject({ code: 'Closed' })
    } finally {
      await etcd.start()
    }
  })
})
