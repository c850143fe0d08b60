import { openDatastore, openRestored } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { describeDatastore } from '@k3s/datastore/conformance'
import { afterAll, beforeAll } from 'vitest'
import { startPostgres } from './servers/postgres.ts'
import type { PostgresServer } from './servers/postgres.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
}, 60_000)
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

const dsns = new WeakMap<Datastore, string>()
let databases = 0

describeDatastore('postgres', {
  async create(options) {
    const dsn = server.dsn(`test${++databases}`)
    const store = await openDatastore(dsn, options)
    dsns.set(store, dsn)
    return store
  },
  async restore(chunks, options) {
    const dsn = server.dsn(`test${++databases}`)
    const store = await openRestored(dsn, chunks, options)
    dsns.set(store, dsn)
    return store
  },
  reopen: (store, options) => openDatastore(dsns.get(store) ?? '', options),
  supports: { restart: true, clock: false },
  modelRuns: 8,
})
