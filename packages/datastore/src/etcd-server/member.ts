import { createHash } from 'node:crypto'
import type { Datastore } from '../contract.ts'
import type { MessageInput } from '../etcd/messages.ts'

/** What this server says it is. Clients ask which of etcd's abilities it has: those of this version. */
export const reportedVersion = '3.6.5'
/** etcd's term counts elections, of which there are none. */
export const raftTerm = 2

export type Header = MessageInput<'ResponseHeader'>

/** This server as a member of an etcd cluster, and the revision that it has seen. */
export class Member {
  readonly datastore: Datastore
  readonly name: string
  readonly clusterId: bigint
  readonly memberId: bigint
  #revision: number
  /** A write failed for want of space, and none has succeeded since. */
  isOutOfSpace = false

  /** `revision` is one that the datastore has had. */
  constructor(datastore: Datastore, { name, revision }: { readonly name: string; readonly revision: number }) {
    this.datastore = datastore
    this.name = name
    this.clusterId = hash64('k3s datastore')
    this.memberId = hash64(`k3s datastore member ${name}`)
    this.#revision = revision
  }

  /** The newest revision that was seen in an answer of the datastore: not linearizable. */
  get revision(): number {
    return this.#revision
  }

  /** The header of an answer. */
  header(revision: number = this.#revision): Header {
    if (revision > this.#revision) this.#revision = revision
    return { clusterId: this.clusterId, memberId: this.memberId, revision, raftTerm }
  }

  /** The newest revision, linearizable. */
  async currentRevision(): Promise<number> {
    const revision = await this.datastore.currentRevision()
    if (revision > this.#revision) this.#revision = revision
    return revision
  }
}

/** Not zero, which means "none" for ids. */
function hash64(text: string): bigint {
  return createHash('sha256').update(text).digest().readBigUInt64BE() | 1n
}
