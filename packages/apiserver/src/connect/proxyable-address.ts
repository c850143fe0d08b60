import { BlockList, isIP } from 'node:net'
import { badRequest } from '@k3s/api'

const refused = new BlockList()
refused.addSubnet('127.0.0.0', 8)
refused.addSubnet('169.254.0.0', 16)
refused.addSubnet('224.0.0.0', 24)
refused.addSubnet('0.0.0.0', 8)
refused.addAddress('255.255.255.255')
refused.addAddress('::', 'ipv6')
refused.addAddress('::1', 'ipv6')
refused.addSubnet('fe80::', 10, 'ipv6')
refused.addSubnet('ff01::', 16, 'ipv6')
refused.addSubnet('ff02::', 16, 'ipv6')

/**
 * Checks an address that an object names before the server connects to it: its own loopback, and link-local addresses (where clouds keep their
 * metadata), are none of a client's business. Throws BadRequest in upstream's words. IPv4 in IPv6's clothes is seen through.
 */
export function checkProxyable(address: string): void {
  const family = isIP(address)
  if (family === 0 || refused.check(address, family === 6 ? 'ipv6' : 'ipv4')) throw badRequest('address not allowed')
}
