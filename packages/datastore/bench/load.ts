/** The load that etcd-load/main.go puts on a server, put on a datastore in this process. */
import { prefixRange } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'

/** In this order: the last takes long where lists are slow. */
export const workloads = ['create', 'update', 'get', 'list', 'watch', 'mixed', 'list-all'] as const
export type Workload = (typeof workloads)[number]

/** Times in milliseconds; what is counted is told in etcd-load/main.go. */
export interface LoadResult {
  readonly workload: Workload
  readonly clients: number
  readonly ops: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly errors: number
  readonly lost: number
  readonly stale: number
  readonly missed: number
  readonly error?: string | undefined
}

export interface LoadOptions {
  /** One after the other, on the same keys. */
  readonly workloads: readonly Workload[]
  /** Numbers of clients, one after the other on the same keys. */
  readonly clients: readonly number[]
  readonly seconds: number
  readonly keys: number
  readonly valueBytes: number
  readonly prefix: string
  /** When the load is given up, milliseconds since the epoch; what was measured by then stays. */
  readonly deadlineMs: number
}

/** What a client knows of a key that it owns. */
interface StoredObject {
  readonly key: Buffer
  revision: number
  sequence: number
  /** A write of it failed. */
  isUncertain: boolean
  isDeleted: boolean
}

const watchers = 10
/** Full lists at once: each is of 10 MB, and a server holds all of them. */
const maxFullLists = 64

export async function runLoad(store: Datastore, options: LoadOptions, onResult: (result: LoadResult) => void): Promise<void> {
  let objects: readonly StoredObject[] = []
  let round = 0
  for (const workload of options.workloads) {
    if (workload !== 'create' && objects.length === 0) objects = await fill({ store, options, workload, errors: 0, firstError: undefined })
    for (const count of options.clients.filter((clients) => workload !== 'list-all' || clients <= maxFullLists)) {
      if (Date.now() >= options.deadlineMs) throw new Error('Its share of the time is over')
      round++
      const shared: Shared = { store, options, workload, errors: 0, firstError: undefined }
      const clients = Array.from({ length: count }, (_, number) => new Client(shared, round * 1_000_000 + number))
      if (workload !== 'create') for (const [n, object] of objects.entries()) clients[n % count]?.objects.push(object)
      onResult(await runClients(shared, clients))
      const remaining = clients.flatMap((client) => client.objects)
      if (workload !== 'create')
        objects = remaining.filter(({ isDeleted, isUncertain, revision }) => !isDeleted && !isUncertain && revision > 0)
    }
  }
}

async function runClients(shared: Shared, clients: readonly Client[]): Promise<LoadResult> {
  const { workload, options } = shared
  const { seconds } = options
  const watching = workload === 'watch' || workload === 'mixed' ? await watch(shared) : undefined
  const begin = performance.now()
  const deadline = begin + seconds * 1000
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < deadline) await client.step()
    }),
  )
  const elapsed = (performance.now() - begin) / 1000
  const watched = await watching?.(clients.flatMap(({ answered }) => answered))
  const latencies = (workload === 'watch' ? (watched?.lags ?? []) : clients.flatMap((client) => client.latencies)).toSorted((a, b) => a - b)
  const at = (part: number): number => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0
  const lost = await verify(shared, clients)
  return {
    workload,
    clients: clients.length,
    ops: clients.reduce((sum, client) => sum + client.latencies.length, 0),
    seconds: elapsed,
    p50: at(0.5),
    p99: at(0.99),
    max: at(1),
    errors: shared.errors,
    lost,
    stale: lost,
    missed: watched?.missed ?? 0,
    error: shared.firstError,
  }
}

interface Shared {
  readonly store: Datastore
  readonly options: LoadOptions
  readonly workload: Workload
  errors: number
  firstError: string | undefined
}

class Client {
  readonly latencies: number[] = []
  /** Revisions of the writes that were answered. */
  readonly answered: number[] = []
  readonly objects: StoredObject[] = []
  readonly #shared: Shared
  readonly #number: number
  #sequence = 0
  #lease: bigint | undefined

  constructor(shared: Shared, number: number) {
    this.#shared = shared
    this.#number = number
  }

  add(resource: string, n: number): StoredObject {
    const { prefix } = this.#shared.options
    // Spread over the key space, as names are.
    const hash = Math.imul(this.#number * 7919 + n, 2_654_435_761) >>> 0
    const name = `${prefix}${resource}/default/${hash.toString(16).padStart(8, '0')}-${this.#number}-${n}`
    const object: StoredObject = { key: Buffer.from(name), revision: 0, sequence: 0, isUncertain: false, isDeleted: false }
    this.objects.push(object)
    return object
  }

  async step(): Promise<void> {
    const begin = performance.now()
    await this.#act().catch((error: unknown) => fail(this.#shared, error))
    this.latencies.push(performance.now() - begin)
  }

  async create(object: StoredObject, leaseId = 0n): Promise<void> {
    await this.#write(object, () => this.#shared.store.create(object.key, this.#value(), { leaseId }))
  }

  async #act(): Promise<void> {
    const { prefix } = this.#shared.options
    switch (this.#shared.workload) {
      case 'create':
        // Apart from those that are listed.
        return this.create(this.add('created', this.objects.length))
      case 'update':
      case 'watch':
        return this.#update(await this.#any())
      case 'get':
        return this.#get(await this.#any())
      case 'list':
        return this.#list(`${prefix}pods/`, 500)
      case 'list-all':
        return this.#list(`${prefix}pods/`, 0)
      case 'mixed':
        return this.#mixed()
    }
  }

