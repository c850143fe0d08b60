import { createHash } from 'node:crypto'
import type { Backend, Family, ServicePortRules } from './snapshot.ts'

export interface RenderOptions {
  readonly family: Family
  /** The network of all pods, of this family. */
  readonly clusterCidr: string
  /** Addresses of services that this node answers itself (cluster DNS): they are left alone. */
  readonly ownServiceIps: readonly string[]
}

/** The names of chains and sets that a ruleset makes besides the fixed ones. */
export interface RulesetNames {
  readonly chains: readonly string[]
  readonly sets: readonly string[]
}

export interface Ruleset extends RulesetNames {
  /** Input for `nft -f -`: one transaction. */
  readonly text: string
}

export const tableName = 'k3s-proxy'

/** Marks packets whose source must become the node's; kube-proxy's bit. */
const masqueradeMark = '0x4000'

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const fixedChains = [
  'reject-chain',
  'mark-masq',
  'services',
  'no-endpoints',
  'nat-prerouting',
  'nat-output',
  'nat-postrouting',
  'filter-input',
  'filter-forward',
  'filter-output',
] as const
const maps = ['service-ips', 'service-nodeports', 'no-endpoint-services', 'no-endpoint-nodeports'] as const

/** Bodies of chains by name. */
type Chains = Map<string, readonly string[]>

/**
 * The rules of all services of one address family as one nft transaction. What `previous` made and these rules do not need is removed;
 * affinity sets that stay keep their clients. With no `previous` the table is made anew.
 *
 * A packet for a service address or node port jumps, by a map, to its service's chain, which picks an endpoint's chain at random
 * (or the client's last one); that chain rewrites the destination. A service without endpoints rejects. Follows kube-proxy's nftables mode.
 */
