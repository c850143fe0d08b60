import { showItem, showOperation, showRecordedEvent } from './recorded.ts'
import type { RecordedDelivery, RecordedEvent, RecordedHistory, RecordedOperation, RecordedWrite, Violation } from './recorded.ts'
import type { Timeline } from './timeline.ts'
import { Witness } from './witness.ts'

export type Report = (invariant: string, problem: Violation['problem'], message: string) => void

type Write = RecordedOperation & { readonly request: RecordedWrite }

const isWrite = (operation: RecordedOperation): operation is Write => operation.request.type === 'write'

/**
 * Folds the log, revision after revision, and finds for each the one operation that made it: the one that was answered with it, else one of
 * unknown outcome with this effect, else the end of a lease. An operation of unknown outcome may have happened at any time after its call, so
 * whichever of several equal ones is taken leaves as many possibilities for what follows; one with a condition fits one place only, and is taken first.
 */
export function checkWrites(history: RecordedHistory, timeline: Timeline, report: Report): Witness {
  const { start, readout, operations } = history
  const witness = new Witness(start)
  const answered = groupBy(operations.filter(isWrite), ({ answer }) => (answer.type === 'written' ? [answer.revision] : []))
  const unknown = new UnknownWrites(operations.filter(isWrite), timeline)
  const endings = new LeaseEndings(operations)
  const readOut = eventsByRevision(readout.deliveries)
  const delivered = eventsByRevision(history.watches.flatMap(({ deliveries }) => deliveries))
  const compacted = operations.reduce(
    (newest, { request }) => (request.type === 'compact' ? Math.max(newest, request.revision) : newest),
    0,
  )
  for (let revision = start.revision + 1; revision <= readout.through; revision++) {
    const claims = answered.get(revision) ?? []
    if (claims.length > 1) report('W1', 'wrong order', `Revision ${revision} was given twice: ${claims.map(showOperation).join('; ')}`)
    let events = revision >= readout.from ? readOut.get(revision) : undefined
    if (events === undefined && revision >= readout.from && claims[0] !== undefined) {
      const invariant = revision <= compacted ? 'C2' : 'W7'
      report(invariant, 'lost write', `Revision ${revision} is not in the log, but was answered: ${showOperation(claims[0])}`)
    }
    // What was compacted before the log was read out is known from its answer, or from a watch.
    if (events === undefined && (revision < readout.from || revision <= compacted))
      events = claims[0] === undefined ? delivered.get(revision) : witness.effectOf(claims[0].request)
    if (events === undefined) {
      if (claims.length === 0) report('W1', 'lost write', `Revision ${revision} is in no log, answer or watch`)
      witness.take([], undefined)
      continue
    }
    witness.take(checkVersions(witness, revision, events, report), explain(witness, revision, events, claims))
  }
  for (const [revision, writes] of answered) {
    if (revision <= start.revision)
      report('D1', 'wrong order', `Revision ${revision} is older than the start: ${writes.map(showOperation).join('; ')}`)
    if (revision > readout.through)
      for (const write of writes)
        report('W7', 'lost write', `The log ends at ${readout.through}, but was answered: ${showOperation(write)}`)
  }
  checkOrder(operations, timeline, report)
  return witness

  /** Finds who made a revision; returns when that was called. */
  function explain(witness: Witness, revision: number, events: readonly RecordedEvent[], claims: readonly Write[]): number | undefined {
    let called: number | undefined
    for (const claim of claims) {
      if (called === undefined && hasEffect(witness, claim, events)) {
        called = claim.called.order
        const broken = witness.brokenCondition(claim.request)
        if (broken !== undefined)
          report(
            'W3',
            'unjustified write',
            `"${broken.key}" held ${showItem(witness.find(broken.key))} before revision ${revision}, which yet accepted ${showOperation(claim)}`,
          )
      } else report('W7', 'lost write', `Revision ${revision} is ${showEvents(events)}, but was answered: ${showOperation(claim)}`)
    }
    if (called !== undefined) return called
    const write = unknown.take(witness, revision, events)
    if (write !== undefined) return write.called.order
    if (endings.take(witness, revision, events, report)) return undefined
    const [twin] = operations.filter(isWrite).filter(({ answer, request }) => {
      const [first] = events
      return answer.type === 'written' && request.changes.some((change) => first !== undefined && isPutOf(change, first))
    })
    if (twin !== undefined) report('W10', 'doubled write', `Revision ${revision}, ${showEvents(events)}, repeats ${showOperation(twin)}`)
    else report('W2', 'unexplained write', `Revision ${revision}, ${showEvents(events)}, is of no operation that can have written it then`)
    return undefined
  }
}

/** No operation that was called after a revision had been shown has that revision or an older one. */
function checkOrder(operations: readonly RecordedOperation[], timeline: Timeline, report: Report): void {
  for (const operation of operations) {
    if (operation.answer.type !== 'written') continue
    const floor = timeline.floor(operation.called.order)
    if (floor === undefined || floor.revision < operation.answer.revision) continue
    const end = operation.answered?.order ?? Number.POSITIVE_INFINITY
    const invariant = timeline.hasRestarted(operation.server, floor.at.order, end) ? 'D1' : 'W1'
    report(
      invariant,
      'wrong order',
      `Revision ${floor.revision} had been shown (${floor.shownBy}) before the call of ${showOperation(operation)}`,
    )
  }
}

