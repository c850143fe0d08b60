import { openDatastore } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { describeDatastore } from '@k3s/datastore/conformance'
import { serveEtcd } from '@k3s/datastore/etcd-server'
import { afterEach } from 'vitest'

/** The etcd API that this package serves is enough of an etcd for the driver: what one knows, the other tells. */
const urls = new Map<Datastore, string>()
const running: AsyncDisposable[] = []
afterEach(async () => {
  for (const resource of running.splice(0).toReversed()) await resource[Symbol.asyncDispose]()
})

describeDatastore('etcd driver on the etcd API of a datastore in memory', {
  async create(options) {
    const datastore = await openDatastore('memory:')
    const server = await serveEtcd({ datastore, listen: { host: '127.0.0.1', port: 0 } })
    running.push(datastore, server)
    const store = await openDatastore(server.url, options)
    urls.set(store, server.url)
    return store
  },
  reopen: (store, options) => openDatastore(urls.get(store) ?? '', options),
  supports: { restart: true, clock: false },
  modelRuns: 12,
})
