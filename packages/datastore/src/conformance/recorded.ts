/** What clients did to a datastore and saw of it, as plain data: it fits in JSON, and so may come from several processes. */

/** A point in time. */
export interface Moment {
  /** A clock that all clients share and that never stands still between two entries of one client: a counter, or milliseconds of a monotonic clock. */
  readonly order: number
  /** Milliseconds of the clock that leases follow. */
  readonly ms: number
}

/** One version of one key. Keys and values are ASCII. */
export interface RecordedItem {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  /** Decimal; absent: none. */
  readonly leaseId?: string | undefined
}

export interface RecordedEvent {
  readonly type: 'put' | 'delete'
  readonly item: RecordedItem
  readonly previous?: RecordedItem | undefined
}

/** As the contract's `KeyRange`. */
export interface RecordedRange {
  readonly start: string
  readonly end?: string | undefined
}

export type RecordedChange =
  | { readonly type: 'put'; readonly key: string; readonly value: string; readonly leaseId?: string | undefined }
  | { readonly type: 'delete'; readonly key: string }

/** Every write is one of this form: its changes are done when each of its conditions holds. `modRevision` 0: the key must not exist. */
export interface RecordedWrite {
  readonly type: 'write'
  readonly conditions: readonly { readonly key: string; readonly modRevision: number }[]
  readonly changes: readonly RecordedChange[]
}

export type RecordedRequest =
  | RecordedWrite
  /** No `revision`: of the newest state. */
  | { readonly type: 'read'; readonly range: RecordedRange; readonly revision?: number | undefined }
  | { readonly type: 'position' }
  | { readonly type: 'compact'; readonly revision: number }
  /** An id is granted once in a history. */
  | { readonly type: 'grantLease' | 'keepLease'; readonly leaseId: string; readonly ttlSeconds: number }
  | { readonly type: 'revokeLease'; readonly leaseId: string }

export type RecordedAnswer =
  /** `revision` is that of the write. */
  | { readonly type: 'written'; readonly revision: number }
  /** There was nothing to delete at `revision`, the newest then. */
  | { readonly type: 'unchanged'; readonly revision: number }
  /** A condition did not hold. `current` is what the key held then, null: nothing; absent: the answer did not tell. */
  | { readonly type: 'refused'; readonly current?: RecordedItem | null | undefined }
  | { readonly type: 'items'; readonly revision: number; readonly items: readonly RecordedItem[] }
  | { readonly type: 'position'; readonly revision: number }
  | { readonly type: 'done' }
  /** Certainly not done. `code` is a `DatastoreErrorCode`. */
  | { readonly type: 'failed'; readonly code: string }
  /** It failed in a way that leaves open whether it happened. */
  | { readonly type: 'unknown'; readonly reason: string }

export interface RecordedOperation {
  readonly id: string
  readonly client: string
  readonly server: string
  readonly called: Moment
  /** Absent: the client died before an answer came. */
  readonly answered: Moment | undefined
  readonly request: RecordedRequest
  readonly answer: RecordedAnswer
}

export interface RecordedDelivery {
  readonly at: Moment
  readonly revision: number
  readonly events: readonly RecordedEvent[]
}

/** One stream of a watch. A watcher that resumes makes a new one. */
export interface RecordedWatch {
  readonly id: string
  readonly client: string
  readonly server: string
  readonly range: RecordedRange
  readonly fromRevision: number
  /** Whether previous values were asked for. */
  readonly previous: boolean
  readonly opened: Moment
  readonly deliveries: readonly RecordedDelivery[]
  /** Absent: it was open to the end, when everything had time enough to be delivered. */
  readonly ended: { readonly at: Moment; readonly code?: string | undefined } | undefined
}

export interface RecordedHistory {
  /** The state before the first operation. */
  readonly start: { readonly revision: number; readonly items: readonly RecordedItem[] }
  readonly operations: readonly RecordedOperation[]
  readonly watches: readonly RecordedWatch[]
  /** When a server had died or was stopped, and was started anew. */
  readonly restarts: readonly { readonly server: string; readonly at: Moment }[]
  /**
   * The log as a watch read it when all was over: the batches of `from` to `through`, which is the newest revision.
   * What is older was compacted; a watch of everything among {@link RecordedHistory.watches} had got it before.
   */
  readonly readout: { readonly from: number; readonly through: number; readonly deliveries: readonly RecordedDelivery[] }
  /** How long after its deadline a lease's keys may still be there, milliseconds. */
  readonly leaseBoundMs: number
}

