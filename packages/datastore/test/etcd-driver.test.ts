import { openDatastore, openRestored } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { describeDatastore } from '@k3s/datastore/conformance'
import { afterAll, afterEach } from 'vitest'
import { hasTombstoneBug } from '../src/drivers/etcd/versions.ts'
import { startEtcd, versionOfEtcd } from './servers/etcd.ts'
import type { EtcdServer } from './servers/etcd.ts'

const program = process.env['ETCD_PROGRAM']
const servers = new Map<Datastore, EtcdServer>()
const running: EtcdServer[] = []

async function stopAll(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server[Symbol.asyncDispose]()))
}
afterEach(stopAll)
afterAll(stopAll)

describeDatastore('etcd', {
  async create(options) {
    const server = await startEtcd({ program })
    running.push(server)
    const store = await openDatastore(server.dsn, options)
    servers.set(store, server)
    return store
  },
  async restore(chunks, options) {
    const server = await startEtcd({ program })
    running.push(server)
    const store = await openRestored(server.dsn, chunks, options)
    servers.set(store, server)
    return store
  },
  reopen: (store, options) => openDatastore(servers.get(store)?.dsn ?? '', options),
  // etcd looks up what a key held before when it sends an event, and gives space back to the file system only when it is defragmented.
  supports: {
    restart: true,
    clock: false,
    watchesAtCompaction: !hasTombstoneBug(versionOfEtcd(program)),
    previousAtCompaction: false,
    shrinking: false,
  },
  modelRuns: 12,
})
