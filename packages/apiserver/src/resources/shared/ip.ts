import ipaddr from 'ipaddr.js'
import { invalidValue } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'

const ipMessage = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
const cidrMessage = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Dotted quads only, leading zeros taken as decimal (what old objects may hold), or IPv6 without a zone. */
function parseSloppy(value: string): Address | undefined {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(value)) {
    const octets = value.split('.').map(Number)
    return octets.every((octet) => octet <= 255) ? new ipaddr.IPv4(octets) : undefined
  }
  // No form of an address is half as long, and reading a long one takes its time.
  if (value.length > 100) return undefined
  return value.includes('%') || !ipaddr.IPv6.isValid(value) ? undefined : ipaddr.IPv6.parse(value)
}

const hasLeadingZeros = (value: string): boolean => /(^|[.:])0\d+(?=\.|$)/.test(value)

const isMapped = (address: Address): boolean => address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()

/** RFC 5952 text of an address, as Go's net.IP prints it; undefined when it is none. */
export function canonicalIp(value: string): string | undefined {
  const address = parseSloppy(value)
  if (address === undefined) return undefined
  return address instanceof ipaddr.IPv6
    ? address.isIPv4MappedAddress()
      ? address.toIPv4Address().toString()
      : address.toRFC5952String()
    : address.toString()
}

/** `IPv4` or `IPv6`; undefined when it is no address. */
export function ipFamilyOf(value: string): 'IPv4' | 'IPv6' | undefined {
  const address = parseSloppy(value)
  if (address === undefined) return undefined
  return address instanceof ipaddr.IPv6 && !address.isIPv4MappedAddress() ? 'IPv6' : 'IPv4'
}

/** Problems of an address in a field where old objects may hold sloppy ones: `kept` lists values that were there before and stay valid. */
export function validateIp(field: string, value: string, kept: readonly string[] = []): FieldError[] {
  if (kept.includes(value)) return []
  const address = parseSloppy(value)
  if (address === undefined) return [invalidValue(field, value, ipMessage)]
  const errors: FieldError[] = []
  if (hasLeadingZeros(value)) errors.push(invalidValue(field, value, 'must not have leading 0s'))
  if (isMapped(address)) errors.push(invalidValue(field, value, 'must not be an IPv4-mapped IPv6 address'))
  return errors
}

/** Problems of an address in a field that demands the canonical form. */
export function validateCanonicalIp(field: string, value: string): FieldError[] {
  const errors = validateIp(field, value)
  const canonical = canonicalIp(value)
  if (errors.length > 0 || canonical === value) return errors
  return [invalidValue(field, value, `must be in canonical form (${JSON.stringify(canonical)})`)]
}

interface Cidr {
  readonly address: Address
  readonly prefix: number
}

function parseCidrSloppy(value: string): Cidr | undefined {
  const slash = value.indexOf('/')
  const address = slash < 0 ? undefined : parseSloppy(value.slice(0, slash))
  const digits = value.slice(slash + 1)
  if (address === undefined || !/^\d+$/.test(digits)) return undefined
  const prefix = Number(digits)
  return prefix <= (address instanceof ipaddr.IPv6 ? 128 : 32) ? { address, prefix } : undefined
}

function networkOf({ address, prefix }: Cidr): string {
  const bytes = address.toByteArray()
  const masked = bytes.map((byte, index) => byte & (0xff << Math.min(8, Math.max(0, 8 - (prefix - index * 8)))) & 0xff)
  const network = ipaddr.fromByteArray(masked)
  return `${network instanceof ipaddr.IPv6 ? network.toRFC5952String() : network.toString()}/${prefix}`
}

/** Problems of a CIDR in a field where old objects may hold sloppy ones. */
export function validateCidr(field: string, value: string, kept: readonly string[] = []): FieldError[] {
  if (kept.includes(value)) return []
  const cidr = parseCidrSloppy(value)
  if (cidr === undefined) return [invalidValue(field, value, cidrMessage)]
  const [text = '', digits = ''] = value.split('/')
  if (hasLeadingZeros(text) || (digits.length > 1 && digits.startsWith('0'))) {
    return [invalidValue(field, value, 'must not have leading 0s in IP or prefix length')]
  }
  if (isMapped(cidr.address)) return [invalidValue(field, value, 'must not have an IPv4-mapped IPv6 address')]
  const network = networkOf(cidr)
  if (canonicalIp(network.split('/')[0] ?? '') !== canonicalIp(text)) {
    return [invalidValue(field, value, 'must not have bits set beyond the prefix length')]
  }
  return []
}

/** Problems of a CIDR in a field that demands the canonical form. */
export function validateCanonicalCidr(field: string, value: string): FieldError[] {
  const errors = validateCidr(field, value)
  const cidr = parseCidrSloppy(value)
  if (errors.length > 0 || cidr === undefined) return errors
  const canonical = networkOf(cidr)
  return canonical === value ? [] : [invalidValue(field, value, `must be in canonical form (${JSON.stringify(canonical)})`)]
}

/** Family of a CIDR; undefined when it is none. */
export function cidrFamilyOf(value: string): 'IPv4' | 'IPv6' | undefined {
  return parseCidrSloppy(value) === undefined ? undefined : ipFamilyOf(value.split('/')[0] ?? '')
}

/** Whether `cidr` contains `ip`; both valid. */
export function cidrContains(cidr: string, ip: string): boolean {
  const range = parseCidrSloppy(cidr)
  const address = parseSloppy(ip)
  if (range === undefined || address === undefined || range.address.kind() !== address.kind()) return false
  return networkOf({ address, prefix: range.prefix }) === networkOf(range)
}

/** Refuses addresses that no endpoint can have: unspecified, loopback, link-local. `ip` is valid. */
export function validateEndpointIp(field: string, ip: string): FieldError[] {
  const kind = parseSloppy(ip)?.range()
  if (kind === 'unspecified') return [invalidValue(field, ip, `may not be unspecified (${JSON.stringify(ip)})`)]
  if (kind === 'loopback') return [invalidValue(field, ip, 'may not be in the loopback range (127.0.0.0/8, ::1/128)')]
  if (kind === 'linkLocal') return [invalidValue(field, ip, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)')]
  if (cidrContains('224.0.0.0/24', ip) || cidrContains('ff02::/16', ip)) {
    return [invalidValue(field, ip, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)')]
  }
  return []
}

/** First address and size of a range, for counting through it. IPv6 ranges larger than /64 count as /64, as upstream does. */
export function rangeOfCidr(cidr: string): { readonly family: 'IPv4' | 'IPv6'; readonly first: bigint; readonly size: bigint } | undefined {
  const parsed = parseCidrSloppy(cidr)
  if (parsed === undefined) return undefined
  const family = parsed.address instanceof ipaddr.IPv6 ? 'IPv6' : 'IPv4'
  const bits = (family === 'IPv6' ? 128 : 32) - parsed.prefix
  const network = networkOf(parsed).split('/')[0] ?? ''
  return { family, first: numberOfIp(network), size: 1n << BigInt(Math.min(bits, 64)) }
}

/** A valid address as a number. */
export function numberOfIp(ip: string): bigint {
  return (parseSloppy(ip)?.toByteArray() ?? []).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

/** Reverses {@link numberOfIp}. */
export function ipOfNumber(value: bigint, family: 'IPv4' | 'IPv6'): string {
  const length = family === 'IPv6' ? 16 : 4
  const bytes = Array.from({ length }, (_, index) => Number((value >> BigInt(8 * (length - 1 - index))) & 0xffn))
  const address = ipaddr.fromByteArray(bytes)
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}
