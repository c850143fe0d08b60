/** How the database does what the datastore asks: by index, whatever the history. The statements are those that it has logged. */
import { openDatastore, prefixRange } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startMariadb } from './servers/mariadb.ts'
import type { MariadbServer } from './servers/mariadb.ts'

const keys = 4000
const rounds = 40
const keyOf = (index: number): Uint8Array => Buffer.from(`/registry/${index % 2 === 0 ? 'pods' : 'nodes'}/${index}`)
const pods = prefixRange(Buffer.from('/registry/pods/'))

/** What `rounds` updates of every key leave, made by the database itself: row and revision n + 1 write key n modulo `keys`. */
const history = `
  set @keys = ${keys}, @writes = ${keys * rounds};
  insert into log (id, revision, previous, created, version, lease, name, value)
    select seq + 1, seq + 1, if(seq < @keys, 0, seq + 1 - @keys), seq % @keys + 1, floor(seq / @keys) + 1, 0,
      concat('/registry/', if(seq % @keys % 2 = 0, 'pods', 'nodes'), '/', seq % @keys), repeat('v', 200)
    from seq_1_to_${keys * rounds};
  insert into live (name, id, revision, created, version, lease)
    select name, id, revision, created, version, lease from log where id > @writes + 1 - @keys;
  update state set revision = @writes + 1, last_id = @writes + 1;
  analyze table log, live;
`

let server: MariadbServer
let store: Datastore
beforeAll(async () => {
  server = await startMariadb()
  await (await openDatastore(server.dsn('plans')))[Symbol.asyncDispose]()
  server.sql(`use plans; ${history}; set global log_output = 'TABLE'`)
  store = await openDatastore(server.dsn('plans'))
}, 120_000)
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

interface Step {
  readonly table: string
  readonly type: string
  readonly rows: number
  readonly extra: string
}

/** What is selected meanwhile, and how: each step of each plan that touches the log or the live items. */
async function plansOf(work: () => Promise<unknown>): Promise<readonly (Step & { readonly sql: string })[]> {
  server.sql('truncate mysql.general_log; set global general_log = 1')
  await work()
  server.sql('set global general_log = 0')
  const logged = server.sql("select hex(argument) from mysql.general_log where command_type = 'Query'").split('\n')
  const statements = logged.flatMap((hex) => Buffer.from(hex, 'hex').toString('latin1').split(/;\s*/))
  const selects = [...new Set(statements)].filter((sql) => /^select\b.*\b(log|live)\b/is.test(sql) && !sql.includes('general_log'))
  expect(selects.length).toBeGreaterThan(0)
  return selects.flatMap((sql) =>
    server
      .sql(`use plans; explain ${sql}`)
      .trim()
      .split('\n')
      .map((line) => {
        const [, , table = '', type = '', , , , , rows = '', extra = ''] = line.split('\t')
        return { sql, table, type, rows: Number(rows), extra }
      }),
  )
}

const shown = ({ table, type, rows, extra, sql }: Step & { readonly sql: string }): string =>
  `${table} ${type} ${rows} ${extra}: ${sql.slice(0, 300)}`
/** Steps that read a whole table or index of ours. */
const scans = (steps: readonly (Step & { readonly sql: string })[]): string[] =>
  steps.filter(({ table, type }) => /^(log|live|p)$/.test(table) && ['ALL', 'index'].includes(type)).map(shown)
const sorts = (steps: readonly (Step & { readonly sql: string })[]): string[] =>
  steps.filter(({ table, extra }) => /^(log|live|p)$/.test(table) && extra.includes('filesort')).map(shown)

it('a get, a create, an update and a delete go by the key', async () => {
  const steps = await plansOf(async () => {
    await store.get(keyOf(0))
    await Promise.all([
      store.create(Buffer.from('/new'), Buffer.alloc(10)),
      store.update(keyOf(2), Buffer.alloc(10)),
      store.delete(keyOf(4)),
    ])
  })
  expect([...scans(steps), ...sorts(steps)]).toEqual([])
  // Compaction may run beside: its rows are bounded by a limit.
  expect(Math.max(...steps.filter(({ sql }) => !sql.includes('compact_revision')).map(({ rows }) => rows))).toBeLessThan(20)
})

it('a list reads its range in order, and sorts nothing', async () => {
  const steps = await plansOf(async () => {
    await store.list(pods, { limit: 500 })
    await store.list(pods)
    await store.list(pods, { keysOnly: true, limit: 10 })
    await store.list(pods, { countOnly: true })
  })
  expect([...scans(steps), ...sorts(steps)]).toEqual([])
})

it.each([
  ['the newest of the log', 100],
  ['a page of the log, however much follows', keys * rounds - 2],
])('%s is found by its revisions', async (_, back) => {
  const newest = await store.currentRevision()
  const steps = await plansOf(async () => {
    const watch = store.watch(pods, { fromRevision: newest - back, previous: true })[Symbol.asyncIterator]()
    await watch.next()
    await watch.return?.()
    await using late = await openDatastore(server.dsn('plans'))
    const fromLog = late.watch(pods, { fromRevision: newest - back, previous: true })[Symbol.asyncIterator]()
    await fromLog.next()
    await fromLog.return?.()
  })
  const pages = steps.filter(({ sql }) => sql.includes('octet_length'))
  expect(scans(pages)).toEqual([])
  expect(pages.filter(({ table }) => table === 'log').map(({ type }) => type)).toContain('range')
  expect(Math.max(...pages.filter(({ table }) => table === 'log').map(({ rows }) => rows))).toBeLessThan((keys * rounds) / 4)
})

it('a list of an older state costs the writes since', async () => {
  const newest = await store.currentRevision()
  const steps = await plansOf(() => store.list(pods, { revision: newest - 50, limit: 100 }))
  expect(scans(steps)).toEqual([])
})

it('a transaction with ranges and a lease goes by their indexes', async () => {
  const { id } = await store.grantLease({ ttlSeconds: 600 })
  await store.update(keyOf(6), Buffer.alloc(10), { leaseId: id })
  const steps = await plansOf(async () => {
    await store.txn({
      compare: [{ range: prefixRange(Buffer.from('/registry/pods/1')), target: 'modRevision', result: 'greater', operand: 0 }],
      success: [{ type: 'delete', range: prefixRange(Buffer.from('/registry/pods/10')) }],
      failure: [],
    })
    await store.leaseStatus(id)
    await store.revokeLease(id)
  })
  expect(scans(steps)).toEqual([])
})

it('compaction goes on from where it stopped, and sorts nothing', async () => {
  const newest = await store.currentRevision()
  const steps = await plansOf(async () => {
    await store.compact(newest - 100)
    await expect.poll(async () => (await store.status()).sizeBytes, { timeout: 30_000 }).toBeLessThan(0)
  })
  expect([...scans(steps), ...sorts(steps)]).toEqual([])
})
