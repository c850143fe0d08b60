import { createHash } from 'node:crypto'
import { compareBytes, toBinaryString } from '../bytes.ts'
import type { KeyValue, WatchEvent } from '../contract.ts'
import type { RestoredLease } from '../engine/backend.ts'
import { isDatastoreError } from '../errors.ts'
import type { OpenDatastoreOptions } from '../open.ts'
import { openSource } from './open.ts'
import { readSnapshot } from './snapshot.ts'
import { readState } from './state.ts'
import type { State, StateSource } from './state.ts'
import { problemOf, showKey } from './target.ts'
import type { CopyOptions } from './target.ts'

/** What can be verified: a datastore by its DSN, or a snapshot. */
export type Verifiable =
  | { readonly dsn: string; readonly options?: OpenDatastoreOptions | undefined }
  | { readonly snapshot: AsyncIterable<Uint8Array> }

export interface VerifyReport {
  /** The revision that was looked at. */
  readonly revision: number
  readonly items: number
  readonly leases: number
  /** Revisions of history that were read again. */
  readonly revisions: number
  /** One sentence each, the first of them; none: all is well. */
  readonly problems: readonly string[]
}

const maxProblems = 20
/** How often a check is begun anew when a compaction has overtaken it. */
const maxAttempts = 3
/** What the deadlines of one lease may differ by: a datastore tells the time that is left, which takes time itself. */
const leaseToleranceMs = 2000

/**
 * Checks that one datastore, or one snapshot, agrees with itself: items in order with possible revisions, leases that exist, history without gaps, which
 * leads from the compacted state to the present one; and, where the store has such a check, its file. The datastore may be in use.
 * Throws for what cannot be read at all, such as `Damaged` for a snapshot.
 */
export async function verify(subject: Verifiable, options: CopyOptions = {}): Promise<VerifyReport> {
  if ('snapshot' in subject) return verifyState(await readSnapshot(subject.snapshot), new Findings(), options)
  await using source = await openSource(subject.dsn, { signal: options.signal, ...subject.options })
  for (let attempt = 1; ; attempt++) {
    try {
      return await verifySource(source, options)
    } catch (error) {
      if (attempt >= maxAttempts || !isDatastoreError(error) || error.code !== 'Compacted') throw error
    }
  }
}

/**
 * Compares two datastores or snapshots at the highest revision that both have: keys, values, revisions, versions and the keys' leases; when both
 * are at that revision, the leases' times as well. Throws `Compacted` when one of them has compacted the revision of the other.
 */
export async function compare(first: Verifiable, second: Verifiable, { onProgress, signal }: CopyOptions = {}): Promise<VerifyReport> {
  await using stack = new AsyncDisposableStack()
  const [a, b] = [await openSide(first, stack, signal), await openSide(second, stack, signal)]
  const findings = new Findings()
  const at = Math.min(a.newest, b.newest)
  if (a.newest !== b.newest) {
    const behind = a.newest < b.newest ? a : b
    // A snapshot has one revision only.
    if ((behind === a ? b : a).isFixed) {
      findings.add(`The first is at revision ${a.newest}, the second at ${b.newest}`)
      return { revision: at, items: 0, leases: 0, revisions: 0, problems: findings.list() }
    }
  }
  const [left, right] = [await a.stateAt(at), await b.stateAt(at)]
  const [ours, theirs] = [new Cursor(left), new Cursor(right)]
  let items = 0
  let bytes = 0
  for (await ours.advance(), await theirs.advance(); ours.item !== undefined || theirs.item !== undefined;) {
    const [one, other] = [ours.item, theirs.item]
    const order = one === undefined ? 1 : other === undefined ? -1 : compareBytes(one.key, other.key)
    if (order < 0 && one !== undefined) findings.add(`Only the first has key ${showKey(one.key)}`)
    else if (order > 0 && other !== undefined) findings.add(`Only the second has key ${showKey(other.key)}`)
    else if (one !== undefined && other !== undefined) {
      const difference = differenceOf(one, other)
      if (difference !== undefined) findings.add(`Key ${showKey(one.key)} has ${difference}`)
    }
    if (order <= 0 && one !== undefined) {
      items++
      bytes += one.key.length + one.value.length
      if (items % 1000 === 0) onProgress?.({ revision: at, items, totalItems: left.totalItems, bytes, isFinishing: false })
      if (!ours.advanceInPage()) await ours.advance()
    }
    if (order >= 0 && !theirs.advanceInPage()) await theirs.advance()
    signal?.throwIfAborted()
  }
  const [leases, otherLeases] = [await left.leases(), await right.leases()]
  // An etcd knows no deadlines: what is restored into it begins its time anew.
  const hasDeadlines = left.driver !== 'etcd' && right.driver !== 'etcd'
  if (a.newest === b.newest) compareLeases(leases, otherLeases, hasDeadlines ? leaseToleranceMs : Number.POSITIVE_INFINITY, findings)
  return { revision: at, items, leases: leases.length, revisions: 0, problems: findings.list() }
}

