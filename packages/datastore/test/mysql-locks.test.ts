/** How long a member that has gone silent can keep the lock that serialises writes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseDsn } from '../src/dsn.ts'
import { MysqlConnector } from '../src/drivers/mysql/connect.ts'
import type { HoldLimit } from '../src/drivers/mysql/connect.ts'
import type { SqlSession } from '../src/drivers/sql/dialect.ts'
import { plain } from '../src/drivers/sql/rows.ts'
import { startMariadb } from './servers/mariadb.ts'
import type { MariadbServer } from './servers/mariadb.ts'

let server: MariadbServer
beforeAll(async () => {
  server = await startMariadb()
  server.sql('create database locks; create table locks.state (id int primary key, revision bigint); insert into locks.state values (1, 1)')
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

function connector(holdLimit: HoldLimit): MysqlConnector {
  const dsn = parseDsn(server.dsn('locks'))
  if (dsn.driver !== 'mysql') throw new Error('It is a DSN of MySQL')
  return new MysqlConnector({ dsn, holdLimit })
}

const [begin, lock, commit] = ['start transaction', 'select revision from state for update', 'commit'].map(plain) as [
  ReturnType<typeof plain>,
  ReturnType<typeof plain>,
  ReturnType<typeof plain>,
] // three statements
const isAlive = (session: SqlSession): Promise<boolean> =>
  session.run([plain('select 1')]).then(
    () => true,
    () => false,
  )

describe.each(['idleTransaction', 'waitTimeout'] as const)('a writer whose silence is bounded by %s', (holdLimit) => {
  it('that falls silent with the lock loses it, and its transaction', async () => {
    const sessions = await Promise.all([connector(holdLimit).connect('writer'), connector(holdLimit).connect('writer')])
    const [silent, other] = sessions
    await silent.run([begin, lock, plain('update state set revision = revision + 100')])
    // Fails when it has waited for the lock for four seconds.
    const [, rows] = await other.run([begin, lock, commit])
    expect(Number(rows?.[0]?.[0])).toBeLessThan(100)
    expect(await isAlive(silent)).toBe(false)
    expect(silent.isBroken).toBe(true)
    for (const session of sessions) await session.close()
  })

  it('that has no transaction keeps its connection', async () => {
    const session = await connector(holdLimit).connect('writer')
    await session.run([begin, lock, commit])
    await new Promise((resolve) => setTimeout(resolve, 3500))
    expect(await isAlive(session)).toBe(true)
    await session.run([begin, lock, plain('rollback')])
    await new Promise((resolve) => setTimeout(resolve, 3500))
    expect(await isAlive(session)).toBe(true)
    await session.close()
  }, 30_000)
})

it('a deadlock and a lock that does not come in time are Unavailable, and the connection lives', async () => {
  server.sql('create table locks.pair (id int primary key, n int); insert into locks.pair values (1, 0), (2, 0)')
  const sessions = await Promise.all([1, 2].map(() => connector('idleTransaction').connect('writer')))
  const add = (id: number): ReturnType<typeof plain> => plain(`update pair set n = n + 1 where id = ${id}`)
  await Promise.all(sessions.map((session, index) => session.run([begin, add(index + 1)])))
  const results = await Promise.allSettled(sessions.map((session, index) => session.run([add(2 - index), commit])))
  expect(results.filter(({ status }) => status === 'rejected')).toMatchObject([{ reason: { code: 'Unavailable' } }])
  for (const session of sessions) {
    expect(await isAlive(session)).toBe(true)
    await session.close()
  }
})

it('a session runs what is too large for a packet in several, and what goes by either protocol in order', async () => {
  const session = await connector('idleTransaction').connect('writer')
  await session.run([plain('create table sized (id bigint primary key, value longblob not null)')])
  const insert = (id: number | bigint, size: number): { sql: string; values: unknown[] } => ({
    sql: 'insert into sized values (?, ?)',
    values: [id, Buffer.alloc(size, `${id}`)],
  })
  const answers = await session.run([
    begin,
    insert(1, 10),
    insert(9007199254740993n, 100_000),
    insert(3, 20),
    { sql: 'select id, length(value) from sized order by id', values: [] },
    commit,
  ])
  expect(answers).toHaveLength(6)
  expect(answers[4]).toEqual([
    [1, 10],
    [3, 20],
    ['9007199254740993', 100_000],
  ])
  await expect(session.run([plain('select 1'), plain('nonsense')])).rejects.toThrow('syntax')
  expect(session.isBroken).toBe(false)
  const running = session.run([plain('select sleep(20)')])
  session.destroy()
  await expect(running).rejects.toMatchObject({ code: 'Unavailable' })
  await expect(session.run([plain('select 1')])).rejects.toMatchObject({ code: 'Unavailable' })
  await session.close()
})
