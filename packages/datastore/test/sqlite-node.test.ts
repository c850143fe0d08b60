import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore, openRestored } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { describeDatastore } from '@k3s/datastore/conformance'
import { afterAll } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'datastore-node-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** An addon that is not there: what a platform is like for which there is none. */
const sqliteWorker = { url: new URL('../src/drivers/sqlite-worker.ts', import.meta.url), nativeBinding: '/nonexistent.node' }
const dsns = new WeakMap<Datastore, string>()
let files = 0

describeDatastore("Node's own SQLite", {
  async create(options) {
    const dsn = `sqlite://${join(directory, `${++files}.db`)}`
    const store = await openDatastore(dsn, { ...options, sqliteWorker })
    dsns.set(store, dsn)
    return store
  },
  async restore(chunks, options) {
    const dsn = `sqlite://${join(directory, `${++files}.db`)}`
    const store = await openRestored(dsn, chunks, { ...options, sqliteWorker })
    dsns.set(store, dsn)
    return store
  },
  reopen: (store, options) => openDatastore(dsns.get(store) ?? '', { ...options, sqliteWorker }),
  supports: { restart: true, clock: true },
  modelRuns: 6,
})
