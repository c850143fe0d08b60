import { randomBytes } from 'node:crypto'
import { backoffDelay, systemClock } from '@k3s/lifecycle'
import type { Logger } from '@k3s/lifecycle'
import type { LogPosition } from '../../engine/backend.ts'
import type { DatabaseServerOptions } from '../../open.ts'
import type { SqlSession, SqlStatement } from '../sql/dialect.ts'
import { plain, toBytes } from '../sql/rows.ts'
import { HintChannel } from './hint-channel.ts'

/** How often a member says that it lives, and looks who else does: what an idle member writes. */
const beatMs = 20_000
/** A newcomer is looked up soon, but never more often than this; one whose row another node of the cluster does not show yet, again after growing delays. */
const [lookupMs, lookupGrowth] = [100, 5]
/** A member that was not seen for this long, by the database's clock, is gone. */
const lifeSeconds = 60
const answerTimeoutMs = 5000
/** For what is still to be said at the end. */
const leaveTimeoutMs = 1000
const retryDelay = { initialMs: 100, maxMs: 500 } as const

/**
 * What the database keeps for the members: where each takes hints, and the secret by which they know each other. Both belong to no revision.
 * Statements that make it; repeated, they change nothing.
 */
export function hintTables(tableOptions: string, secret: Uint8Array = randomBytes(32)): readonly string[] {
  return [
    `create table if not exists hint_member (id binary(16) not null primary key, address varchar(255) not null, seen bigint not null) ${tableOptions}`,
    `create table if not exists hint_secret (id tinyint not null primary key, secret binary(32) not null) ${tableOptions}`,
    `insert ignore into hint_secret values (1, x'${Buffer.from(secret).toString('hex')}')`,
  ]
}

export interface HintMembersOptions {
  readonly connect: () => Promise<SqlSession>
  readonly hints?: DatabaseServerOptions['hints']
  readonly logger: Logger
}

/** This process among the members that send each other hints. */
export class HintMembers implements AsyncDisposable {
  readonly #options: HintMembersOptions
  readonly #id: Buffer = randomBytes(16)
  #channel: HintChannel | undefined
  #onNews: (position: LogPosition | undefined) => void = () => {}
  #hasNewcomer = false
  /** Made in a row for members that are connected and not known. */
  #lookups = 0
  #wake: () => void = () => {}

  constructor(options: HintMembersOptions) {
    this.#options = options
  }

  /** Whether the others' writes are heard of at once. */
  get hearsAll(): boolean {
    return this.#channel?.hearsAll === true
  }

  /** Listens. Throws `InvalidArgument` when it cannot at the address that was given; without loopback, the default, it does without hints. */
  async listen(): Promise<void> {
    const { hints, logger } = this.#options
    try {
      this.#channel = await HintChannel.open({
        id: this.#id.toString('hex'),
        listen: hints?.listen ?? '127.0.0.1:0',
        advertise: hints?.advertise,
        onHint: (revision) => this.#onNews({ revision, compactRevision: 0 }),
        onNewcomer: () => {
          this.#hasNewcomer = true
          this.#wake()
        },
        logger,
      })
    } catch (error) {
      if (hints !== undefined) throw error
      logger.warn({ err: error }, 'Writes of other servers are noticed by polling')
    }
  }

  /** Tells the others. Does not wait. */
  announce(revision: number): void {
    this.#channel?.announce(revision)
  }

  /** As {@link SqlDialect.follow} has it. */
  async follow(onNews: (position: LogPosition | undefined) => void, signal: AbortSignal): Promise<void> {
    this.#onNews = onNews
    const { connect, logger } = this.#options
    let session: SqlSession | undefined
    const onAbort = (): void => void setTimeout(() => session?.destroy(), leaveTimeoutMs).unref()
    signal.addEventListener('abort', onAbort, { once: true })
    for (let failures = 0; !signal.aborted;) {
      try {
        if (session === undefined || session.isBroken) {
          session = await connect()
          onNews(undefined)
        }
        await this.#beat(session)
        failures = 0
        await this.#untilNext(signal)
      } catch (error) {
        if (signal.aborted) break
        if (failures === 0) logger.debug({ err: error }, 'Members of the datastore could not be looked up')
        session?.destroy()
        await systemClock.sleep(backoffDelay(failures++, retryDelay), signal).catch(() => {}) // aborted: the loop ends
      }
    }
    this.#onNews = () => {}
    if (session?.isBroken === false) await this.#leave(session)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#channel?.[Symbol.asyncDispose]()
  }

  /** Says that this member lives, forgets those that do not, and connects to the others. */
  async #beat(session: SqlSession): Promise<void> {
    const now = 'unix_timestamp()'
    const timer = setTimeout(() => session.destroy(), answerTimeoutMs)
    try {
      const mine =
        this.#channel === undefined
          ? []
          : [this.#register(this.#channel.address, now), plain(`delete from hint_member where seen < ${now} - ${lifeSeconds}`)]
      const answers = await session.run([...mine, plain('select (select secret from hint_secret), id, address from hint_member')])
      const rows = answers.at(-1) ?? []
      const members = rows.map(([, id, address]) => ({ id: Buffer.from(toBytes(id)).toString('hex'), address: String(address) }))
      this.#channel?.start(toBytes(rows[0]?.[0]), members)
    } finally {
      clearTimeout(timer)
    }
  }

  #register(address: string, now: string): SqlStatement {
    return {
      sql: `insert into hint_member (id, address, seen) values (?, ?, ${now}) on duplicate key update address = values(address), seen = values(seen)`,
      values: [this.#id, address],
    }
  }

  /** Until the next beat is due, or a newcomer is to be looked up. Rejects on abort. */
  async #untilNext(signal: AbortSignal): Promise<void> {
    this.#lookups = this.#channel?.hasStrangers === true ? this.#lookups + 1 : 0
    const waitMs = this.#lookups === 0 ? beatMs : Math.min(beatMs, lookupMs * lookupGrowth ** (this.#lookups - 1))
    await systemClock.sleep(lookupMs, signal)
    const early = new AbortController()
    this.#wake = () => early.abort()
    if (!this.#hasNewcomer) await systemClock.sleep(waitMs - lookupMs, AbortSignal.any([signal, early.signal])).catch(() => {}) // looked at below
    this.#wake = () => {}
    this.#hasNewcomer = false
    signal.throwIfAborted()
  }

  /** Spares the others the attempts to connect. If it cannot, the row is forgotten in time. */
  async #leave(session: SqlSession): Promise<void> {
    await session.run([{ sql: 'delete from hint_member where id = ?', values: [this.#id] }]).catch(() => {})
    await session.close()
  }
}
