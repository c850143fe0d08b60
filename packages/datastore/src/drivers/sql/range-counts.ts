import type { KeyRange } from '../../contract.ts'
import type { LogPosition } from '../../engine/backend.ts'
import type { SqlStatement } from './dialect.ts'
import { rangeName } from './prefetch.ts'
import { rangeCondition } from './rows.ts'
import { countLive } from './selects.ts'

/** Ranges whose count is remembered: those that are listed again and again. */
const maxRanges = 64
/** Revisions that are looked through before counting anew is taken to be quicker. */
const maxRevisions = 2000

interface RememberedCount {
  readonly count: number
  readonly revision: number
}

/** How to find the count of a range. */
export interface CountPlan {
  readonly statement: SqlStatement
  /** The count, from the statement's number and the position of the log in the state that it has seen; undefined: it is not to be found so. */
  readonly finish: (answer: number, position: LogPosition) => number | undefined
}

/**
 * Counts the live keys of ranges. A list with a limit tells the count of all, which costs more than the list when many are left: so a count is
 * remembered with its revision, and later only what the log has after that is added.
 */
export class RangeCounts {
  /** The least recently used first. */
  readonly #remembered = new Map<string, RememberedCount>()
  #newest = 0

  /** A statement and what to make of its answer. */
  plan(range: KeyRange): CountPlan {
    const before = this.#remembered.get(rangeName(range))
    if (before === undefined || this.#newest - before.revision > maxRevisions)
      return {
        statement: countLive(rangeCondition(range, 'live.name')),
        finish: (count, position) => this.#remember(range, count, position),
      }
    return {
      statement: countChanges(range, before.revision),
      finish: (change, position) => {
        // Rows above the compact revision are all there.
        if (position.compactRevision > before.revision) return undefined
        return this.#remember(range, before.count + change, position)
      },
    }
  }

  /** The next count is made anew. */
  forget(range: KeyRange): void {
    this.#remembered.delete(rangeName(range))
  }

  #remember(range: KeyRange, count: number, { revision }: LogPosition): number {
    const name = rangeName(range)
    this.#newest = Math.max(this.#newest, revision)
    const present = this.#remembered.get(name)
    // Of two that counted at once the newer is kept.
    const kept = present !== undefined && present.revision > revision ? present : { count, revision }
    this.#remembered.delete(name)
    this.#remembered.set(name, kept)
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size > maxRanges && oldest !== undefined) this.#remembered.delete(oldest)
    return count
  }
}

/** How many more keys of a range are alive than at a revision: each life of a key begins with version 1 and ends with a tombstone. */
export function countChanges(range: KeyRange, revision: number): SqlStatement {
  const { sql, values } = rangeCondition(range, 'log.name')
  return {
    sql: `select coalesce(sum(case version when 1 then 1 when 0 then -1 else 0 end), 0) from log where log.revision > ? and ${sql}`,
    values: [revision, ...values],
  }
}
