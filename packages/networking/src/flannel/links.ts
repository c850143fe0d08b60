import type { RunCommand } from '../command.ts'

interface IpLink {
  readonly ifname: string
  readonly mtu?: number
  readonly address?: string
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_data?: { readonly id?: number; readonly local?: string; readonly link?: string; readonly port?: number }
  }
}
interface IpAddress {
  readonly ifname: string
  readonly mtu?: number
  readonly addr_info?: readonly {
    readonly local?: string
    readonly prefixlen?: number
    readonly family?: string
    readonly scope?: string
  }[]
}
interface IpRoute {
  readonly dst: string
  readonly dev?: string
  readonly gateway?: string
  readonly prefsrc?: string
  readonly metric?: number
}

// `ip -j` prints nothing at all for an empty answer.
const parse = <T>(json: string): readonly T[] => (json.trim() === '' ? [] : (JSON.parse(json) as readonly T[])) // iproute2's documented form

// VXLAN's outer headers over IPv4.
const vxlanOverhead = 50
const vni = 1
const vxlanPort = 8472

/** The interface that has `address`, and its MTU. Throws when none has it. */
export async function interfaceOf(run: RunCommand, address: string): Promise<{ readonly name: string; readonly mtu: number }> {
  const links = parse<IpAddress>(await run('ip', ['-j', 'address', 'show']))
  const link = links.find(({ addr_info = [] }) => addr_info.some(({ local }) => local === address))
  if (link === undefined)
    throw new Error(
      `Cannot set up the pod network: no interface has the node's address ${address}; give another one with --node-ip or --flannel-iface`,
    )
  return { name: link.ifname, mtu: link.mtu ?? 1500 }
}

/** The address that this host uses for its default route: the node's address unless the user gives another. Undefined without a default route. */
export async function defaultAddress(run: RunCommand): Promise<string | undefined> {
  const routes = parse<IpRoute>(await run('ip', ['-j', '-4', 'route', 'show', 'default'])).toSorted(
    (a, b) => (a.metric ?? 0) - (b.metric ?? 0),
  )
  const route = routes[0]
  if (route?.prefsrc !== undefined) return route.prefsrc
  if (route?.dev === undefined) return undefined
  const links = parse<IpAddress>(await run('ip', ['-j', '-4', 'address', 'show', 'dev', route.dev]))
  return links.flatMap(({ addr_info = [] }) => addr_info).find(({ scope }) => scope === 'global')?.local
}

/**
 * Makes `flannel.1` as it must be, keeping one that fits already (then its MAC stays, and peers need not learn a new one).
 * Returns its MAC and MTU.
 */
export async function ensureVxlan(
  run: RunCommand,
  options: { readonly publicIp: string; readonly interfaceName: string; readonly mtu: number; readonly podCidr: string },
): Promise<{ readonly mac: string; readonly mtu: number }> {
  const mtu = options.mtu - vxlanOverhead
  const address = `${options.podCidr.slice(0, options.podCidr.indexOf('/'))}/32`
  const show = async (): Promise<IpLink | undefined> => {
    const links = parse<IpLink>(await run('ip', ['-j', '-d', 'link', 'show', 'type', 'vxlan']))
    return links.find(({ ifname }) => ifname === 'flannel.1')
  }
  let link = await show()
  const data = link?.linkinfo?.info_data
  if (
    link !== undefined &&
    (data?.id !== vni || data.local !== options.publicIp || data.link !== options.interfaceName || data.port !== vxlanPort)
  ) {
    await run('ip', ['link', 'del', 'flannel.1'])
    link = undefined
  }
  if (link === undefined) {
    await run('ip', [
      'link',
      'add',
      'flannel.1',
      'type',
      'vxlan',
      'id',
      String(vni),
      'local',
      options.publicIp,
      'dev',
      options.interfaceName,
      'dstport',
      String(vxlanPort),
      'nolearning',
    ])
    link = await show()
  }
  await run('ip', ['link', 'set', 'flannel.1', 'mtu', String(mtu), 'up'])
  const [present] = parse<IpAddress>(await run('ip', ['-j', '-4', 'address', 'show', 'dev', 'flannel.1']))
  for (const { local, prefixlen } of present?.addr_info ?? []) {
    if (`${local}/${prefixlen}` !== address) await run('ip', ['address', 'del', `${local}/${prefixlen}`, 'dev', 'flannel.1'])
  }
  await run('ip', ['address', 'replace', address, 'dev', 'flannel.1'])
  if (link?.address === undefined) throw new Error('Cannot set up the pod network: the kernel shows no flannel.1 after making it')
  return { mac: link.address.toLowerCase(), mtu }
}

/** Routes over flannel.1 (or of `clusterCidr` through gateways, for host-gw) that an earlier run left: their destinations. */
export async function staleRoutes(run: RunCommand, wanted: ReadonlySet<string>): Promise<readonly string[]> {
  const routes = parse<IpRoute>(await run('ip', ['-j', '-4', 'route', 'show', 'dev', 'flannel.1']).catch(() => '')) // no such device: no routes
  return routes.filter(({ dst, gateway }) => gateway !== undefined && !wanted.has(dst)).map(({ dst }) => dst)
}

/** Makes `address` one of this host's own, so that a server can listen on it: a service address that the node answers itself. */
export async function ensureLocalAddress(run: RunCommand, address: string): Promise<void> {
  await run('ip', ['address', 'replace', `${address}/${address.includes(':') ? 128 : 32}`, 'dev', 'lo'])
}
