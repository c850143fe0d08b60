import { isIP, isIPv6 } from 'node:net'
import type { Node, Service } from '@k3s/api/types/core/v1'
import type { EndpointSlice } from '@k3s/api/types/discovery/v1'

/** What names are made from: reads of caches, no I/O. */
export interface ClusterView {
  service(namespace: string, name: string): Service | undefined
  /** The slices of one service. */
  slices(namespace: string, service: string): readonly EndpointSlice[]
  hasNamespace(name: string): boolean
  node(name: string): Node | undefined
  /** Services that have this cluster IP. */
  servicesByIp(ip: string): readonly Service[]
  /** Slices of headless services that hold this endpoint address. */
  slicesByIp(ip: string): readonly EndpointSlice[]
  /** False until the caches were filled: nothing is denied before. */
  readonly isSynced: boolean
}

export interface DnsRecord {
  readonly name: string
  readonly type: 'A' | 'AAAA' | 'CNAME' | 'SRV' | 'PTR' | 'TXT'
  /** Address, target name, text, or the SRV's parts. */
  readonly data: string | { readonly priority: number; readonly weight: number; readonly port: number; readonly target: string }
}

export interface Answer {
  readonly rcode: 'NOERROR' | 'NXDOMAIN' | 'SERVFAIL'
  readonly answers: readonly DnsRecord[]
  readonly additionals: readonly DnsRecord[]
  /** Present for the target of an ExternalName outside of the cluster: resolve it upstream and append. */
  readonly follow?: string | undefined
}

const none: Answer = { rcode: 'NOERROR', answers: [], additionals: [] }
const missing: Answer = { rcode: 'NXDOMAIN', answers: [], additionals: [] }

const addressType = (ip: string): 'A' | 'AAAA' => (isIPv6(ip) ? 'AAAA' : 'A')

/** `10-42-0-7` of `10.42.0.7`, as pods and nameless endpoints are called. */
const dashed = (ip: string): string => ip.replaceAll(/[.:]/g, '-')

function undashed(label: string): string | undefined {
  for (const ip of [label.replaceAll('-', '.'), label.replaceAll('-', ':')]) if (isIP(ip) !== 0) return ip
  return undefined
}

interface EndpointAddress {
  readonly ip: string
  readonly hostname: string
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[]
}

const isHeadless = (service: Service): boolean => service.spec.clusterIP === 'None'

function endpointsOf(view: ClusterView, service: Service): readonly EndpointAddress[] {
  const all = service.spec.publishNotReadyAddresses === true
  return view
    .slices(service.metadata.namespace ?? '', service.metadata.name)
    .filter(({ addressType }) => addressType !== 'FQDN')
    .flatMap((slice) => {
      const ports = (slice.ports ?? []).map(({ name = '', protocol = 'TCP', port = 0 }) => ({
        name,
        protocol: protocol.toLowerCase(),
        port,
      }))
      return (slice.endpoints ?? [])
        .filter(({ conditions }) => all || conditions?.ready !== false)
        .flatMap(({ addresses, hostname }) => addresses.map((ip) => ({ ip, hostname: hostname ?? dashed(ip), ports })))
    })
}

