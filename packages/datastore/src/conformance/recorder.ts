import type { Datastore, KeyRange, KeyValue, TxnOperation, WatchEvent } from '../contract.ts'
import { isDatastoreError } from '../errors.ts'
import type {
  Moment,
  RecordedAnswer,
  RecordedEntry,
  RecordedEvent,
  RecordedItem,
  RecordedRange,
  RecordedRequest,
  RecordedWrite,
} from './recorded.ts'

export interface RecorderOptions {
  /** The present moment. */
  readonly now: () => Moment
  /** Takes each entry at once, before the recorder goes on. */
  readonly emit: (entry: RecordedEntry) => void
  /** Distinguishes the ids of recorders whose entries are put together. */
  readonly idPrefix?: string | undefined
  /** Values are padded to this many bytes with spaces, which the entries do not show. */
  readonly valueBytes?: number | undefined
}

/** One server, as a client has it now. */
export interface ServerHandle {
  readonly name: string
  readonly store: Datastore
}

export interface FollowOptions {
  readonly range: RecordedRange
  readonly fromRevision: number
  readonly previous?: boolean | undefined
  readonly signal: AbortSignal
  /** Called with each batch, before the next is asked for: what it awaits makes the watcher slow. */
  readonly onBatch?: ((revision: number) => void | Promise<void>) | undefined
  /** Awaited before a watch that failed is resumed. */
  readonly beforeResume: () => Promise<void>
}

/** Certain refusals: whatever else a call fails with, it may have happened. */
const certainCodes: ReadonlySet<string> = new Set([
  'KeyExists',
  'RevisionConflict',
  'Compacted',
  'FutureRevision',
  'LeaseNotFound',
  'LeaseExists',
  'TooLarge',
  'InvalidArgument',
])

/** Writes down what clients do. */
export class Recorder {
  readonly #options: RecorderOptions
  #ids = 0

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  get now(): Moment {
    return this.#options.now()
  }

  /** A client; `server` says whom it speaks to at the moment of a call. */
  client(name: string, server: () => ServerHandle): RecordingClient {
    return new RecordingClient(name, server, this)
  }

  restarted(server: string): void {
    this.#options.emit({ type: 'restart', server, at: this.now })
  }

  nextId(): string {
    return `${this.#options.idPrefix ?? ''}${++this.#ids}`
  }

  emit(entry: RecordedEntry): void {
    this.#options.emit(entry)
  }

  encode(value: string): Uint8Array {
    return Buffer.from(value.padEnd(this.#options.valueBytes ?? 0, ' '))
  }
}

/** A client whose every call is recorded; no call of it rejects, whatever became of it. */
export class RecordingClient {
  readonly #name: string
  readonly #server: () => ServerHandle
  readonly #recorder: Recorder

  constructor(name: string, server: () => ServerHandle, recorder: Recorder) {
    this.#name = name
    this.#server = server
    this.#recorder = recorder
  }

  /** One change with at most a condition on the same key goes by `create`, `update` or `delete`, everything else by `txn`. */
  write(write: Omit<RecordedWrite, 'type'>, signal?: AbortSignal): Promise<RecordedAnswer> {
    const request: RecordedWrite = { type: 'write', ...write }
    const [change] = write.changes
    const [condition] = write.conditions
    const isPlain = write.changes.length === 1 && write.conditions.length <= 1 && (condition === undefined || condition.key === change?.key)
    return this.#record(request, async (store) => {
      if (!isPlain || change === undefined) return this.#txn(store, request, signal)
      const key = Buffer.from(change.key)
      const expectedRevision = condition?.modRevision
      if (change.type === 'delete') {
        const { revision, previous } = await store.delete(key, { expectedRevision, signal })
        return { type: previous === undefined ? 'unchanged' : 'written', revision }
      }
      const value = this.#recorder.encode(change.value)
      const leaseId = change.leaseId === undefined ? undefined : BigInt(change.leaseId)
      const { revision } =
        expectedRevision === 0
          ? await store.create(key, value, { leaseId, signal })
          : await store.update(key, value, { leaseId, expectedRevision, signal })
      return { type: 'written', revision }
    })
  }

