/** A process for the test that looks at its system calls: writes to a new datastore and says `answered N` after each answer. Usage: answer-writer.ts DSN COUNT */
import { writeSync } from 'node:fs'
import { openDatastore } from '@k3s/datastore'

const [dsn = '', count = ''] = process.argv.slice(2)
await using store = await openDatastore(dsn)
writeSync(1, 'answered 0\n')
for (let write = 1; write <= Number(count); write++) {
  await store.update(Buffer.from('key'), Buffer.from(`${write}`))
  writeSync(1, `answered ${write}\n`)
}
