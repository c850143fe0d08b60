import { describe, expect, it } from 'vitest'
import { checkHistory } from './check-history.ts'
import { assembleHistory } from './recorded.ts'
import type {
  Moment,
  Problem,
  RecordedAnswer,
  RecordedEntry,
  RecordedEvent,
  RecordedHistory,
  RecordedItem,
  RecordedRequest,
} from './recorded.ts'

/** A history of one key `a`, put together call by call. Orders are given as the test needs them. */
class Made {
  readonly entries: RecordedEntry[] = []
  readonly log: RecordedEvent[] = []
  #ids = 0

  call(called: Moment | number, answered: Moment | number | undefined, request: RecordedRequest, answer: RecordedAnswer): this {
    const id = `${++this.#ids}`
    this.entries.push({ type: 'call', id, client: 'c', server: 's', at: moment(called), request })
    if (answered !== undefined) this.entries.push({ type: 'answer', id, at: moment(answered), answer })
    return this
  }

  watch(
    opened: number,
    fromRevision: number,
    batches: readonly (readonly [at: number, revision: number, events: readonly RecordedEvent[]])[],
    end?: string,
  ): this {
    const id = `${++this.#ids}`
    this.entries.push({
      type: 'watch',
      id,
      client: 'w',
      server: 's',
      opened: moment(opened),
      range: { start: 'a' },
      fromRevision,
      previous: false,
    })
    for (const [at, revision, events] of batches) this.entries.push({ type: 'delivery', id, at: moment(at), revision, events })
    if (end !== undefined) this.entries.push({ type: 'end', id, at: moment(1000), code: end === '' ? undefined : end })
    return this
  }

  logged(...events: readonly RecordedEvent[]): this {
    this.log.push(...events)
    return this
  }

  restart(at: number): this {
    this.entries.push({ type: 'restart', server: 's', at: moment(at) })
    return this
  }

  get history(): RecordedHistory {
    const through = this.log.at(-1)?.item.modRevision ?? 1
    const deliveries = this.log.length === 0 ? [] : [{ at: moment(10_000), revision: through, events: this.log }]
    return assembleHistory(this.entries, {
      start: { revision: 1, items: [] },
      readout: { from: 2, through, deliveries },
      leaseBoundMs: 100,
    })
  }
}

const moment = (at: Moment | number): Moment => (typeof at === 'number' ? { order: at, ms: at } : at)
const item = (value: string, modRevision: number, rest: Partial<RecordedItem> = {}): RecordedItem => ({
  key: 'a',
  value,
  createRevision: 2,
  modRevision,
  version: modRevision - 1,
  ...rest,
})
const put = (value: string, modRevision: number, rest: Partial<RecordedItem> = {}): RecordedEvent => ({
  type: 'put',
  item: item(value, modRevision, rest),
})
const gone = (modRevision: number): RecordedEvent => ({
  type: 'delete',
  item: { key: 'a', value: '', createRevision: 0, modRevision, version: 0 },
})
const write = (value: string, expected?: number): RecordedRequest => ({
  type: 'write',
  conditions: expected === undefined ? [] : [{ key: 'a', modRevision: expected }],
  changes: [{ type: 'put', key: 'a', value }],
})
const remove: RecordedRequest = { type: 'write', conditions: [], changes: [{ type: 'delete', key: 'a' }] }
const read: RecordedRequest = { type: 'read', range: { start: 'a' } }
const written = (revision: number): RecordedAnswer => ({ type: 'written', revision })
const items = (revision: number, ...found: readonly RecordedItem[]): RecordedAnswer => ({ type: 'items', revision, items: found })
const unknown: RecordedAnswer = { type: 'unknown', reason: 'Unavailable' }

/** Two writes, answered one after the other. */
function two(...log: readonly RecordedEvent[]): Made {
  const made = new Made().call(1, 2, write('x'), written(2)).call(3, 4, write('y'), written(3))
  made.log.push(...(log.length === 0 ? [put('x', 2), put('y', 3)] : log))
  return made
}

