import { readFile } from 'node:fs/promises'
import { connect as connectSocket, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { createConnection } from 'mysql2'
import type { Connection, ConnectionOptions, SslOptions } from 'mysql2'
import type { ServerDsn } from '../../dsn.ts'
import { DatastoreError } from '../../errors.ts'
import type { DatabaseServerOptions } from '../../open.ts'
import type { SqlRole, SqlSession } from '../sql/dialect.ts'
import { serverErrno, toDatastoreError } from './errors.ts'
import type { ServerName } from './errors.ts'
import { MysqlSession } from './session.ts'

/** For the server to answer the connection, its greeting included. */
const connectTimeoutMs = 5000
/** How long a writer waits for the lock of another: longer than a member that hangs can keep it. Seconds. */
const lockWaitSeconds = 4
/** How long a writer that says nothing keeps its transaction, and so the lock. Seconds, whole ones. */
const holdSeconds = 2

/** How a server ends the transaction of a member that has gone silent. */
export type HoldLimit =
  /** MariaDB: a setting of its own. */
  | 'idleTransaction'
  /** MySQL has none: the time for the next command of any kind is short while a transaction is open. */
  | 'waitTimeout'

/** What a server is. */
export interface ServerTraits {
  readonly version: string
  readonly isMariadb: boolean
  readonly isGalera: boolean
  readonly maxPacketBytes: number
  /** Whether each commit is on disk when it is answered. */
  readonly isDurable: boolean
}

export interface MysqlConnectorOptions {
  readonly dsn: ServerDsn
  readonly server?: Omit<DatabaseServerOptions, 'hints' | 'maxConnections'> | undefined
  /** Whether a missing database is refused with `InvalidDsn`, not created. Default false. */
  readonly isReadOnly?: boolean | undefined
  /** Default: what the server has. */
  readonly holdLimit?: HoldLimit | undefined
}

/** Makes connections to one database, which it creates when it is missing, unless it is only to be read. */
export class MysqlConnector {
  readonly server: ServerName
  readonly #options: MysqlConnectorOptions
  #traits: ServerTraits | undefined

  constructor(options: MysqlConnectorOptions) {
    this.#options = options
    const { address, user, database } = options.dsn
    const shown = 'socketPath' in address ? address.socketPath : `${address.host}:${address.port}`
    this.server = { address: shown, user, database }
    tlsMode(options)
  }

  /** Known after the first {@link MysqlConnector.connect}. */
  get traits(): ServerTraits | undefined {
    return this.#traits
  }

  async connect(role: SqlRole): Promise<SqlSession> {
    try {
      const { connection, socket } = await this.#open(this.server.database).catch(async (error: unknown) => {
        if (serverErrno(error) !== unknownDatabase) throw error
        if (this.#options.isReadOnly === true)
          throw new DatastoreError('InvalidDsn', `Cannot open the datastore at ${this.server.address}: its database does not exist`, {
            hint: 'Correct the name of the database',
            cause: error,
          })
        await this.#createDatabase()
        return this.#open(this.server.database)
      })
      return await this.#setUp(connection, socket, role)
    } catch (error) {
      throw toDatastoreError(error, this.server)
    }
  }

  async #createDatabase(): Promise<void> {
    const { connection, socket } = await this.#open(undefined)
    try {
      await query(connection, `create database if not exists \`${this.server.database.replaceAll('`', '``')}\``)
    } catch (error) {
      const cause = toDatastoreError(error, this.server)
      if (!(cause instanceof DatastoreError) || cause.code !== 'Unauthenticated') throw error
      throw new DatastoreError(
        'Unauthenticated',
        `Database "${this.server.database}" does not exist at "${this.server.address}", and user "${this.server.user}" may not create it`,
        { hint: 'Create the database and grant the user all rights on it', cause: error },
      )
    } finally {
      connection.destroy()
      socket.destroy()
    }
  }

  /** A connection whose handshake is done. */
  async #open(database: string | undefined): Promise<{ readonly connection: Connection; readonly socket: Socket }> {
    const mode = tlsMode(this.#options)
    const tls = mode === 'off' ? undefined : await this.#tls(mode)
    try {
      return await this.#handshake(database, tls)
    } catch (error) {
      if (mode !== 'preferred' || !hasCode(error, 'HANDSHAKE_NO_SSL_SUPPORT')) throw error
      return this.#handshake(database, undefined)
    }
  }

  async #handshake(
    database: string | undefined,
    ssl: SslOptions | undefined,
  ): Promise<{ readonly connection: Connection; readonly socket: Socket }> {
    const { address, user, password } = this.#options.dsn
    // Our own, because mysql2 only takes leave of its sockets: one to a server that hangs would stay.
    const socket = connectSocket(
      'socketPath' in address
        ? { path: address.socketPath }
        : { ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 },
    )
    // mysql2 tells Node's TLS the server's name, but not its address, which Node then looks for here; without, it would check for "localhost".
    if ('host' in address && isIP(address.host) !== 0) Object.assign(socket, { _host: address.host })
    const config: ConnectionOptions = {
      // Names the server for the check of its certificate.
      ...('host' in address ? { host: address.host, port: address.port } : {}),
      stream: () => socket,
      user,
      connectTimeout: connectTimeoutMs,
      multipleStatements: true,
      rowsAsArray: true,
      supportBigNumbers: true,
      // Sums are decimals; none of ours is beyond 2^53.
      decimalNumbers: true,
      maxPreparedStatements: 64,
      flags: ['-LOCAL_FILES'],
      charset: 'utf8mb4',
      connectAttributes: { program_name: 'k3s-datastore' },
      ...(password === undefined ? {} : { password }),
      ...(database === undefined ? {} : { database }),
      ...(ssl === undefined ? {} : { ssl }),
    }
    const connection = createConnection(config)
    try {
      await new Promise<void>((resolve, reject) => {
        connection.once('error', reject)
        connection.once('connect', () => {
          connection.off('error', reject)
          resolve()
        })
      })
    } catch (error) {
      connection.on('error', () => {}) // the first error tells more
      socket.destroy()
      throw error
    }
    return { connection, socket }
  }

  async #tls(mode: Exclude<TlsMode, 'off'>): Promise<SslOptions> {
    const { caFile, certFile, keyFile } = this.#options.server ?? {}
    const [ca, cert, key] = await Promise.all([readPem(caFile), readPem(certFile), readPem(keyFile)])
    const isVerified = mode === 'verified'
    return {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: isVerified,
      verifyIdentity: isVerified,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    }
  }

  async #setUp(connection: Connection, socket: Socket, role: SqlRole): Promise<SqlSession> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      socket.destroy()
    }, connectTimeoutMs)
    connection.on('error', () => {}) // what runs rejects with it
    try {
      this.#traits = await readTraits(connection)
      const holdLimit = this.#options.holdLimit ?? (this.#traits.isMariadb ? 'idleTransaction' : 'waitTimeout')
      await query(connection, settings(role, this.#traits, holdLimit).join('; '))
      return new MysqlSession(connection, {
        server: this.server,
        maxPacketBytes: this.#traits.maxPacketBytes,
        around: around(role, holdLimit),
        destroy: () => {
          connection.destroy()
          socket.destroy()
        },
      })
    } catch (error) {
      socket.destroy()
      throw isLate ? new Error(`it has not answered within ${connectTimeoutMs / 1000} seconds`, { cause: error }) : error
    } finally {
      clearTimeout(timer)
    }
  }
}

