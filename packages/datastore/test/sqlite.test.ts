import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore, openRestored } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { describeDatastore } from '@k3s/datastore/conformance'
import { afterAll } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'datastore-'))
afterAll(() => rmSync(directory, { recursive: true }))

const dsns = new WeakMap<Datastore, string>()
let files = 0

describeDatastore('sqlite', {
  async create(options) {
    const dsn = `sqlite://${join(directory, `${++files}.db`)}`
    const store = await openDatastore(dsn, options)
    dsns.set(store, dsn)
    return store
  },
  async restore(chunks, options) {
    const dsn = `sqlite://${join(directory, `${++files}.db`)}`
    const store = await openRestored(dsn, chunks, options)
    dsns.set(store, dsn)
    return store
  },
  reopen: (store, options) => openDatastore(dsns.get(store) ?? '', options),
  supports: { restart: true, clock: true },
  modelRuns: 12,
})