const sound: readonly (readonly [string, () => Made])[] = [
  [
    'reads and watches that tell what was written',
    () =>
      two()
        .call(5, 6, read, items(3, item('y', 3)))
        .watch(1, 2, [[7, 3, [put('x', 2), put('y', 3)]]]),
  ],
  [
    'a read beside a write, which sees either state',
    () =>
      two()
        .call(3, 5, read, items(2, item('x', 2)))
        .call(3, 5, read, items(3, item('y', 3))),
  ],
  ['a write of unknown outcome that happened', () => unknownThenRead(put('z', 4))],
  ['a write of unknown outcome that did not happen', () => unknownThenRead()],
  ['a refusal by a version that was there at its time', () => two().call(3, 6, write('z', 9), { type: 'refused', current: item('x', 2) })],
  [
    'a watch that ends as compacted, and was',
    () => two().call(5, 6, { type: 'compact', revision: 3 }, { type: 'done' }).watch(7, 2, [], 'Compacted'),
  ],
]

function unknownThenRead(...events: readonly RecordedEvent[]): Made {
  const made = two().call(5, 6, write('z'), unknown)
  made.log.push(...events)
  return made
}

const broken: readonly (readonly [string, invariant: string, Problem, () => Made])[] = [
  ['a write that is not in the log', 'W7', 'lost write', () => two(put('x', 2))],
  [
    'a revision without events',
    'W1',
    'lost write',
    () => two(put('x', 2), put('y', 3), put('z', 5)).call(5, undefined, write('z'), unknown),
  ],
  ['a revision that was given twice', 'W1', 'wrong order', () => two().call(5, 6, write('z'), written(3))],
  [
    'a revision below one that was known before the call',
    'W1',
    'wrong order',
    () => new Made().call(3, 4, write('x'), written(2)).call(1, 2, write('y'), written(3)),
  ],
  ['a revision that goes back after a restart', 'D1', 'wrong order', () => two().restart(5).call(6, 7, write('z'), written(3))],
  ['a write that was refused and happened', 'W2', 'unexplained write', () => refusedYetWritten()],
  ['a write that happened twice', 'W10', 'doubled write', () => two(put('x', 2), put('y', 3), put('y', 4))],
  ['a condition that did not hold', 'W3', 'unjustified write', () => two().call(5, 6, write('z', 2), written(4)).logged(put('z', 4))],
  ['a refusal without reason', 'W3', 'wrong refusal', () => two().call(5, 6, write('z', 3), { type: 'refused', current: item('y', 3) })],
  ['a version that is miscounted', 'W6', 'wrong write', () => two(put('x', 2), put('y', 3, { version: 7 }))],
  ['a read that is older than an answered write', 'R1', 'stale read', () => two().call(5, 6, read, items(2, item('x', 2)))],
  [
    'a read of what was not called yet',
    'R1',
    'wrong read',
    () =>
      new Made()
        .call(1, 2, write('x'), written(2))
        .call(1, 2, read, items(3, item('y', 3)))
        .call(5, 6, write('y'), written(3))
        .logged(put('x', 2), put('y', 3)),
  ],
  [
    'a read of another state than that of its revision',
    'R2',
    'wrong read',
    () => two().call(5, 6, { ...read, revision: 2 }, items(3, item('y', 3))),
  ],
  [
    'a read that is refused as compacted, and was not',
    'C2',
    'wrong read',
    () => two().call(5, 6, { ...read, revision: 2 }, { type: 'failed', code: 'Compacted' }),
  ],
  [
    'a read below the compact revision',
    'C1',
    'wrong read',
    () =>
      two()
        .call(5, 6, { type: 'compact', revision: 3 }, { type: 'done' })
        .call(7, 8, { ...read, revision: 2 }, items(3, item('x', 2))),
  ],
  ['an event that is missing', 'E1', 'lost event', () => two().watch(1, 2, [[7, 3, [put('y', 3)]]])],
  ['an event that is missing at the end of an open watch', 'E1', 'lost event', () => two().watch(1, 2, [[7, 2, [put('x', 2)]]])],
  [
    'an event that comes twice',
    'E1',
    'doubled event',
    () =>
      two().watch(1, 2, [
        [7, 2, [put('x', 2)]],
        [8, 3, [put('x', 2), put('y', 3)]],
      ]),
  ],
  ['an event of before the start', 'E1', 'doubled event', () => two().watch(5, 3, [[7, 3, [put('x', 2), put('y', 3)]]])],
  ['events out of order', 'E1', 'reordered event', () => two().watch(1, 2, [[7, 3, [put('y', 3), put('x', 2)]]])],
  ['an event with another value', 'E1', 'wrong event', () => two().watch(1, 2, [[7, 3, [put('x', 2), put('q', 3)]]])],
  [
    'an event after a batch that covered it',
    'E2',
    'split revision',
    () =>
      two().watch(1, 2, [
        [7, 3, [put('x', 2)]],
        [8, 3, [put('y', 3)]],
      ]),
  ],
  ['an event before the call of its write', 'E4', 'early event', () => two().watch(1, 2, [[2.5, 3, [put('x', 2), put('y', 3)]]])],
  [
    'an event before its write can be read',
    'E4',
    'early event',
    () =>
      two()
        .watch(1, 2, [[3.5, 3, [put('x', 2), put('y', 3)]]])
        .call(3.6, 3.8, read, items(2, item('x', 2))),
  ],
  ['a watch that ends as compacted, and was not', 'C2', 'lost event', () => two().watch(1, 2, [], 'Compacted')],
  [
    'a delete event that is lost with compaction',
    'C2',
    'lost event',
    () => deleted(put('x', 2), gone(3)).watch(5, 2, [[7, 3, [put('x', 2)]]]),
  ],
  [
    'a delete that is lost from the log with compaction',
    'C2',
    'lost write',
    () => deleted(put('x', 2), put('y', 4, { createRevision: 4, version: 1 })).call(7, 8, write('y'), written(4)),
  ],
  ['a lease that ends early', 'L1', 'wrong lease', () => leased(900)],
  ['a lease that does not end', 'L1', 'wrong lease', () => leased(undefined)],
]

