import type { Node } from '@k3s/api/types/core/v1'

/** Annotations by which flannel's nodes tell each other how they are reached; follows flannel's kube subnet manager. */
export const annotations = {
  backendData: 'flannel.alpha.coreos.com/backend-data',
  backendType: 'flannel.alpha.coreos.com/backend-type',
  kubeSubnetManager: 'flannel.alpha.coreos.com/kube-subnet-manager',
  publicIp: 'flannel.alpha.coreos.com/public-ip',
} as const

export type Backend = 'vxlan' | 'host-gw'

/** How another node's pods are reached. */
export interface Peer {
  readonly nodeName: string
  readonly podCidr: string
  /** Where VXLAN packets, or routed ones, go. */
  readonly publicIp: string
  /** Of its `flannel.1`; empty for host-gw. */
  readonly vtepMac: string
}

const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i

/** What a node says of itself; undefined while it has no pod network or speaks another backend. */
export function peerOf(node: Node, backend: Backend): Peer | undefined {
  const { podCIDR } = node.spec
  const said = node.metadata.annotations ?? {}
  const publicIp = said[annotations.publicIp]
  if (podCIDR === undefined || podCIDR === '' || publicIp === undefined || said[annotations.backendType] !== backend) return undefined
  if (backend === 'host-gw') return { nodeName: node.metadata.name, podCidr: podCIDR, publicIp, vtepMac: '' }
  let vtepMac: unknown
  try {
    vtepMac = (JSON.parse(said[annotations.backendData] ?? '') as { VtepMAC?: unknown } | null)?.VtepMAC // flannel's own form, checked below
  } catch {
    return undefined // not flannel's JSON: the node cannot be reached until it says more
  }
  if (typeof vtepMac !== 'string' || !macPattern.test(vtepMac)) return undefined
  return { nodeName: node.metadata.name, podCidr: podCIDR, publicIp, vtepMac: vtepMac.toLowerCase() }
}

/** What this node says of itself. */
export function ownAnnotations(backend: Backend, publicIp: string, vtepMac: string): Readonly<Record<string, string>> {
  return {
    [annotations.backendData]: backend === 'vxlan' ? JSON.stringify({ VNI: 1, VtepMAC: vtepMac }) : 'null',
    [annotations.backendType]: backend,
    [annotations.kubeSubnetManager]: 'true',
    [annotations.publicIp]: publicIp,
  }
}

/** First address of a CIDR: `10.42.1.0` of `10.42.1.0/24`. */
export function networkAddress(cidr: string): string {
  return cidr.slice(0, cidr.indexOf('/'))
}

/** Lines for `ip -batch` and `bridge -batch`. */
export interface RouteCommands {
  readonly ip: readonly string[]
  readonly bridge: readonly string[]
}

/** What to undo and what to do. Undoing comes first and may fail, since the kernel may have forgotten by itself. */
export interface RoutePlan {
  readonly remove: RouteCommands
  readonly add: RouteCommands
}

/** The commands that move the kernel from the peers programmed before to those wanted now. Peers are compared as wholes. */
export function planRoutes(backend: Backend, previous: readonly Peer[], next: readonly Peer[]): RoutePlan {
  const keyOf = (peer: Peer): string => JSON.stringify([peer.podCidr, peer.publicIp, peer.vtepMac])
  const before = new Set(previous.map(keyOf))
  const after = new Set(next.map(keyOf))
  const gone = previous.filter((peer) => !after.has(keyOf(peer)))
  const added = next.filter((peer) => !before.has(keyOf(peer)))
  if (backend === 'host-gw') {
    return {
      remove: { ip: gone.map((peer) => `route del ${peer.podCidr} via ${peer.publicIp}`), bridge: [] },
      add: { ip: added.map((peer) => `route replace ${peer.podCidr} via ${peer.publicIp}`), bridge: [] },
    }
  }
  return {
    remove: {
      ip: gone.flatMap((peer) => [
        `route del ${peer.podCidr} via ${networkAddress(peer.podCidr)} dev flannel.1`,
        `neigh del ${networkAddress(peer.podCidr)} dev flannel.1`,
      ]),
      bridge: gone.map((peer) => `fdb del ${peer.vtepMac} dev flannel.1 dst ${peer.publicIp}`),
    },
    add: {
      ip: added.flatMap((peer) => [
        `neigh replace ${networkAddress(peer.podCidr)} lladdr ${peer.vtepMac} dev flannel.1 nud permanent`,
        `route replace ${peer.podCidr} via ${networkAddress(peer.podCidr)} dev flannel.1 onlink`,
      ]),
      bridge: added.map((peer) => `fdb replace ${peer.vtepMac} dev flannel.1 dst ${peer.publicIp} self permanent`),
    },
  }
}