/** One side of a comparison. */
interface Side {
  readonly newest: number
  /** Only that revision can be had. */
  readonly isFixed: boolean
  readonly stateAt: (revision: number) => Promise<State>
}

async function openSide(subject: Verifiable, stack: AsyncDisposableStack, signal: AbortSignal | undefined): Promise<Side> {
  if ('snapshot' in subject) {
    const state = await readSnapshot(subject.snapshot)
    return { newest: state.revision, isFixed: true, stateAt: async () => state }
  }
  const source = stack.use(await openSource(subject.dsn, { signal, ...subject.options }))
  const { revision } = await source.status()
  return { newest: revision, isFixed: false, stateAt: (at) => readState(source, 'datastore', at, signal) }
}

/** Sentences, the first of them; the others are counted. */
class Findings {
  readonly #sentences: string[] = []
  #count = 0

  add(sentence: string): void {
    if (++this.#count <= maxProblems) this.#sentences.push(sentence)
  }

  list(): readonly string[] {
    const more = this.#count - this.#sentences.length
    return more === 0 ? this.#sentences : [...this.#sentences, `${more} more`]
  }
}

/** One item after the other. */
class Cursor {
  readonly #pages: AsyncIterator<readonly KeyValue[]>
  #page: readonly KeyValue[] = []
  #index = -1

  constructor(state: State) {
    this.#pages = state.pages()[Symbol.asyncIterator]()
  }

  /** Undefined at the end. */
  get item(): KeyValue | undefined {
    return this.#page[this.#index]
  }

  /** False at the page's end. */
  advanceInPage(): boolean {
    return ++this.#index < this.#page.length
  }