/** The entries that recorders write, in any order; {@link assembleHistory} makes a history of them. */
export type RecordedEntry =
  | {
      readonly type: 'call'
      readonly id: string
      readonly client: string
      readonly server: string
      readonly at: Moment
      readonly request: RecordedRequest
    }
  | { readonly type: 'answer'; readonly id: string; readonly at: Moment; readonly answer: RecordedAnswer }
  | ({ readonly type: 'watch' } & Omit<RecordedWatch, 'deliveries' | 'ended'>)
  | ({ readonly type: 'delivery'; readonly id: string } & RecordedDelivery)
  | { readonly type: 'end'; readonly id: string; readonly at: Moment; readonly code?: string | undefined }
  | { readonly type: 'restart'; readonly server: string; readonly at: Moment }

/** What the entries alone do not tell. */
export type HistoryFrame = Pick<RecordedHistory, 'start' | 'readout' | 'leaseBoundMs'>

/** Operations without an answer become unknown ones; entries of one id are expected in their order. */
export function assembleHistory(entries: Iterable<RecordedEntry>, frame: HistoryFrame): RecordedHistory {
  const operations = new Map<string, RecordedOperation>()
  const watches = new Map<string, RecordedWatch & { readonly deliveries: RecordedDelivery[] }>()
  const restarts: RecordedHistory['restarts'][number][] = []
  for (const entry of entries) {
    if (entry.type === 'call') {
      const { id, client, server, at, request } = entry
      operations.set(id, { id, client, server, called: at, answered: undefined, request, answer: { type: 'unknown', reason: 'no answer' } })
    } else if (entry.type === 'answer') {
      const operation = operations.get(entry.id)
      if (operation !== undefined) operations.set(entry.id, { ...operation, answered: entry.at, answer: entry.answer })
    } else if (entry.type === 'watch') {
      const { type: _, ...watch } = entry
      watches.set(entry.id, { ...watch, deliveries: [], ended: undefined })
    } else if (entry.type === 'delivery') {
      watches.get(entry.id)?.deliveries.push({ at: entry.at, revision: entry.revision, events: entry.events })
    } else if (entry.type === 'end') {
      const watch = watches.get(entry.id)
      if (watch !== undefined) watches.set(entry.id, { ...watch, ended: { at: entry.at, code: entry.code } })
    } else restarts.push({ server: entry.server, at: entry.at })
  }
  return { ...frame, operations: [...operations.values()], watches: [...watches.values()], restarts }
}

/** What went wrong, for counting. */
export type Problem =
  | 'lost write'
  | 'doubled write'
  | 'unexplained write'
  | 'wrong write'
  | 'unjustified write'
  | 'wrong order'
  | 'stale read'
  | 'wrong read'
  | 'wrong refusal'
  | 'lost event'
  | 'doubled event'
  | 'reordered event'
  | 'split revision'
  | 'early event'
  | 'wrong event'
  | 'wrong lease'

export interface Violation {
  /** A number of SPEC.md. */
  readonly invariant: string
  readonly problem: Problem
  /** One sentence that names the operations. */
  readonly message: string
}

export function isInRecordedRange({ start, end }: RecordedRange, key: string): boolean {
  if (end === undefined) return key === start
  return key >= start && (end === '' || key < end)
}

export function showItem(item: RecordedItem | null | undefined): string {
  if (item === undefined || item === null) return 'nothing'
  const lease = item.leaseId === undefined ? '' : ` lease ${item.leaseId}`
  return `${item.key}=${item.value} created ${item.createRevision} modified ${item.modRevision} version ${item.version}${lease}`
}

export function showRecordedEvent({ type, item }: RecordedEvent): string {
  return type === 'put' ? `${item.modRevision} put ${showItem(item)}` : `${item.modRevision} delete ${item.key}`
}

export function showOperation({ id, client, server, called, answered, request, answer }: RecordedOperation): string {
  const asked = request.type === 'write' ? showWrite(request) : JSON.stringify(request)
  const told = 'revision' in answer ? `${answer.type} at ${answer.revision}` : answer.type === 'failed' ? answer.code : answer.type
  return `${client}@${server} #${id} [${called.order}, ${answered?.order ?? '…'}] ${asked}: ${told}`
}

function showWrite({ conditions, changes }: RecordedWrite): string {
  const when = conditions.map(({ key, modRevision }) => `${key} at ${modRevision}`)
  const what = changes.map((change) => (change.type === 'put' ? `put ${change.key}=${change.value}` : `delete ${change.key}`))
  return `${when.length === 0 ? '' : `if ${when.join(', ')} `}${what.join(', ')}`
}
