import { Client, credentials, status } from '@grpc/grpc-js'
import type { ClientDuplexStream } from '@grpc/grpc-js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Datastore } from '../contract.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { etcdMethod } from '../etcd/services.ts'
import type { MethodName, RequestOf, ResponseOf } from '../etcd/services.ts'
import { openDatastore } from '../open.ts'
import { serveEtcd } from './index.ts'
import type { EtcdServer, ServeEtcdOptions } from './index.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined): string => new TextDecoder().decode(value)
async function eventually(check: () => void): Promise<void> {
  await vi.waitFor(check, { timeout: 20_000, interval: 5 })
}

interface Served {
  readonly datastore: Datastore
  readonly server: EtcdServer
  readonly call: <Name extends MethodName>(name: Name, request: MessageInput<RequestOf<Name>>) => Promise<Message<ResponseOf<Name>>>
  readonly watch: () => ClientDuplexStream<MessageInput<'WatchRequest'>, Message<'WatchResponse'>>
}

const open: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
})

async function serve(options: Partial<ServeEtcdOptions> = {}): Promise<Served> {
  const datastore = await openDatastore('memory:')
  const server = await serveEtcd({ datastore, listen: { host: '127.0.0.1', port: 0 }, ...options })
  const client = new Client(server.url.replace('http://', ''), credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
  })
  open.push(
    async () => datastore[Symbol.asyncDispose](),
    async () => server[Symbol.asyncDispose](),
    async () => client.close(),
  )
  return {
    datastore,
    server,
    call: (name, request) => {
      const { path, requestSerialize, responseDeserialize } = etcdMethod(name)
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
          error === null && answer !== undefined ? resolve(answer) : reject(error ?? new Error('No answer')),
        )
      })
    },
    watch: () => {
      const { path, requestSerialize, responseDeserialize } = etcdMethod('watch')
      return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    },
  }
}

/** What a stream has answered so far, and the status that it ended with. */
function collect(stream: ClientDuplexStream<MessageInput<'WatchRequest'>, Message<'WatchResponse'>>): {
  readonly answers: readonly Message<'WatchResponse'>[]
  readonly end: () => number | undefined
} {
  const answers: Message<'WatchResponse'>[] = []
  let end: number | undefined
  stream.on('data', (answer: Message<'WatchResponse'>) => answers.push(answer)).on('error', () => {})
  stream.on('status', ({ code }: { readonly code: number }) => (end = code))
  return { answers, end: () => end }
}

const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) }
const showEvents = ({ events }: Message<'WatchResponse'>): readonly string[] =>
  events.map(({ type, kv, prevKv }) => `${type === 0 ? 'put' : 'delete'} ${text(kv?.key)} at ${kv?.modRevision} was ${text(prevKv?.value)}`)

it('is one function', async () => {
  expect(Object.keys(await import('./index.ts'))).toEqual(['serveEtcd'])
})

