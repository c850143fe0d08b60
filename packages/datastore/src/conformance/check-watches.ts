import { isInRecordedRange, showItem, showRecordedEvent } from './recorded.ts'
import type { RecordedEvent, RecordedHistory, RecordedWatch } from './recorded.ts'
import { Compactions } from './check-reads.ts'
import type { Report } from './check-writes.ts'
import type { Witness } from './witness.ts'

/** Checks every stream, and the final reading of the log, against the witness: complete, exactly once, in order, whole revisions, not early. */
export function checkWatches(history: RecordedHistory, witness: Witness, report: Report): void {
  const compactions = new Compactions(history.operations)
  const { from, through, deliveries } = history.readout
  const everything = { start: '', end: '' }
  checkStream(
    'the final reading of the log',
    { range: everything, from, through, deliveries, previous: false },
    { witness, compactions, report },
  )
  for (const watch of history.watches) {
    const name = `watch ${watch.client}@${watch.server} #${watch.id} from ${watch.fromRevision}`
    checkEnd(name, watch, compactions, report)
    const told = watch.deliveries.at(-1)?.revision ?? watch.fromRevision - 1
    const stream = { ...watch, from: watch.fromRevision, through: watch.ended === undefined ? through : told }
    checkStream(name, stream, { witness, compactions, report })
  }
}

interface Stream extends Pick<RecordedWatch, 'range' | 'deliveries' | 'previous'> {
  readonly from: number
  /** The last revision that must have been delivered. */
  readonly through: number
}

interface StreamContext {
  readonly witness: Witness
  readonly compactions: Compactions
  readonly report: Report
}

function checkEnd(
  name: string,
  { fromRevision, opened, deliveries, ended }: RecordedWatch,
  compactions: Compactions,
  report: Report,
): void {
  const next = (deliveries.at(-1)?.revision ?? fromRevision - 1) + 1
  const compacted = compactions.answeredBefore(opened.order)
  if (fromRevision < compacted && deliveries.length > 0)
    report('C1', 'wrong event', `Revision ${compacted} was compacted before the start of ${name}, which yet delivered`)
  if (ended?.code === 'Compacted' && compactions.calledBefore(ended.at.order) <= next)
    report('C2', 'lost event', `Nothing above revision ${next} was compacted, yet ${name} ended so, which needed it`)
}

function checkStream(
  name: string,
  { range, from, through, deliveries, previous }: Stream,
  { witness, compactions, report }: StreamContext,
): void {
  const expected: RecordedEvent[] = []
  for (let revision = from; revision <= through; revision++)
    for (const event of witness.eventsAt(revision)) if (isInRecordedRange(range, event.item.key)) expected.push(event)
  const places = new Map(expected.map((event, index) => [identity(event), index]))
  const delivered = new Set<string>()
  let [last, told] = [-1, from - 1]
  for (const [number, batch] of deliveries.entries()) {
    const where = `${name}, batch ${number} at ${batch.at.order}`
    if (batch.revision < told) report('E5', 'reordered event', `${where} is of revision ${batch.revision}, after one of ${told}`)
    for (const event of batch.events) {
      const revision = event.item.modRevision
      const shown = showRecordedEvent(event)
      const place = places.get(identity(event))
      if (delivered.has(identity(event))) report('E1', 'doubled event', `${where} delivers ${shown} again`)
      else if (revision < from) report('E1', 'doubled event', `${where} delivers ${shown}, of before its start`)
      else if (place === undefined) report('E1', 'wrong event', `${where} delivers ${shown}, which is not in the log`)
      else {
        if (place < last) report('E1', 'reordered event', `${where} delivers ${shown} after ${shownAt(expected, last)}`)
        else if (revision <= told)
          report('E2', 'split revision', `${where} delivers ${shown}, but a batch before it covered revision ${told}`)
        last = Math.max(last, place)
        checkContent(where, event, { previous, witness, report })
      }
      delivered.add(identity(event))
      if (revision > batch.revision) report('E5', 'split revision', `${where} is of revision ${batch.revision}, but delivers ${shown}`)
      if (revision > witness.ceiling(batch.at.order)) report('E4', 'early event', `${where} delivers ${shown} before that was written`)
    }
    told = Math.max(told, batch.revision)
  }
  for (const event of expected) {
    if (delivered.has(identity(event))) continue
    const revision = event.item.modRevision
    const isCompacted = revision <= compactions.calledBefore(Number.POSITIVE_INFINITY) && event.type === 'delete'
    report(isCompacted ? 'C2' : 'E1', 'lost event', `${name} never delivered ${showRecordedEvent(event)}, but went on to revision ${told}`)
  }
}

function checkContent(
  where: string,
  event: RecordedEvent,
  { previous, witness, report }: { readonly previous: boolean; readonly witness: Witness; readonly report: Report },
): void {
  const revision = event.item.modRevision
  const written = witness.eventsAt(revision).find(({ item }) => item.key === event.item.key)
  if (event.type === 'put' && showItem(written?.item) !== showItem(event.item))
    report('E1', 'wrong event', `${where} delivers ${showItem(event.item)} instead of ${showItem(written?.item)}`)
  const before = previous ? witness.find(event.item.key, revision - 1) : undefined
  if (showItem(before) !== showItem(event.previous))
    report(
      'E7',
      'wrong event',
      `${where} tells ${showItem(event.previous)} as what ${showRecordedEvent(event)} replaced, not ${showItem(before)}`,
    )
}

/** A key has one event a revision. */
function identity({ type, item }: RecordedEvent): string {
  return `${item.modRevision} ${type} ${item.key}`
}

function shownAt(events: readonly RecordedEvent[], index: number): string {
  const event = events[index]
  return event === undefined ? 'its start' : showRecordedEvent(event)
}
