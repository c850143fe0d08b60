import { compareBytes } from '../bytes.ts'
import type { KeyValue } from '../contract.ts'
import type { RestoredLease } from '../engine/backend.ts'
import { DatastoreError } from '../errors.ts'
import type { State } from './state.ts'

/** How far a snapshot, restore or migration is. */
export interface CopyProgress {
  /** The revision of the state that is copied. */
  readonly revision: number
  readonly items: number
  /** How many there will be. */
  readonly totalItems: number
  /** Bytes of the keys and values copied. */
  readonly bytes: number
  /** All items were handed over, and the target makes them its own: an etcd, for which they are replayed, is busy with this for most of the time. */
  readonly isFinishing: boolean
}

/**
 * What a restore or migration fills: an empty store. A backend that stores the log is one by its own methods (see `Backend`);
 * a driver that implements `Datastore` directly gives an object of its own. Begun again after a crash it starts over.
 */
export interface RestoreTarget extends AsyncDisposable {
  readonly driver: string
  /** Throws `NotEmpty` unless the store is empty or holds a restore that was never finished. From here on, opening the store otherwise fails with `Incomplete`. */
  beginRestore(): Promise<void>
  /** Comes any number of times, in byte order of the keys, a few MiB at once. */
  restoreItems(items: readonly KeyValue[]): Promise<void>
  /** The store is then at `revision`, with everything below compacted. Durable when answered. An abort leaves it unfinished. */
  finishRestore(
    end: { readonly revision: number; readonly leases: readonly RestoredLease[] },
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<void>
}

export interface CopyOptions {
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What was copied. */
export interface CopySummary {
  readonly revision: number
  readonly items: number
  readonly leases: number
  /** Bytes of the keys and values. */
  readonly bytes: number
}

/** Fills the target with a state. A failure or an abort leaves the target unfinished: it can be filled again, but not opened. */
export async function fill(target: RestoreTarget, state: State, { onProgress, signal }: CopyOptions = {}): Promise<CopySummary> {
  signal?.throwIfAborted()
  await target.beginRestore()
  let [items, bytes] = [0, 0]
  const { revision } = state
  const report = (isFinishing: boolean): void => onProgress?.({ revision, items, totalItems: state.totalItems, bytes, isFinishing })
  for await (const page of checkedPages(state)) {
    signal?.throwIfAborted()
    await target.restoreItems(page)
    items += page.length
    for (const { key, value } of page) bytes += key.length + value.length
    report(false)
  }
  const leases = await state.leases()
  report(true)
  signal?.throwIfAborted()
  await target.finishRestore({ revision, leases }, { signal })
  return { revision, items, leases: leases.length, bytes }
}

/** The pages of a state, which are refused with `Damaged` where they contradict themselves. */
export async function* checkedPages(state: State): AsyncGenerator<readonly KeyValue[], void, void> {
  let last: Uint8Array | undefined
  for await (const page of state.pages()) {
    for (const item of page) {
      const problem = problemOf(item, last, state.revision)
      if (problem !== undefined) throw new DatastoreError('Damaged', `Cannot read ${state.name}: key ${showKey(item.key)} ${problem}`)
      last = item.key
    }
    yield page
  }
}

/** What cannot be in a state of that revision; undefined: nothing. */
export function problemOf(item: KeyValue, lastKey: Uint8Array | undefined, revision: number): string | undefined {
  const { key, createRevision, modRevision, version } = item
  if (key.length === 0) return 'is empty'
  if (lastKey !== undefined && compareBytes(lastKey, key) >= 0) return `is not behind key ${showKey(lastKey)}`
  if (createRevision < 1 || modRevision < createRevision) return `was created at revision ${createRevision} and written at ${modRevision}`
  if (modRevision > revision) return `was written at revision ${modRevision}, after revision ${revision}`
  if (version < 1 || version > modRevision - createRevision + 1)
    return `has version ${version} between revisions ${createRevision} and ${modRevision}`
  return undefined
}

/** A key for messages: as text where it is printable, quoted; long ones are cut. */
export function showKey(key: Uint8Array): string {
  const text = Buffer.from(key.subarray(0, 200)).toString('utf8')
  return JSON.stringify(key.length > 200 ? `${text}…` : text)
}