describe('a watch stream', () => {
  it('gives ids, takes given ones, and refuses what is there already or can never match, in words of etcd', async () => {
    const { watch, datastore } = await serve()
    await datastore.create(bytes('a'), bytes('1'))
    const stream = watch()
    const { answers } = collect(stream)
    for (const createRequest of [
      everything,
      { ...everything, watchId: 7 },
      { ...everything, watchId: 7 },
      { key: bytes('b'), rangeEnd: bytes('a') },
      everything,
    ])
      stream.write({ createRequest })
    await eventually(() => expect(answers).toHaveLength(5))
    expect(
      answers.map(({ watchId, created, canceled, cancelReason, header }) => [watchId, created, canceled, cancelReason, header?.revision]),
    ).toEqual([
      [0, true, false, '', 2],
      [7, true, false, '', 2],
      [-1, true, true, 'mvcc: duplicate watch ID provided on the WatchStream', 2],
      [-1, true, true, 'mvcc: watcher range is empty', 2],
      [1, true, false, '', 2],
    ])
    stream.write({ cancelRequest: { watchId: 99 } })
    stream.write({ cancelRequest: { watchId: 7 } })
    await eventually(() => expect(answers).toHaveLength(6))
    expect(answers[5]).toMatchObject({ watchId: 7, canceled: true, created: false })
    await datastore.create(bytes('b'), bytes('1'))
    await eventually(() => expect(answers).toHaveLength(8))
    expect(
      answers
        .slice(6)
        .map(({ watchId }) => watchId)
        .toSorted(),
    ).toEqual([0, 1])
    stream.cancel()
  })

  it('sends history from a revision on, with what was before, and leaves out what is filtered', async () => {
    const { watch, datastore } = await serve()
    await datastore.create(bytes('a'), bytes('1'))
    await datastore.update(bytes('a'), bytes('2'))
    await datastore.delete(bytes('a'))
    const stream = watch()
    const { answers } = collect(stream)
    stream.write({ createRequest: { ...everything, startRevision: 2, prevKv: true } })
    stream.write({ createRequest: { ...everything, startRevision: 2, filters: [0] } })
    stream.write({ createRequest: { ...everything, startRevision: 2, filters: [1] } })
    await eventually(() => expect(answers.filter(({ created }) => !created)).toHaveLength(3))
    const of = (id: number): readonly string[] => answers.filter(({ watchId, created }) => watchId === id && !created).flatMap(showEvents)
    expect(of(0)).toEqual(['put a at 2 was ', 'put a at 3 was 1', 'delete a at 4 was 2'])
    expect(of(1)).toEqual(['delete a at 4 was '])
    expect(of(2)).toEqual(['put a at 2 was ', 'put a at 3 was '])
    stream.cancel()
  })

  it('cuts what is large into fragments for a watch that takes them, and only for that', async () => {
    const { watch, datastore } = await serve({ limits: { maxRequestBytes: 10_000 } })
    const put = (index: number) => ({ type: 'put', key: bytes(`k${index}`), value: new Uint8Array(3000) }) as const
    await datastore.txn({ compare: [], success: Array.from({ length: 7 }, (_, index) => put(index)), failure: [] })
    const stream = watch()
    const { answers } = collect(stream)
    stream.write({ createRequest: { ...everything, startRevision: 2, fragment: true } })
    stream.write({ createRequest: { ...everything, startRevision: 2 } })
    await eventually(() => expect(answers.flatMap(({ events }) => events)).toHaveLength(14))
    const sizes = (id: number): unknown =>
      answers.filter(({ watchId, created }) => watchId === id && !created).map(({ events, fragment }) => [events.length, fragment])
    expect(sizes(0)).toEqual([
      [3, true],
      [3, true],
      [1, false],
    ])
    expect(sizes(1)).toEqual([[7, false]])
    stream.cancel()
  })

  it('cancels a watch whose history is compacted, and tells the revision up to which', async () => {
    const { watch, datastore } = await serve()
    for (let index = 0; index < 5; index++) await datastore.update(bytes('a'), bytes(String(index)))
    await datastore.compact(5)
    const stream = watch()
    const { answers } = collect(stream)
    stream.write({ createRequest: { ...everything, startRevision: 3 } })
    await eventually(() => expect(answers).toHaveLength(2))
    expect(answers).toMatchObject([
      { created: true, canceled: false },
      { created: false, canceled: true, compactRevision: 5 },
    ])
    stream.cancel()
  })

  it('tells progress when asked, after the events up to then of every watch, and not while one begins in the future', async () => {
    const { watch, datastore } = await serve()
    const stream = watch()
    const { answers } = collect(stream)
    stream.write({ createRequest: { key: bytes('a') } })
    stream.write({ createRequest: { key: bytes('b') } })
    await eventually(() => expect(answers).toHaveLength(2))
    await datastore.create(bytes('b'), bytes('1'))
    await datastore.create(bytes('other'), bytes('1'))
    stream.write({ progressRequest: {} })
    await eventually(() => expect(answers).toHaveLength(4))
    expect(answers.slice(2)).toMatchObject([
      { watchId: 1, events: [{ kv: { modRevision: 2 } }] },
      { watchId: -1, events: [], header: { revision: 3 } },
    ])
    stream.write({ createRequest: { key: bytes('c'), startRevision: 100 } })
    stream.write({ progressRequest: {} })
    stream.write({ cancelRequest: { watchId: 2 } })
    stream.write({ progressRequest: {} })
    await eventually(() => expect(answers).toHaveLength(7))
    expect(answers.slice(4)).toMatchObject([
      { watchId: 2, created: true },
      { watchId: 2, canceled: true },
      { watchId: -1, header: { revision: 3 } },
    ])
    stream.cancel()
  })

  it('tells an idle watch the revision by itself when it wants that', async () => {
    const { watch, datastore } = await serve({ progressIntervalMs: 20 })
    const stream = watch()
    const { answers } = collect(stream)
    stream.write({ createRequest: { key: bytes('a'), progressNotify: true } })
    await datastore.create(bytes('other'), bytes('1'))
    await eventually(() => expect(answers.at(-1)).toMatchObject({ watchId: 0, created: false, events: [], header: { revision: 2 } }))
    stream.cancel()
  })

  it('waits for a client that does not read, and loses nothing', async () => {
    const { watch, datastore } = await serve()
    const stream = watch()
    stream.pause()
    stream.write({ createRequest: everything })
    for (let index = 0; index < 300; index++) await datastore.update(bytes('a'), new Uint8Array(100_000))
    const { answers } = collect(stream)
    stream.resume()
    await eventually(() => expect(answers.flatMap(({ events }) => events).at(-1)?.kv?.modRevision).toBe(301))
    const revisions = answers.flatMap(({ events }) => events.map(({ kv }) => kv?.modRevision))
    expect(revisions).toEqual(revisions.map((_, index) => 301 - revisions.length + 1 + index))
    stream.cancel()
  })

  it('ends as unavailable when the server stops, so that its client goes on elsewhere', async () => {
    const { watch, server } = await serve()
    const stream = watch()
    const { answers, end } = collect(stream)
    stream.write({ createRequest: everything })
    await eventually(() => expect(answers).toHaveLength(1))
    await server[Symbol.asyncDispose]()
    await eventually(() => expect(end()).toBe(status.UNAVAILABLE))
  })
})

