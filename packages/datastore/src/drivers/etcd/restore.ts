import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { greatestOf, type Logger } from '@k3s/lifecycle'
import { emptyBytes, equalBytes } from '../../bytes.ts'
import type { Bytes, KeyValue } from '../../contract.ts'
import type { RestoredLease } from '../../engine/backend.ts'
import { DatastoreError, isDatastoreError } from '../../errors.ts'
import type { Message, MessageInput } from '../../etcd/messages.ts'
import { enums } from '../../etcd/messages.ts'
import type { RestoreTarget } from '../../snapshot/target.ts'
import type { Connection } from './connection.ts'
import { keepLeaseAlive } from './keep-alive.ts'
import { readPages } from './list-pages.ts'
import { planReplay } from './replay-plan.ts'
import type { ReplayItem, ReplayPut, ReplayStep } from './replay-plan.ts'
import { present, zeroByte } from './requests.ts'
import { fillerKey, hasMarker, removeMarker, setMarker } from './restore-marker.ts'
import { Spool } from './spool.ts'

/** Fillers are alike, so their order does not matter. */
const fillersAtOnce = 64
/** Operations of one txn, by etcd's default; what is more goes into nested ones. */
const maxOperations = 128
const operationsPerNested = 64
/** How long a lost connection may take to come back. */
const outageMs = 60_000
/** A request whose answer was lost is done by then, or never. */
const settleMs = 1000

const again = 'Start etcd with an empty data directory, then run it again'

interface SpooledItem extends ReplayItem {
  readonly key: Bytes
  readonly leaseId: bigint
  readonly offset: number
  readonly length: number
}

/**
 * Fills an empty etcd with a state that has its own revisions, by writing it again: etcd numbers by itself, so every revision up to the last is made,
 * those of which nothing is left by writes of a filler key. Takes time by the revision, not by the size: some 10,000 a second.
 *
 * Keys are held in memory, values in a temporary file. Leases begin their time anew. When it was interrupted, it goes on where it stopped if it is begun
 * again with the same state; with another it is refused with `Incomplete`, since nothing brings etcd back to its first revision.
 */
export class EtcdRestore implements RestoreTarget {
  readonly driver = 'etcd'
  readonly #connection: Connection
  readonly #logger: Logger
  #spool: Spool | undefined
  #items: SpooledItem[] = []
  #hash: Hash = createHash('sha256')

  /** Owns the connection from here on. */
  constructor(connection: Connection, logger: Logger) {
    this.#connection = connection
    this.#logger = logger
  }

