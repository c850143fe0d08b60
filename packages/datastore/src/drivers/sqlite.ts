import { append } from '@k3s/lifecycle'
import type { Bytes, KeyRange, KeyValue, ListResult } from '../contract.ts'
import type {
  Backend,
  BackendStatus,
  BatchResult,
  DueLeases,
  ListRequest,
  LogPage,
  LogRequest,
  OpenMode,
  RestoredLease,
  StoredLease,
  WriteRequest,
} from '../engine/backend.ts'
import { sizeOfRequest } from '../engine/commit-queue.ts'
import { unpackItems } from '../engine/packed-list.ts'
import type { PackedItems, PackedList } from '../engine/packed-list.ts'
import { ByteReader, ByteWriter } from './byte-stream.ts'
import { readBatchResult, readEvent, writeItem, writeRequest } from './sqlite/codec.ts'
import { Checkpointer } from './sqlite/checkpointer.ts'
import type { Call, CommitAnswer, CompactAnswer, ReaderCall, WorkerSettings, WriterCall } from './sqlite/messages.ts'
import type { ListEnd, LogPageMessage } from './sqlite/reader.ts'
import { WorkerThread } from './sqlite/worker-thread.ts'

export interface SqliteOptions {
  readonly path: string
  /** The workers' file; absent: the one beside this. */
  readonly workerUrl?: URL | string | undefined
  readonly nativeBinding?: string | undefined
  readonly mode?: OpenMode | undefined
}

/** The worker's file in this package, as source or built. */
function ownWorkerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js', import.meta.url)
}

/**
 * Opens a file, creating it if needed. Its directory must exist.
 *
 * `mode`: `own` for reading and writing; `restore` for filling it, which opens also a file whose restore was not finished;
 * `read` for a file that another process may have: it takes no lock, makes nothing, and only methods that read may be called.
 */
export async function openSqlite({ path, workerUrl = ownWorkerUrl(), nativeBinding, mode = 'own' }: SqliteOptions): Promise<Backend> {
  const start = <Body extends Call>(role: WorkerSettings['role']): WorkerThread<Body> =>
    new WorkerThread(workerUrl, { role, path, nativeBinding })
  const writer: WorkerThread<WriterCall> | undefined = mode === 'read' ? undefined : start('writer')
  // Started together, for time; the reader opens the file when the writer has made it.
  const reader: WorkerThread<ReaderCall> = start('reader')
  try {
    const position = await writer?.call({ method: 'open', toRestore: mode === 'restore' })
    await reader.call({ method: 'open', isAlone: mode === 'read' })
    // Both are positions.
    const opened = (position ?? (await reader.call({ method: 'status' }))) as Backend['opened']
    return new SqliteBackend(reader, writer && { writer, checkpointer: new Checkpointer(() => start('checkpointer')) }, opened)
  } catch (error) {
    await writer?.call({ method: 'close' }).catch(() => {}) // the first error tells more
    await Promise.all([writer?.terminate(), reader.terminate()])
    throw error
  }
}

/** Bytes of an answer that may be kept whole by who keeps a part of it. */
const maxViewedBytes = 256 * 1024

interface Writing {
  readonly writer: WorkerThread<WriterCall>
  readonly checkpointer: Checkpointer
}

/** The log in one SQLite file, behind two worker threads. The values of their answers have the types that each method of theirs has. */
class SqliteBackend implements Backend {
  readonly driver = 'sqlite'
  readonly opened: Backend['opened']
  readonly #reader: WorkerThread<ReaderCall>
  readonly #ownWriting: Writing | undefined

  /** Without `writing` it only reads. */
  constructor(reader: WorkerThread<ReaderCall>, writing: Writing | undefined, opened: Backend['opened']) {
    this.#reader = reader
    this.#ownWriting = writing
    this.opened = opened
  }

  get #writing(): Writing {
    if (this.#ownWriting === undefined) throw new Error('Invariant broken: the file was opened to be written')
    return this.#ownWriting
  }

