/** Prints as its last line, in JSON, where the programs are that ours are measured beside: `{ apiServer, etcd, kine }`. Builds what is missing, and says what it cannot. */
import { findPrograms } from '../e2e/src/programs.ts'
import { findPeers } from '../packages/datastore/bench/peers.ts'

const programs = await findPrograms(['kube-apiserver', 'etcd']).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error))
  return undefined
})
console.log(JSON.stringify({ apiServer: programs?.['kube-apiserver'], etcd: programs?.etcd, kine: findPeers().kine }))