function refusedYetWritten(): Made {
  const made = two().call(5, 6, write('z', 9), { type: 'refused', current: item('y', 3) })
  made.log.push(put('z', 4))
  return made
}

function deleted(...log: readonly RecordedEvent[]): Made {
  const made = new Made()
    .call(1, 2, write('x'), written(2))
    .call(3, 4, remove, written(3))
    .call(5, 6, { type: 'compact', revision: 3 }, { type: 'done' })
  made.log.push(...log)
  return made
}

/** A lease of a second, granted at 1, whose key is deleted and seen so at a time; or is still there after two seconds. */
function leased(seenAt: number | undefined): Made {
  const attached = { leaseId: '7' }
  const made = new Made()
    .call(1, 2, { type: 'grantLease', leaseId: '7', ttlSeconds: 1 }, { type: 'done' })
    .call(3, 4, { type: 'write', conditions: [], changes: [{ type: 'put', key: 'a', value: 'x', ...attached }] }, written(2))
  made.log.push(put('x', 2, attached))
  if (seenAt === undefined) return made.call(2000, 2001, read, items(2, item('x', 2, attached)))
  made.log.push(gone(3))
  return made.watch(5, 2, [[seenAt, 3, [put('x', 2, attached), gone(3)]]])
}

describe('checkHistory()', () => {
  it.for(sound)('finds nothing wrong with %s', ([, made]) => {
    expect(checkHistory(made().history)).toEqual([])
  })

  it.for(broken)('finds %s (%s, %s)', ([, invariant, problem, made]) => {
    expect(checkHistory(made().history)).toContainEqual(expect.objectContaining({ invariant, problem }))
  })

  it('lets a lease end at its deadline', () => {
    expect(checkHistory(leased(1002).history)).toEqual([])
  })

  it('names the operations', () => {
    const [violation] = checkHistory(two(put('x', 2)).history)
    expect(violation?.message).toBe('The log ends at 2, but was answered: c@s #2 [3, 4] put a=y: written at 3')
  })
})
