import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { pathToFileURL } from 'node:url'
import {
  builtInParts,
  createApiServer,
  type ApiServer,
  type AuditOptions,
  type BuiltInParts,
  type BuiltInPartsOptions,
  type ComponentCheck,
  type EncryptionAtRest,
  type UserInfo,
} from '@k3s/apiserver'
import { createClient, type Client } from '@k3s/client'
import type { Datastore } from '@k3s/datastore'
import type { Logger } from '@k3s/lifecycle'
import type { TunnelServer } from '@k3s/tunnel'
import type { Metrics } from '../metrics.ts'
import type { OpenedAuthentication } from './apiserver-args/open-authentication.ts'
import { addressOf, type ServerOptions } from './server-options.ts'
import type { ServerTls } from './server-tls.ts'

// Beside the bundle; from its sources, the program finds the package's own.
const descriptionsFile = join(import.meta.dirname, 'descriptions.json')
const yamlWorker = join(import.meta.dirname, 'yaml-worker.js')

export interface ControlPlaneApiOptions {
  readonly options: ServerOptions
  readonly datastore: Datastore
  /** Of Secrets in the datastore; absent: none. */
  readonly encryption: EncryptionAtRest | undefined
  /** Absent: nothing is audited. */
  readonly audit: AuditOptions | undefined
  /** Tokens besides those of service accounts, and what needs none. */
  readonly authentication: OpenedAuthentication
  readonly authorizers: BuiltInPartsOptions['authorizers']
  readonly admission: BuiltInPartsOptions['admission']
  readonly serviceAccounts: BuiltInPartsOptions['serviceAccounts']
  readonly tls: ServerTls
  readonly tunnel: TunnelServer
  /** The node of this process, which is reached without a tunnel; undefined when it runs none. */
  readonly ownNode: string | undefined
  readonly advertiseAddress: string
  readonly version: string
  readonly metrics: Metrics
  readonly logger: Logger
}

/** The server, and what the controllers need of its parts. */
export interface ControlPlaneApi extends Pick<BuiltInParts, 'signSecretToken'> {
  readonly server: ApiServer
}

const isRunning: ComponentCheck = () => Promise.resolve({ isHealthy: true, message: 'ok' })

/** The API server, put together as K3s has it. */
export async function createControlPlaneApi(given: ControlPlaneApiOptions): Promise<ControlPlaneApi> {
  const { options, tls, tunnel, ownNode } = given
  const { cluster, apiServerArgs: args } = options
  async function dial(node: string, port: number): Promise<Duplex> {
    if (node === ownNode) return connect({ host: '127.0.0.1', port, noDelay: true })
    return tunnel.dial(node, `127.0.0.1:${port}`)
  }

  const parts = builtInParts({
    serviceCidrs: [cluster.serviceCidr],
    nodePortRange: options.nodePortRange,
    allowPrivileged: args.allowPrivileged,
    serviceAccounts: given.serviceAccounts,
    tokens: given.authentication.tokens,
    authorizers: given.authorizers,
    admission: given.admission,
  })
  const server = await createApiServer({
    ...parts,
    datastore: given.datastore,
    encryption: given.encryption,
    audit: given.audit,
    allowAnonymous: given.authentication.allowAnonymous,
    inFlight: args.inFlight,
    fairness: args.isFair,
    requestTimeoutMs: args.requestTimeoutMs,
    minWatchTimeoutMs: args.minWatchTimeoutMs,
    goawayChance: args.goawayChance,
    eventTtlSeconds: args.eventTtlSeconds,
    debugPaths: args.servesDebugPaths,
    logger: given.logger,
    metrics: given.metrics,
    metricsText: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text: await given.metrics.text() }),
    version: { gitVersion: given.version },
    ...(existsSync(descriptionsFile) ? { descriptionsFile } : {}),
    ...(existsSync(yamlWorker) ? { yamlWorkerUrl: pathToFileURL(yamlWorker) } : {}),
    clientCa: () => tls.clientCa.cert,
    requestHeader: {
      clientCa: () => tls.requestHeaderCa.cert,
      allowedNames: ['system:auth-proxy'],
      usernameHeaders: ['x-remote-user'],
      groupHeaders: ['x-remote-group'],
      extraHeaderPrefixes: ['x-remote-extra-'],
    },
    // Both run in this process, and a failure of one ends it.
    componentChecks: {
      ...(options.runs.controllers ? { 'controller-manager': isRunning } : {}),
      ...(options.runs.scheduler ? { scheduler: isRunning } : {}),
    },
    aggregation: { proxyCertificate: () => tls.authProxy },
    nodeConnector: {
      dial: (node, port) => dial(node, port),
      kubeletTls: () => ({ cert: tls.apiserver.cert, key: tls.apiserver.key, ca: tls.serverCa.cert }),
    },
    advertised: {
      address: given.advertiseAddress,
      port: options.advertisePort,
      serviceIp: addressOf(cluster.serviceCidr, 1),
      serviceCidrs: [cluster.serviceCidr],
    },
  })
  return { server, signSecretToken: (account, secret) => parts.signSecretToken(account, secret) }
}

/** A client of this process, as one of the users that components have. */
export function clientAs(server: ApiServer, name: string, groups: readonly string[] = []): Client {
  const user: UserInfo = { name, groups: [...groups, 'system:authenticated'] }
  return createClient(server.transport(user))
}

/** A client as a service account of kube-system: what upstream's controllers run as. */
export function clientAsController(server: ApiServer, controller: string): Client {
  return clientAs(server, `system:serviceaccount:kube-system:${controller}`, [
    'system:serviceaccounts',
    'system:serviceaccounts:kube-system',
  ])
}
