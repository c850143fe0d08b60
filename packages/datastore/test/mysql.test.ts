import { openDatastore } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { describeDatastore } from '@k3s/datastore/conformance'
import { afterAll, beforeAll } from 'vitest'
import { startMariadb } from './servers/mariadb.ts'
import type { MariadbServer } from './servers/mariadb.ts'

let server: MariadbServer
beforeAll(async () => {
  server = await startMariadb({ autoIncrementIncrement: 2 })
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const dsns = new WeakMap<Datastore, string>()
let databases = 0

describeDatastore('mariadb', {
  async create(options) {
    const dsn = server.dsn(`suite${++databases}`)
    const store = await openDatastore(dsn, options)
    dsns.set(store, dsn)
    return store
  },
  reopen: (store, options) => openDatastore(dsns.get(store) ?? '', options),
  // Leases go by the database's clock.
  supports: { restart: true, clock: false },
  modelRuns: 12,
})
