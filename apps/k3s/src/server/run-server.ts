import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import type { ApiServer } from '@k3s/apiserver'
import { nodes, secrets } from '@k3s/api/types/core/v1'
import { hasReason, isStatusError } from '@k3s/api'
import type { Client } from '@k3s/client'
import { openDatastore, type Datastore } from '@k3s/datastore'
import { append, runAll, systemClock, type Logger, type Service } from '@k3s/lifecycle'
import { createSupervisor, ensureNodePassword, ensureNodePasswordFile } from '@k3s/node-registration'
import type { KeyPair } from '@k3s/pki'
import { createTunnelServer } from '@k3s/tunnel'
import { FatalError } from '../errors.ts'
import { dataDirError, datastoreError } from '../explain.ts'
import { makeFolder } from '../files.ts'
import { createMetrics, type Metrics } from '../metrics.ts'
import type { NodeOptions } from '../node/node-options.ts'
import { createNodeServices } from '../node/node-services.ts'
import { sqliteWorker } from '../sqlite-worker.ts'
import { kubernetesVersion } from '../version.ts'
import { openAdmission } from './apiserver-args/open-admission.ts'
import { openAudit } from './apiserver-args/open-audit.ts'
import { openAuthentication } from './apiserver-args/open-authentication.ts'
import { openAuthorization } from './apiserver-args/open-authorization.ts'
import { openEncryptionConfig } from './apiserver-args/open-encryption.ts'
import { openServiceAccounts } from './apiserver-args/open-service-accounts.ts'
import { clientAs, createControlPlaneApi } from './api-server.ts'
import { controlPlaneServices } from './control-plane-services.ts'
import { ensureDnsService } from './dns-service.ts'
import { SecretsEncryption } from './secrets-encryption.ts'
import { writeAdminKubeconfig, writeComponentKubeconfigs } from './kubeconfig.ts'
import { listen } from './listener.ts'
import { addressOf, type DatastoreOptions, type ServerOptions } from './server-options.ts'
import { ensureLeaf, ensureServerTls, type ServerTls } from './server-tls.ts'
import { ensureTokens, type ClusterPasswords } from './tokens.ts'

const nodePasswordFile = '/etc/rancher/node/password'
const bootstrapGroupsKey = 'auth-extra-groups'

function prepareDataDir(dataDir: string): string {
  const serverDir = join(dataDir, 'server')
  try {
    makeFolder(join(serverDir, 'tls'))
    makeFolder(join(serverDir, 'db'))
    accessSync(serverDir, constants.W_OK)
  } catch (cause) {
    throw dataDirError(dataDir, cause)
  }
  return serverDir
}

/** Certificates and tokens of this server; `sans` are the names and addresses that clients know it by. */
async function ensureIdentity(
  serverDir: string,
  options: ServerOptions,
  sans: readonly string[],
): Promise<{ readonly tls: ServerTls; readonly passwords: ClusterPasswords }> {
  const tls = await ensureServerTls(join(serverDir, 'tls'), { clusterDomain: options.cluster.clusterDomain, sans })
  return { tls, passwords: ensureTokens(serverDir, tls.serverCa.cert, options) }
}

async function open({ dsn, server }: DatastoreOptions, logger: Logger, metrics: Metrics, signal: AbortSignal): Promise<Datastore> {
  return openDatastore(dsn, { logger, metrics, sqliteWorker: sqliteWorker(), server, signal }).catch((cause: unknown) => {
    throw datastoreError(cause)
  })
}

/**
 * Runs a server until `signal` aborts. Start: 1. data directory, certificates, tokens, 2. datastore, 3. API server and its port,
 * 4. roles, DNS service, kubeconfig, 5. controllers and scheduler, 6. this machine as a node. It stops in reverse; pods and containerd go on.
 */
