/**
 * Our API server alone, on a port of loopback: `serve.ts DSN PORT COMPACTION-MS`, in a folder with the files of `writeServerFiles`.
 * Logs JSON lines from `warn` on, and its memory in bytes once a minute; ends on SIGTERM.
 */
import { readFileSync } from 'node:fs'
import { builtInParts, createApiServer, SigningKeys } from '@k3s/apiserver'
import { openDatastore } from '@k3s/datastore'
import { noLogger, type LogFields, type Logger } from '@k3s/lifecycle'

const [dsn = 'memory:', port = '0', compactionIntervalMs = '300000'] = process.argv.slice(2)
const read = (file: string): string => readFileSync(file, 'utf8')
const line =
  (level: string) =>
  ({ err, ...fields }: LogFields, message: string): void =>
    console.log(JSON.stringify({ level, time: new Date().toISOString(), message, ...fields, err: err instanceof Error ? err.stack : err }))
const logger: Logger = { ...noLogger, warn: line('warn'), error: line('error'), child: () => logger }

const datastore = await openDatastore(dsn)
const serviceAccounts = {
  keys: new SigningKeys([read('accounts.key')]),
  issuers: ['https://kubernetes.default.svc.cluster.local'],
  baseUrl: `https://127.0.0.1:${port}`,
}
const server = await createApiServer({
  ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }),
  datastore,
  logger,
  compactionIntervalMs: Number(compactionIntervalMs),
  clientCa: () => read('ca.crt'),
  requestHeader: {
    clientCa: () => read('ca.crt'),
    allowedNames: ['front-proxy'],
    usernameHeaders: ['x-remote-user'],
    groupHeaders: ['x-remote-group'],
    extraHeaderPrefixes: ['x-remote-extra-'],
  },
  advertised: { address: '192.0.2.1', port: Number(port), serviceIp: '10.43.0.1', serviceCidrs: ['10.43.0.0/16'] },
  aggregation: { proxyCertificate: () => ({ cert: read('proxy.crt'), key: read('proxy.key') }) },
})
setInterval(() => line('info')({ ...process.memoryUsage() }, 'Memory'), 60_000).unref()
await server.listen({ port: Number(port), tls: { cert: read('server.crt'), key: read('server.key') } })
process.once('SIGTERM', () => void server.close({ graceMs: 1000 }).then(() => datastore[Symbol.asyncDispose]()))
