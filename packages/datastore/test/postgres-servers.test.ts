import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres } from './servers/postgres.ts'
import type { PostgresServer } from './servers/postgres.ts'
import { describeSeveralServers } from './sql-servers.ts'

describeSeveralServers('PostgreSQL', startPostgres)

describe('PostgreSQL', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
  }, 60_000)
  afterAll(async () => {
    await server[Symbol.asyncDispose]()
  })

  it('a key beyond the limit of an index is refused with TooLarge, one at the limit is not', async () => {
    await using store = await openDatastore(server.dsn('keys'))
    await expect(store.create(Buffer.alloc(2049, 'k'), Buffer.from('1'))).rejects.toMatchObject({ code: 'TooLarge' })
    const key = Buffer.from(Array.from({ length: 2048 }, () => Math.floor(Math.random() * 256)))
    await store.create(key, Buffer.from('1'))
    expect((await store.get(key)).item?.version).toBe(1)
    expect((await store.get(Buffer.alloc(5000, 'k'))).item).toBeUndefined()
  })

  it('an idle server asks the database less than once a second', async () => {
    await using logging = await startPostgres({ settings: ['log_statement=all'] })
    await using store = await openDatastore(logging.dsn('idle'))
    await store.create(Buffer.from('a'), Buffer.from('1'))
    const count = (): number => readFileSync(join(logging.directory, 'log'), 'utf8').match(/LOG: {2}(statement|execute)/g)?.length ?? 0
    const before = count()
    const begin = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    const seconds = (performance.now() - begin) / 1000
    const grown = count() - before
    expect(grown).toBeGreaterThan(0)
    expect(grown / seconds).toBeLessThan(1)
  })
})
