import { type EndpointAddress, type Endpoints, type EndpointSubset, endpoints } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, oneOf } from '../../validation/fields.ts'
import { invalidValue } from '../../validation/field-error.ts'
import { validateEndpointIp, validateIp } from '../shared/ip.ts'
import { dns1123Label, dns1123Subdomain, portNumber, qualifiedName } from '../../validation/names.ts'

function validateAddress(address: EndpointAddress, field: string): FieldError[] {
  const errors = validateIp(`${field}.ip`, address.ip ?? '')
  if (address.hostname) append(errors, invalids(`${field}.hostname`, address.hostname, dns1123Label(address.hostname)))
  if (address.nodeName) append(errors, invalids(`${field}.nodeName`, address.nodeName, dns1123Subdomain(address.nodeName)))
  // Upstream asks for an address once more.
  if (validateIp('', address.ip ?? '').length > 0)
    return [...errors, invalidValue(`${field}.ip`, address.ip ?? '', 'must be a valid IP address')]
  return errors.length > 0 ? errors : validateEndpointIp(`${field}.ip`, address.ip)
}

function validateSubset(subset: EndpointSubset, field: string): FieldError[] {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset
  const errors: FieldError[] =
    addresses.length + notReadyAddresses.length === 0 ? [required(field, 'must specify `addresses` or `notReadyAddresses`')] : []
  for (const [name, list] of [
    ['addresses', addresses],
    ['notReadyAddresses', notReadyAddresses],
  ] as const) {
    for (const [index, address] of list.entries()) append(errors, validateAddress(address, `${field}.${name}[${index}]`))
  }
  for (const [index, port] of ports.entries()) {
    const at = `${field}.ports[${index}]`
    if (ports.length > 1 && !port.name) errors.push(required(`${at}.name`))
    else if (port.name) append(errors, invalids(`${at}.name`, port.name, dns1123Label(port.name)))
    errors.push(
      ...invalids(`${at}.port`, port.port, portNumber(port.port)),
      ...oneOf(`${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']),
    )
    if (port.appProtocol !== undefined) append(errors, invalids(`${at}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol)))
  }
  return errors
}

const hostPort = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)

function endpointsText({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return '<none>'
  const all = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0 ? addresses.map(({ ip }) => ip) : ports.flatMap(({ port }) => addresses.map(({ ip }) => hostPort(ip, port))),
  )
  const text = all.slice(0, 3).join(',')
  return all.length > 3 ? `${text} + ${all.length - 3} more...` : text
}

/** Rules for Endpoints. */
export const endpointsStrategy: ResourceStrategy<Endpoints> = {
  type: endpoints,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  defaults({ subsets }) {
    for (const { ports } of subsets ?? []) for (const port of ports ?? []) port.protocol ||= 'TCP'
  },
  validate: ({ subsets }) => (subsets ?? []).flatMap((subset, index) => validateSubset(subset, `subsets[${index}]`)),
  columns: [nameColumn(), column('Endpoints', endpointsText, { description: 'Addresses that take requests' }), ageColumn()],
}
