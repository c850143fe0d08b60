/**
 * A server of its own process that writes without pause and says each answered write on a line: `REVISION VALUE`.
 *
 *     node --conditions=@k3s/source test/sql-member.ts DSN
 */
import { openDatastore } from '@k3s/datastore'

const [dsn = ''] = process.argv.slice(2)
await using store = await openDatastore(dsn)
process.stdin.once('data', () => process.stdin.destroy())
for (let round = 0; !process.stdin.destroyed; round++) {
  try {
    const { revision } = await store.update(Buffer.from('member'), Buffer.from(`${round}`))
    process.stdout.write(`${revision} ${round}\n`)
  } catch (error) {
    process.stdout.write(`failed ${error instanceof Error ? error.message : String(error)}\n`)
  }
}
