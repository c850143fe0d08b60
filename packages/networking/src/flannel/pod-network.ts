import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { nodes } from '@k3s/api/types/core/v1'
import type { Client, InformerFactory } from '@k3s/client'
import { noLogger, systemClock, type Clock, type Logger, type Service } from '@k3s/lifecycle'
import { renderCniConfig } from '../cni.ts'
import { runCommand, type RunCommand } from '../command.ts'
import { ensureVxlan, interfaceOf, staleRoutes } from './links.ts'
import { renderMasquerade } from './masquerade.ts'
import { ownAnnotations, peerOf, planRoutes, type Backend, type Peer } from './peers.ts'

export interface PodNetworkOptions {
  readonly client: Client
  readonly informers: InformerFactory
  readonly nodeName: string
  /** This node's address towards other nodes. */
  readonly nodeIp: string
  readonly clusterCidr: string
  readonly backend: Backend
  /** Carries the traffic between nodes; absent: the one that has `nodeIp`. */
  readonly interfaceName?: string | undefined
  /** Where the CNI configuration is written once the node has its network. */
  readonly cniConfigFile: string
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
  readonly run?: RunCommand | undefined
}

// A peer that comes and goes within this time costs one set of commands.
const settleMs = 100
const retryMs = 5000

const sysctls: readonly (readonly [string, string])[] = [
  ['net/ipv4/ip_forward', '1'],
  // Replies between pods of one bridge must pass the rules that translate service addresses.
  ['net/bridge/bridge-nf-call-iptables', '1'],
]

/**
 * The pod network of one node, flannel-compatible: waits for the node's pod CIDR, makes the links, writes the CNI configuration,
 * says in the Node's annotations how this node is reached, and keeps routes to all other nodes. Ready when the CNI configuration stands.
 * Links and routes stay when it stops, so that pods go on.
 */
export function createPodNetwork(options: PodNetworkOptions): Service {
  const { client, informers, nodeName, nodeIp, clusterCidr, backend } = options
  const run = options.run ?? runCommand
  const logger = options.logger ?? noLogger
  const clock = options.clock ?? systemClock
  const informer = informers.informer(nodes)
  let changed = Promise.withResolvers<void>()
  const touch = (): void => changed.resolve()

  async function setSysctls(): Promise<void> {
    await run('modprobe', ['br_netfilter']).catch(() => {}) // built in, or not to be had: the write below tells
    for (const [name, value] of sysctls) {
      await writeFile(`/proc/sys/${name}`, value).catch((err: unknown) => logger.warn({ sysctl: name, err }, 'Cannot set sysctl'))
    }
  }

  async function writeCniConfig(podCidr: string, mtu: number): Promise<void> {
    const config = renderCniConfig({ podCidr, clusterCidr, mtu })
    if ((await readFile(options.cniConfigFile, 'utf8').catch(() => '')) === config) return
    await mkdir(dirname(options.cniConfigFile), { recursive: true })
    await writeFile(`${options.cniConfigFile}.tmp`, config)
    await rename(`${options.cniConfigFile}.tmp`, options.cniConfigFile)
  }

  async function podCidrOf(signal: AbortSignal): Promise<string> {
    for (;;) {
      const podCidr = informer.lister.get(nodeName)?.spec.podCIDR
      if (podCidr !== undefined && podCidr !== '') return podCidr
      await wait(signal)
    }
  }

  /** Waits for a change of any node. */
  async function wait(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(signal.reason)
    signal.throwIfAborted()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([changed.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
    changed = Promise.withResolvers()
  }

  async function announce(said: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const present = informer.lister.get(nodeName)?.metadata.annotations ?? {}
    if (Object.entries(said).every(([key, value]) => present[key] === value)) return
    await client.resource(nodes).patch(nodeName, { metadata: { annotations: said } }, { type: 'merge', signal })
  }

  async function apply(previous: readonly Peer[], next: readonly Peer[], signal: AbortSignal): Promise<void> {
    const { remove, add } = planRoutes(backend, previous, next)
    const batch = async (command: 'ip' | 'bridge', lines: readonly string[]): Promise<void> => {
      if (lines.length > 0) await run(command, ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
    }
    for (const command of ['ip', 'bridge'] as const) {
      await batch(command, remove[command]).catch((err: unknown) => logger.debug({ err }, 'Some routes to remove were gone already'))
    }
    await batch('ip', add.ip)
    await batch('bridge', add.bridge)
  }

  return {
    name: 'pod-network',
    async run({ signal, ready }) {
      const remove = informer.addHandler({ add: touch, update: touch, delete: touch })
      try {
        await setSysctls()
        const podCidr = await podCidrOf(signal)
        const link = await interfaceOf(run, nodeIp)
        const interfaceName = options.interfaceName ?? link.name
        const vxlan =
          backend === 'vxlan'
            ? await ensureVxlan(run, { publicIp: nodeIp, interfaceName, mtu: link.mtu, podCidr })
            : { mac: '', mtu: link.mtu }
        await run('nft', ['-f', '-'], { input: renderMasquerade(clusterCidr), signal })
        await writeCniConfig(podCidr, vxlan.mtu)
        logger.info({ podCidr, backend, interface: interfaceName, mtu: vxlan.mtu }, 'Pod network is up')
        ready()
        const peersNow = (): readonly Peer[] =>
          informer.lister
            .list()
            .filter((node) => node.metadata.name !== nodeName)
            .map((node) => peerOf(node, backend))
            .filter((peer) => peer !== undefined)
        await informer.synced(signal)
        for (const destination of backend === 'vxlan' ? await staleRoutes(run, new Set(peersNow().map((peer) => peer.podCidr))) : []) {
          await run('ip', ['route', 'del', destination, 'dev', 'flannel.1']).catch((err: unknown) =>
            logger.debug({ destination, err }, 'Cannot remove stale route'),
          )
        }
        let programmed: readonly Peer[] = []
        while (!signal.aborted) {
          try {
            await announce(ownAnnotations(backend, nodeIp, vxlan.mac), signal)
            const next = peersNow()
            await apply(programmed, next, signal)
            programmed = next
          } catch (err) {
            signal.throwIfAborted()
            logger.warn({ err }, 'Cannot program the pod network')
            await clock.sleep(retryMs, signal)
            continue
          }
          await wait(signal)
          await clock.sleep(settleMs, signal)
        }
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        remove()
      }
    },
  }
}
