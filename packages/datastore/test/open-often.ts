/** A process for the test of openings: tries a file that is in use, and gives up opening others at many moments. Usage: open-often.ts DIRECTORY */
import { openDatastore } from '@k3s/datastore'

const [directory = ''] = process.argv.slice(2)
const first = await openDatastore(`sqlite://${directory}/a.db`)
for (let at = 0; at < 20; at++) {
  await openDatastore(`sqlite://${directory}/a.db`).then(
    // A code of its own: it opened, which the caller did not expect.
    () => process.exit(3),
    () => {}, // it is locked
  )
}
for (let at = 0; at < 20; at++) {
  await openDatastore(`sqlite://${directory}/b${at}.db`, { signal: AbortSignal.timeout(at * 4) }).then(
    (store) => store[Symbol.asyncDispose](),
    () => {}, // given up
  )
}
await first[Symbol.asyncDispose]()