  async advance(): Promise<void> {
    while (this.#index >= this.#page.length || this.#index < 0) {
      const next = await this.#pages.next()
      this.#index = 0
      this.#page = next.done === true ? [] : next.value
      if (next.done === true) return
    }
  }
}

function differenceOf(one: KeyValue, other: KeyValue): string | undefined {
  for (const field of ['modRevision', 'createRevision', 'version', 'leaseId'] as const)
    if (one[field] !== other[field]) return `${fieldNames[field]} ${one[field]} in the first and ${other[field]} in the second`
  return compareBytes(one.value, other.value) === 0 ? undefined : 'another value in the second'
}

const fieldNames = { modRevision: 'mod revision', createRevision: 'create revision', version: 'version', leaseId: 'lease' } as const

function compareLeases(first: readonly RestoredLease[], second: readonly RestoredLease[], toleranceMs: number, findings: Findings): void {
  const others = new Map(second.map((lease) => [lease.id, lease]))
  for (const lease of first) {
    const other = others.get(lease.id)
    others.delete(lease.id)
    if (other === undefined) findings.add(`Only the first has lease ${lease.id}`)
    else if (Math.abs(lease.deadlineMs - other.deadlineMs) > toleranceMs)
      findings.add(
        `Lease ${lease.id} ends at ${showTime(lease.deadlineMs)} in the first and at ${showTime(other.deadlineMs)} in the second`,
      )
  }
  for (const id of others.keys()) findings.add(`Only the second has lease ${id}`)
}

const showTime = (ms: number): string => new Date(ms).toISOString()

/** A key after its last event: what it then holds, its value as a hash; undefined: nothing. */
type Touched = ReadonlyMap<string, string | undefined>

async function verifySource(source: StateSource, options: CopyOptions): Promise<VerifyReport> {
  const { signal } = options
  const findings = new Findings()
  const state = await readState(source, 'datastore', undefined, signal)
  const { compactRevision } = await source.status()
  const from = Math.max(compactRevision, 1)
  if (from > state.revision) return verifySource(source, options) // compacted since: the present state is newer by now
  const touched = await readHistory(source, from, state.revision, findings, signal)
  const base = await readState(source, 'datastore', from, signal)
  const expected = from === state.revision ? undefined : fold(base, touched)
  // The leases as they are, and not those that the keys have besides: a key whose lease is missing has lost it only if it has it still.
  const present: State = { ...state, leases: () => source.leases() }
  const hasStill = async (key: Uint8Array, leaseId: bigint): Promise<boolean> => {
    const { items } = await source.list({ start: key }, { revision: undefined, limit: 1 })
    return items[0]?.leaseId === leaseId
  }
  const report = await verifyState(present, findings, options, { expected, hasStill })
  for (const problem of (await source.checkIntegrity?.()) ?? []) findings.add(problem)
  return { ...report, revisions: state.revision - from, problems: findings.list() }
}

/** Reads the events after `from`, and checks that each revision has some, in order. */
async function readHistory(
  source: StateSource,
  from: number,
  through: number,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<Touched> {
  const touched = new Map<string, string | undefined>()
  let last = from
  for await (const { events } of source.history(from + 1, through)) {
    signal?.throwIfAborted()
    for (const { type, item } of events) {
      if (item.modRevision > through) break
      if (item.modRevision < last) findings.add(`History goes back from revision ${last} to ${item.modRevision}`)
      else if (item.modRevision > last + 1) findings.add(`History has nothing between revisions ${last} and ${item.modRevision}`)
      last = Math.max(last, item.modRevision)
      touched.set(toBinaryString(item.key), stateAfter({ type, item }))
    }
  }
  if (last < through) findings.add(`History has nothing after revision ${last}, but the newest is ${through}`)
  return touched
}

const stateAfter = ({ type, item }: WatchEvent): string | undefined => (type === 'put' ? digest(item) : undefined)

function digest({ value, createRevision, modRevision, version, leaseId }: KeyValue): string {
  return `${modRevision} ${createRevision} ${version} ${leaseId} ${createHash('sha256').update(value).digest('base64')}`
}

/** What keys should hold after the events, in the order of keys. */
async function* fold(base: State, touched: Touched): AsyncGenerator<readonly [key: string, state: string], void, void> {
  const pending = [...touched.keys()].toSorted()
  let index = 0
  const eventsBefore = function* (key: string | undefined): Generator<readonly [string, string]> {
    for (; index < pending.length; index++) {
      const next = pending[index]
      if (next === undefined || (key !== undefined && next > key)) return
      const state = touched.get(next)
      if (state !== undefined) yield [next, state]
    }
  }
  for await (const page of base.pages())
    for (const item of page) {
      const key = toBinaryString(item.key)
      yield* eventsBefore(key)
      if (!touched.has(key)) yield [key, digest(item)]
    }
  yield* eventsBefore(undefined)
}

interface Expectations {
  /** What the keys should hold, in their order. */
  readonly expected?: AsyncIterator<readonly [key: string, state: string]> | undefined
  /** Whether a key has a lease at this moment. */
  readonly hasStill?: ((key: Uint8Array, leaseId: bigint) => Promise<boolean>) | undefined
}

/** Checks a state item by item, and against what it should be, if that is known. */
async function verifyState(
  state: State,
  findings: Findings,
  { onProgress, signal }: CopyOptions,
  { expected, hasStill }: Expectations = {},
): Promise<VerifyReport> {
  const { revision, totalItems } = state
  const leased = new Map<bigint, Uint8Array>()
  const nextExpected = async (): Promise<readonly [key: string, state: string] | undefined> => {
    const next = await expected?.next()
    return next === undefined || next.done === true ? undefined : next.value
  }
  let [items, bytes] = [0, 0]
  let lastKey: Uint8Array | undefined
  let wanted = await nextExpected()
  for await (const page of state.pages()) {
    signal?.throwIfAborted()
    for (const item of page) {
      const problem = problemOf(item, lastKey, revision)
      if (problem !== undefined) findings.add(`Key ${showKey(item.key)} ${problem}`)
      lastKey = item.key
      if (item.leaseId !== 0n && !leased.has(item.leaseId)) leased.set(item.leaseId, item.key)
      items++
      bytes += item.key.length + item.value.length
      if (expected === undefined) continue
      const key = toBinaryString(item.key)
      for (; wanted !== undefined && wanted[0] < key; wanted = await nextExpected())
        findings.add(`Key ${showKey(Buffer.from(wanted[0], 'latin1'))} should exist by history, and does not`)
      if (wanted?.[0] !== key) findings.add(`Key ${showKey(item.key)} exists, and should not by history`)
      else {
        if (wanted[1] !== digest(item)) findings.add(`Key ${showKey(item.key)} differs from what history tells`)
        wanted = await nextExpected()
      }
    }
    onProgress?.({ revision, items, totalItems, bytes, isFinishing: false })
  }
  for (; wanted !== undefined; wanted = await nextExpected())
    findings.add(`Key ${showKey(Buffer.from(wanted[0], 'latin1'))} should exist by history, and does not`)
  if (items !== totalItems) findings.add(`${totalItems} keys were counted, ${items} were read`)
  const leases = await state.leases()
  for (const { id } of leases) leased.delete(id)
  for (const [id, key] of leased)
    if ((await hasStill?.(key, id)) !== false) findings.add(`Key ${showKey(key)} has lease ${id}, which does not exist`)
  return { revision, items, leases: leases.length, revisions: 0, problems: findings.list() }
}
