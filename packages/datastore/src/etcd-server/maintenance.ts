import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { emptyBytes } from '../bytes.ts'
import type { Bytes, Datastore } from '../contract.ts'
import { encode } from '../etcd/codec.ts'
import { enums } from '../etcd/messages.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { etcdErrors, GrpcError } from './grpc-error.ts'
import { finishFrame, framePrefixBytes } from './grpc-stream.ts'
import type { GrpcStream } from './grpc-stream.ts'
import { raftTerm, reportedVersion } from './member.ts'
import type { Member } from './member.ts'

/** Keys read at once for a hash. */
const hashPageKeys = 1000
/** etcdctl takes a snapshot for whole only when what precedes its SHA-256 is a multiple of this. */
const snapshotBlockBytes = 512

/** etcd's Maintenance service, of a server that has no raft. */
export class MaintenanceService {
  readonly #member: Member
  readonly #snapshot: (datastore: Datastore) => AsyncIterable<Uint8Array>

  constructor(member: Member, snapshot: (datastore: Datastore) => AsyncIterable<Uint8Array>) {
    this.#member = member
    this.#snapshot = snapshot
  }

  async status(): Promise<MessageInput<'StatusResponse'>> {
    const { revision, sizeBytes } = await this.#member.datastore.status()
    return {
      header: this.#member.header(revision),
      version: reportedVersion,
      storageVersion: reportedVersion.replace(/\d+$/, '0'),
      dbSize: sizeBytes,
      dbSizeInUse: sizeBytes,
      leader: this.#member.memberId,
      raftIndex: revision,
      raftAppliedIndex: revision,
      raftTerm,
      errors: this.#member.isOutOfSpace ? [`memberID:${this.#member.memberId} alarm:NOSPACE `] : [],
      downgradeInfo: {},
    }
  }

  /** A datastore gives back its space by itself. */
  async defragment(): Promise<MessageInput<'DefragmentResponse'>> {
    return { header: this.#member.header() }
  }

  async alarm({ action, alarm }: Message<'AlarmRequest'>): Promise<MessageInput<'AlarmResponse'>> {
    const { nospace, none } = enums.AlarmType
    if (action === enums.AlarmAction.activate)
      throw new GrpcError('failedPrecondition', 'etcdserver: alarms are raised by the datastore alone')
    const memberId = this.#member.memberId
    const alarms = this.#member.isOutOfSpace && (alarm === none || alarm === nospace) ? [{ memberId, alarm: nospace }] : []
    if (action === enums.AlarmAction.deactivate && alarms.length > 0) this.#member.isOutOfSpace = false
    return { header: this.#member.header(), alarms }
  }

  async hash(): Promise<MessageInput<'HashResponse'>> {
    const { revision, hash } = await this.#hashState(0)
    return { header: this.#member.header(revision), hash }
  }

  async hashKV({ revision: wanted }: Message<'HashKVRequest'>): Promise<MessageInput<'HashKVResponse'>> {
    const { revision, hash } = await this.#hashState(wanted)
    const { compactRevision } = await this.#member.datastore.status()
    return { header: this.#member.header(), hash, compactRevision, hashRevision: revision }
  }

  /** Unlike etcd's, of the state at a revision and not of its history, so that servers on one datastore agree whatever was compacted when. */
  async #hashState(wanted: number): Promise<{ readonly revision: number; readonly hash: number }> {
    const { datastore } = this.#member
    const revision = wanted > 0 ? wanted : await this.#member.currentRevision()
    let hash = 0
    for (let start: Bytes | undefined = Uint8Array.of(0); start !== undefined;) {
      const { items, more } = await datastore.list({ start, end: emptyBytes }, { revision, limit: hashPageKeys })
      for (const item of items) hash = crc32(encode('KeyValue', item), hash)
      const last = items.at(-1)
      start = more && last !== undefined ? Buffer.concat([last.key, Uint8Array.of(0)]) : undefined
    }
    return { revision, hash }
  }

  /** A snapshot of ours, zeros up to a full block, and the SHA-256 of both: `etcdctl snapshot save` checks that. */
  async snapshot(stream: GrpcStream): Promise<void> {
    const hash = createHash('sha256')
    let size = 0
    const send = (blob: Uint8Array): Promise<void> =>
      stream.send(finishFrame(encode('SnapshotResponse', { blob, version: reportedVersion.replace(/\d+$/, '0') }, framePrefixBytes)))
    const add = async (blob: Uint8Array): Promise<void> => {
      hash.update(blob)
      size += blob.length
      await send(blob)
    }
    for await (const chunk of this.#snapshot(this.#member.datastore)) {
      if (stream.signal.aborted) return
      await add(chunk)
    }
    if (size % snapshotBlockBytes !== 0) await add(new Uint8Array(snapshotBlockBytes - (size % snapshotBlockBytes)))
    await send(hash.digest())
  }

  moveLeader({ targetId }: Message<'MoveLeaderRequest'>): Promise<MessageInput<'MoveLeaderResponse'>> {
    // To where it is already: nothing to do.
    if (targetId === this.#member.memberId) return Promise.resolve({ header: this.#member.header() })
    return Promise.reject(etcdErrors.badLeaderTransferee())
  }

  downgrade({ action }: Message<'DowngradeRequest'>): Promise<MessageInput<'DowngradeResponse'>> {
    return Promise.reject(action === enums.DowngradeAction.cancel ? etcdErrors.noDowngrade() : etcdErrors.invalidDowngradeTarget())
  }
}