export async function runServer(
  options: ServerOptions,
  node: NodeOptions,
  context: { readonly logger: Logger; readonly signal: AbortSignal; readonly onReady: () => void },
): Promise<void> {
  const { logger, signal } = context
  const { cluster } = options
  const serverDir = prepareDataDir(options.dataDir)
  const [nodeIp = ''] = node.nodeIps
  const advertiseAddress = options.advertiseAddress ?? node.externalIps[0] ?? nodeIp
  const { tls, passwords } = await ensureIdentity(serverDir, options, [
    addressOf(cluster.serviceCidr, 1),
    node.nodeName,
    ...node.nodeIps,
    ...node.externalIps,
    advertiseAddress,
    ...options.tlsSans,
  ]).catch((cause: unknown) => {
    throw dataDirError(options.dataDir, cause)
  })
  const metrics = createMetrics()
  const part = (name: string): Logger => logger.child({ component: name })

  await using stack = new AsyncDisposableStack()
  const datastore = stack.use(await open(options.datastore, part('datastore'), metrics, signal))
  const encryption = new SecretsEncryption({ serverDir, ...options.secretsEncryption, datastore, logger: part('secrets-encryption') })
  const tunnel = stack.use(createTunnelServer({ logger: part('tunnel') }))
  const args = options.apiServerArgs
  const serviceAccounts = await openServiceAccounts(args.serviceAccounts, {
    ownKey: tls.serviceAccountKey,
    clusterDomain: cluster.clusterDomain,
    baseUrl: `https://${advertiseAddress}:${options.advertisePort}`,
  })
  const { server: api, signSecretToken } = await createControlPlaneApi({
    options,
    datastore,
    encryption: (await openEncryptionConfig(args.encryptionConfigFile, { logger: part('apiserver'), stack })) ?? encryption.atRest,
    audit: await openAudit(args.audit, { stdout: process.stdout, logger: part('audit'), metrics, stack }),
    authentication: await openAuthentication(args.authentication, {
      ownIssuers: serviceAccounts.issuers,
      audiences: serviceAccounts.audiences,
      logger: part('authentication'),
      stack,
    }),
    authorizers: await openAuthorization(args.authorization, { logger: part('authorization'), metrics, stack }),
    admission: await openAdmission(args.admission),
    serviceAccounts,
    tls,
    tunnel,
    ownNode: options.runs.agent ? node.nodeName : undefined,
    advertiseAddress,
    version: kubernetesVersion,
    metrics,
    logger: part('apiserver'),
  })
  stack.use(api)
  const admin = clientAs(api, 'system:admin', ['system:masters'])
  let isReady = false
  const supervisor = createSupervisor({
    serverCa: tls.serverCa,
    clientCa: tls.clientCa,
    passwords,
    bootstrapTokenGroups: (id, secret) => bootstrapTokenGroups(admin, id, secret),
    config: () => cluster,
    apiservers: () => [`${advertiseAddress}:${options.advertisePort}`],
    checkNodePassword: (name, password) => ensureNodePassword(admin, name, password),
    nodeExists: (name) => exists(admin, name),
    acceptTunnel: (request, socket, head, name) => tunnel.handleUpgrade(request, socket, head, name),
    isReady: () => isReady,
    encryption,
    logger: part('supervisor'),
  })
  const listener = await listen({
    host: options.bindAddress,
    port: options.httpsPort,
    serving: tls.serving,
    onRequest: (request, response) => {
      if (!supervisor.handleRequest(request, response)) api.handleRequest(request, response)
    },
    onUpgrade: (request, socket, head) => {
      if (!supervisor.handleUpgrade(request, socket, head)) api.handleUpgrade(request, socket, head)
    },
  })
  stack.defer(() => listener.close())

  if (!cluster.disableDns) await ensureDnsService(admin, cluster.clusterDns, signal)
  const local = `https://127.0.0.1:${options.httpsPort}`
  const kubeconfig = writeAdminKubeconfig({ ...options.kubeconfig, server: local, ca: tls.serverCa.cert, admin: tls.admin })
  writeComponentKubeconfigs(join(serverDir, 'cred'), local, tls.serverCa.cert, {
    admin: tls.admin,
    controller: tls.controller,
    scheduler: tls.scheduler,
    'api-server': tls.apiserver,
  })
  logger.info({ address: `${options.bindAddress}:${options.httpsPort}`, kubeconfig, version: kubernetesVersion }, 'API server is up')

  const encrypting = new AbortController()
  const encrypted = encryption.run(admin, options.runs.agent ? node.nodeName : undefined, encrypting.signal)
  stack.defer(() => {
    encrypting.abort()
    return encrypted
  })

  await untilReady(admin, signal)
  const services = [...controlPlaneServices({ api, signSecretToken, admin, options, node, tls, logger, metrics })]
  if (options.runs.agent) {
    const password = await ensureNodePasswordFile(nodePasswordFile)
    if ((await ensureNodePassword(admin, node.nodeName, password)) === 'rejected') {
      throw new FatalError(
        `Cannot run node "${node.nodeName}" here: another machine joined the cluster under this name; give another one with --node-name or --with-node-id`,
      )
    }
    append(services, await ownNode(api, options, node, tls, logger, metrics))
  }
  await runAll(services, signal, () => {
    isReady = true
    context.onReady()
  })
}

