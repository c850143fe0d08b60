/** Prints as its last line, in JSON, where the programs are that ours are measured beside: `{ apiServer, etcd, kine }`. Builds what is missing, and says what it cannot. */
import { buildPrograms } from '../e2e/difference/targets/build.ts'
import { findPeers } from '../packages/datastore/bench/peers.ts'

const programs = await buildPrograms().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error))
  return undefined
})
console.log(JSON.stringify({ apiServer: programs?.apiServer, etcd: programs?.etcd, kine: findPeers().kine }))