const unknownDatabase = 1049

/** What a session is set to. Times are in seconds. */
function settings(role: SqlRole, { isGalera }: ServerTraits, holdLimit: HoldLimit): readonly string[] {
  const isolation = role === 'writer' ? 'read committed' : 'repeatable read'
  return [
    // Ours, whatever the server's are: text is compared and stored as it is, nothing is cut off silently, and times are UTC.
    "set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "set session time_zone = '+00:00'",
    'set session autocommit = 1',
    `set session transaction isolation level ${isolation}`,
    `set session innodb_lock_wait_timeout = ${lockWaitSeconds}`,
    // A member that freezes in the midst of a packet is let go as soon as one that freezes between two.
    ...(role === 'writer' ? [`set session net_read_timeout = ${holdSeconds}, session net_write_timeout = ${holdSeconds}`] : []),
    ...(holdLimit === 'idleTransaction' ? [`set session idle_transaction_timeout = ${role === 'writer' ? holdSeconds : 60}`] : []),
    // Reads, and the first statement of a transaction, wait until what other nodes have answered is here too.
    ...(isGalera ? ['set session wsrep_sync_wait = 1'] : []),
  ]
}

/** What is said around the core's statements. */
function around(role: SqlRole, holdLimit: HoldLimit): (sql: string) => { readonly before?: string; readonly after?: string } {
  return (sql) => {
    if (sql === beginSnapshot && role === 'writer') return { before: 'set transaction isolation level repeatable read' }
    if (sql === begin) {
      if (role === 'general') return { before: 'set transaction isolation level read committed' }
      if (holdLimit === 'waitTimeout') return { before: `set session wait_timeout = ${holdSeconds}` }
    }
    const isEnd = sql === 'commit' || sql === 'rollback'
    return isEnd && role === 'writer' && holdLimit === 'waitTimeout' ? { after: 'set session wait_timeout = default' } : {}
  }
}