describe('a call', () => {
  it('fails with the code and the words of etcd', async () => {
    const { call } = await serve()
    const key = bytes('a')
    const refused = async (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => 'answered',
        (error: unknown) => (error instanceof Error && 'code' in error && 'details' in error ? [error.code, error.details] : error),
      )
    expect(await refused(call('range', { key: bytes('') }))).toEqual([status.INVALID_ARGUMENT, 'etcdserver: key is not provided'])
    expect(await refused(call('range', { key, sortOrder: 9 }))).toEqual([status.INVALID_ARGUMENT, 'etcdserver: invalid sort option'])
    expect(await refused(call('range', { key, revision: 9 }))).toEqual([
      status.OUT_OF_RANGE,
      'etcdserver: mvcc: required revision is a future revision',
    ])
    expect(await refused(call('put', { key, value: key, ignoreValue: true }))).toEqual([
      status.INVALID_ARGUMENT,
      'etcdserver: value is provided',
    ])
    expect(await refused(call('put', { key, lease: 5n }))).toEqual([status.NOT_FOUND, 'etcdserver: requested lease not found'])
    expect(await refused(call('put', { key, value: new Uint8Array(1.6 * 2 ** 20) }))).toEqual([
      status.INVALID_ARGUMENT,
      'etcdserver: request is too large',
    ])
    expect(await refused(call('put', { key, value: new Uint8Array(3 * 2 ** 20) }))).toMatchObject([
      status.RESOURCE_EXHAUSTED,
      expect.stringMatching(/larger than max/),
    ])
    expect(await refused(call('txn', { success: Array.from({ length: 129 }, () => ({ requestRange: { key } })) }))).toEqual([
      status.INVALID_ARGUMENT,
      'etcdserver: too many operations in txn request',
    ])
    expect(await refused(call('txn', { success: [{}] }))).toEqual([status.INVALID_ARGUMENT, 'etcdserver: key not found'])
    expect(await refused(call('moveLeader', { targetId: 3n }))).toEqual([status.FAILED_PRECONDITION, 'etcdserver: bad leader transferee'])
    expect(await refused(call('memberRemove', { id: 3n }))).toMatchObject([
      status.FAILED_PRECONDITION,
      expect.stringMatching(/need no list/),
    ])
    expect(await refused(call('authEnable', {}))).toEqual([status.FAILED_PRECONDITION, 'etcdserver: authentication is not enabled'])
    await call('leaseGrant', { id: 5n, ttl: 60 })
    expect(await refused(call('leaseGrant', { id: 5n, ttl: 60 }))).toEqual([status.FAILED_PRECONDITION, 'etcdserver: lease already exists'])
  })

  it('of Kubernetes creates, updates and deletes a key on condition of its revision, else tells what is there', async () => {
    const { call } = await serve()
    const key = bytes('k')
    const compare = (modRevision: number): MessageInput<'Compare'> => ({ key, target: 2, modRevision })
    const failure = [{ requestRange: { key } }]
    const put = (value: string): MessageInput<'RequestOp'> => ({ requestPut: { key, value: bytes(value) } })
    expect(await call('txn', { compare: [compare(0)], success: [put('1')] })).toMatchObject({ succeeded: true, header: { revision: 2 } })
    expect(await call('txn', { compare: [compare(0)], success: [put('2')] })).toMatchObject({ succeeded: false, responses: [] })
    expect(await call('txn', { compare: [compare(7)], success: [put('2')], failure })).toMatchObject({
      succeeded: false,
      header: { revision: 2 },
      responses: [{ responseRange: { count: 1, kvs: [{ modRevision: 2, value: bytes('1') }] } }],
    })
    expect(await call('txn', { compare: [compare(2)], success: [put('2')], failure })).toMatchObject({
      succeeded: true,
      responses: [{ responsePut: { header: { revision: 3 } } }],
    })
    expect(await call('txn', { compare: [compare(3)], success: [{ requestDeleteRange: { key } }], failure })).toMatchObject({
      succeeded: true,
      header: { revision: 4 },
      responses: [{ responseDeleteRange: { deleted: 1 } }],
    })
    expect(await call('txn', { compare: [compare(3)], success: [{ requestDeleteRange: { key } }], failure })).toMatchObject({
      succeeded: false,
      responses: [{ responseRange: { count: 0, kvs: [] } }],
    })
  })

  it('lists by bounds of revisions and in any order, and cuts after that', async () => {
    const { call, datastore } = await serve()
    for (const key of ['b', 'c', 'a']) await datastore.create(bytes(key), bytes(key.repeat(3)))
    await datastore.update(bytes('b'), bytes('z'))
    const keys = async (request: MessageInput<'RangeRequest'>): Promise<unknown> => {
      const { kvs, more, count } = await call('range', { ...everything, ...request })
      return [kvs.map(({ key }) => text(key)).join(''), more, count]
    }
    expect(await keys({})).toEqual(['abc', false, 3])
    expect(await keys({ limit: 2 })).toEqual(['ab', true, 3])
    expect(await keys({ sortOrder: 2, limit: 2 })).toEqual(['cb', true, 3])
    expect(await keys({ sortOrder: 1, sortTarget: 2 })).toEqual(['bca', false, 3])
    expect(await keys({ sortOrder: 0, sortTarget: 3 })).toEqual(['cab', false, 3])
    expect(await keys({ sortOrder: 2, sortTarget: 1, limit: 1 })).toEqual(['b', true, 3])
    expect(await keys({ sortOrder: 1, sortTarget: 4 })).toEqual(['acb', false, 3])
    expect(await keys({ minModRevision: 3, maxModRevision: 4 })).toEqual(['ac', false, 3])
    expect(await keys({ minCreateRevision: 3, limit: 1 })).toEqual(['a', true, 3])
    expect(await keys({ maxCreateRevision: 2 })).toEqual(['b', false, 3])
    expect(await keys({ countOnly: true })).toEqual(['', false, 3])
  })

  it('that waits is answered before the server has stopped', async () => {
    const { call, server, datastore } = await serve()
    const answer = call('put', { key: bytes('a'), value: bytes('1') })
    const answered = answer.then(
      () => 'answered',
      () => 'cut off',
    )
    await vi.waitFor(async () => expect((await datastore.get(bytes('a'))).item).toBeDefined(), { timeout: 20_000, interval: 1 })
    await server[Symbol.asyncDispose]()
    expect(await answered).toBe('answered')
  })
})