  async commit({ id, requests }: { readonly id: string; readonly requests: readonly WriteRequest[] }): Promise<BatchResult> {
    const { writer, checkpointer } = this.#writing
    const sent: Bytes[] = []
    const capacity = requests.reduce((sum, request) => sum + sizeOfRequest(request) + 100, 100)
    const to = new ByteWriter({ capacity, written: sent })
    to.list(requests, (request) => writeRequest(to, request))
    const payload = to.finish()
    const answer = (await writer.call({ method: 'commit', batchId: id, payload }, [payload.buffer])) as CommitAnswer
    checkpointer.note(answer.log)
    // The answer names what was sent with the requests. What it brings itself is seldom kept by anybody.
    const givesViews = answer.result.length <= maxViewedBytes
    return readBatchResult(new ByteReader(answer.result, { strings: sent, givesViews }))
  }

  async list(request: ListRequest): Promise<ListResult> {
    const items: KeyValue[] = []
    const end = await this.#readParts(request, (part) => append(items, unpackItems(part)))
    return { ...end, items }
  }

  async listPacked(request: ListRequest): Promise<PackedList> {
    const parts: PackedItems[] = []
    const end = await this.#readParts(request, (part) => void parts.push(part))
    return { ...end, parts }
  }

  async #readParts(request: ListRequest, onPart: (part: PackedItems) => void): Promise<Omit<ListResult, 'items'>> {
    const call: ReaderCall = { method: 'list', request: { ...request, range: ownRange(request.range) } }
    const { last, ...end } = (await this.#reader.call(call, [], onPart)) as ListEnd
    if (last !== undefined) onPart(last)
    return end
  }

  async readLog(request: LogRequest): Promise<LogPage> {
    const page = (await this.#reader.call({ method: 'readLog', request: { ...request, range: ownRange(request.range) } })) as LogPageMessage
    const from = new ByteReader(page.events)
    return { through: page.through, events: Array.from({ length: page.count }, () => readEvent(from)) }
  }

  async compactSlice(): Promise<boolean> {
    const { writer, checkpointer } = this.#writing
    const answer = (await writer.call({ method: 'compactSlice' })) as CompactAnswer
    if (answer.hasShrunk) checkpointer.noteShrunk(answer.log)
    else checkpointer.note(answer.log)
    return answer.isMore
  }

  async status(): Promise<BackendStatus> {
    return (await this.#reader.call({ method: 'status' })) as BackendStatus
  }

  async findLease(id: bigint): Promise<StoredLease | undefined> {
    return (await this.#reader.call({ method: 'findLease', id })) as StoredLease | undefined
  }

  async listLeases(): Promise<readonly bigint[]> {
    return (await this.#reader.call({ method: 'listLeases' })) as readonly bigint[]
  }

  async dueLeases(nowMs: number, limit: number): Promise<DueLeases> {
    return (await this.#reader.call({ method: 'dueLeases', nowMs, limit })) as DueLeases
  }

  async checkIntegrity(): Promise<readonly string[]> {
    return (await this.#reader.call({ method: 'checkIntegrity' })) as readonly string[]
  }

  async beginRestore(): Promise<void> {
    await this.#writing.writer.call({ method: 'beginRestore' })
  }

  async restoreItems(items: readonly KeyValue[]): Promise<void> {
    const to = new ByteWriter()
    for (const item of items) writeItem(to, item)
    const payload = to.finish()
    await this.#writing.writer.call({ method: 'restoreItems', payload }, [payload.buffer])
  }

  async finishRestore({ revision, leases }: { readonly revision: number; readonly leases: readonly RestoredLease[] }): Promise<void> {
    await this.#writing.writer.call({ method: 'finishRestore', revision, leases })
  }

  /** The writer last: the last connection to close copies the write-ahead log into the file. A thread that has failed is only ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ownWriting?.checkpointer[Symbol.asyncDispose]()
    await this.#reader.call({ method: 'close' }).catch(() => {})
    await this.#ownWriting?.writer.call({ method: 'close' }).catch(() => {})
    await Promise.all([this.#ownWriting?.writer.terminate(), this.#reader.terminate()])
  }
}

/** A range in arrays of their own: a message clones the whole buffer behind an array, which for a Buffer is a pool. */
function ownRange({ start, end }: KeyRange): KeyRange {
  return { start: Uint8Array.from(start), end: end === undefined ? undefined : Uint8Array.from(end) }
}