/** How transactions of the core begin. */
export const begin = 'start transaction'
export const beginSnapshot = 'start transaction with consistent snapshot, read only'

async function readTraits(connection: Connection): Promise<ServerTraits> {
  const rows = await query(
    connection,
    `select version(), @@max_allowed_packet, @@innodb_flush_log_at_trx_commit; show variables like 'wsrep_on'`,
  )
  const [[[version, maxPacket, flush] = []] = [], [[, wsrep] = []] = []] = rows as readonly (readonly (readonly unknown[])[])[] // rows as arrays
  const isGalera = wsrep === 'ON'
  return {
    version: String(version),
    isMariadb: String(version).includes('MariaDB'),
    isGalera,
    maxPacketBytes: Number(maxPacket),
    // On Galera a commit is with the other nodes when it is answered.
    isDurable: isGalera || Number(flush) === 1,
  }
}

function query(connection: Connection, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error: unknown, result: unknown) => (error === null ? resolve(result) : reject(error)))
  })
}

type TlsMode = 'off' | 'preferred' | 'unverified' | 'verified'

/** As Go's MySQL driver reads `tls`; files turn verified TLS on, as in K3s. Throws `InvalidDsn`. */
function tlsMode({ dsn, server = {} }: MysqlConnectorOptions): TlsMode {
  const parameter = dsn.parameters['tls']?.toLowerCase()
  const hasFiles = [server.caFile, server.certFile, server.keyFile].some((file) => file !== undefined && file !== '')
  switch (parameter) {
    case undefined:
    case '':
      return hasFiles ? 'verified' : 'off'
    case 'false':
    case '0':
      return hasFiles ? 'verified' : 'off'
    case 'true':
    case '1':
      return 'verified'
    case 'skip-verify':
      return 'unverified'
    case 'preferred':
      return hasFiles ? 'verified' : 'preferred'
    default:
      throw new DatastoreError('InvalidDsn', `Invalid datastore endpoint: "tls" cannot be "${parameter}"`, {
        hint: 'Use "tls=true", "tls=skip-verify" or "tls=preferred"',
      })
  }
}

async function readPem(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined || path === '') return undefined
  try {
    return await readFile(path)
  } catch (error) {
    throw new DatastoreError('InvalidArgument', `Cannot read "${path}" for the connection to the database`, { cause: error })
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
