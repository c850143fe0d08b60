import { setTimeout as delay } from 'node:timers/promises'
import { FakeClock } from '@k3s/lifecycle'
import type { Datastore } from '@k3s/datastore'
import { assembleHistory } from '../../src/conformance/recorded.ts'
import type {
  RecordedAnswer,
  RecordedChange,
  RecordedDelivery,
  RecordedEntry,
  RecordedHistory,
  RecordedItem,
  RecordedRange,
} from '../../src/conformance/recorded.ts'
import { recordEvent, Recorder } from '../../src/conformance/recorder.ts'
import type { RecordingClient } from '../../src/conformance/recorder.ts'
import { randomOf, turns } from './random.ts'
import type { Random } from './random.ts'
import { SimulatedServer } from './simulated-server.ts'
import type { Disk } from './simulated-server.ts'

export interface WorkloadOptions {
  readonly disk: Disk
  readonly seed: number
  /** Default 1. */
  readonly servers?: number | undefined
  /** Default 5. */
  readonly clients?: number | undefined
  /** Calls of each client, default 40. */
  readonly calls?: number | undefined
  /** Of a commit to kill its server, default 0.03. */
  readonly crashProbability?: number | undefined
  /** Default 200: a page of the log holds a few small writes. */
  readonly pageBytes?: number | undefined
  /** Values are padded to it, default not at all. Large ones drive slow watchers out of the recent events that are kept in memory. */
  readonly valueBytes?: number | undefined
  /** The clock follows real time in such steps, milliseconds, which a disk with threads needs; default 0: it moves by turns, and all repeats exactly. */
  readonly paceMs?: number | undefined
  /** What clients reach instead of a server itself. */
  readonly wrap?: ((store: Datastore) => Datastore) | undefined
}

const keys = ['a', 'b', 'c', 'd', 'e', 'f'] as const
const ranges: readonly [RecordedRange, ...RecordedRange[]] = [
  { start: '', end: '' },
  { start: 'a', end: 'd' },
  { start: 'c' },
  { start: 'b', end: '' },
]
const everything: RecordedRange = { start: '', end: '' }
/** A revocation takes its turn among everything else, and a server that has died comes back first. */
const leaseBoundMs = 5000
/** Beside those in the middle of commits. */
const crashesBetweenCommits = 4

