import { showItem, showOperation } from './recorded.ts'
import type { RecordedHistory, RecordedOperation } from './recorded.ts'
import type { Report } from './check-writes.ts'
import type { Witness } from './witness.ts'

/** Grants and renewals of one lease, and whether somebody asked for its end. */
interface LeaseLife {
  readonly renewals: RecordedOperation[]
  readonly revocations: RecordedOperation[]
}

/**
 * Checks when leases end. The clock is read at the call and at the answer of an operation, so a deadline is known to lie between the two
 * plus the time to live; and a key is known to be there, or gone, only when a read or a watch has told it.
 */
export function checkLeases({ operations, watches, readout, leaseBoundMs }: RecordedHistory, witness: Witness, report: Report): void {
  const lives = new Map<string, LeaseLife>()
  for (const operation of operations) {
    const { request } = operation
    if (!('leaseId' in request)) continue
    const life = lives.get(request.leaseId) ?? { renewals: [], revocations: [] }
    lives.set(request.leaseId, life)
    if (request.type === 'revokeLease') life.revocations.push(operation)
    else if (operation.answer.type !== 'failed') life.renewals.push(operation)
  }
  const deletions = deletionsByKey(operations)
  const deleted = new Set<string>()
  for (const { deliveries } of [...watches, readout])
    for (const { at, events } of deliveries)
      for (const { type, item } of events) {
        const leaseId = type === 'delete' ? witness.find(item.key, item.modRevision - 1)?.leaseId : undefined
        const life = leaseId === undefined ? undefined : lives.get(leaseId)
        if (life === undefined || leaseId === undefined || deleted.has(`${item.modRevision} ${item.key}`)) continue
        deleted.add(`${item.modRevision} ${item.key}`)
        if (deletions.get(item.key)?.some((revision) => revision === undefined || revision === item.modRevision) === true) continue
        if (life.revocations.some(({ called }) => called.order < at.order)) continue
        const early = life.renewals.find(
          ({ answered, answer, called, request }) => answered !== undefined && answer.type === 'done' && at.ms < called.ms + ttlOf(request),
        )
        if (early !== undefined)
          report(
            'L1',
            'wrong lease',
            `Lease ${leaseId} ended before ${at.ms}, with revision ${item.modRevision}, in spite of ${showOperation(early)}`,
          )
      }
  for (const operation of operations) {
    const { answer, answered, called, request } = operation
    if (answer.type !== 'items' || answered === undefined || (request.type === 'read' && request.revision !== undefined)) continue
    for (const item of answer.items) {
      const life = item.leaseId === undefined ? undefined : lives.get(item.leaseId)
      if (life === undefined) continue
      const deadlines = life.renewals
        .filter((renewal) => renewal.called.order < answered.order)
        .map((renewal) =>
          renewal.answer.type === 'done' && renewal.answered !== undefined ? renewal.answered.ms + ttlOf(renewal.request) : Infinity,
        )
      if (called.ms > Math.max(...deadlines) + leaseBoundMs)
        report(
          'L1',
          'wrong lease',
          `At ${called.ms} lease ${item.leaseId} was over since ${Math.max(...deadlines)}, yet ${showOperation(operation)} tells ${showItem(item)}`,
        )
    }
  }
}

function ttlOf(request: RecordedOperation['request']): number {
  return 'ttlSeconds' in request ? request.ttlSeconds * 1000 : 0
}

/** The deletions that clients have asked for, and that were not refused, by key: the revision, or undefined where the answer did not come. */
function deletionsByKey(operations: readonly RecordedOperation[]): ReadonlyMap<string, readonly (number | undefined)[]> {
  const byKey = new Map<string, (number | undefined)[]>()
  for (const { request, answer } of operations) {
    if (request.type !== 'write' || (answer.type !== 'unknown' && answer.type !== 'written')) continue
    const revision = answer.type === 'written' ? answer.revision : undefined
    for (const { type, key } of request.changes) {
      if (type !== 'delete') continue
      const known = byKey.get(key)
      if (known === undefined) byKey.set(key, [revision])
      else known.push(revision)
    }
  }
  return byKey
}
