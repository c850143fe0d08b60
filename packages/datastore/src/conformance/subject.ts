import type { Clock } from '@k3s/lifecycle'
import { expect, vi } from 'vitest'
import type { Bytes, Datastore, DatastoreLimits, KeyRange, KeyValue, WatchBatch, WatchEvent, WatchOptions } from '../contract.ts'
import { isDatastoreError } from '../errors.ts'
import type { DatastoreErrorCode } from '../errors.ts'

export interface SubjectOptions {
  readonly clock?: Clock | undefined
  readonly limits?: DatastoreLimits | undefined
}

/** A datastore as the suite sees it. */
export interface DatastoreUnderTest {
  /** Opens an empty datastore. The suite disposes of it. */
  readonly create: (options: SubjectOptions) => Promise<Datastore>
  /** Opens again what the given datastore, which was disposed of, has stored. Needed with `supports.restart`. */
  readonly reopen?: ((datastore: Datastore, options: SubjectOptions) => Promise<Datastore>) | undefined
  /** Fills an empty datastore with a snapshot and opens it, as `openRestored` does. Absent: nothing can be restored into it. */
  readonly restore?: ((chunks: AsyncIterable<Uint8Array>, options: SubjectOptions) => Promise<Datastore>) | undefined
  readonly supports: {
    /** Data outlives the datastore object. */
    readonly restart: boolean
    /** Leases follow the given clock. */
    readonly clock: boolean
    /** A watch can begin at the compact revision itself. Default true; else it fails with `Compacted` there, too. */
    readonly watchesAtCompaction?: boolean | undefined
    /** A watch from the compact revision tells what the keys written there held before. Default true. */
    readonly previousAtCompaction?: boolean | undefined
    /** What a compaction frees makes the datastore smaller. Default true; else it is used again. */
    readonly shrinking?: boolean | undefined
  }
  /** Random histories that the model test tries; default 25. */
  readonly modelRuns?: number | undefined
}

export const bytes = (text: string): Bytes => new TextEncoder().encode(text)
export const text = (value: Bytes): string => new TextDecoder().decode(value)

/** All keys that begin with `prefix`, which ends in a character below U+007F. */
export const prefix = (start: string): KeyRange => ({
  start: bytes(start),
  end: bytes(start.slice(0, -1) + String.fromCharCode(start.charCodeAt(start.length - 1) + 1)),
})
export const everything: KeyRange = { start: bytes('\0'), end: new Uint8Array(0) }

/** An item, for comparing. */
export const show = ({ key, value, createRevision, modRevision, version }: KeyValue): string =>
  `${text(key)}=${text(value)} created ${createRevision} modified ${modRevision} version ${version}`

/** An event, for comparing. */
export const showEvent = ({ type, item }: WatchEvent): string =>
  type === 'put' ? `${item.modRevision} put ${text(item.key)}=${text(item.value)}` : `${item.modRevision} delete ${text(item.key)}`

/** Expects a refusal with this code. */
export async function expectCode(promise: Promise<unknown>, code: DatastoreErrorCode): Promise<void> {
  const error = await promise.then(
    (value) => ({ resolved: value }),
    (error: unknown) => error,
  )
  expect(isDatastoreError(error) ? error.code : error).toBe(code)
}

/** A watch that runs beside a test and keeps what it was handed. */
export interface Recording extends AsyncDisposable {
  readonly batches: readonly WatchBatch[]
  readonly events: () => readonly WatchEvent[]
  /** What the watch ended with, if it failed. */
  readonly failure: () => unknown
  /** Waits until everything up to a revision has come, by its events or those after it. */
  readonly reaches: (revision: number) => Promise<void>
}

export function record(datastore: Datastore, range: KeyRange, options: Omit<WatchOptions, 'signal'> = {}): Recording {
  const batches: WatchBatch[] = []
  const stop = new AbortController()
  let failure: unknown
  const iterable = datastore.watch(range, { ...options, signal: stop.signal })
  const done = (async () => {
    try {
      for await (const batch of iterable) batches.push(batch)
    } catch (error) {
      failure = error
    }
  })()
  return {
    batches,
    events: () => batches.flatMap(({ events }) => events),
    failure: () => failure,
    reaches: async (revision) => {
      await eventually(() => expect(batches.at(-1)?.revision ?? 0).toBeGreaterThanOrEqual(revision))
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await done
    },
  }
}

/** Repeats a check until it holds, up to a generous deadline. */
export async function eventually(check: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(check, { timeout: 20_000, interval: 5 })
}