  /** What the API server of a busy cluster does: leases and status are updated, some pods come and go, events have a time to live. */
  async #mixed(): Promise<void> {
    const { store, options } = this.#shared
    const n = Math.random() * 100
    if (n < 70) return this.#update(await this.#any())
    if (n < 80) {
      this.#lease ??= (await store.grantLease({ ttlSeconds: 3600 })).id
      return this.create(this.add('events', this.objects.length), this.#lease)
    }
    if (n < 85) return this.create(this.add('pods', 1_000_000 + this.objects.length))
    if (n < 90) {
      const object = await this.#any()
      const isDone = await this.#write(object, () => store.delete(object.key, { expectedRevision: object.revision }))
      if (isDone) object.isDeleted = true
      return
    }
    if (n < 98) return this.#get(await this.#any())
    return this.#list(`${options.prefix}pods/`, 500)
  }

  /** One of the client's keys that is there; one is made if all are gone. */
  async #any(): Promise<StoredObject> {
    for (let tries = 0; tries < 20; tries++) {
      const object = this.objects[Math.floor(Math.random() * this.objects.length)]
      if (object !== undefined && !object.isDeleted && !object.isUncertain) return object
    }
    const object = this.add('pods', 1_000_000 + this.objects.length)
    await this.create(object)
    return object
  }

  /** Begins with a number that tells this write from the client's others, and the time at which it was sent. */
  #value(): Buffer {
    const value = Buffer.alloc(this.#shared.options.valueBytes, 'v')
    value.writeDoubleLE(++this.#sequence, 0)
    value.writeDoubleLE(performance.now(), 8)
    return value
  }

  async #update(object: StoredObject): Promise<void> {
    await this.#write(object, () => this.#shared.store.update(object.key, this.#value(), { expectedRevision: object.revision }))
  }

  async #write(object: StoredObject, write: () => Promise<{ readonly revision: number }>): Promise<boolean> {
    try {
      const { revision } = await write()
      object.revision = revision
      object.sequence = this.#sequence
      this.answered.push(revision)
      return true
    } catch (error) {
      object.isUncertain = true
      fail(this.#shared, error)
      return false
    }
  }

  async #get({ key, revision }: StoredObject): Promise<void> {
    const { item } = await this.#shared.store.get(key)
    if (item?.modRevision !== revision) fail(this.#shared, new Error('A read did not give what was written'))
  }

  async #list(prefix: string, limit: number): Promise<void> {
    const { items } = await this.#shared.store.list(prefixRange(Buffer.from(prefix)), { limit })
    if (items.length === 0 || (limit > 0 && items.length !== limit)) fail(this.#shared, new Error(`A list gave ${items.length} items`))
  }
}

function fail(shared: Shared, error: unknown): void {
  shared.errors++
  shared.firstError ??= error instanceof Error ? error.message : String(error)
}

/** Creates keys with 64 clients, which is no part of what is measured. */
async function fill(shared: Shared): Promise<readonly StoredObject[]> {
  const fillers = Array.from({ length: 64 }, () => new Client(shared, -1))
  for (let n = 0; n < shared.options.keys; n++) fillers[n % 64]?.add('pods', n)
  await Promise.all(
    fillers.map(async (filler) => {
      for (const object of filler.objects) await filler.create(object)
    }),
  )
  return fillers.flatMap(({ objects }) => objects)
}

/** Starts watchers; what it returns waits until they have seen every write that was answered. */
async function watch({
  store,
  options,
}: Shared): Promise<(answered: readonly number[]) => Promise<{ missed: number; lags: readonly number[] }>> {
  const stop = new AbortController()
  const fromRevision = (await store.currentRevision()) + 1
  const seen = Array.from({ length: watchers }, () => ({ revisions: new Set<number>(), wrong: 0, newest: 0 }))
  const lags: number[] = []
  const running = seen.map(async (watcher) => {
    const range = prefixRange(Buffer.from(options.prefix))
    for await (const { events } of store.watch(range, { fromRevision, previous: true, signal: stop.signal })) {
      const now = performance.now()
      for (const { item } of events) {
        if (item.modRevision <= watcher.newest) watcher.wrong++
        watcher.newest = item.modRevision
        watcher.revisions.add(item.modRevision)
        if (item.value.length >= 16) lags.push(now - Buffer.from(item.value.buffer, item.value.byteOffset, 16).readDoubleLE(8))
      }
    }
  })
  return async (answered) => {
    const missing = (): number =>
      seen.reduce((sum, { revisions, wrong }) => sum + wrong + answered.filter((revision) => !revisions.has(revision)).length, 0)
    const deadline = performance.now() + 20_000
    while (missing() > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20))
    stop.abort()
    await Promise.all(running)
    return { missed: missing(), lags }
  }
}

/** Reads every key and counts those that do not hold what was answered last. */
async function verify({ store, options }: Shared, clients: readonly Client[]): Promise<number> {
  const { items } = await store.list(prefixRange(Buffer.from(options.prefix)))
  const found = new Map(items.map((item) => [Buffer.from(item.key).toString(), item]))
  let lost = 0
  for (const { key, revision, sequence, isUncertain, isDeleted } of clients.flatMap(({ objects }) => objects)) {
    if (isUncertain || revision === 0) continue
    const item = found.get(key.toString())
    const isWhole =
      item === undefined
        ? isDeleted
        : !isDeleted &&
          item.modRevision === revision &&
          Buffer.from(item.value.buffer, item.value.byteOffset, 8).readDoubleLE(0) === sequence
    if (!isWhole) lost++
  }
  return lost
}
