import { toBinaryString } from '../../bytes.ts'
import type { KeyRange } from '../../contract.ts'
import { countItems, rangeCondition } from './store.ts'
import type { LogPosition, Statements } from './store.ts'

/** Ranges whose count is remembered: those that are listed again and again. */
const maxRanges = 32
/** Rows of the log that are looked at before counting anew is taken to be quicker. */
const maxRows = 2000

interface RememberedCount {
  readonly count: number
  readonly revision: number
  readonly lastId: number
}

/**
 * Counts the live keys of ranges. A list with a limit tells the count of all, which costs more than the list when many are left:
 * so a count is remembered with the log's position, and later only what the log has after that is added.
 */
export class RangeCounts {
  readonly #statements: Statements
  /** The least recently used first. */
  readonly #remembered = new Map<string, RememberedCount>()

  constructor(statements: Statements) {
    this.#statements = statements
  }

  /** The count at `position`, which is that of the state that the caller holds. */
  count(range: KeyRange, { revision, lastId, compactRevision }: LogPosition): number {
    const name = nameOf(range)
    const before = this.#remembered.get(name)
    // Rows above the compact revision are all there.
    const isNear = before !== undefined && lastId - before.lastId <= maxRows && before.revision >= compactRevision
    const count = isNear ? before.count + this.#changeSince(range, before.lastId, lastId) : countItems(this.#statements, range, undefined)
    this.#remembered.delete(name)
    this.#remembered.set(name, { count, revision, lastId })
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size > maxRanges && oldest !== undefined) this.#remembered.delete(oldest)
    return count
  }

  /** Each life of a key begins with version 1 and ends with a tombstone. */
  #changeSince(range: KeyRange, after: number, lastId: number): number {
    if (after === lastId) return 0
    const [condition, ...parameters] = rangeCondition(range, 'key')
    const sql = `select sum(case version when 1 then 1 when 0 then -1 else 0 end) from log where id > ? and ${condition}`
    return Number(this.#statements.of(sql).get(after, ...parameters)?.[0] ?? 0)
  }
}

function nameOf({ start, end }: KeyRange): string {
  return `${start.length} ${toBinaryString(start)}${end === undefined ? '' : ` ${toBinaryString(end)}`}`
}
