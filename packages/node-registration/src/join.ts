import { join } from 'node:path'
import { noLogger, retry, systemClock, type Clock, type Logger } from '@k3s/lifecycle'
import { createCertificateRequest, isSignedBy, needsRenewal, type JoinToken, type KeyPair } from '@k3s/pki'
import { ensureKey, ensureNodePasswordFile, readIfThere, readPair, writeWhole } from './agent-files.ts'
import { parseClusterConfig, type ClusterConfig } from './cluster-config.ts'
import {
  createSupervisorClient,
  fetchCaBundle,
  isJoinError,
  JoinError,
  parseServerUrl,
  readJoinToken,
  type SupervisorClient,
} from './supervisor-client.ts'

export interface JoinOptions {
  /** `https://host:port` as the user gave it. */
  readonly server: string
  /** Where requests go when it is not `server` itself: the load balancer on this machine. */
  readonly via?: string | undefined
  /** Absent: the node joined before and has its certificate. */
  readonly token?: string | undefined
  readonly nodeName: string
  readonly nodeIps: readonly string[]
  /** `DATA-DIR/agent`. */
  readonly agentDir: string
  /** `/etc/rancher/node/password`. */
  readonly nodePasswordFile: string
  readonly signal: AbortSignal
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
}

/** What a node has once it belongs to a cluster. Keys stay across restarts; certificates are made anew when they near their end. */
export interface JoinResult {
  readonly config: ClusterConfig
  readonly serverCa: string
  readonly clientCa: string
  readonly kubelet: KeyPair
  readonly kubeletServing: KeyPair
  readonly kubeProxy: KeyPair
  readonly k3sController: KeyPair
  readonly apiservers: readonly string[]
}

// K3s polls every 5 s until its server answers, and renews what ends within 120 days.
const pollMs = 5000
const renewalDays = 120

interface Leaf {
  readonly name: 'client-kubelet' | 'serving-kubelet' | 'client-kube-proxy' | 'client-k3s-controller'
  readonly isNode: boolean
}

/**
 * Joins a cluster: checks the server's identity, gets the cluster's configuration and this node's certificates, and writes them under `agentDir`
 * with K3s's names. Waits for a server that cannot be reached, and repeats what may go away by itself; throws a {@link JoinError} for what cannot.
 */
export async function joinCluster(options: JoinOptions): Promise<JoinResult> {
  const logger = options.logger ?? noLogger
  const clock = options.clock ?? systemClock
  const server = parseServerUrl(options.server)
  const via = options.via === undefined ? server : parseServerUrl(options.via)
  const token = options.token === undefined ? undefined : readJoinToken(options.token)
  const password = await ensureNodePasswordFile(options.nodePasswordFile)
  if (token !== undefined && token.caHash === undefined) {
    logger.warn({}, 'The token has no CA hash: the identity of the server cannot be checked; use the full token of the file server/token')
  }
  const join = (): Promise<JoinResult> =>
    joinOnce({ ...options, logger }, via, server, token, password).catch(async (error: unknown) => {
      // Of a server that is away the load balancer only hangs up: the server's own address tells why.
      if (via !== server && isJoinError(error) && error.code === 'Unreachable')
        await fetchCaBundle(server, server, undefined, options.signal)
      throw error
    })
  return retry(join, {
    signal: options.signal,
    clock,
    initialMs: pollMs,
    maxMs: pollMs,
    isRetryable: (error) => isJoinError(error) && error.isRetryable,
    onRetry: (err) => logger.warn({ err: err instanceof Error ? err.message : err }, 'Cannot join the cluster yet; trying again'),
  })
}

async function joinOnce(
  options: JoinOptions & { readonly logger: Logger },
  server: URL,
  shown: URL,
  token: JoinToken | undefined,
  password: string,
): Promise<JoinResult> {
  const { agentDir, signal } = options
  const known = await readIfThere(join(agentDir, 'server-ca.crt'))
  const existing = await readPair(agentDir, 'client-kubelet')
  const hasCertificate = existing !== undefined && known !== undefined && !needsRenewal(existing.cert, 0)
  if (token === undefined && !hasCertificate) throw new JoinError('InvalidToken', 'Cannot join without a token: --token is required')
  // A node that was here before trusts what it learned then; the hash in the token can still correct it.
  const caBundle = token === undefined ? (known ?? '') : await fetchCaBundle(server, shown, token, signal)
  const client = createSupervisorClient(server, shown, caBundle, token === undefined ? { pair: existing } : { token })
  let config: ClusterConfig
  const text = await client.call('/v1-k3s/config', { signal })
  try {
    config = parseClusterConfig(JSON.parse(text))
  } catch (cause) {
    throw new JoinError('Refused', cause instanceof Error ? cause.message : String(cause), { cause })
  }
  const clientCa = await client.call('/v1-k3s/client-ca.crt', { signal })
  await writeWhole(join(agentDir, 'client-ca.crt'), clientCa, 0o644)
  await writeWhole(join(agentDir, 'server-ca.crt'), caBundle, 0o644)
  const headers = { 'k3s-node-name': options.nodeName, 'k3s-node-password': password, 'k3s-node-ip': options.nodeIps.join(',') }
  const leaf = (name: Leaf['name'], isNode: boolean): Promise<KeyPair> =>
    ensureLeaf({ name, isNode }, client, { ...options, cas: `${clientCa}\n${caBundle}`, headers })
  const kubelet = await leaf('client-kubelet', true)
  const kubeletServing = await leaf('serving-kubelet', true)
  const kubeProxy = await leaf('client-kube-proxy', false)
  const k3sController = await leaf('client-k3s-controller', false)
  const apiservers: unknown = JSON.parse(await client.call('/v1-k3s/apiservers', { signal }))
  return {
    config,
    serverCa: caBundle,
    clientCa,
    kubelet,
    kubeletServing,
    kubeProxy,
    k3sController,
    apiservers: Array.isArray(apiservers) ? apiservers.filter((address) => typeof address === 'string') : [],
  }
}

/** The node's own certificates are asked for at every start, which is also how the server checks the node's password; the shared ones only when needed. */
async function ensureLeaf(
  { name, isNode }: Leaf,
  client: SupervisorClient,
  options: {
    readonly agentDir: string
    readonly cas: string
    readonly headers: Readonly<Record<string, string>>
    readonly signal: AbortSignal
  },
): Promise<KeyPair> {
  const key = await ensureKey(options.agentDir, name)
  const existing = await readPair(options.agentDir, name)
  if (!isNode && existing !== undefined && isSignedBy(existing, options.cas) && !needsRenewal(existing.cert, renewalDays)) return existing
  const body = await createCertificateRequest(key, { commonName: name })
  const cert = await client.call(`/v1-k3s/${name}.crt`, { method: 'POST', body, headers: options.headers, signal: options.signal })
  const pair = { cert, key }
  if (!isSignedBy(pair, options.cas))
    throw new JoinError('Refused', `The server answered a certificate for ${name} that is not of this cluster`)
  await writeWhole(join(options.agentDir, `${name}.crt`), cert, 0o644)
  return pair
}