const readyPollMs = 20

/** Until the API server has finished its start: it publishes some of what others look for after it listens. */
async function untilReady(admin: Client, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await admin.transport.request({ method: 'GET', path: '/readyz', signal })
      return
    } catch (error) {
      signal.throwIfAborted()
      if (!isStatusError(error)) throw error
      await systemClock.sleep(readyPollMs, signal)
    }
  }
}

/** This machine as a node: its certificates are signed here, its clients need no network. */
async function ownNode(
  api: ApiServer,
  options: ServerOptions,
  node: NodeOptions,
  tls: ServerTls,
  logger: Logger,
  metrics: Metrics,
): Promise<readonly Service[]> {
  const agentDir = join(options.dataDir, 'agent')
  makeFolder(agentDir)
  await ensureLeaf(agentDir, 'client-kubelet', tls.clientCa, {
    commonName: `system:node:${node.nodeName}`,
    organizations: ['system:nodes'],
    usages: ['client'],
  })
  const serving: KeyPair = await ensureLeaf(agentDir, 'serving-kubelet', tls.serverCa, {
    commonName: node.nodeName,
    usages: ['server'],
    sans: [node.nodeName, 'localhost', '127.0.0.1', '::1', ...node.nodeIps],
  })
  return createNodeServices({
    node,
    cluster: options.cluster,
    agentDir,
    clients: {
      kubelet: clientAs(api, `system:node:${node.nodeName}`, ['system:nodes']),
      kubeProxy: clientAs(api, 'system:kube-proxy'),
      k3sController: clientAs(api, 'system:k3s-controller'),
    },
    kubeletTls: () => ({ ...serving, clientCa: tls.clientCa.cert }),
    version: kubernetesVersion,
    metrics,
    renderMetrics: () => metrics.text(),
    logger,
  })
}

async function exists(admin: Client, name: string): Promise<boolean> {
  try {
    await admin.resource(nodes).get(name)
    return true
  } catch (error) {
    if (hasReason(error, 'NotFound')) return false
    throw error
  }
}

/** The groups of a bootstrap token for joining, as its Secret says; undefined when it is unknown, expired or of no use for authentication. */
async function bootstrapTokenGroups(admin: Client, id: string, secret: string): Promise<readonly string[] | undefined> {
  let data: Readonly<Record<string, string>>
  try {
    data = (await admin.resource(secrets).get(`bootstrap-token-${id}`, { namespace: 'kube-system' })).data ?? {}
  } catch (error) {
    if (hasReason(error, 'NotFound')) return undefined
    throw error
  }
  const field = (name: string): string => Buffer.from(data[name] ?? '', 'base64').toString()
  const expiration = field('expiration')
  const isExpired = expiration !== '' && Date.parse(expiration) <= Date.now()
  if (field('token-id') !== id || field('token-secret') !== secret || field('usage-bootstrap-authentication') !== 'true' || isExpired)
    return undefined
  return ['system:bootstrappers', ...field(bootstrapGroupsKey).split(',')]
}
