import { sql } from 'kysely'
import type { CompiledQuery, CreateTableBuilder } from 'kysely'
import { DatastoreError } from '../../errors.ts'
import type { SqlDialect, SqlSession, SqlStatement } from './dialect.ts'
import { plain, toNumber } from './rows.ts'
import { compactionColumns, leaseTable, liveTable, logTable, memberTable, stateColumns } from './tables.ts'
import type { SqlType } from './tables.ts'

const schemaVersion = 1
/** Marks a database as ours; its version is 0 while the tables are made. */
const markTable = 'k3s_datastore'

type Columns = readonly (readonly [name: string, type: SqlType])[]

const tables: readonly { readonly name: string; readonly key: string; readonly columns: Columns }[] = [
  logTable,
  liveTable,
  leaseTable,
  memberTable,
  { name: 'state', key: 'id', columns: stateColumns },
  { name: 'compaction', key: 'id', columns: compactionColumns },
]

/**
 * Brings a database to the present schema; members that start together take turns.
 * Throws `ForeignSchema` when it holds another program's tables, `NewerSchema` when a newer version of this package has written it.
 */
export async function prepareSchema(dialect: SqlDialect, session: SqlSession): Promise<void> {
  await session.run([dialect.schema.lock])
  try {
    await prepare(dialect, session)
  } finally {
    if (!session.isBroken) await session.run([dialect.schema.unlock])
  }
}

/** Throws as {@link prepareSchema} does, and `InvalidDsn` when there is no datastore; makes nothing. */
export async function checkSchema(dialect: SqlDialect, session: SqlSession): Promise<void> {
  const names = await listTables(dialect, session)
  const version = names.includes(markTable) ? await readVersion(dialect, session) : 0
  if (version === 0)
    throw new DatastoreError('InvalidDsn', `Cannot open the datastore at ${dialect.address}: the database holds none`, {
      hint: 'Correct the name of the database',
    })
}

async function prepare(dialect: SqlDialect, session: SqlSession): Promise<void> {
  const names = await listTables(dialect, session)
  if (!names.includes(markTable))
    await session.run([createTable(dialect, markTable, [['version', 'integer']]), plain(`insert into ${markTable} values (0)`)])
  if ((await readVersion(dialect, session)) === 0) await createAll(dialect, session, names)
}

/** Of a database that is ours, or empty. */
async function listTables(dialect: SqlDialect, session: SqlSession): Promise<readonly string[]> {
  const [rows = []] = await session.run([plain(dialect.schema.listTables)])
  const names = rows.map(([name]) => String(name))
  if (names.length > 0 && !names.includes(markTable)) throw foreign(dialect, names)
  return names
}

/** 0 while the tables are made. */
async function readVersion({ address }: SqlDialect, session: SqlSession): Promise<number> {
  const [marks = []] = await session.run([plain(`select version from ${markTable}`)])
  const version = toNumber(marks[0]?.[0] ?? 0)
  if (version > schemaVersion)
    throw new DatastoreError(
      'NewerSchema',
      `Cannot open the datastore at ${address}: its schema version is ${version}, this program knows ${schemaVersion}`,
      { hint: 'Use the newer release that wrote it' },
    )
  return version
}

/** What an attempt that was cut off has left is made anew: nothing was written to it. */
async function createAll(dialect: SqlDialect, session: SqlSession, present: readonly string[]): Promise<void> {
  const { kysely, schema } = dialect
  for (const { name } of tables) if (present.includes(name)) await session.run([statement(kysely.schema.dropTable(name).compile())])
  for (const { name, key, columns } of tables) await session.run([createTable(dialect, name, columns, key)])
  const byLease = kysely.schema.createIndex('live_lease').on('live').column('lease')
  const indexes = [
    kysely.schema.createIndex('log_revision').on('log').columns(['revision', 'id', 'name']),
    kysely.schema.createIndex('lease_deadline').on('lease').column('deadline'),
    schema.hasPartialIndexes ? byLease.where('lease', '<>', sql.lit(0)) : byLease,
  ]
  for (const index of indexes) await session.run([statement(index.compile())])
  for (const extra of schema.extras) await session.run([plain(extra)])
  await session.run([
    plain('insert into state values (1, 1, 0, 0, 0, 0, 0)'),
    plain('insert into compaction values (1, 0, 0)'),
    plain(`delete from ${markTable}`),
    plain(`insert into ${markTable} values (${schemaVersion})`),
  ])
}

function createTable({ kysely, schema }: SqlDialect, name: string, columns: Columns, key?: string): SqlStatement {
  let builder: CreateTableBuilder<string> = kysely.schema.createTable(name)
  for (const [column, type] of columns)
    builder = builder.addColumn(column, sql.raw(schema.columnTypes[type]), (it) =>
      column === key ? it.notNull().primaryKey() : it.notNull(),
    )
  if (schema.tableOptions !== '') builder = builder.modifyEnd(sql.raw(schema.tableOptions))
  return statement(builder.compile())
}

function statement({ sql, parameters }: CompiledQuery): SqlStatement {
  return { sql, values: parameters }
}

function foreign({ address }: SqlDialect, names: readonly string[]): DatastoreError {
  const reason = names.includes('kine')
    ? 'it is the database of the original K3s (kine)'
    : `it holds the tables of another program ("${names[0]}")`
  return new DatastoreError('ForeignSchema', `Cannot open the datastore at ${address}: ${reason}`, {
    hint: 'Name another database: this one is left as it is',
  })
}
