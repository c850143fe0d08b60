/** A datastore that was restored behaves as any other: the suite's tests once more, on one whose first revision is not 1. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore, openRestored, snapshot } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { afterAll, describe } from 'vitest'
import { describeCompaction } from '../src/conformance/compaction.ts'
import { describeKeys } from '../src/conformance/keys.ts'
import { describeLeases } from '../src/conformance/leases.ts'
import { describeLifecycle } from '../src/conformance/lifecycle.ts'
import { describeLists } from '../src/conformance/lists.ts'
import { describeRestart } from '../src/conformance/restart.ts'
import type { DatastoreUnderTest } from '../src/conformance/subject.ts'
import { describeTxns } from '../src/conformance/txns.ts'
import { describeWatches } from '../src/conformance/watches.ts'

const directory = mkdtempSync(join(tmpdir(), 'datastore-restored-'))
afterAll(() => rmSync(directory, { recursive: true }))

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const dsns = new WeakMap<Datastore, string>()
let files = 0

/** What has lived and is gone: an empty datastore at a revision of its own. */
async function* emptied(): AsyncGenerator<Uint8Array> {
  await using source = await openDatastore('memory:')
  for (const key of ['a', 'b', 'c', 'd']) await source.create(bytes(key), bytes('1'))
  for (const key of ['d', 'c', 'a', 'b']) await source.delete(bytes(key))
  yield* snapshot(source)
}

const supports = { restart: true, clock: true }
const subjects: Readonly<Record<string, DatastoreUnderTest>> = {
  memory: { create: (options) => openRestored('memory:', emptied(), options), supports: { ...supports, restart: false } },
  sqlite: {
    async create(options) {
      const dsn = `sqlite://${join(directory, `${++files}.db`)}`
      const store = await openRestored(dsn, emptied(), options)
      dsns.set(store, dsn)
      return store
    },
    reopen: (store, options) => openDatastore(dsns.get(store) ?? '', options),
    supports,
  },
}

for (const [driver, subject] of Object.entries(subjects))
  describe(`restored ${driver}`, () => {
    describeKeys(subject)
    describeLists(subject)
    describeTxns(subject)
    describeWatches(subject)
    describeCompaction(subject)
    describeLeases(subject)
    describeLifecycle(subject)
    if (subject.supports.restart) describeRestart(subject)
  })
