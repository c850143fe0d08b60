import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import { checkHistory } from '../src/conformance/check-history.ts'
import { assembleHistory } from '../src/conformance/recorded.ts'
import type { RecordedEntry, RecordedRange } from '../src/conformance/recorded.ts'
import { freePort } from '../test/servers/free-port.ts'
import { startChild } from './child.ts'
import type { Child } from './child.ts'
import { startDatabase } from './databases.ts'
import { machineMoment, readEntries } from './entries.ts'
import { readOptions } from './options.ts'
import { readLog } from './read-log.ts'
import { quantile, RunReport } from './report.ts'
import { ServedMember } from './served-member.ts'
import type { WorkerProgress, WorkerSettings } from './worker.ts'

/** Keys that the writers share. */
const keys = 500
/** A dead member's leases are noticed by another within a minute. */
const leaseBoundMs = 75_000

/** A member and its clients: the process of the member is killed and started again. */
class Member {
  readonly name: string
  /** Answered writes of the processes before this one. */
  #before = 0
  #progress: WorkerProgress | undefined
  #child: Child | undefined
  #incarnation = 0
  readonly #settings: Omit<WorkerSettings, 'incarnation' | 'entriesPath' | 'watchers'>
  readonly #watchers: WorkerSettings['watchers']
  readonly #folder: string

  /** Its clients are in a process of their own, which lives on; absent: they are in the member's. */
  readonly #served: ServedMember | undefined

  constructor(
    settings: Omit<WorkerSettings, 'incarnation' | 'entriesPath' | 'watchers'>,
    watchers: WorkerSettings['watchers'],
    folder: string,
    served: ServedMember | undefined,
  ) {
    this.name = settings.name
    this.#settings = settings
    this.#watchers = watchers
    this.#folder = folder
    this.#served = served
  }

  get written(): number {
    return this.#before + (this.#progress?.written ?? 0)
  }

  get progress(): WorkerProgress | undefined {
    return this.#progress
  }