  async beginRestore(): Promise<void> {
    if (!(await hasMarker(this.#connection))) {
      const { header, count } = await this.#range({ key: zeroByte, rangeEnd: zeroByte, countOnly: true })
      const { answer } = await this.#connection.call('leaseLeases', {}, { repeatable: 'always', signal: undefined })
      const { revision } = present(header)
      if (revision !== 1 || count > 0 || answer.leases.length > 0)
        throw new DatastoreError(
          'NotEmpty',
          `Cannot fill this etcd: it is at revision ${revision} and holds ${count} keys and ${answer.leases.length} leases`,
          {
            hint: 'An etcd that was used keeps its revision, also when it is emptied: start it with an empty data directory',
          },
        )
      await setMarker(this.#connection)
    }
    await this.#spool?.[Symbol.asyncDispose]()
    this.#spool = await Spool.create()
    this.#items = []
    this.#hash = createHash('sha256')
  }

  async restoreItems(items: readonly KeyValue[]): Promise<void> {
    if (this.#spool === undefined) throw new Error('Invariant broken: the restore was begun')
    let offset = await this.#spool.append(items.map(({ value }) => value))
    for (const { key, value, createRevision, modRevision, version, leaseId } of items) {
      if (createRevision < 2 || equalBytes(key, fillerKey) || (version === 1 && createRevision !== modRevision))
        throw new DatastoreError(
          'Damaged',
          `Cannot write key ${JSON.stringify(Buffer.from(key).toString())} to etcd: no etcd could hold it at revision ${createRevision}`,
        )
      this.#items.push({ key, createRevision, modRevision, version, leaseId, offset, length: value.length })
      this.#hash.update(`${key.length} ${createRevision} ${modRevision} ${version} ${leaseId} ${value.length} `).update(key).update(value)
      offset += value.length
    }
  }

  async finishRestore(
    { revision, leases }: { readonly revision: number; readonly leases: readonly RestoredLease[] },
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const name = this.#hash.copy().update(String(revision)).digest()
    const from = await this.#position(name, revision)
    if (from > 1) this.#logger.info({ revision: from, lastRevision: revision }, 'Restore into etcd goes on')
    const stop = new AbortController()
    await this.#grant(leases)
    const renewing = this.#renew(leases, stop.signal)
    try {
      await this.#replay(name, from, revision, signal)
      await this.#verify(revision)
    } finally {
      stop.abort()
      await renewing
    }
    if (revision > 1) await this.#compact(revision)
    await removeMarker(this.#connection)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spool?.[Symbol.asyncDispose]()
    this.#spool = undefined
    await this.#connection[Symbol.asyncDispose]()
  }

  /** Which revision etcd has reached on the way to this state. */
  async #position(name: Buffer, last: number): Promise<number> {
    const { header, kvs } = await this.#range({ key: fillerKey })
    const { revision } = present(header)
    const [filler] = kvs
    // At the first revision there is no filler yet, at the last it is gone.
    const isOurs = filler === undefined ? revision === 1 || revision === last : equalBytes(filler.value, name) && revision < last
    if (isOurs) return revision
    throw new DatastoreError('Incomplete', `Another restore into this etcd was not finished: it is at revision ${revision}`, {
      hint: again,
    })
  }

  async #replay(name: Buffer, from: number, last: number, signal: AbortSignal | undefined): Promise<void> {
    if (last === 2 && this.#items.length === 0) throw new DatastoreError('Damaged', 'No store is empty at revision 2')
    for (const step of this.#steps(last)) {
      signal?.throwIfAborted()
      if ((step.type === 'filler' ? step.through : step.revision) <= from) continue
      if (step.type === 'filler') await this.#fill(name, Math.max(step.from, from + 1), step.through, signal)
      else await this.#write(step.revision, await this.#txn(step, name, last))
    }
  }

  /** The plan, whose last revision is always a txn: it removes the filler. */
  *#steps(last: number): Generator<ReplayStep, void, void> {
    for (const step of planReplay(this.#items, last)) {
      if (step.type !== 'filler' || step.through < last) yield step
      else {
        if (step.from < last) yield { ...step, through: last - 1 }
        yield { type: 'txn', revision: last, puts: [] }
      }
    }
  }

  async #txn({ revision, puts }: Extract<ReplayStep, { type: 'txn' }>, name: Buffer, last: number): Promise<MessageInput<'TxnRequest'>> {
    const operations: MessageInput<'RequestOp'>[] = await Promise.all(puts.map(async (put) => ({ requestPut: await this.#put(put) })))
    if (revision === 2 && last > 2) operations.push({ requestPut: { key: fillerKey, value: name } })
    if (revision === last && last > 2) operations.push({ requestDeleteRange: { key: fillerKey } })
    // A request that was sent twice fails the second time: its keys have other versions then.
    const compare = puts.slice(0, maxOperations).map(({ index, versionBefore }) => ({
      key: present(this.#items[index]).key,
      target: enums.CompareTarget.version,
      result: enums.CompareResult.equal,
      version: versionBefore,
    }))
    return { compare, success: operations.length <= maxOperations ? operations : nest(operations) }
  }

  async #put({ index, isLast }: ReplayPut): Promise<MessageInput<'PutRequest'>> {
    const { key, leaseId, offset, length } = present(this.#items[index])
    if (!isLast || this.#spool === undefined) return { key, value: emptyBytes }
    return { key, value: await this.#spool.read(offset, length), lease: leaseId }
  }

  /** Makes one revision, exactly once. */
  async #write(revision: number, txn: MessageInput<'TxnRequest'>): Promise<void> {
    for (;;) {
      try {
        const { answer } = await this.#connection.call('txn', txn, { repeatable: 'never', signal: undefined })
        if (!answer.succeeded || present(answer.header).revision !== revision) throw disturbed(revision)
        return
      } catch (error) {
        if (!isDatastoreError(error) || error.code !== 'Unavailable') throw error
        const reached = await this.#reached()
        if (reached === revision) return
        if (reached !== revision - 1) throw disturbed(revision)
      }
    }
  }

  /** Makes the revisions `from` to `through`. */
  async #fill(name: Buffer, from: number, through: number, signal: AbortSignal | undefined): Promise<void> {
    for (let next = from; next <= through;) {
      signal?.throwIfAborted()
      const count = Math.min(fillersAtOnce, through - next + 1)
      const puts = await Promise.allSettled(
        Array.from({ length: count }, () =>
          this.#connection.call('put', { key: fillerKey, value: name }, { repeatable: 'never', signal: undefined }),
        ),
      )
      const failed = puts.find((put) => put.status === 'rejected')
      if (failed !== undefined && !(isDatastoreError(failed.reason) && failed.reason.code === 'Unavailable')) throw failed.reason
      const revisions = puts.map((put) => (put.status === 'fulfilled' ? present(put.value.answer.header).revision : 0))
      const reached = failed === undefined ? greatestOf(revisions) : await this.#reached()
      if (reached > next + count - 1 || (failed === undefined && reached !== next + count - 1)) throw disturbed(next)
      next = reached + 1
    }
  }

  /** Where etcd is after an answer was lost. */
  async #reached(): Promise<number> {
    for (const givesUpAt = performance.now() + outageMs; ;) {
      try {
        await delay(settleMs)
        return present((await this.#range({ key: fillerKey, countOnly: true })).header).revision
      } catch (error) {
        if (!isDatastoreError(error) || error.code !== 'Unavailable' || performance.now() > givesUpAt) throw error
      }
    }
  }

  /** Compares what etcd has made of it with what should be there, but for the values. */
  async #verify(revision: number): Promise<void> {
    const { items, revision: reached } = await readPages({ start: zeroByte, end: emptyBytes }, { keysOnly: true }, async (page) => {
      const response = await this.#range(page)
      return { ...response, revision: present(response.header).revision }
    })
    const isSame =
      reached === revision &&
      items.length === this.#items.length &&
      items.every((item, index) => {
        const wanted = this.#items[index]
        return (
          wanted !== undefined &&
          equalBytes(item.key, wanted.key) &&
          item.createRevision === wanted.createRevision &&
          item.modRevision === wanted.modRevision &&
          item.version === wanted.version &&
          item.leaseId === wanted.leaseId
        )
      })
    if (!isSame) throw disturbed(revision)
  }

  async #grant(leases: readonly RestoredLease[]): Promise<void> {
    for (const { id, ttlSeconds } of leases) {
      try {
        await this.#connection.call('leaseGrant', { id, ttl: Math.ceil(ttlSeconds) }, { repeatable: 'always', signal: undefined })
      } catch (error) {
        // From before an interruption.
        if (!isDatastoreError(error) || error.code !== 'LeaseExists') throw error
      }
    }
  }

  /** Keeps the leases until all is written. One that ends all the same is noticed at the end: its keys are missing. */
  async #renew(leases: readonly RestoredLease[], signal: AbortSignal): Promise<void> {
    const due = leases.map(({ id, ttlSeconds }) => ({ id, everyMs: Math.max(300, ttlSeconds * 250), atMs: 0 }))
    while (!signal.aborted && due.length > 0) {
      const nowMs = performance.now()
      for (const lease of due) {
        if (lease.atMs > nowMs || signal.aborted) continue
        await keepLeaseAlive(this.#connection, lease.id, undefined).catch((error: unknown) =>
          this.#logger.warn({ lease: String(lease.id), err: error }, 'Lease could not be renewed during a restore'),
        )
        lease.atMs = performance.now() + lease.everyMs
      }
      await delay(100, undefined, { signal }).catch(() => {}) // stopped: the loop ends
    }
  }

  async #compact(revision: number): Promise<void> {
    try {
      await this.#connection.call('compact', { revision, physical: true }, { repeatable: 'always', signal: undefined })
    } catch (error) {
      if (!isDatastoreError(error) || error.code !== 'Compacted') throw error
    }
  }

  async #range(request: MessageInput<'RangeRequest'>): Promise<Message<'RangeResponse'>> {
    return (await this.#connection.call('range', request, { repeatable: 'always', signal: undefined })).answer
  }
}

/** More operations than etcd takes in one list: each nested txn counts as one. */
function nest(operations: readonly MessageInput<'RequestOp'>[]): MessageInput<'RequestOp'>[] {
  const nested: MessageInput<'RequestOp'>[] = []
  for (let start = 0; start < operations.length; start += operationsPerNested)
    nested.push({ requestTxn: { success: operations.slice(start, start + operationsPerNested) } })
  return nested
}

function disturbed(revision: number): DatastoreError {
  return new DatastoreError(
    'Incomplete',
    `The restore into etcd has come to something else than it wrote, at revision ${revision}: others write there`,
    { hint: again },
  )
}
