import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { ServeEtcdOptions } from '@k3s/datastore/etcd-server'
import { buildCommand, resolveFlags } from '../../config/parse.ts'
import { FatalError, UsageError } from '../../errors.ts'
import { datastoreError } from '../../explain.ts'
import { createLogger, logCrashes } from '../../log.ts'
import { readDatastoreOptions } from '../../server/server-options.ts'
import { sqliteWorker } from '../../sqlite-worker.ts'
import { runUntilSignal } from '../run-until-signal.ts'

/** What `k3s datastore serve` is given beside the flags that all commands of its group have. */
interface ServeFlags {
  readonly listen: string
  readonly certFile?: string
  readonly keyFile?: string
  readonly trustedCaFile?: string
  readonly name: string
}

/** `k3s datastore serve`: the etcd v3 API over any datastore, until it is told to stop. */
export function serveCommand(): Command {
  const command = buildCommand('serve', 'Serve a datastore through the etcd API', 'datastore')
  const options = [
    new Option('--listen <address>', 'Where to listen: HOST:PORT, or unix:PATH').default('127.0.0.1:2379'),
    new Option('--cert-file <file>', 'Certificate of this server: turns TLS on'),
    new Option('--key-file <file>', 'Key of that certificate'),
    new Option('--trusted-ca-file <file>', 'Authority that signs the certificates which clients then must show'),
    new Option('--name <name>', 'Name of this server among those of one datastore').default(hostname(), 'the name of the host'),
  ]
  for (const option of options) command.addOption(option.helpGroup('Etcd API:'))
  return command.action(() => serve(command.opts<ServeFlags>()))
}

async function serve(given: ServeFlags): Promise<void> {
  const { values, warnings } = resolveFlags('datastore', { ...given }, process.env)
  const { dsn, server } = readDatastoreOptions(values)
  const listen = readAddress(given.listen)
  const tls = readTls(given)
  const logger = createLogger({ isDebug: process.env['K3S_DEBUG'] !== undefined })
  logCrashes(logger)
  for (const warning of warnings) logger.warn({}, warning)
  // Each is loaded when it is needed: no other command pays for them.
  const [{ openDatastore }, { serveEtcd }, { createMetrics }] = await Promise.all([
    import('@k3s/datastore'),
    import('@k3s/datastore/etcd-server'),
    import('../../metrics.ts'),
  ])
  const metrics = createMetrics()
  await runUntilSignal(async (signal) => {
    const opening = openDatastore(dsn, { logger, metrics, sqliteWorker: sqliteWorker(), server, signal })
    await using datastore = await opening.catch((cause: unknown) => {
      throw datastoreError(cause)
    })
    const starting = serveEtcd({ datastore, listen, tls, name: given.name, metrics: () => metrics.text(), logger })
    await using running = await starting.catch((cause: unknown) => {
      throw cannotServe(given.listen, cause)
    })
    const { driver } = await datastore.status({ signal })
    logger.info({ url: running.url, driver }, 'Serving the etcd API')
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    logger.info({}, 'Stopping')
  })
}

function readAddress(text: string): ServeEtcdOptions['listen'] {
  const [, socketPath] = /^unix:(?:\/\/)?(.+)$/.exec(text) ?? []
  if (socketPath !== undefined) return { socketPath }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]\s]*)):(\d+)$/.exec(text) ?? []
  const port = Number(digits)
  const host = bracketed ?? plain
  if (host === undefined || port > 65_535) throw new UsageError(`Cannot use "${text}" for --listen: HOST:PORT or unix:PATH is needed`)
  return { host: host === '' ? '::' : host, port }
}

function readTls({ certFile, keyFile, trustedCaFile }: ServeFlags): ServeEtcdOptions['tls'] {
  if (certFile === undefined && keyFile === undefined) {
    if (trustedCaFile === undefined) return undefined
    throw new UsageError('Cannot use --trusted-ca-file alone: give --cert-file and --key-file too')
  }
  if (certFile === undefined || keyFile === undefined) throw new UsageError('Cannot use one of --cert-file and --key-file alone: give both')
  return {
    cert: readPem(certFile, '--cert-file'),
    key: readPem(keyFile, '--key-file'),
    ...(trustedCaFile !== undefined && { ca: readPem(trustedCaFile, '--trusted-ca-file') }),
  }
}

function readPem(file: string, flag: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new UsageError(`Cannot read "${file}" of ${flag}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

const listenReasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'it is taken; stop the program that has it or give another one with --listen',
  EADDRNOTAVAIL: 'no interface has that address; give another one with --listen',
  EACCES: 'this user may not use it; give another one with --listen',
  ENOENT: 'the folder of the socket does not exist',
  ENOTFOUND: 'that host is not known',
}

function cannotServe(address: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || !('code' in cause)) return cause
  if (!('syscall' in cause))
    return String(cause.code).startsWith('ERR_OSSL')
      ? new FatalError(`Cannot use the certificate or its key: ${cause.message}`, { cause })
      : datastoreError(cause)
  return new FatalError(`Cannot listen on "${address}": ${listenReasons[String(cause.code)] ?? String(cause.code)}`, { cause })
}
