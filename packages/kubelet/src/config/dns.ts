import type { Pod } from '@k3s/api/types/core/v1'

export interface DnsConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

export interface DnsSettings {
  /** Addresses of the cluster's DNS; empty turns ClusterFirst into Default. */
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  /** What the host itself uses. */
  readonly host: DnsConfig
}

// glibc's limits; upstream cuts to the same.
const maxServers = 3
const maxSearches = 32
const maxSearchCharacters = 2048

/** Reads the parts of a resolv.conf that a pod can get. The last `search` line wins. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = []
  let searches: string[] = []
  let options: string[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver' && values[0] !== undefined) servers.push(values[0])
    else if (keyword === 'search') searches = values.filter((value) => value !== '.')
    else if (keyword === 'options') options = values
  }
  return { servers, searches, options }
}

/** The resolv.conf of a pod by its `dnsPolicy` and `dnsConfig`. Servers that resolve on the host's loopback only are of no use in a pod and stay as upstream leaves them. */
export function podDns(pod: Pod, { clusterDns, clusterDomain, host }: DnsSettings): DnsConfig {
  const policy = pod.spec.dnsPolicy ?? 'ClusterFirst'
  const usesCluster =
    clusterDns.length > 0 && (policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && pod.spec.hostNetwork !== true))
  const namespace = pod.metadata.namespace ?? ''
  let base: DnsConfig
  if (policy === 'None') base = { servers: [], searches: [], options: [] }
  else if (usesCluster)
    base = {
      servers: clusterDns,
      searches: [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...host.searches],
      options: ['ndots:5'],
    }
  else base = host
  const own = pod.spec.dnsConfig
  const options = new Map(base.options.map((option) => [option.split(':')[0] ?? option, option]))
  for (const { name = '', value } of own?.options ?? []) options.set(name, value === undefined || value === '' ? name : `${name}:${value}`)
  return {
    servers: [...new Set([...base.servers, ...(own?.nameservers ?? [])])].slice(0, maxServers),
    searches: fitSearches([...new Set([...base.searches, ...(own?.searches ?? [])])]),
    options: [...options.values()],
  }
}

function fitSearches(searches: readonly string[]): string[] {
  const kept: string[] = []
  let characters = 0
  for (const search of searches.slice(0, maxSearches)) {
    characters += search.length + (kept.length > 0 ? 1 : 0)
    if (characters > maxSearchCharacters) break
    kept.push(search)
  }
  return kept
}
