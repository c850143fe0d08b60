/**
 * Judges a recorded history by the invariants of SPEC.md.
 *
 * Whether a history of a general store is linearizable has to be searched for: some order of its operations must explain all answers. This store
 * tells the order: a write's revision is its place. So the log, read out at the end, is the one witness to check, and no search is needed:
 *
 * 1. Revision after revision, the log is folded. Each must be the work of exactly one operation, whose conditions held in the state before it and
 *    whose effect it is: the operation that was answered with it, one whose outcome nobody was told, or the end of a lease.
 * 2. The order must agree with time. What anybody was told of before a call (by an answer or a watch) is the call's floor: a write that was called
 *    later has a higher revision, and a read shows no older one. No answer shows what was called only after it.
 * 3. Each read, refusal and watch must tell what the fold holds at its revision: lists the state, watches every event once, in order, in whole revisions.
 *
 * The cost is that of sorting, plus a look-up for each key that a read or watch has told.
 */
import { checkLeases } from './check-leases.ts'
import { checkReads } from './check-reads.ts'
import { checkWatches } from './check-watches.ts'
import { checkWrites } from './check-writes.ts'
import type { RecordedHistory, Violation } from './recorded.ts'
import { Timeline } from './timeline.ts'

/** A fault has many consequences: of each kind, so many are told. */
const maxViolationsOfOneKind = 20

/** What the history breaks; empty: nothing. Of each invariant and problem the first 20 are told. Pure, and synchronous: hundreds of thousands of entries take tens of seconds. */
export function checkHistory(history: RecordedHistory): readonly Violation[] {
  const violations: Violation[] = []
  const counts = new Map<string, number>()
  const report = (invariant: string, problem: Violation['problem'], message: string): void => {
    const count = (counts.get(`${invariant} ${problem}`) ?? 0) + 1
    counts.set(`${invariant} ${problem}`, count)
    if (count <= maxViolationsOfOneKind) violations.push({ invariant, problem, message })
  }
  const timeline = new Timeline(history)
  const witness = checkWrites(history, timeline, report)
  checkReads(history, timeline, witness, report)
  checkWatches(history, witness, report)
  checkLeases(history, witness, report)
  return violations
}
