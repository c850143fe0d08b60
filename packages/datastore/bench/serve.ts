/** Serves a datastore through the etcd API until its standard input ends. Usage: serve.ts DSN PORT */
import { openDatastore } from '@k3s/datastore'
import { serveEtcd } from '@k3s/datastore/etcd-server'

const [dsn = '', port = ''] = process.argv.slice(2)
await using datastore = await openDatastore(dsn)
await using server = await serveEtcd({ datastore, listen: { host: '127.0.0.1', port: Number(port) } })
console.log(server.url)
await new Promise((resolve) => process.stdin.once('end', resolve).resume())