function clusterIps({ spec }: Service): readonly string[] {
  return (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((ip) => ip !== '' && ip !== 'None')
}

/** Address records of the wanted type; the name exists even when none is of it. */
const addresses = (name: string, type: string, ips: readonly string[]): Answer => ({
  ...none,
  answers: [...new Set(ips)].filter((ip) => addressType(ip) === type).map((ip) => ({ name, type: addressType(ip), data: ip })),
})

/**
 * Answers a question about the cluster's names, after Kubernetes' DNS specification 1.1.0 (schema of CoreDNS's kubernetes plugin
 * with `pods insecure`). `undefined`: the name is not the cluster's.
 *
 * @param name lower case, without a final dot.
 */
export function resolve(view: ClusterView, domain: string, name: string, type: string): Answer | undefined {
  if (name.endsWith('.in-addr.arpa') || name.endsWith('.ip6.arpa')) return reverse(view, domain, name, type)
  if (name !== domain && !name.endsWith(`.${domain}`)) return nodeAddress(view, name, type)
  if (!view.isSynced) return { ...none, rcode: 'SERVFAIL' }
  const labels =
    name === domain
      ? []
      : name
          .slice(0, -domain.length - 1)
          .split('.')
          .toReversed()
  const [kind, namespace, service, ...rest] = labels
  if (kind === undefined) return none
  if (kind === 'dns-version' && namespace === undefined)
    return type === 'TXT' ? { ...none, answers: [{ name, type: 'TXT', data: '1.1.0' }] } : none
  if (kind !== 'svc' && kind !== 'pod') return missing
  if (namespace === undefined) return none
  if (!view.hasNamespace(namespace)) return missing
  if (service === undefined) return none
  if (kind === 'pod') {
    const address = rest.length === 0 ? undashed(service) : undefined
    return address === undefined ? missing : addresses(name, type, [address])
  }
  const object = view.service(namespace, service)
  if (object === undefined) return missing
  return serviceAnswer(view, domain, object, rest, name, type)
}

function serviceAnswer(view: ClusterView, domain: string, service: Service, rest: readonly string[], name: string, type: string): Answer {
  const base = `${service.metadata.name}.${service.metadata.namespace ?? ''}.svc.${domain}`
  if (service.spec.type === 'ExternalName') {
    if (rest.length > 0) return missing
    const target = (service.spec.externalName ?? '').replace(/\.$/, '').toLowerCase()
    return { ...none, answers: [{ name, type: 'CNAME', data: target }], follow: type === 'CNAME' ? undefined : target }
  }
  const [first, second, ...more] = rest
  if (more.length > 0) return missing
  const endpoints = isHeadless(service) ? endpointsOf(view, service) : []
  if (first === undefined) {
    if (type === 'SRV') return srv(service, endpoints, base, name, () => true)
    if (isHeadless(service))
      return endpoints.length === 0
        ? missing
        : addresses(
            name,
            type,
            endpoints.map(({ ip }) => ip),
          )
    return addresses(name, type, clusterIps(service))
  }
  if (first.startsWith('_')) {
    const protocol = first.slice(1)
    const port = second?.startsWith('_') === true ? second.slice(1) : undefined
    if (second !== undefined && port === undefined) return missing
    const answer = srv(service, endpoints, base, name, (one) => one.protocol === protocol && (port === undefined || one.name === port))
    if (answer.answers.length === 0) return missing
    return type === 'SRV' ? answer : none
  }
  if (second !== undefined) return missing
  const named = endpoints.filter(({ hostname }) => hostname === first)
  return named.length === 0
    ? missing
    : type === 'SRV'
      ? srv(service, named, base, name, () => true)
      : addresses(
          name,
          type,
          named.map(({ ip }) => ip),
        )
}

function srv(
  service: Service,
  endpoints: readonly EndpointAddress[],
  base: string,
  name: string,
  wanted: (port: { readonly name: string; readonly protocol: string }) => boolean,
): Answer {
  const answers: DnsRecord[] = []
  const additionals: DnsRecord[] = []
  const add = (port: number, target: string, ips: readonly string[]): void => {
    answers.push({ name, type: 'SRV', data: { priority: 0, weight: 100, port, target } })
    for (const ip of ips)
      if (!additionals.some((record) => record.name === target && record.data === ip))
        additionals.push({ name: target, type: addressType(ip), data: ip })
  }
  if (isHeadless(service)) {
    for (const { ip, hostname, ports } of endpoints) for (const port of ports.filter(wanted)) add(port.port, `${hostname}.${base}`, [ip])
  } else {
    for (const { name: portName = '', protocol = 'TCP', port } of service.spec.ports ?? []) {
      if (wanted({ name: portName, protocol: protocol.toLowerCase() })) add(port, base, clusterIps(service))
    }
  }
  return { rcode: 'NOERROR', answers, additionals }
}

/** Node names resolve to their addresses, as K3s's NodeHosts do. */
function nodeAddress(view: ClusterView, name: string, type: string): Answer | undefined {
  if (type !== 'A' && type !== 'AAAA') return undefined
  const node = view.node(name)
  const ips = (node?.status?.addresses ?? []).filter((address) => address.type === 'InternalIP').map(({ address }) => address)
  return ips.length === 0 ? undefined : addresses(name, type, ips)
}

function reverse(view: ClusterView, domain: string, name: string, type: string): Answer | undefined {
  const ip = reversedIp(name)
  if (ip === undefined) return undefined
  const names = [
    ...view.servicesByIp(ip).map((service) => `${service.metadata.name}.${service.metadata.namespace ?? ''}.svc.${domain}`),
    ...view.slicesByIp(ip).flatMap((slice) => {
      const service = view.service(slice.metadata.namespace ?? '', slice.metadata.labels?.['kubernetes.io/service-name'] ?? '')
      if (service === undefined || !isHeadless(service)) return []
      return endpointsOf(view, service)
        .filter((endpoint) => endpoint.ip === ip)
        .map(({ hostname }) => `${hostname}.${service.metadata.name}.${service.metadata.namespace ?? ''}.svc.${domain}`)
    }),
  ]
  if (names.length === 0) return undefined
  return type === 'PTR' ? { ...none, answers: [...new Set(names)].map((target) => ({ name, type: 'PTR', data: target })) } : none
}

/** `10.0.0.1` of `1.0.0.10.in-addr.arpa`; undefined when it is no whole address. */
export function reversedIp(name: string): string | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const ip = name.slice(0, -'.in-addr.arpa'.length).split('.').toReversed().join('.')
    return isIP(ip) === 4 ? ip : undefined
  }
  const nibbles = name.slice(0, -'.ip6.arpa'.length).split('.').toReversed()
  if (nibbles.length !== 32 || !nibbles.every((nibble) => /^[0-9a-f]$/.test(nibble))) return undefined
  const groups = Array.from({ length: 8 }, (_, at) => nibbles.slice(at * 4, at * 4 + 4).join(''))
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1) // the URL parser gives the canonical form
}