/** Checks what the events say of their keys' lives; returns them as they should be. */
function checkVersions(witness: Witness, revision: number, events: readonly RecordedEvent[], report: Report): readonly RecordedEvent[] {
  return events.map((event) => {
    const previous = witness.find(event.item.key)
    if (event.type === 'delete') {
      if (previous === undefined) report('W2', 'wrong write', `Revision ${revision} deletes "${event.item.key}", which held nothing`)
      return event
    }
    const createRevision = previous?.createRevision ?? revision
    const version = (previous?.version ?? 0) + 1
    const { item } = event
    if (item.createRevision !== createRevision || item.version !== version || item.modRevision !== revision)
      report(
        'W6',
        'wrong write',
        `Revision ${revision} is ${showItem(item)}, not created ${createRevision} modified ${revision} version ${version}`,
      )
    return { type: 'put', item: { ...item, createRevision, version, modRevision: revision } }
  })
}

function isPutOf(change: RecordedWrite['changes'][number], { type, item }: RecordedEvent): boolean {
  return change.type === 'put' && type === 'put' && change.key === item.key && change.value === item.value
}

function hasEffect(witness: Witness, { request }: Write, events: readonly RecordedEvent[]): boolean {
  const effect = witness.effectOf(request)
  const isSame = ({ type, item }: RecordedEvent, other: RecordedEvent | undefined): boolean =>
    type === other?.type && item.key === other.item.key && item.value === other.item.value && item.leaseId === other.item.leaseId
  return effect.length === events.length && effect.every((event, index) => isSame(event, events[index]))
}

/** Writes of which nobody knows whether they happened. Each may explain one revision. */
class UnknownWrites {
  readonly #timeline: Timeline
  readonly #byEvent: ReadonlyMap<string, readonly Write[]>
  readonly #used = new Set<string>()

  constructor(writes: readonly Write[], timeline: Timeline) {
    this.#timeline = timeline
    const open = writes.filter(({ answer }) => answer.type === 'unknown')
    this.#byEvent = groupBy(open, ({ request }) =>
      request.changes.map((change) => (change.type === 'put' ? `${change.key}=${change.value}` : change.key)),
    )
  }

  take(witness: Witness, revision: number, events: readonly RecordedEvent[]): Write | undefined {
    const [first] = events
    if (first === undefined) return undefined
    const candidates = this.#byEvent.get(first.type === 'put' ? `${first.item.key}=${first.item.value}` : first.item.key) ?? []
    const fitting = candidates.filter(
      (write) =>
        !this.#used.has(write.id) &&
        (this.#timeline.floor(write.called.order)?.revision ?? 0) < revision &&
        witness.brokenCondition(write.request) === undefined &&
        hasEffect(witness, write, events),
    )
    const taken = fitting.find(({ request }) => request.conditions.length > 0) ?? fitting[0]
    if (taken !== undefined) this.#used.add(taken.id)
    return taken
  }
}

/** Leases that were granted, perhaps, and have not ended yet. */
class LeaseEndings {
  readonly #running: Set<string>

  constructor(operations: readonly RecordedOperation[]) {
    const granted = operations.flatMap(({ request, answer }) =>
      request.type === 'grantLease' && answer.type !== 'failed' ? [request.leaseId] : [],
    )
    this.#running = new Set(granted)
  }

  /** Whether a revision is the end of a lease. */
  take(witness: Witness, revision: number, events: readonly RecordedEvent[], report: Report): boolean {
    const ids = new Set(events.map(({ type, item }) => (type === 'delete' ? witness.find(item.key)?.leaseId : undefined)))
    const [id] = ids
    if (ids.size !== 1 || id === undefined) return false
    const keys = witness.keysOfLease(id)
    if (!this.#running.delete(id)) report('L1', 'wrong lease', `Revision ${revision} ends lease ${id} again, or one that was not granted`)
    if (keys.length !== events.length)
      report('L1', 'wrong lease', `Revision ${revision} ends lease ${id} with ${showEvents(events)}, but its keys were ${keys.join(', ')}`)
    return true
  }
}

function showEvents(events: readonly RecordedEvent[]): string {
  return events.map(showRecordedEvent).join(', ')
}

/** Each key's event of a revision once, in the order in which the delivery with the most of them had them. */
function eventsByRevision(deliveries: readonly RecordedDelivery[]): ReadonlyMap<number, readonly RecordedEvent[]> {
  const longest = new Map<number, readonly RecordedEvent[]>()
  for (const { events } of deliveries)
    for (const [revision, together] of groupBy(events, ({ item }) => [item.modRevision])) {
      const unique = [...new Map(together.map((event) => [event.item.key, event])).values()]
      if (unique.length > (longest.get(revision)?.length ?? 0)) longest.set(revision, unique)
    }
  return longest
}

function groupBy<T, K>(values: readonly T[], keysOf: (value: T) => readonly K[]): ReadonlyMap<K, readonly T[]> {
  const groups = new Map<K, T[]>()
  for (const value of values)
    for (const key of keysOf(value)) {
      const group = groups.get(key)
      if (group === undefined) groups.set(key, [value])
      else group.push(value)
    }
  return groups
}
