/**
 * A process for the test whose disk fails: writes to three keys in turn, reads after each write, and prints what it was told as JSON, a line a write.
 * Usage: failing-disk-writer.ts DSN COUNT
 */
import { writeSync } from 'node:fs'
import { isDatastoreError, openDatastore } from '@k3s/datastore'

const [dsn = '', count = ''] = process.argv.slice(2)
const codeOf = (error: unknown): string => (isDatastoreError(error) ? error.code : `not typed: ${String(error)}`)
await using store = await openDatastore(dsn)
writeSync(1, 'opened\n')
for (let write = 1; write <= Number(count); write++) {
  const key = Buffer.from(`${write % 3}`)
  const written = await store.update(key, Buffer.from(`${write}`)).then(({ revision }) => revision, codeOf)
  const read = await store.get(key).then(({ item }) => (item === undefined ? 0 : Number(Buffer.from(item.value).toString())), codeOf)
  writeSync(1, `${JSON.stringify({ written, read })}\n`)
}