  read(
    range: RecordedRange,
    { revision, signal }: { readonly revision?: number | undefined; readonly signal?: AbortSignal } = {},
  ): Promise<RecordedAnswer> {
    return this.#record({ type: 'read', range, revision }, async (store) => {
      const result = await store.list(bytesRange(range), { revision, signal })
      return { type: 'items', revision: result.revision, items: result.items.map(recordItem) }
    })
  }

  position(): Promise<RecordedAnswer> {
    return this.#record({ type: 'position' }, async (store) => ({ type: 'position', revision: await store.currentRevision() }))
  }

  compact(revision: number): Promise<RecordedAnswer> {
    return this.#record({ type: 'compact', revision }, async (store) => {
      await store.compact(revision)
      return { type: 'done' }
    })
  }

  grantLease(leaseId: string, ttlSeconds: number): Promise<RecordedAnswer> {
    return this.#record({ type: 'grantLease', leaseId, ttlSeconds }, async (store) => {
      await store.grantLease({ id: BigInt(leaseId), ttlSeconds })
      return { type: 'done' }
    })
  }

  /** `ttlSeconds` is what was granted. */
  keepLease(leaseId: string, ttlSeconds: number): Promise<RecordedAnswer> {
    return this.#record({ type: 'keepLease', leaseId, ttlSeconds }, async (store) => {
      await store.keepLeaseAlive(BigInt(leaseId))
      return { type: 'done' }
    })
  }

  revokeLease(leaseId: string): Promise<RecordedAnswer> {
    return this.#record({ type: 'revokeLease', leaseId }, async (store) => {
      await store.revokeLease(BigInt(leaseId))
      return { type: 'done' }
    })
  }

  /** Watches until the signal aborts: resumes after what it has got, or with a list where that is compacted, as an informer does. */
  async follow({ range, fromRevision, previous = false, signal, onBatch, beforeResume }: FollowOptions): Promise<void> {
    let next = fromRevision
    while (!signal.aborted) {
      const id = this.#recorder.nextId()
      const server = this.#server()
      const emit = (entry: RecordedEntry): void => this.#recorder.emit(entry)
      const who = { client: this.#name, server: server.name }
      emit({ type: 'watch', id, ...who, range, fromRevision: next, previous, opened: this.#recorder.now })
      let code: string | undefined
      try {
        for await (const batch of server.store.watch(bytesRange(range), { fromRevision: next, previous, signal })) {
          next = batch.revision + 1
          emit({ type: 'delivery', id, at: this.#recorder.now, revision: batch.revision, events: batch.events.map(recordEvent) })
          await onBatch?.(batch.revision)
        }
      } catch (error) {
        code = codeOf(error)
      }
      emit({ type: 'end', id, at: this.#recorder.now, code })
      if (code !== undefined && !signal.aborted) await beforeResume()
      if (code === 'Compacted') next = await this.#relist(range, next, signal, beforeResume)
    }
  }

  /** The revision after that of a list; `next` when the signal aborts before there is one. */
  async #relist(range: RecordedRange, next: number, signal: AbortSignal, beforeRetry: () => Promise<void>): Promise<number> {
    while (!signal.aborted) {
      const answer = await this.read(range, { signal })
      if (answer.type === 'items') return answer.revision + 1
      await beforeRetry()
    }
    return next
  }

  async #txn(store: Datastore, { conditions, changes }: RecordedWrite, signal: AbortSignal | undefined): Promise<RecordedAnswer> {
    const success = changes.map((change): TxnOperation => {
      const key = Buffer.from(change.key)
      if (change.type === 'delete') return { type: 'delete', range: { start: key } }
      return {
        type: 'put',
        key,
        value: this.#recorder.encode(change.value),
        leaseId: change.leaseId === undefined ? 0n : BigInt(change.leaseId),
      }
    })
    const compare = conditions.map(
      ({ key, modRevision }) =>
        ({ range: { start: Buffer.from(key) }, target: 'modRevision', result: 'equal', operand: modRevision }) as const,
    )
    const { succeeded, revision, results } = await store.txn({ compare, success, failure: [] }, { signal })
    if (!succeeded) return { type: 'refused' }
    const isChanged = results.some((result) => result.type === 'put' || (result.type === 'delete' && result.deleted > 0))
    return { type: isChanged ? 'written' : 'unchanged', revision }
  }

  async #record(request: RecordedRequest, act: (store: Datastore) => Promise<RecordedAnswer>): Promise<RecordedAnswer> {
    const id = this.#recorder.nextId()
    const { name, store } = this.#server()
    this.#recorder.emit({ type: 'call', id, client: this.#name, server: name, at: this.#recorder.now, request })
    const answer = await act(store).catch((error: unknown) => answerOf(error))
    this.#recorder.emit({ type: 'answer', id, at: this.#recorder.now, answer })
    return answer
  }
}

function answerOf(error: unknown): RecordedAnswer {
  if (!isDatastoreError(error) || !certainCodes.has(error.code)) return { type: 'unknown', reason: codeOf(error) }
  if (error.code === 'KeyExists' || error.code === 'RevisionConflict')
    return { type: 'refused', current: error.current === undefined ? null : recordItem(error.current) }
  return { type: 'failed', code: error.code }
}

function codeOf(error: unknown): string {
  if (isDatastoreError(error)) return error.code
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

function bytesRange({ start, end }: RecordedRange): KeyRange {
  // The smallest key is one zero byte: "from the empty key on" is "from there on".
  const first = start === '' ? Uint8Array.of(0) : Buffer.from(start)
  return { start: first, end: end === undefined ? undefined : Buffer.from(end) }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString().trimEnd()
}

export function recordItem({ key, value, createRevision, modRevision, version, leaseId }: KeyValue): RecordedItem {
  const item = { key: textOf(key), value: textOf(value), createRevision, modRevision, version }
  return leaseId === 0n ? item : { ...item, leaseId: `${leaseId}` }
}

export function recordEvent({ type, item, previous }: WatchEvent): RecordedEvent {
  const event = { type, item: recordItem(item) }
  return previous === undefined ? event : { ...event, previous: recordItem(previous) }
}
