import { isStatusError } from '@k3s/api'
import {
  DatastoreError,
  isDatastoreError,
  type CallOptions,
  type Datastore,
  type KeyRange,
  type KeyValue,
  type Txn,
  type TxnOperation,
  type TxnOperationResult,
  type TxnResult,
  type Watch,
  type WatchOptions,
} from '@k3s/datastore'
import type { EncryptionAtRest } from './encryption-at-rest.ts'
import { unreadableItem, unreadableValue } from './unreadable.ts'

const textOf = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8')

/** A datastore whose values are encrypted by `encryption`'s rules: what is written through it is stored encrypted, what is read comes decrypted. A value that cannot be decrypted fails the read of it alone; in lists and watches its item has none, and {@link unreadableOf} says why. Comparisons of values see what is stored. */
export function encryptedDatastore(store: Datastore, encryption: EncryptionAtRest): Datastore {
  const seal = (key: Uint8Array, value: Uint8Array): Uint8Array => {
    const text = textOf(key)
    return encryption.transformerOf(text)?.seal(value, text) ?? value
  }
  const open = <T extends KeyValue | undefined>(item: T): T => {
    // Of deletions and lists of keys.
    if (item === undefined || item.value.length === 0) return item
    const text = textOf(item.key)
    const transformer = encryption.transformerOf(text)
    if (transformer === undefined) return item
    try {
      return { ...item, value: transformer.open(item.value, text) }
    } catch (error) {
      throw unreadableValue(text, error)
    }
  }
  /** Of many: one that nobody can read leaves the others readable. */
  const openEach = <T extends KeyValue | undefined>(item: T): T => {
    try {
      return open(item)
    } catch (error) {
      if (item === undefined || !isStatusError(error)) throw error
      return unreadableItem<KeyValue>(item, error) as T // an item, as T is here
    }
  }
  /** A conflict carries the present value. */
  const opening = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (!isDatastoreError(error) || error.current === undefined) throw error
      throw new DatastoreError(error.code, error.message, { cause: error.cause, revision: error.revision, current: open(error.current) })
    }
  }
  const sealOperation = (operation: TxnOperation): TxnOperation =>
    operation.type === 'put' && operation.keepValue !== true
      ? { ...operation, value: seal(operation.key, operation.value) }
      : operation.type === 'txn'
        ? { ...operation, txn: sealTxn(operation.txn) }
        : operation
  const sealTxn = (txn: Txn): Txn => ({
    compare: txn.compare,
    success: txn.success.map(sealOperation),
    failure: txn.failure.map(sealOperation),
  })
  const openResult = (result: TxnOperationResult): TxnOperationResult => {
    switch (result.type) {
      case 'put':
        return { ...result, previous: open(result.previous) }
      case 'delete':
        return { ...result, previous: result.previous.map(open) }
      case 'list':
        return { ...result, result: { ...result.result, items: result.result.items.map(open) } }
      case 'txn':
        return { ...result, result: openTxn(result.result) }
    }
  }
  const openTxn = (result: TxnResult): TxnResult => ({ ...result, results: result.results.map(openResult) })
  const watch = (range: KeyRange, options?: WatchOptions): Watch => {
    const inner = store.watch(range, options)
    return {
      async *[Symbol.asyncIterator]() {
        for await (const { revision, events } of inner)
          yield { revision, events: events.map((event) => ({ ...event, item: openEach(event.item), previous: openEach(event.previous) })) }
      },
      requestProgress: inner.requestProgress?.bind(inner),
    }
  }
  return {
    get: async (key, options) => {
      const result = await store.get(key, options)
      return { ...result, item: open(result.item) }
    },
    list: async (range, options) => {
      const result = await store.list(range, options)
      return options?.keysOnly === true ? result : { ...result, items: result.items.map(openEach) }
    },
    create: (key, value, options) => store.create(key, seal(key, value), options),
    update: async (key, value, options) => {
      const result = await opening(store.update(key, seal(key, value), options))
      return { ...result, previous: open(result.previous) }
    },
    delete: async (key, options) => {
      const result = await opening(store.delete(key, options))
      return { ...result, previous: open(result.previous) }
    },
    txn: async (txn, options) => openTxn(await store.txn(sealTxn(txn), options)),
    watch,
    compact: (revision, options) => store.compact(revision, options),
    currentRevision: (options) => store.currentRevision(options),
    status: (options) => store.status(options),
    grantLease: (lease, options) => store.grantLease(lease, options),
    revokeLease: (id, options) => store.revokeLease(id, options),
    keepLeaseAlive: (id, options) => store.keepLeaseAlive(id, options),
    leaseStatus: (id, options) => store.leaseStatus(id, options),
    listLeases: (options) => store.listLeases(options),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

/** True when the stored value of `key` is not as `encryption` would store it today. False for a missing key; `store` is the datastore beneath the encryption. */
export async function isStale(store: Datastore, encryption: EncryptionAtRest, key: string, options?: CallOptions): Promise<boolean> {
  const transformer = encryption.transformerOf(key)
  if (transformer === undefined) return false
  const { item } = await store.get(Buffer.from(key), options)
  return item !== undefined && transformer.isStale(item.value)
}

export interface ReencryptOptions extends CallOptions {
  /** Told after each page: how many values were looked at and how many written anew so far. */
  readonly onProgress?: ((seen: number, written: number) => void) | undefined
}

// Values that are looked at before others get a turn.
const pageSize = 100

/**
 * Writes every value under `prefix` anew that is not encrypted as `encryption` says today; `store` is the datastore beneath the encryption.
 * What somebody else writes meanwhile is encrypted by its writer and left alone. Safe to repeat; an abort leaves the rest as it was.
 */
export async function reencrypt(
  store: Datastore,
  encryption: EncryptionAtRest,
  prefix: string,
  { signal, onProgress }: ReencryptOptions = {},
): Promise<{ readonly seen: number; readonly written: number }> {
  const end = Buffer.from(prefix)
  end[end.length - 1] = (end.at(-1) ?? 0) + 1 // prefixes end with a slash: no carry
  let start: Uint8Array = Buffer.from(prefix)
  let seen = 0
  let written = 0
  for (;;) {
    signal?.throwIfAborted()
    const page = await store.list({ start, end }, { limit: pageSize, signal })
    for (const item of page.items) {
      seen++
      const key = textOf(item.key)
      const transformer = encryption.transformerOf(key)
      if (transformer === undefined || !transformer.isStale(item.value)) continue
      const value = transformer.seal(transformer.open(item.value, key), key)
      try {
        await store.update(Buffer.from(item.key), value, { expectedRevision: item.modRevision, leaseId: item.leaseId, signal })
        written++
      } catch (error) {
        if (!isDatastoreError(error) || error.code !== 'RevisionConflict') throw error
      }
    }
    onProgress?.(seen, written)
    const last = page.items.at(-1)
    if (!page.more || last === undefined) return { seen, written }
    start = Buffer.concat([last.key, Uint8Array.of(0)])
  }
}
