import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'
import { afterAll, expect, it } from 'vitest'
import { startWriter } from './start-writer.ts'

const directory = mkdtempSync(join(tmpdir(), 'datastore-crash-'))
afterAll(() => rmSync(directory, { recursive: true }))

it('an answered write is there after kill -9, the revision does not go back, and no lock is left', async () => {
  const dsn = `sqlite://${join(directory, 'crash.db')}`
  let newest = 1
  for (let round = 0; round < 10; round++) {
    const writer = startWriter(dsn, round, join(directory, `answers-${round}`))
    // By number and not by time, so that each round holds many batches on a slow machine too.
    await writer.answered(500 + Math.floor(Math.random() * 1500))
    const answers = await writer.kill()
    await using store = await openDatastore(dsn)
    const revision = await store.currentRevision()
    const log = new Map<number, string>()
    for await (const batch of store.watch({ start: Uint8Array.of(0), end: new Uint8Array(0) }, { fromRevision: newest + 1 })) {
      for (const { item } of batch.events)
        log.set(
          item.modRevision,
          `${item.modRevision} put ${Buffer.from(item.key).toString()}=${Buffer.from(item.value).toString().trim()}`,
        )
      if (batch.revision >= revision) break
    }
    expect([...log.keys()]).toEqual(Array.from({ length: revision - newest }, (_, index) => newest + 1 + index))
    for (const answer of answers) expect(log.get(Number.parseInt(answer, 10))).toBe(answer)
    newest = revision
  }
})