  get files(): readonly string[] {
    return Array.from({ length: this.#incarnation }, (_, incarnation) => join(this.#folder, `${this.name}.${incarnation}`))
  }

  async start(): Promise<void> {
    await this.#served?.start()
    if (this.#served !== undefined && this.#child !== undefined) return
    const entriesPath = join(this.#folder, `${this.name}.${this.#incarnation}`)
    const watchers = await this.#resumed()
    const settings: WorkerSettings = { ...this.#settings, incarnation: this.#incarnation++, entriesPath, watchers }
    this.#before = this.written
    this.#progress = undefined
    const child = startChild('worker.ts', settings, (message) => {
      if (this.#child === child) this.#progress = message as WorkerProgress // what worker.ts sends
    })
    this.#child = child
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#served === undefined) this.#child?.process.kill(signal)
    else this.#served.signal(signal)
  }

  /** Resolves with how the process ended. */
  async kill(): Promise<string> {
    if (this.#served !== undefined) return this.#served.kill()
    this.#child?.process.kill('SIGKILL')
    return (await this.#child?.ended) ?? 'not started'
  }

  /** Ends its clients too. */
  async end(): Promise<void> {
    await this.kill()
    this.#child?.process.kill('SIGKILL')
    await this.#child?.ended
  }

  /** Ends writing; watches go on. */
  stopWriting(): void {
    this.#child?.process.send('stop')
  }

  /** The watchers, from after what they had got before the process was killed, or from where the first began. */
  async #resumed(): Promise<WorkerSettings['watchers']> {
    const last = this.files.at(-1)
    if (last === undefined) return this.#watchers
    const next = new Map<string, number>()
    const clients = new Map<string, string>()
    for (const path of this.files)
      for await (const entry of readEntries(path)) {
        if (entry.type === 'watch') {
          clients.set(entry.id, entry.client)
          // A watch that was compacted away goes on after its list.
          next.set(entry.client, Math.max(entry.fromRevision, next.get(entry.client) ?? 0))
        }
        if (entry.type === 'delivery') next.set(clients.get(entry.id) ?? '', entry.revision + 1)
      }
    return this.#watchers.map((watcher) => ({ ...watcher, fromRevision: next.get(watcher.name) ?? watcher.fromRevision }))
  }
}

/** Several members of one database under load, killed and frozen; then everything that they saw is judged. */
export async function torture(args: readonly string[]): Promise<boolean> {
  const options = readOptions(args, {
    database: 'postgres',
    mode: 'direct',
    transactions: 100_000,
    members: 3,
    writers: 64,
    watchers: 30,
    'kill-every': 20,
    'freeze-after': 30,
    freeze: 30,
    'max-delay': 30,
    'keep-revisions': 20_000,
    'max-seconds': 360,
  })
  if (options.mode !== 'direct' && options.mode !== 'serve')
    throw new Error('--mode is direct (clients in the members) or serve (through the etcd API)')
  const folder = mkdtempSync(join(tmpdir(), 'datastore-torture-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rmSync(folder, { recursive: true }))
  const database = stack.use(await startDatabase(options.database))
  const proxy = Promise.withResolvers<number>()
  const proxyChild = startChild(
    'proxy.ts',
    { target: database.port, maxDelayMs: options['max-delay'] },
    (message) => proxy.resolve((message as { readonly port: number }).port), // what proxy.ts sends
  )
  stack.defer(() => void proxyChild.process.kill())
  const dsn = database.dsn('torture', await proxy.promise)
  const start = await positionOf(database.dsn('torture', database.port))
  const members: Member[] = []
  for (let index = 0; index < options.members; index++) {
    const share = (count: number): number => Math.floor(count / options.members) + (index < count % options.members ? 1 : 0)
    const name = `m${index}`
    const served = options.mode === 'serve' ? new ServedMember(dsn, await freePort(), join(folder, `${name}.log`)) : undefined
    const settings = {
      dsn: served === undefined ? dsn : `http://127.0.0.1:${served.port}`,
      name,
      writers: share(options.writers),
      keys,
      valueBytes: 100,
      keepRevisions: index === 0 ? options['keep-revisions'] : 0,
    }
    members.push(new Member(settings, watchersOf(name, share(options.watchers), start + 1), folder, served))
  }
  stack.defer(async () => void (await Promise.all(members.map((member) => member.end()))))
  for (const member of members) await member.start()

  const report = new RunReport()
  const begin = performance.now()
  const elapsed = (): number => (performance.now() - begin) / 1000
  const written = (): number => members.reduce((sum, member) => sum + member.written, 0)
  let [kills, nextKill, nextLine] = [0, options['kill-every'], 10]
  let freeze: { readonly member: Member; readonly until: number; readonly rates: number[] } | undefined
  let isFrozenDone = options.freeze === 0
  let [lastOthers, lastTime] = [0, 0]
  while ((written() < options.transactions || freeze !== undefined) && elapsed() < options['max-seconds']) {
    await delay(1000)
    if (elapsed() >= nextLine) {
      console.log(
        `${elapsed().toFixed(0)} s: ${written()} transactions, ${kills} kills${freeze === undefined ? '' : `, ${freeze.member.name} frozen`}`,
      )
      nextLine += 10
    }
    if (freeze !== undefined) {
      const others = members.filter((member) => member !== freeze?.member).reduce((sum, member) => sum + member.written, 0)
      freeze.rates.push((others - lastOthers) / (elapsed() - lastTime))
      lastOthers = others
      lastTime = elapsed()
      if (elapsed() < freeze.until) continue
      freeze.member.signal('SIGCONT')
      const longest = longestStall(freeze.rates)
      report.note('others while one is frozen, writes/s', (freeze.rates.reduce((a, b) => a + b, 0) / freeze.rates.length).toFixed(0))
      report.check('longest stall of the others meanwhile, s', longest, '<= 12: the lock timeout', longest <= 12)
      freeze = undefined
      isFrozenDone = true
      nextKill = elapsed() + options['kill-every']
    } else if (!isFrozenDone && elapsed() >= options['freeze-after']) {
      const member = members[Math.floor(Math.random() * members.length)]
      if (member === undefined) continue
      member.signal('SIGSTOP')
      freeze = { member, until: elapsed() + options.freeze, rates: [] }
      lastOthers = members.filter((other) => other !== member).reduce((sum, other) => sum + other.written, 0)
      lastTime = elapsed()
    } else if (elapsed() >= nextKill) {
      const member = members[Math.floor(Math.random() * members.length)]
      const how = await member?.kill()
      report.check(`kill ${++kills} at ${elapsed().toFixed(0)} s`, `${member?.name} ${how}`, 'SIGKILL', how === 'SIGKILL')
      await member?.start()
      nextKill += options['kill-every']
    }
  }
  freeze?.member.signal('SIGCONT')
  const seconds = elapsed()
  for (const member of members) member.stopWriting()
  const isQuiet = await polled(60, () => members.every(({ progress }) => progress?.isStopped === true))
  report.check(
    'members that ended their calls',
    members.filter(({ progress }) => progress?.isStopped === true).length,
    `${members.length}`,
    isQuiet,
  )
  const through = await positionOf(database.dsn('torture', database.port))
  // Leases that still run may write further revisions, which nobody needs to see.
  const isDelivered = await polled(60, () =>
    members.every(({ progress, name }) => (progress?.reached[`${name}.everything`] ?? 0) >= through),
  )
  report.check('watchers of everything that got it all', isDelivered ? 'all' : 'not all', 'all', isDelivered)
  await delay(1000)
  for (const member of members) await member.end()

  const reading = await openDatastore(database.dsn('torture', database.port))
  const readout = await readLog(reading, start + 1)
  await reading[Symbol.asyncDispose]()
  const entries: RecordedEntry[] = []
  for (const path of members.flatMap(({ files }) => files)) for await (const entry of readEntries(path)) entries.push(entry)
  const history = assembleHistory(entries, { start: { revision: start, items: [] }, readout, leaseBoundMs })
  const judging = performance.now()
  // Watches end with their process here: each must have got everything up to where it says it is.
  const ended = history.watches.map((watch) => ({ ...watch, ended: watch.ended ?? { at: machineMoment() } }))
  const violations = checkHistory({ ...history, watches: ended })
  const answered = history.operations.filter(({ answer }) => answer.type === 'written').length
  report.check('transactions answered', answered, `>= ${options.transactions}`, answered >= options.transactions)
  report.note('in seconds', seconds.toFixed(0))
  report.note(
    'of unknown outcome',
    history.operations.filter(({ answer, request }) => answer.type === 'unknown' && request.type === 'write').length,
  )
  report.note('refused', history.operations.filter(({ answer }) => answer.type === 'refused').length)
  report.note('revisions', readout.through - start)
  report.note(
    'events delivered',
    history.watches.reduce((sum, { deliveries }) => sum + deliveries.reduce((part, { events }) => part + events.length, 0), 0),
  )
  report.note('streams of watches', history.watches.length)
  report.note('judged in seconds', ((performance.now() - judging) / 1000).toFixed(1))
  report.history(violations)
  // In databases of their own, which no compaction or clean-up of the torture disturbs.
  await measureLatency(database.dsn('latency', database.port), report, options.database)
  await measureIdle(database, report)
  return report.print(
    `torture: ${options.members} members (${options.mode}) on ${options.database}, ${options.writers} writers, ${options.watchers} watchers`,
  )
}

/** One watcher of everything, the others of a tenth of the keys each. */
function watchersOf(name: string, count: number, fromRevision: number): WorkerSettings['watchers'] {
  return Array.from({ length: count }, (_, index) => {
    if (index === 0) return { name: `${name}.everything`, range: { start: '', end: '' }, fromRevision }
    const tenth = (number: number): string => `k${String(((index - 1) % 10) * (keys / 10) + number).padStart(4, '0')}`
    const range: RecordedRange = { start: tenth(0), end: tenth(keys / 10) }
    return { name: `${name}.watcher${index}`, range, fromRevision }
  })
}

async function positionOf(dsn: string): Promise<number> {
  await using store = await openDatastore(dsn)
  return await store.currentRevision() // before the store is closed
}

/** How long an event takes from the call of its write, on one member, to a watcher of another; both idle otherwise. */
async function measureLatency(dsn: string, report: RunReport, name: string): Promise<void> {
  const budgetMs = name === 'postgres' ? 50 : 100
  const result = Promise.withResolvers<unknown>()
  const child = startChild('latency.ts', { dsn, count: 300, intervalMs: 20 }, (message) => result.resolve(message))
  const figures = (await Promise.race([result.promise, child.ended.then(() => [])])) as readonly number[] // what latency.ts sends
  child.process.kill()
  const p99 = quantile(figures, 0.99)
  report.note('write on one, event on another: p50, ms', quantile(figures, 0.5).toFixed(1))
  report.check('write on one, event on another: p99, ms', p99.toFixed(1), `< ${budgetMs}`, p99 < budgetMs)
}

async function measureIdle(database: Awaited<ReturnType<typeof startDatabase>>, report: RunReport): Promise<void> {
  await using _store = await openDatastore(database.dsn('idle', database.port))
  // A connection tells PostgreSQL's statistics what it has done with its next transaction but one: the opening is not to be counted.
  await delay(25_000)
  const seconds = 20
  const before = database.queries('idle')
  const own = database.queries('idle') - before
  await delay(seconds * 1000)
  const perSecond = (database.queries('idle') - before - 2 * own) / seconds
  report.check('queries of an idle member, 1/s', perSecond.toFixed(2), '< 1', perSecond < 1)
}

async function polled(seconds: number, check: () => boolean): Promise<boolean> {
  for (let step = 0; step < seconds * 20; step++) {
    if (check()) return true
    await delay(50)
  }
  return check()
}

function longestStall(rates: readonly number[]): number {
  let [longest, current] = [0, 0]
  for (const rate of rates) {
    current = rate === 0 ? current + 1 : 0
    longest = Math.max(longest, current)
  }
  return longest
}