/** Runs random clients, watchers and crashes against a disk, by one seed; returns everything that they saw. */
export async function runWorkload(options: WorkloadOptions): Promise<RecordedHistory> {
  const {
    disk,
    seed,
    servers: serverCount = 1,
    clients = 5,
    calls = 40,
    crashProbability = 0.03,
    pageBytes = 200,
    valueBytes,
    paceMs = 0,
    wrap,
  } = options
  const random = randomOf(seed)
  const clock = new FakeClock(Date.UTC(2026, 0, 1))
  const entries: RecordedEntry[] = []
  let order = 0
  const recorder = new Recorder({ now: () => ({ order: ++order, ms: clock.now() }), emit: (entry) => entries.push(entry), valueBytes })
  await using stack = new AsyncDisposableStack()
  stack.use(disk)
  const servers: SimulatedServer[] = []
  for (let index = 0; index < serverCount; index++) {
    const serverOptions = { disk, clock, seed: seed + index + 1, crashProbability, pageBytes, wrap }
    const server = await SimulatedServer.start(`s${index}`, serverOptions, (name) => recorder.restarted(name))
    stack.defer(() => server.stop())
    servers.push(server)
  }
  const serverOf = (index: number): SimulatedServer => {
    const server = servers[index % servers.length]
    if (server === undefined) throw new Error('A workload has a server')
    return server
  }
  const startRevision = await serverOf(0).store.currentRevision()

  const watching = new AbortController()
  const reached: number[] = []
  const watchers = Array.from({ length: 6 }, async (_, index) => {
    const server = serverOf(index)
    const client = recorder.client(`w${index}`, () => server)
    const own = randomOf(seed ^ (index + 77))
    const range = ranges[index % ranges.length] ?? everything
    await client.follow({
      range,
      fromRevision: startRevision + 1,
      previous: index % 2 === 1,
      signal: watching.signal,
      async onBatch(revision) {
        reached[index] = revision
        // What was delivered can be read, on whichever server.
        if (own.chance(0.5)) await recorder.client(`w${index}`, () => own.pick([server, ...servers])).read(range)
        // One of them is slow.
        await turns(index === 1 && own.chance(0.3) ? 200 : own.below(4))
      },
      async beforeResume() {
        await server.settled()
        await turns(2)
      },
    })
  })
  stack.defer(async () => {
    watching.abort()
    await Promise.all(watchers)
  })

  // The first watcher, which is of everything, has got what is compacted: so the checker knows it.
  const compactable = (): number => reached[0] ?? 1

  const ticks = new AbortController()
  const ticking = (async () => {
    while (!ticks.signal.aborted) {
      if (paceMs === 0) await turns(random.below(10))
      else await delay(paceMs)
      await clock.advance(paceMs === 0 ? random.below(60) : paceMs)
    }
  })()
  const crashes = new AbortController()
  const maxCrashes = crashProbability > 0 ? crashesBetweenCommits : 0
  const crashing = (async () => {
    for (let crash = 0; crash < maxCrashes && !crashes.signal.aborted; crash++) {
      await turns(100 + random.below(400))
      const index = random.below(servers.length)
      if (!crashes.signal.aborted)
        await deleteAndCrash(
          recorder.client(`crash${index}`, () => serverOf(index)),
          serverOf(index),
          random,
          compactable,
        )
    }
  })()
  await Promise.all(
    Array.from({ length: clients }, (_, index) => {
      const server = serverOf(index)
      return runClient(
        recorder.client(`c${index}`, () => server),
        { random: randomOf(seed * 31 + index), name: `c${index}`, calls, settled: () => server.settled(), compactable },
      )
    }),
  )
  crashes.abort()
  await crashing
  for (const server of servers) {
    server.calm()
    await server.settled()
  }
  ticks.abort()
  await ticking
  // Leases that were granted for less than this have ended then, and this has been looked at.
  const last = recorder.client('last', () => serverOf(0))
  for (let step = 0; step < 30; step++) {
    await clock.advance(1000)
    if (paceMs === 0) await turns(5)
    else await delay(20)
    await last.read(everything)
  }
  const marker = await last.write({ conditions: [], changes: keys.map((key) => ({ type: 'put', key, value: 'end' })) })
  if (marker.type !== 'written') throw new Error(`The last write is answered ${JSON.stringify(marker)}`)
  await polled(() => reached.length === watchers.length && reached.every((revision) => revision >= marker.revision))
  for (const server of servers) await recorder.client('last', () => server).read(everything)
  const readout = await readLog(serverOf(0).store, startRevision + 1, marker.revision, () => recorder.now)
  // Taken before the watches end: those that are open must have delivered everything.
  return assembleHistory([...entries], { start: { revision: startRevision, items: [] }, readout, leaseBoundMs })
}

/** The newest write is a deletion, perhaps compacted away, when the server dies: a revision that is computed from what is left goes back. */
async function deleteAndCrash(client: RecordingClient, server: SimulatedServer, random: Random, compactable: () => number): Promise<void> {
  const key = random.pick(keys)
  await client.write({ conditions: [], changes: [{ type: 'put', key, value: `doomed ${random.below(1e9)}` }] })
  const deleted = await client.write({ conditions: [], changes: [{ type: 'delete', key }] })
  if (deleted.type === 'written' && random.chance(0.6)) {
    for (let turn = 0; turn < 50 && compactable() < deleted.revision; turn++) await turns(1)
    await client.compact(Math.max(1, Math.min(deleted.revision, compactable())))
  }
  await turns(random.below(5))
  await server.crash()
}

