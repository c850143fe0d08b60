/** A process for the crash test: writes with many clients and prints a line for each answer, until it is killed. Usage: crash-writer.ts DSN ROUND */
import { writeSync } from 'node:fs'
import { openDatastore } from '@k3s/datastore'

/** Blocks until the line is in the pipe: a reader that is slow must not end the writer. */
function print(line: string): void {
  for (let rest = Buffer.from(line); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error // writeSync throws nothing else
    }
  }
}

const [dsn = '', round = ''] = process.argv.slice(2)
const store = await openDatastore(dsn)
await Promise.all(
  Array.from({ length: 32 }, async (_, client) => {
    for (let index = 0; ; index++) {
      const key = `${client}/${index % 10}`
      const value = `${round}.${index}`
      const { revision } = await store.update(Buffer.from(key), Buffer.from(value.padEnd(500, ' ')))
      print(`${revision} put ${key}=${value}\n`)
      // History is compacted meanwhile, so that crashes hit this too; what the test compares is kept.
      if (client === 0 && index % 50 === 49) await store.compact(Math.max(1, revision - 20_000))
    }
  }),
)
