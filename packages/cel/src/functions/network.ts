import ipaddr from 'ipaddr.js'
import { one, traversal } from '../costs.ts'
import { overload, type Overload } from '../overload.ts'
import { EvaluationError, ListValue, MapValue, Opaque, sizeOf, type Value } from '../values.ts'
import { asString } from './arguments.ts'

type Address = ipaddr.IPv4 | ipaddr.IPv6

interface Network {
  readonly address: Address
  readonly prefix: number
}

function parseAddress(text: string): Address | undefined {
  if (text.includes('%') || text.includes('/')) return undefined
  // No leading zeros, no short forms.
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text))
    return ipaddr.IPv4.isValidFourPartDecimal(text) && !/(?:^|\.)0\d/.test(text) ? ipaddr.IPv4.parse(text) : undefined
  if (!text.includes(':') || !ipaddr.IPv6.isValid(text)) return undefined
  const address = ipaddr.IPv6.parse(text)
  return address.isIPv4MappedAddress() ? undefined : address
}

function parseNetwork(text: string): Network | undefined {
  const [host = '', length = '', ...rest] = text.split('/')
  const address = parseAddress(host)
  if (address === undefined || rest.length > 0 || !/^(?:0|[1-9]\d*)$/.test(length)) return undefined
  const prefix = Number(length)
  return prefix <= (address.kind() === 'ipv4' ? 32 : 128) ? { address, prefix } : undefined
}

/** Shortest form, as Go prints it. */
const show = (address: Address): string => (address.kind() === 'ipv6' ? (address as ipaddr.IPv6).toRFC5952String() : address.toString()) // its kind says so

const ipValue = (address: Address): Opaque =>
  new Opaque('net.IP', address, { equals: (other) => show(other as Address) === show(address), size: address.toByteArray().length }) // of the same type
const cidrValue = (network: Network): Opaque =>
  new Opaque('net.CIDR', network, {
    equals: (other) => showNetwork(other as Network) === showNetwork(network), // of the same type
    size: network.address.toByteArray().length,
  })
const showNetwork = ({ address, prefix }: Network): string => `${show(address)}/${prefix}`

function ipOf(value: Value | undefined): Address {
  if (!(value instanceof Opaque) || value.typeName !== 'net.IP') throw new EvaluationError('no such overload')
  return value.content as Address // made by ipValue
}

function cidrOf(value: Value | undefined): Network {
  if (!(value instanceof Opaque) || value.typeName !== 'net.CIDR') throw new EvaluationError('no such overload')
  return value.content as Network // made by cidrValue
}

function mustParseAddress(value: Value | undefined): Address {
  const text = asString(value)
  const address = parseAddress(text)
  if (address === undefined)
    throw new EvaluationError(
      `IP Address ${JSON.stringify(text)} parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): unable to parse IP`,
    )
  return address
}

function mustParseNetwork(value: Value | undefined): Network {
  const text = asString(value)
  const network = parseNetwork(text)
  if (network === undefined)
    throw new EvaluationError(
      `network address parse error during conversion from string: netip.ParsePrefix(${JSON.stringify(text)}): no '/'`,
    )
  return network
}

function holds({ address, prefix }: Network, other: Address): boolean {
  if (address.kind() !== other.kind()) return false
  const [a, b] = [address.toByteArray(), other.toByteArray()]
  for (let bit = 0; bit < prefix; bit++) {
    const mask = 0x80 >> (bit % 8)
    if (((a[bit >> 3] ?? 0) & mask) !== ((b[bit >> 3] ?? 0) & mask)) return false
  }
  return true
}

function masked({ address, prefix }: Network): Network {
  const bytes = address.toByteArray().map((byte, index) => {
    const bits = Math.max(0, Math.min(8, prefix - index * 8))
    return byte & ((0xff << (8 - bits)) & 0xff)
  })
  return { address: ipaddr.fromByteArray(bytes), prefix }
}

const rangeOf = (address: Address): string => address.range()
const family = (address: Address): bigint => (address.kind() === 'ipv4' ? 4n : 6n)

function isGlobalUnicast(address: Address): boolean {
  return !['unspecified', 'loopback', 'multicast', 'linkLocal', 'broadcast'].includes(rangeOf(address))
}

function isLinkLocalMulticast(address: Address): boolean {
  const bytes = address.toByteArray()
  if (address.kind() === 'ipv4') return bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
  return bytes[0] === 0xff && ((bytes[1] ?? 0) & 0x0f) === 0x02
}

const containsCost =
  (isText: boolean, isNetwork: boolean) =>
  (args: readonly Value[]): number => {
    const [own, other] = args.map(sizeOf)
    const base = Math.ceil((own ?? 1) * 2 * 0.1) + (isNetwork ? Math.ceil((own ?? 1) * 0.1) + 1 : 0)
    return base + (isText ? Math.ceil((other ?? 1) * 0.1) : 0)
  }

/** A URL as Go's ParseRequestURI takes it: with a scheme, or a path alone. */
interface Url {
  readonly text: string
  readonly scheme: string
  /** With its port. */
  readonly host: string
  readonly hostname: string
  readonly port: string
  readonly path: string
  readonly query: URLSearchParams
}

