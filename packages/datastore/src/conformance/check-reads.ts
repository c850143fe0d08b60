import { showItem, showOperation } from './recorded.ts'
import type { RecordedHistory, RecordedItem, RecordedOperation } from './recorded.ts'
import type { Report } from './check-writes.ts'
import type { Timeline } from './timeline.ts'
import type { Witness } from './witness.ts'

/** Checks what reads and refusals told against the states of the witness. */
export function checkReads(history: RecordedHistory, timeline: Timeline, witness: Witness, report: Report): void {
  const compactions = new Compactions(history.operations)
  for (const operation of history.operations) {
    const { request, answer, called, answered } = operation
    if (answered === undefined || answer.type === 'unknown') continue
    const floor = timeline.floor(called.order)
    const oldest = Math.max(history.start.revision, floor?.revision ?? 0)
    const newest = witness.ceiling(answered.order)
    if (answer.type === 'items' || answer.type === 'position' || answer.type === 'unchanged') {
      if (answer.revision < oldest && floor !== undefined) {
        const hasRestarted = timeline.hasRestarted(operation.server, floor.at.order, answered.order)
        const invariant = hasRestarted ? 'D1' : floor.isDelivery ? 'E4' : 'R1'
        const problem = invariant === 'E4' ? 'early event' : 'stale read'
        report(
          invariant,
          problem,
          `Revision ${floor.revision} had been shown (${floor.shownBy}) before the call of ${showOperation(operation)}`,
        )
      }
      if (answer.revision > newest)
        report('R1', 'wrong read', `No revision above ${newest} can have happened before the answer of ${showOperation(operation)}`)
    }
    if (request.type === 'read') checkRead(operation, { oldest, witness, compactions, report })
    if (request.type !== 'write') continue
    if (answer.type === 'unchanged') {
      const held = request.changes.find(({ key }) => witness.find(key, answer.revision) !== undefined)
      if (held !== undefined)
        report(
          'W2',
          'lost write',
          `"${held.key}" held ${showItem(witness.find(held.key, answer.revision))} and was not deleted: ${showOperation(operation)}`,
        )
    }
    if (answer.type === 'refused') checkRefusal(operation, answer.current, Math.min(oldest, newest), newest, witness, report)
  }
}

interface ReadContext {
  readonly oldest: number
  readonly witness: Witness
  readonly compactions: Compactions
  readonly report: Report
}

function checkRead(operation: RecordedOperation, { oldest, witness, compactions, report }: ReadContext): void {
  const { request, answer, called, answered } = operation
  if (request.type !== 'read' || answered === undefined) return
  const revision = request.revision
  if (answer.type === 'items') {
    const compacted = compactions.answeredBefore(called.order)
    if (revision !== undefined && revision < compacted)
      report('C1', 'wrong read', `Revision ${compacted} was compacted before ${showOperation(operation)}`)
    const expected = witness.list(request.range, revision ?? answer.revision)
    const difference = firstDifference(expected, answer.items)
    if (difference === undefined) return
    const invariant = request.range.end === undefined || revision !== undefined ? 'R2' : 'R3'
    report(invariant, 'wrong read', `${difference} at revision ${revision ?? answer.revision}: ${showOperation(operation)}`)
  } else if (answer.type === 'failed' && answer.code === 'Compacted') {
    if (revision === undefined || compactions.calledBefore(answered.order) <= revision)
      report('C2', 'wrong read', `Nothing above revision ${revision} was compacted, yet it was refused: ${showOperation(operation)}`)
  } else if (answer.type === 'failed' && answer.code === 'FutureRevision') {
    if (revision === undefined || revision <= oldest)
      report('R1', 'stale read', `Revision ${oldest} had been shown before the call of ${showOperation(operation)}`)
  } else if (answer.type === 'failed') report('R1', 'wrong read', `A read has no reason to fail so: ${showOperation(operation)}`)
}

/** A refusal is right when, at some revision between call and answer, a condition did not hold, and the key held what was told. */
function checkRefusal(
  operation: RecordedOperation,
  current: RecordedItem | null | undefined,
  from: number,
  to: number,
  witness: Witness,
  report: Report,
): void {
  if (operation.request.type !== 'write') return
  const { conditions } = operation.request
  if (current === undefined) {
    // Whether several conditions failed together is not looked into: one that held all the time cannot have been the reason, if it is the only one.
    const [only] = conditions
    if (conditions.length !== 1 || only === undefined) return
    for (let revision = from; revision <= to; revision++)
      if ((witness.find(only.key, revision)?.modRevision ?? 0) !== only.modRevision) return
    report('W3', 'wrong refusal', `"${only.key}" was at revision ${only.modRevision} all the time of ${showOperation(operation)}`)
    return
  }
  const [condition] = conditions
  if (condition === undefined) return
  const told = current?.modRevision ?? 0
  if (told === condition.modRevision)
    report('W3', 'wrong refusal', `The condition holds for what was told, ${showItem(current)}: ${showOperation(operation)}`)
  if (!witness.held(condition.key, told, from, to))
    report('W3', 'wrong refusal', `"${condition.key}" did not hold ${showItem(current)} at any time of ${showOperation(operation)}`)
  else if (current !== null && showItem(witness.find(condition.key, told)) !== showItem(current))
    report(
      'W3',
      'wrong refusal',
      `"${condition.key}" held ${showItem(witness.find(condition.key, told))}, but ${showItem(current)} was told: ${showOperation(operation)}`,
    )
}

function firstDifference(expected: readonly RecordedItem[], got: readonly RecordedItem[]): string | undefined {
  for (let index = 0; index < Math.max(expected.length, got.length); index++) {
    const [have, want] = [showItem(got[index]), showItem(expected[index])]
    if (have !== want) return `Item ${index} is ${have}, not ${want}`
  }
  return undefined
}

/** Which compactions had been asked for, and which had been answered, when. */
export class Compactions {
  readonly #operations: readonly { readonly revision: number; readonly called: number; readonly answered: number }[]

  constructor(operations: readonly RecordedOperation[]) {
    this.#operations = operations.flatMap(({ request, called, answered, answer }) =>
      request.type === 'compact' && answer.type !== 'failed'
        ? [
            {
              revision: request.revision,
              called: called.order,
              answered: answer.type === 'done' ? (answered?.order ?? Infinity) : Infinity,
            },
          ]
        : [],
    )
  }

  /** The highest revision that can have been the compact revision before a point of the order; 0: none. */
  calledBefore(order: number): number {
    return Math.max(0, ...this.#operations.filter(({ called }) => called < order).map(({ revision }) => revision))
  }

  /** The compact revision, at least, from a point of the order on; 0: none. */
  answeredBefore(order: number): number {
    return Math.max(0, ...this.#operations.filter(({ answered }) => answered < order).map(({ revision }) => revision))
  }
}