interface ClientContext {
  readonly random: Random
  readonly name: string
  readonly calls: number
  readonly settled: () => Promise<void>
  readonly compactable: () => number
}

async function runClient(client: RecordingClient, { random, name, calls, settled, compactable }: ClientContext): Promise<void> {
  let known: readonly RecordedItem[] = []
  let newest = 1
  const leases: { readonly id: string; readonly ttlSeconds: number }[] = []
  const note = (answer: RecordedAnswer): void => {
    if ('revision' in answer) newest = Math.max(newest, answer.revision)
    if (answer.type === 'items') known = answer.items
  }
  for (let call = 0; call < calls; call++) {
    const key = random.pick(keys)
    const value = `${name}.${call}`
    const modRevision = known.find((item) => item.key === key)?.modRevision ?? 0
    const put: RecordedChange = { type: 'put', key, value }
    const kind = random.below(100)
    if (kind < 22) note(await client.write({ conditions: [{ key, modRevision }], changes: [put] }))
    else if (kind < 34) note(await client.write({ conditions: [], changes: [put] }))
    else if (kind < 42) note(await client.write({ conditions: [{ key, modRevision: 0 }], changes: [put] }))
    else if (kind < 50)
      note(await client.write({ conditions: random.chance(0.5) ? [] : [{ key, modRevision }], changes: [{ type: 'delete', key }] }))
    else if (kind < 60) {
      const others = keys.filter((other) => other !== key)
      const changes: readonly RecordedChange[] = [
        put,
        ...others.slice(0, 2).map((other): RecordedChange => ({ type: 'put', key: other, value })),
        ...others.slice(4).map((other): RecordedChange => ({ type: 'delete', key: other })),
      ]
      note(await client.write({ conditions: random.chance(0.5) ? [] : [{ key, modRevision }], changes }))
    } else if (kind < 75) note(await client.read(random.pick(ranges)))
    else if (kind < 82) note(await client.read(random.pick(ranges), { revision: Math.max(1, newest - random.below(12)) }))
    else if (kind < 85) note(await client.position())
    else if (kind < 87) await client.compact(Math.max(1, Math.min(compactable(), newest - random.below(10))))
    else if (kind < 92 || leases.length === 0) {
      const lease = { id: `${1 + random.below(2 ** 30)}`, ttlSeconds: 1 + random.below(4) }
      if ((await client.grantLease(lease.id, lease.ttlSeconds)).type === 'done') leases.push(lease)
    } else {
      const lease = leases.at(-1)
      if (lease === undefined) continue
      if (kind < 97) note(await client.write({ conditions: [], changes: [{ ...put, leaseId: lease.id }] }))
      else if (kind < 99) await client.keepLease(lease.id, lease.ttlSeconds)
      else await client.revokeLease(lease.id)
    }
    await turns(random.below(6))
    await settled()
  }
}

/** Reads the log from the oldest revision at or above `from` that is not compacted. */
async function readLog(
  store: Datastore,
  from: number,
  through: number,
  now: () => RecordedDelivery['at'],
): Promise<RecordedHistory['readout']> {
  const { compactRevision } = await store.status()
  const oldest = Math.max(from, compactRevision)
  const deliveries: RecordedDelivery[] = []
  const stop = new AbortController()
  const reading = (async () => {
    for await (const { revision, events } of store.watch(
      { start: Uint8Array.of(0), end: new Uint8Array(0) },
      { fromRevision: oldest, previous: true, signal: stop.signal },
    ))
      deliveries.push({ at: now(), revision, events: events.map((event) => ({ ...recordEvent(event), previous: undefined })) })
  })()
  await polled(() => (deliveries.at(-1)?.revision ?? 0) >= through)
  stop.abort()
  await reading
  return { from: oldest, through, deliveries }
}

/** Waits for something that comes, unless there is a fault, within some turns; the judgement is the checker's. */
async function polled(check: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000
  while (!check() && performance.now() < deadline) await turns(5)
}