function parseUrl(text: string): Url | undefined {
  if (text === '' || /[\u0000-\u001f\u007f ]/.test(text)) return undefined // eslint-disable-line no-control-regex -- Go refuses these
  const match = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?]*))?([^?]*)(?:\?(.*))?$/s.exec(text)
  if (match === null) return undefined
  const [, scheme = '', authority, path = '', query = ''] = match
  if (scheme === '' && !text.startsWith('/')) return undefined
  if (scheme !== '' && authority === undefined && !path.startsWith('/')) return undefined
  if (/%(?![0-9a-fA-F]{2})/.test(path)) return undefined
  const host = (authority ?? '').slice((authority ?? '').lastIndexOf('@') + 1)
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(host)
  if (parts === null) return undefined
  const [, name = '', port = ''] = parts
  return { text, scheme, host, hostname: name.replace(/^\[(.*)\]$/, '$1'), port, path, query: new URLSearchParams(query) }
}

function urlOf(value: Value | undefined): Url {
  if (!(value instanceof Opaque) || value.typeName !== 'kubernetes.URL') throw new EvaluationError('no such overload')
  return value.content as Url // made below
}

const escapedPath = (path: string): string => path.replaceAll(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/gu, (one) => encodeURIComponent(one))

/** IP addresses, networks and URLs. */
export const networkFunctions: readonly Overload[] = [
  overload('string_to_ip ip(string) net.IP', (a) => ipValue(mustParseAddress(a)), traversal()),
  overload('is_ip isIP(string) bool', (a) => parseAddress(asString(a)) !== undefined, traversal()),
  overload('ip_is_canonical ip.isCanonical(string) bool', (a) => show(mustParseAddress(a)) === asString(a), traversal(2)),
  overload('ip_family on net.IP.family() int', (a) => family(ipOf(a)), one),
  overload('ip_is_unspecified on net.IP.isUnspecified() bool', (a) => rangeOf(ipOf(a)) === 'unspecified', one),
  overload('ip_is_loopback on net.IP.isLoopback() bool', (a) => rangeOf(ipOf(a)) === 'loopback', one),
  overload('ip_is_link_local_multicast on net.IP.isLinkLocalMulticast() bool', (a) => isLinkLocalMulticast(ipOf(a)), one),
  overload('ip_is_link_local_unicast on net.IP.isLinkLocalUnicast() bool', (a) => rangeOf(ipOf(a)) === 'linkLocal', one),
  overload('ip_is_global_unicast on net.IP.isGlobalUnicast() bool', (a) => isGlobalUnicast(ipOf(a)), one),
  overload('ip_to_string string(net.IP) string', (a) => show(ipOf(a))),
  overload('string_to_cidr cidr(string) net.CIDR', (a) => cidrValue(mustParseNetwork(a)), traversal()),
  overload('is_cidr isCIDR(string) bool', (a) => parseNetwork(asString(a)) !== undefined, traversal()),
  overload(
    'cidr_contains_ip_string on net.CIDR.containsIP(string) bool',
    (a, b) => holds(cidrOf(a), mustParseAddress(b)),
    containsCost(true, false),
  ),
  overload('cidr_contains_ip_ip on net.CIDR.containsIP(net.IP) bool', (a, b) => holds(cidrOf(a), ipOf(b)), containsCost(false, false)),
  overload(
    'cidr_contains_cidr_string on net.CIDR.containsCIDR(string) bool',
    (a, b) => containsNetwork(cidrOf(a), mustParseNetwork(b)),
    containsCost(true, true),
  ),
  overload(
    'cidr_contains_cidr on net.CIDR.containsCIDR(net.CIDR) bool',
    (a, b) => containsNetwork(cidrOf(a), cidrOf(b)),
    containsCost(false, true),
  ),
  overload('cidr_ip on net.CIDR.ip() net.IP', (a) => ipValue(cidrOf(a).address), one),
  overload('cidr_prefix_length on net.CIDR.prefixLength() int', (a) => BigInt(cidrOf(a).prefix), one),
  overload('cidr_masked on net.CIDR.masked() net.CIDR', (a) => cidrValue(masked(cidrOf(a))), one),
  overload('cidr_to_string string(net.CIDR) string', (a) => showNetwork(cidrOf(a))),
  overload(
    'string_to_url url(string) kubernetes.URL',
    (a) => {
      const text = asString(a)
      const url = parseUrl(text)
      if (url === undefined)
        throw new EvaluationError(`URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`)
      return new Opaque('kubernetes.URL', url, { equals: (other) => (other as Url).text === url.text, size: url.text.length }) // of the same type
    },
    traversal(),
  ),
  overload('is_url isURL(string) bool', (a) => parseUrl(asString(a)) !== undefined),
  overload('url_get_scheme on kubernetes.URL.getScheme() string', (a) => urlOf(a).scheme, one),
  overload('url_get_host on kubernetes.URL.getHost() string', (a) => urlOf(a).host, one),
  overload('url_get_hostname on kubernetes.URL.getHostname() string', (a) => urlOf(a).hostname, one),
  overload('url_get_port on kubernetes.URL.getPort() string', (a) => urlOf(a).port, one),
  overload('url_get_escaped_path on kubernetes.URL.getEscapedPath() string', (a) => escapedPath(urlOf(a).path), one),
  overload(
    'url_get_query on kubernetes.URL.getQuery() map(string, list(string))',
    (a) => {
      const { query } = urlOf(a)
      return new MapValue([...new Set(query.keys())].map((key) => [key, new ListValue(query.getAll(key))]))
    },
    one,
  ),
]

function containsNetwork(outer: Network, inner: Network): boolean {
  return outer.prefix <= inner.prefix && holds(outer, inner.address)
}
