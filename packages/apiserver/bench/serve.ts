/** Our API server on a port of loopback: `serve.ts DSN PORT FOLDER`. FOLDER holds ca.crt, server.crt and server.key. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openDatastore } from '@k3s/datastore'
import { generateKey } from '@k3s/pki'
import { builtInParts, createApiServer, SigningKeys } from '../src/index.ts'

const [dsn = 'memory:', port = '0', folder = '.'] = process.argv.slice(2)
const read = (file: string): string => readFileSync(join(folder, file), 'utf8')
// In a bundle the worker and SQLite's addon are beside this file.
const worker = join(import.meta.dirname, 'sqlite-worker.js')
const sqliteWorker = existsSync(worker)
  ? { url: pathToFileURL(worker), nativeBinding: join(import.meta.dirname, 'better_sqlite3.node') }
  : undefined
const datastore = await openDatastore(dsn, { sqliteWorker })
const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: ['https://issuer.example'], baseUrl: 'https://127.0.0.1' }
const server = await createApiServer({
  ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }),
  datastore,
  clientCa: () => read('ca.crt'),
})
await server.listen({ port: Number(port), tls: { cert: read('server.crt'), key: read('server.key') } })
process.once('SIGTERM', () => void server.close({ graceMs: 100 }).then(() => datastore[Symbol.asyncDispose]()))
