import { DummyDriver, Kysely, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler } from 'kysely'
import type { LogPosition } from '../../engine/backend.ts'
import type { SqlCondition, SqlDialect, SqlRole, SqlSchemaDialect, SqlSession, SqlStatement } from '../sql/dialect.ts'
import type { SqlTable, SqlTables, SqlType } from '../sql/tables.ts'
import { begin, beginSnapshot } from './connect.ts'
import type { MysqlConnector } from './connect.ts'
import { hintTables } from './hint-members.ts'
import type { HintMembers } from './hint-members.ts'
import { binaryValueBytes } from './session.ts'

/** What an index of InnoDB takes with its other columns: 3,072 bytes in all. */
const maxKeyBytes = 3000
/** Text of one statement: small enough for any server, large enough that statements are few. */
const maxStatementBytes = 256 * 1024
/** Of the server's largest packet that one request may fill with keys and values. */
const maxPacketPart = 0.45
const tableOptions = 'engine = InnoDB row_format = dynamic character set ascii collate ascii_bin'

/** When every other member's hints arrive, polling is for lost ones. */
const hintedPollMs = 2000
/** When they do not: while this member writes, and while it does not; less than one query a second with all else that an idle member asks. */
const [busyPollMs, idlePollMs] = [200, 1500]
/** After its last write a member counts as writing for this long. */
const busyMs = 5000

/** MySQL 8, MariaDB 10.6 and newer, and Galera. */
export class MysqlDialect implements SqlDialect {
  readonly driver: string = 'mysql'
  readonly address: string
  readonly maxKeyBytes: number = maxKeyBytes
  readonly begin: string = begin
  readonly beginSnapshot: string = beginSnapshot
  /** Sessions are in UTC: local time would be ambiguous once a year. */
  readonly nowMs: string = 'cast(unix_timestamp(now(3)) * 1000 as signed)'
  readonly skipLocked: string = 'for update skip locked'
  readonly kysely: Kysely<SqlTables> = new Kysely<SqlTables>({
    dialect: {
      createAdapter: () => new MysqlAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new MysqlIntrospector(db),
      createQueryCompiler: () => new MysqlQueryCompiler(),
    },
  })
  readonly schema: SqlSchemaDialect = {
    columnTypes: {
      integer: 'bigint',
      float: 'double',
      text: 'varchar(64)',
      key: `varbinary(${maxKeyBytes})`,
      bytes: 'longblob',
    },
    tableOptions,
    listTables: 'select table_name from information_schema.tables where table_schema = database()',
    // Names of locks are the server's own, at most 64 characters.
    lock: { sql: "select get_lock(concat('k3s_datastore ', md5(database())), 60)", values: [] },
    unlock: { sql: "select release_lock(concat('k3s_datastore ', md5(database())))", values: [] },
    extras: hintTables(tableOptions),
    hasPartialIndexes: false,
  }
  readonly #connector: MysqlConnector
  readonly #members: HintMembers
  #lastCommit = Number.NEGATIVE_INFINITY

  /** Owns the members. */
  constructor(connector: MysqlConnector, members: HintMembers) {
    this.#connector = connector
    this.#members = members
    this.address = connector.server.address
  }

  /** A request is one packet at most, in which bytes may be written as hexadecimal digits. */
  get maxRequestBytes(): number | undefined {
    const { maxPacketBytes } = this.#connector.traits ?? {}
    return maxPacketBytes === undefined ? undefined : Math.floor(maxPacketBytes * maxPacketPart)
  }

  get pollIntervalMs(): number {
    if (this.#members.hearsAll) return hintedPollMs
    return performance.now() - this.#lastCommit < busyMs ? busyPollMs : idlePollMs
  }

  connect(role: SqlRole): Promise<SqlSession> {
    return this.#connector.connect(role)
  }

  oneOf(column: string, _type: SqlType, values: readonly unknown[]): SqlCondition {
    return values.length === 0 ? { sql: '1 = 0', values } : { sql: `${column} in (${places(values.length)})`, values }
  }

  insert(table: SqlTable, rows: readonly (readonly unknown[])[]): readonly SqlStatement[] {
    return insertStatements(table, rows, '')
  }

  /** `values()` is deprecated in MySQL 8 for a form that MariaDB does not have; both take it. */
  upsert(table: SqlTable, rows: readonly (readonly unknown[])[]): readonly SqlStatement[] {
    const others = table.columns.flatMap(([name]) => (name === table.key ? [] : `${name} = values(${name})`))
    return insertStatements(table, rows, ` on duplicate key update ${others.join(', ')}`)
  }

  /** There is nothing to say in the database: {@link MysqlDialect.onCommitted} says it. */
  announce(): readonly SqlStatement[] {
    return []
  }

  onCommitted({ revision }: LogPosition): void {
    this.#lastCommit = performance.now()
    this.#members.announce(revision)
  }

  follow(onNews: (position: LogPosition | undefined) => void, signal: AbortSignal): Promise<void> {
    return this.#members.follow(onNews, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#members[Symbol.asyncDispose]()
  }
}

/** Rows with a large value go alone, so that the few forms of such statements are prepared once; see {@link binaryValueBytes}. */
function insertStatements({ name, columns }: SqlTable, rows: readonly (readonly unknown[])[], suffix: string): readonly SqlStatement[] {
  const names = columns.map(([column]) => column).join(', ')
  const row = `(${places(columns.length)})`
  const statements: SqlStatement[] = []
  const flush = (chosen: readonly (readonly unknown[])[]): void => {
    if (chosen.length === 0) return
    const sql = `insert into ${name} (${names}) values ${chosen.map(() => row).join(', ')}${suffix}`
    statements.push({ sql, values: chosen.flat() })
  }
  let waiting: (readonly unknown[])[] = []
  let bytes = 0
  for (const values of rows) {
    const valueBytes = values.map((value) => (value instanceof Uint8Array ? value.length : 0))
    if (valueBytes.some((length) => length >= binaryValueBytes)) {
      flush([values])
      continue
    }
    const rowBytes = valueBytes.reduce((sum, length) => sum + 2 * length + 24, 0)
    if (bytes + rowBytes > maxStatementBytes) {
      flush(waiting)
      waiting = []
      bytes = 0
    }
    waiting.push(values)
    bytes += rowBytes
  }
  flush(waiting)
  return statements
}

function places(count: number): string {
  return Array.from({ length: count }, () => '?').join(', ')
}
