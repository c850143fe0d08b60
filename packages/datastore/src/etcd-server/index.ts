import { noLogger } from '@k3s/lifecycle'
import type { Logger } from '@k3s/lifecycle'
import type { Datastore, DatastoreLimits } from '../contract.ts'
import type { ServerAddress } from '../dsn.ts'
import { GrpcServer } from './grpc-server.ts'
import { answerPlain } from './health.ts'
import { Member } from './member.ts'
import { createMethods } from './methods.ts'

export interface ServeEtcdOptions {
  /** What is served. It stays the caller's: it is disposed of after the server. */
  readonly datastore: Datastore
  /** Where to listen; port 0 is any that is free. A socket's path must not exist. */
  readonly listen: ServerAddress
  /** PEM. With `ca` every client must show a certificate that it has signed. Absent: no encryption. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer; readonly ca?: string | Buffer | undefined } | undefined
  /** The name of this member of the cluster, from which its id follows: another for each server of one datastore. Default `default`. */
  readonly name?: string | undefined
  /** The URLs that the list of members shows. Default: that of the address. */
  readonly advertise?: readonly string[] | undefined
  /** Those of the datastore. Default: etcd's. */
  readonly limits?: DatastoreLimits | undefined
  /** How often a watch with `progress_notify` is told the revision when nothing happens, milliseconds. Default 5000, as Kubernetes has etcd do it. */
  readonly progressIntervalMs?: number | undefined
  /** The text of `/metrics`. Default: there is none. */
  readonly metrics?: (() => string | Promise<string>) | undefined
  /** How long calls may go on when the server stops, milliseconds. Default 5000. */
  readonly graceMs?: number | undefined
  /** Default: none. */
  readonly logger?: Logger | undefined
}

/** A server of the etcd v3 API. Disposing of it answers the calls that wait, ends watches so that clients go on elsewhere, and frees the address. */
export interface EtcdServer extends AsyncDisposable {
  /** Where it listens, with the port that was found. */
  readonly address: ServerAddress
  /** As a client's endpoint or a DSN: `http://HOST:PORT`, `https://HOST:PORT` or `unix://PATH`. */
  readonly url: string
}

const defaultMaxRequestBytes = 1.5 * 2 ** 20
const defaultMaxTxnOperations = 128
/** What gRPC lets through beyond the limit of a request, as etcd does: the message is larger than what it carries. */
const messageOverheadBytes = 512 * 1024
const defaultProgressIntervalMs = 5000
const defaultGraceMs = 5000

/**
 * Serves the etcd v3 API (gRPC) over any datastore, and `/health` and `/version` over HTTP on the same port.
 * Rejects with the system's error when it cannot listen, and with the datastore's when that does not answer.
 */
export async function serveEtcd(options: ServeEtcdOptions): Promise<EtcdServer> {
  const { datastore, listen, tls, name = 'default', limits = {}, metrics, graceMs = defaultGraceMs, logger = noLogger } = options
  const maxRequestBytes = limits.maxRequestBytes ?? defaultMaxRequestBytes
  const member = new Member(datastore, { name, revision: await datastore.currentRevision() })
  const urls: string[] = [...(options.advertise ?? [])]
  const methods = createMethods(member, {
    maxRequestBytes,
    maxTxnOperations: limits.maxTxnOperations ?? defaultMaxTxnOperations,
    progressIntervalMs: options.progressIntervalMs ?? defaultProgressIntervalMs,
    urls: () => urls,
  })
  const server = new GrpcServer({
    findMethod: methods,
    answerHttp: (path) => answerPlain(path, member, metrics),
    tls,
    maxMessageBytes: maxRequestBytes + messageOverheadBytes,
    graceMs,
    logger,
  })
  const port = await server.listen('socketPath' in listen ? { path: listen.socketPath } : listen)
  const address: ServerAddress = 'socketPath' in listen ? listen : { host: listen.host, port }
  const url = toUrl(address, tls !== undefined)
  if (urls.length === 0) urls.push(url)
  return { address, url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

function toUrl(address: ServerAddress, isEncrypted: boolean): string {
  if ('socketPath' in address) return `${isEncrypted ? 'unixs' : 'unix'}://${address.socketPath}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${isEncrypted ? 'https' : 'http'}://${host}:${address.port}`
}
