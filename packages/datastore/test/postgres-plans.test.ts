/** How PostgreSQL does the statements that are done often: by index, with statistics or without. */
import { openDatastore, prefixRange } from '@k3s/datastore'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PostgresDialect } from '../src/drivers/postgres/dialect.ts'
import { parseDsn } from '../src/dsn.ts'
import type { SqlSession, SqlStatement } from '../src/drivers/sql/dialect.ts'
import { planPrefetch, prefetchStatements } from '../src/drivers/sql/prefetch.ts'
import { countChanges } from '../src/drivers/sql/range-counts.ts'
import { selectLogPage } from '../src/drivers/sql/reader.ts'
import { rangeCondition } from '../src/drivers/sql/rows.ts'
import { countAt, countLive, selectAt, selectLive } from '../src/drivers/sql/selects.ts'
import { startPostgres } from './servers/postgres.ts'
import type { PostgresServer } from './servers/postgres.ts'

let server: PostgresServer
let dialect: PostgresDialect
let session: SqlSession
const keys = 3000
const range = prefixRange(Buffer.from('/registry/pods/'))

beforeAll(async () => {
  server = await startPostgres()
  const dsn = server.dsn('plans')
  await using store = await openDatastore(dsn)
  for (let start = 0; start < keys * 2; start += 500)
    await Promise.all(
      Array.from({ length: 500 }, (_, offset) => {
        const index = (start + offset) % keys
        return store.update(Buffer.from(`/registry/pods/${index}`), Buffer.alloc(200, `${start}`))
      }),
    )
  const parsed = parseDsn(dsn)
  if (parsed.driver !== 'postgres') throw new Error('The DSN is of PostgreSQL')
  dialect = new PostgresDialect({
    dsn: parsed,
    address: 'test',
    tls: { mode: 'disable', caFile: undefined, certFile: undefined, keyFile: undefined },
  })
  session = await dialect.connect('general')
}, 120_000)
afterAll(async () => {
  await session.close()
  await server[Symbol.asyncDispose]()
})

async function planOf({ sql, values }: SqlStatement): Promise<string> {
  const [rows] = await session.run([{ sql: `explain ${sql}`, values }])
  return (rows ?? []).map(([line]) => String(line)).join('\n')
}

it.each(['before statistics are there', 'with statistics'])('reads log and live by index (%s)', async (when) => {
  server.query('plans', when === 'with statistics' ? 'analyze' : 'delete from pg_statistic')
  const newest = keys * 2 + 1
  const live = rangeCondition(range, 'live.name')
  const batch = planPrefetch([
    { type: 'create', key: Buffer.from('/registry/pods/7'), value: Buffer.from('x'), leaseId: 0n },
    { type: 'update', key: Buffer.from('/registry/pods/8'), value: Buffer.from('x'), leaseId: 5n, expectedRevision: 3 },
    { type: 'revokeLease', id: 5n, nowMs: undefined },
    {
      type: 'txn',
      txn: { compare: [], success: [{ type: 'delete', range }], failure: [{ type: 'list', range, options: { revision: newest - 5 } }] },
    },
  ])
  const page = { from: newest - 10, to: newest, maxBytes: 1e6, previous: true }
  const statements = [
    ...prefetchStatements(dialect, batch).statements,
    selectLive(live, { limit: 501 }),
    selectLive(live, { keysOnly: true }),
    countLive(live),
    selectAt(range, newest - 5, { limit: 500 }),
    countAt(range, newest - 5),
    countChanges(range, newest - 5),
    selectLogPage(range, page),
    selectLogPage({ start: new Uint8Array(0), end: new Uint8Array(0) }, page),
  ]
  expect(statements).toHaveLength(13)
  for (const statement of statements) expect(await planOf(statement)).not.toMatch(/(Seq|Bitmap Heap) Scan on (log|live|lease)/)
})
