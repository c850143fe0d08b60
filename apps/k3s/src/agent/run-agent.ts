import { accessSync, constants } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import { createClient, createInformerFactory, createRestTransport, renderKubeconfig, type Client } from '@k3s/client'
import { runAll, type Logger, type Service } from '@k3s/lifecycle'
import { isJoinError, joinCluster, type JoinResult } from '@k3s/node-registration'
import type { KeyPair } from '@k3s/pki'
import { createLoadBalancer, createTunnelClient, type LoadBalancer } from '@k3s/tunnel'
import { FatalError } from '../errors.ts'
import { dataDirError, explainListening } from '../explain.ts'
import { makeFolder, writeAtomically } from '../files.ts'
import { createMetrics } from '../metrics.ts'
import type { NodeOptions } from '../node/node-options.ts'
import { createNodeServices } from '../node/node-services.ts'
import { kubernetesVersion } from '../version.ts'
import type { AgentOptions } from './agent-options.ts'

const nodePasswordFile = '/etc/rancher/node/password'
const runtimeStreamingPort = 10_010
const loopback = '127.0.0.1'

/** `host:port` of an https URL; 443 when it names none. */
const addressOf = (url: string): string => {
  const { hostname, port } = new URL(url)
  return `${hostname}:${port === '' ? 443 : port}`
}

async function joinOrExplain(
  options: AgentOptions,
  node: NodeOptions,
  agentDir: string,
  via: string,
  logger: Logger,
  signal: AbortSignal,
): Promise<JoinResult> {
  try {
    return await joinCluster({
      server: options.server,
      via,
      token: options.token,
      nodeName: node.nodeName,
      nodeIps: node.nodeIps,
      agentDir,
      nodePasswordFile,
      signal,
      logger,
    })
  } catch (cause) {
    if (isJoinError(cause)) throw new FatalError(cause.message, { cause })
    throw dataDirError(options.dataDir, cause)
  }
}

/**
 * Runs an agent until `signal` aborts: load balancer on loopback, join, tunnels to all servers, and the node's services, all of whose
 * calls to the API server go through the load balancer. Pods and containerd go on when it stops.
 */
export async function runAgent(
  options: AgentOptions,
  node: NodeOptions,
  context: { readonly logger: Logger; readonly signal: AbortSignal; readonly onReady: () => void },
): Promise<void> {
  const { logger, signal } = context
  const agentDir = join(options.dataDir, 'agent')
  try {
    makeFolder(agentDir)
    accessSync(agentDir, constants.W_OK)
  } catch (cause) {
    throw dataDirError(options.dataDir, cause)
  }
  const metrics = createMetrics()
  const balancer = createLoadBalancer({
    host: loopback,
    port: options.lbPort,
    defaultServer: addressOf(options.server),
    stateFile: join(agentDir, 'etc/k3s-agent-load-balancer.json'),
    logger: logger.child({ component: 'load-balancer' }),
  })
  const asNode: Service = {
    name: 'node',
    async run({ signal: stop, ready }) {
      const local = `https://127.0.0.1:${balancer.port}`
      const joined = await joinOrExplain(options, node, agentDir, local, logger, stop)
      await balancer.setServers(joined.apiservers)
      await using stack = new AsyncDisposableStack()
      const clientOf = (pair: KeyPair): Client =>
        createClient(
          stack.use(
            createRestTransport({
              server: local,
              ca: joined.serverCa,
              cert: pair.cert,
              key: pair.key,
              userAgent: `k3s-agent/${kubernetesVersion}`,
            }),
          ),
        )
      const clients = {
        kubelet: clientOf(joined.kubelet),
        kubeProxy: clientOf(joined.kubeProxy),
        k3sController: clientOf(joined.k3sController),
      }
      for (const [name, pair] of [
        ['kubelet', joined.kubelet],
        ['kubeproxy', joined.kubeProxy],
        ['k3scontroller', joined.k3sController],
      ] as const) {
        writeAtomically(
          join(agentDir, `${name}.kubeconfig`),
          renderKubeconfig({ server: local, ca: joined.serverCa, cert: pair.cert, key: pair.key }),
        )
      }
      logger.info({ server: options.server, node: node.nodeName }, 'Joined the cluster')
      const services = [
        createTunnels({ joined, node, balancer, client: clients.k3sController, logger: logger.child({ component: 'tunnel' }) }),
        ...createNodeServices({
          node,
          cluster: joined.config,
          agentDir,
          clients,
          kubeletTls: () => ({ ...joined.kubeletServing, clientCa: joined.clientCa }),
          version: kubernetesVersion,
          metrics,
          renderMetrics: () => metrics.text(),
          logger,
        }),
      ]
      await runAll(services, stop, ready)
    },
  }
  const listening = explainListening(balancer, {
    host: loopback,
    port: options.lbPort,
    portFlag: '--lb-server-port',
    addressFlag: '--lb-server-port',
  })
  await runAll([listening, asNode], signal, context.onReady)
}

interface TunnelsOptions {
  readonly joined: JoinResult
  readonly node: NodeOptions
  readonly balancer: LoadBalancer
  readonly client: Client
  readonly logger: Logger
}

/** One tunnel to every server: those of the Service `kubernetes`, whose changes are followed. */
function createTunnels({ joined, node, balancer, client, logger }: TunnelsOptions): Service {
  const informers = createInformerFactory(client, { logger })
  const slices = informers.informer(endpointslices, { namespace: 'default', labelSelector: 'kubernetes.io/service-name=kubernetes' })
  const allowed = new Set([`127.0.0.1:${node.kubeletPort}`, `127.0.0.1:${runtimeStreamingPort}`])

  const serversNow = (): readonly string[] => {
    const found = slices.lister
      .list()
      .flatMap(({ endpoints = [], ports = [] }) =>
        endpoints.flatMap(({ addresses }) => addresses.flatMap((address) => ports.map(({ port }) => `${address}:${port ?? 6443}`))),
      )
    return found.length === 0 ? joined.apiservers : [...new Set(found)].toSorted()
  }

  return {
    name: 'tunnels',
    async run({ signal, ready }) {
      const running = new Map<string, { readonly stop: AbortController; readonly ended: Promise<void> }>()
      const sync = (): void => {
        const wanted = serversNow()
        for (const address of wanted) {
          if (running.has(address)) continue
          const stop = new AbortController()
          const tunnel = createTunnelClient({
            url: `wss://${address}/v1-k3s/connect`,
            tls: () => ({ ca: joined.serverCa, ...joined.kubelet }),
            authorize: (protocol, target) => protocol === 'tcp' && allowed.has(target),
            onStateChange: (isConnected) => balancer.setHealth(address, isConnected),
            logger,
          })
          running.set(address, { stop, ended: tunnel.run({ signal: stop.signal, ready() {} }) })
        }
        for (const [address, { stop }] of running) {
          if (wanted.includes(address)) continue
          stop.abort()
          running.delete(address)
        }
        balancer.setServers(wanted).catch((err: unknown) => logger.warn({ err }, 'Cannot save the list of servers'))
      }
      sync()
      const remove = slices.addHandler({ add: sync, update: sync, delete: sync })
      const cache = informers.run({ signal, ready() {} })
      ready()
      if (!signal.aborted) await once(signal, 'abort')
      remove()
      for (const { stop } of running.values()) stop.abort()
      await Promise.all([cache, ...[...running.values()].map(({ ended }) => ended)])
    },
  }
}
