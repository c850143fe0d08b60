import type { ListRequest, LogRequest, RestoredLease } from '../../engine/backend.ts'
import type { PackedItems } from '../../engine/packed-list.ts'

/** What a worker is started with. */
export interface WorkerSettings {
  readonly role: 'writer' | 'reader' | 'checkpointer'
  readonly path: string
  readonly nativeBinding: string | undefined
}

/** What the writer is asked; each call is answered once, in order. */
export type WriterCall =
  /** `toRestore`: a file whose restore was not finished is opened too. */
  | { readonly method: 'open'; readonly toRestore: boolean }
  /** `payload`: the list of requests. Answered with a {@link CommitAnswer}. */
  | { readonly method: 'commit'; readonly batchId: string; readonly payload: Uint8Array<ArrayBuffer> }
  /** Answered with a {@link CompactAnswer}. */
  | { readonly method: 'compactSlice' }
  | { readonly method: 'beginRestore' }
  /** `payload`: items, one after the other. */
  | { readonly method: 'restoreItems'; readonly payload: Uint8Array<ArrayBuffer> }
  | { readonly method: 'finishRestore'; readonly revision: number; readonly leases: readonly RestoredLease[] }
  | { readonly method: 'close' }

/** What the reader is asked. */
export type ReaderCall =
  /** `isAlone`: this process has no writer, another may; the file is checked, and whether its restore was finished. */
  | { readonly method: 'open'; readonly isAlone: boolean }
  /** Answered with what SQLite finds wrong, one text each. */
  | { readonly method: 'checkIntegrity' }
  /** Answered with parts that hold items, then revision, count and more. */
  | { readonly method: 'list'; readonly request: ListRequest }
  | { readonly method: 'readLog'; readonly request: LogRequest }
  | { readonly method: 'status' }
  | { readonly method: 'findLease'; readonly id: bigint }
  | { readonly method: 'listLeases' }
  | { readonly method: 'dueLeases'; readonly nowMs: number; readonly limit: number }
  | { readonly method: 'close' }

export interface CommitAnswer {
  /** An encoded batch result. */
  readonly result: Uint8Array<ArrayBuffer>
  readonly log: LogSize
}

export interface CompactAnswer {
  /** More is left to be freed. */
  readonly isMore: boolean
  /** Pages at the file's end were given back, by this slice or those before it, and no more are left. */
  readonly hasShrunk: boolean
  readonly log: LogSize
}

/** The write-ahead log: the pages that it holds. */
export interface LogSize {
  readonly bytes: number
  /** Those already copied into the file. When all are, the next write begins the log anew. */
  readonly copiedBytes: number
}

/** What the checkpointer is asked. A checkpoint is answered with the {@link LogSize} after it. */
export type CheckpointerCall = { readonly method: 'open' } | { readonly method: 'checkpoint' } | { readonly method: 'close' }

export type Call = WriterCall | ReaderCall | CheckpointerCall

export interface CallMessage {
  readonly call: number
  readonly body: Call
}

/** What a thread says before any answer: its library is loaded, and from now on it may be ended at any time. */
export interface Loaded {
  readonly loaded: true
}

/** `part` comes any number of times before one of the others ends the call. */
export type Answer =
  | { readonly call: number; readonly part: PackedItems }
  | { readonly call: number; readonly value: unknown }
  /** An encoded `DatastoreError`. */
  | { readonly call: number; readonly error: Uint8Array<ArrayBuffer> }
  /** A bug. */
  | { readonly call: number; readonly failure: string }
