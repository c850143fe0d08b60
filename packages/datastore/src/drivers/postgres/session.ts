import { Socket } from 'node:net'
import type { Client, Submittable } from 'pg'
import PgClient from 'pg/lib/client.js'
import type { ServerDsn } from '../../dsn.ts'
import type { SqlRow, SqlSession, SqlStatement } from '../sql/dialect.ts'
import { toDatastoreError } from './errors.ts'
import { Exchange, PreparedStatements } from './exchange.ts'
import { readTls } from './tls.ts'
import type { PostgresTls } from './tls.ts'

const connectTimeoutMs = 2500
/** Idle time after which the kernel asks whether the other side is still there. */
const keepAliveMs = 5000

/** Where and as whom to connect. */
export interface PostgresTarget {
  readonly dsn: ServerDsn
  /** For messages. */
  readonly address: string
  readonly tls: PostgresTls
}

/** One connection of pg. */
export class PostgresSession implements SqlSession {
  readonly #client: Client
  readonly #socket: Socket
  readonly #address: string
  readonly #prepared = new PreparedStatements()
  readonly #broken: Promise<void>
  #isBroken = false

  private constructor(client: Client, socket: Socket, address: string) {
    this.#client = client
    this.#socket = socket
    this.#address = address
    this.#broken = new Promise((resolve) => {
      const onEnd = (): void => {
        this.#isBroken = true
        resolve()
      }
      client.on('error', onEnd)
      client.on('end', onEnd)
    })
  }

  /** Connects to `database`, or to that of the DSN. Rejects with the error of pg: its code tells what a caller can do about it. */
  static async connect({ dsn, address, tls }: PostgresTarget, database: string = dsn.database): Promise<PostgresSession> {
    const ssl = await readTls(tls)
    try {
      return await PostgresSession.#connect(dsn, address, database, ssl)
    } catch (error) {
      const mayBePlain = tls.mode === 'prefer' || tls.mode === 'allow'
      const isRefused = error instanceof Error && error.message === 'The server does not support SSL connections'
      if (!mayBePlain || !isRefused) throw error
      return PostgresSession.#connect(dsn, address, database, false)
    }
  }

  static async #connect(
    { address: place, user, password = '' }: ServerDsn,
    address: string,
    database: string,
    ssl: Awaited<ReturnType<typeof readTls>>,
  ): Promise<PostgresSession> {
    const socket = new Socket()
    // pg has no way to drop a connection at once but its socket.
    const client = new PgClient({
      ...('socketPath' in place ? socketOf(place.socketPath) : place),
      user,
      database,
      // A function: the password then stands in no object that might be printed.
      password: () => password,
      ssl,
      stream: () => socket,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveMs,
      application_name: 'k3s',
    })
    const session = new PostgresSession(client, socket, address)
    try {
      await client.connect()
      return session
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  get isBroken(): boolean {
    return this.#isBroken
  }

  /** Resolves when the connection has ended, whoever ended it. */
  get broken(): Promise<void> {
    return this.#broken
  }

  async run(statements: readonly SqlStatement[]): Promise<readonly (readonly SqlRow[])[]> {
    const exchange = new Exchange(statements, this.#prepared)
    // pg's type of what can be submitted asks for pg's own connection class.
    this.#client.query(exchange as unknown as Submittable)
    try {
      return await exchange.done
    } catch (error) {
      throw toDatastoreError(error, this.#address)
    }
  }

  /** Statements without values, which answer nothing. */
  async execute(sql: string): Promise<void> {
    try {
      await this.#client.query(sql)
    } catch (error) {
      throw toDatastoreError(error, this.#address)
    }
  }

  /** Calls back for each announcement on the channels that were listened to, with the process of the server that did it. */
  onNotification(listener: (payload: string, processId: number) => void): void {
    this.#client.on('notification', ({ payload, processId }) => listener(payload ?? '', processId))
  }

  /** The process of the server that serves this connection. */
  async processId(): Promise<number> {
    const [rows] = await this.run([{ sql: 'select pg_backend_pid()', values: [] }])
    return Number(rows?.[0]?.[0])
  }

  destroy(): void {
    this.#isBroken = true
    this.#socket.destroy()
  }

  async close(): Promise<void> {
    if (this.#isBroken) return this.destroy()
    this.#isBroken = true
    // A server that does not answer the goodbye is not waited for.
    const timer = setTimeout(() => this.#socket.destroy(), 1000)
    await this.#client.end().catch(() => {})
    clearTimeout(timer)
  }
}

/** libpq names the folder of a socket, or the socket itself. */
function socketOf(path: string): { readonly host: string; readonly port: number } {
  const [, folder, digits] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(path) ?? []
  return { host: folder ?? path, port: digits === undefined ? 5432 : Number(digits) }
}