export function renderRules(ports: readonly ServicePortRules[], options: RenderOptions, previous?: RulesetNames): Ruleset {
  const isV6 = options.family === 'IPv6'
  const ip = isV6 ? 'ip6' : 'ip'
  const address = isV6 ? 'ipv6_addr' : 'ipv4_addr'
  const chains: Chains = new Map()
  const sets = new Map<string, string>()
  const elements = new Map(maps.map((name): [string, string[]] => [name, []]))
  const skipped = new Set(options.ownServiceIps)
  const taken = new Set<string>()
  /** Two services may claim one address and port: the first by name has it, since a map holds a key once. */
  const addElement = (map: (typeof maps)[number], key: string, verdict: string): void => {
    const claim = `${map.includes('nodeport') ? 'node' : 'service'} ${key}`
    if (taken.has(claim)) return
    taken.add(claim)
    elements.get(map)?.push(`${key} : ${verdict}`)
  }
  const target = ({ ip: to, port }: Backend): string => (isV6 ? `[${to}]:${port}` : `${to}:${port}`)

  /** A chain that picks among endpoints; its name. */
  const pickChain = (kind: 'svc' | 'loc', rules: ServicePortRules, backends: readonly Backend[], head: readonly string[]): string => {
    const id = digest(`${rules.name}/${rules.protocol}/${rules.port}`)
    const chain = `${kind}-${id}`
    const endpoints = backends.map((backend) => {
      const end = digest(`${id}/${backend.ip}/${backend.port}`)
      const name = `ep-${end}`
      const lines = [`${ip} saddr ${backend.ip} jump mark-masq`]
      if (rules.affinitySeconds !== undefined) {
        sets.set(`aff-${end}`, `{ type ${address}; flags dynamic,timeout; timeout ${rules.affinitySeconds}s; }`)
        lines.push(`update @aff-${end} { ${ip} saddr }`)
      }
      lines.push(`meta l4proto ${rules.protocol} dnat to ${target(backend)}`)
      chains.set(name, lines)
      return { name, set: `aff-${end}` }
    })
    const sticky = rules.affinitySeconds === undefined ? [] : endpoints.map(({ name, set }) => `${ip} saddr @${set} goto ${name}`)
    const choices = endpoints.map(({ name }, at) => `${at} : goto ${name}`).join(', ')
    const random = endpoints.length === 1 ? `goto ${endpoints[0]?.name ?? ''}` : `numgen random mod ${endpoints.length} vmap { ${choices} }`
    chains.set(chain, [...head, ...sticky, random])
    return chain
  }

  for (const rules of ports) {
    if (skipped.has(rules.clusterIp)) continue
    const at = (to: string): string => `${to} . ${rules.protocol} . ${rules.port}`
    const id = digest(`${rules.name}/${rules.protocol}/${rules.port}`)
    let internal: string | undefined
    if (rules.internal.length === 0) addElement('no-endpoint-services', at(rules.clusterIp), 'goto reject-chain')
    else {
      const fromOutside = `${ip} daddr ${rules.clusterIp} ${rules.protocol} dport ${rules.port} ${ip} saddr != ${options.clusterCidr} jump mark-masq`
      internal = pickChain('svc', rules, rules.internal, [fromOutside])
      addElement('service-ips', at(rules.clusterIp), `goto ${internal}`)
    }
    if (rules.nodePort === undefined && rules.externalIps.length === 0) continue
    if (rules.external.length === 0) {
      // Local policy drops elsewhere, so that a load balancer's health check decides; here the answer is a refusal unless pods ask.
      for (const external of rules.externalIps)
        addElement('no-endpoint-services', at(external), rules.isExternalLocal ? 'drop' : 'goto reject-chain')
      if (rules.nodePort !== undefined)
        addElement('no-endpoint-nodeports', `${rules.protocol} . ${rules.nodePort}`, rules.isExternalLocal ? 'drop' : 'goto reject-chain')
      continue
    }
    const chain = `ext-${id}`
    if (rules.isExternalLocal) {
      const local = pickChain('loc', rules, rules.external, [])
      const anywhere = internal === undefined ? local : internal
      // The cluster's own traffic need not stay on this node: it may use every endpoint.
      chains.set(chain, [
        `${ip} saddr ${options.clusterCidr} goto ${anywhere}`,
        'fib saddr type local jump mark-masq',
        `fib saddr type local goto ${anywhere}`,
        `goto ${local}`,
      ])
    } else {
      // A service whose internal policy is local still serves outsiders from everywhere.
      chains.set(chain, [
        'jump mark-masq',
        `goto ${sameBackends(rules) && internal !== undefined ? internal : pickChain('loc', rules, rules.external, [])}`,
      ])
    }
    let guarded = chain
    if (rules.sourceRanges.length > 0) {
      guarded = `fw-${id}`
      chains.set(guarded, [`${ip} saddr { ${rules.sourceRanges.join(', ')} } goto ${chain}`, 'drop'])
    }
    for (const external of rules.externalIps) addElement('service-ips', at(external), `goto ${guarded}`)
    if (rules.nodePort !== undefined) addElement('service-nodeports', `${rules.protocol} . ${rules.nodePort}`, `goto ${chain}`)
  }

  const loopback = isV6 ? '::1' : '127.0.0.0/8'
  const key = `${ip} daddr . meta l4proto . th dport`
  const isNodeAddress = `fib daddr type local ${ip} daddr != ${loopback}`
  const fixed: Readonly<Record<(typeof fixedChains)[number], readonly string[]>> = {
    'reject-chain': ['reject'],
    'mark-masq': [`meta mark set meta mark | ${masqueradeMark}`],
    services: [`${key} vmap @service-ips`, `${isNodeAddress} meta l4proto . th dport vmap @service-nodeports`],
    'no-endpoints': [
      `ct state != new return`,
      `${key} vmap @no-endpoint-services`,
      `${isNodeAddress} meta l4proto . th dport vmap @no-endpoint-nodeports`,
    ],
    'nat-prerouting': ['jump services'],
    'nat-output': ['jump services'],
    'nat-postrouting': [
      `meta mark & ${masqueradeMark} == 0 return`,
      `meta mark set meta mark ^ ${masqueradeMark}`,
      'masquerade fully-random',
    ],
    'filter-input': ['jump no-endpoints'],
    'filter-forward': ['jump no-endpoints'],
    'filter-output': ['jump no-endpoints'],
  }
  const hooks: Readonly<Partial<Record<(typeof fixedChains)[number], string>>> = {
    'nat-prerouting': 'type nat hook prerouting priority dstnat',
    'nat-output': 'type nat hook output priority -100',
    'nat-postrouting': 'type nat hook postrouting priority srcnat',
    'filter-input': 'type filter hook input priority -110',
    'filter-forward': 'type filter hook forward priority -110',
    'filter-output': 'type filter hook output priority -110',
  }
  const types: Readonly<Record<(typeof maps)[number], string>> = {
    'service-ips': `${address} . inet_proto . inet_service`,
    'service-nodeports': 'inet_proto . inet_service',
    'no-endpoint-services': `${address} . inet_proto . inet_service`,
    'no-endpoint-nodeports': 'inet_proto . inet_service',
  }

  const table = `${ip} ${tableName}`
  const lines: string[] = [`add table ${table}`]
  if (previous === undefined) lines.push(`delete table ${table}`, `add table ${table}`)
  for (const name of maps) lines.push(`add map ${table} ${name} { type ${types[name]} : verdict; }`, `flush map ${table} ${name}`)
  for (const name of fixedChains) {
    const hook = hooks[name]
    lines.push(`add chain ${table} ${name}${hook === undefined ? '' : ` { ${hook}; }`}`, `flush chain ${table} ${name}`)
  }
  for (const name of previous?.chains ?? []) lines.push(`flush chain ${table} ${name}`)
  for (const name of previous?.chains ?? []) if (!chains.has(name)) lines.push(`delete chain ${table} ${name}`)
  for (const name of previous?.sets ?? []) if (!sets.has(name)) lines.push(`delete set ${table} ${name}`)
  for (const [name, body] of sets) lines.push(`add set ${table} ${name} ${body}`)
  for (const name of chains.keys()) lines.push(`add chain ${table} ${name}`)
  for (const [name, body] of [...Object.entries(fixed), ...chains]) for (const rule of body) lines.push(`add rule ${table} ${name} ${rule}`)
  for (const [name, list] of elements) {
    // nft takes no empty list; long lists go in parts, so that one line stays readable to its parser.
    for (let from = 0; from < list.length; from += 500)
      lines.push(`add element ${table} ${name} { ${list.slice(from, from + 500).join(', ')} }`)
  }
  return { text: `${lines.join('\n')}\n`, chains: [...chains.keys()], sets: [...sets.keys()] }
}

function sameBackends({ internal, external }: ServicePortRules): boolean {
  return (
    internal.length === external.length &&
    internal.every((backend, at) => backend.ip === external[at]?.ip && backend.port === external[at].port)
  )
}
