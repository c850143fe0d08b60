import { type Endpoint, type EndpointHints, type EndpointPort, type EndpointSlice, endpointslices } from '@k3s/api/types/discovery/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, invalidValue, required, tooMany } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { immutable, invalids, oneOf } from '../../validation/fields.ts'
import { ipFamilyOf, validateCanonicalIp, validateEndpointIp, validateIp } from '../shared/ip.ts'
import { dns1123Label, dns1123Subdomain, labelValue, qualifiedName } from '../../validation/names.ts'
import { isNew } from '../shared/status-rules.ts'

const maxEndpoints = 1000
const maxAddresses = 100
const maxPorts = 20000
const maxHints = 8

function defaults(slice: EndpointSlice): void {
  for (const port of slice.ports ?? []) {
    port.name ??= ''
    port.protocol ??= 'TCP'
  }
}

function validateAddress(address: string, type: string, field: string, index: number): FieldError[] {
  const at = `${field}[${index}]`
  if (type === 'FQDN') {
    const name = address.replace(/\.$/, '')
    if (name === '') return [required(at)]
    const problems = dns1123Subdomain(name)
    if (problems.length > 0) return [invalidValue(at, name, problems.join(','))]
    return name.includes('.') ? [] : [invalidValue(at, name, 'should be a domain with at least two segments separated by dots')]
  }
  if (type !== 'IPv4' && type !== 'IPv6') return []
  const errors = type === 'IPv4' ? validateIp(at, address) : validateCanonicalIp(at, address)
  if (errors.length > 0) return errors
  return [
    ...(ipFamilyOf(address) === type ? [] : [invalidValue(field, address, `must be an ${type} address`)]),
    ...validateEndpointIp(at, address),
  ]
}

function validateHints(hints: EndpointHints, field: string): FieldError[] {
  return (
    [
      ['forZones', labelValue],
      ['forNodes', dns1123Subdomain],
    ] as const
  ).flatMap(([kind, format]) => {
    const list = hints[kind] ?? []
    if (list.length > maxHints) return [tooMany(`${field}.${kind}`, list.length, maxHints)]
    return list.flatMap(({ name }, index) => {
      const at = `${field}.${kind}[${index}].name`
      const isRepeated = list.findIndex((hint) => hint.name === name) < index
      return [...(isRepeated ? [duplicate(at, name)] : []), ...invalids(at, name, format(name))]
    })
  })
}

function validateEndpoint(endpoint: Endpoint, type: string, field: string): FieldError[] {
  const errors: FieldError[] = []
  const addresses = endpoint.addresses ?? []
  if (addresses.length === 0) errors.push(required(`${field}.addresses`, 'must contain at least 1 address'))
  else if (addresses.length > maxAddresses) errors.push(tooMany(`${field}.addresses`, addresses.length, maxAddresses))
  for (const [index, address] of addresses.entries()) append(errors, validateAddress(address, type, `${field}.addresses`, index))
  if (endpoint.nodeName !== undefined) append(errors, invalids(`${field}.nodeName`, endpoint.nodeName, dns1123Subdomain(endpoint.nodeName)))
  if (endpoint.hostname !== undefined) append(errors, invalids(`${field}.hostname`, endpoint.hostname, dns1123Label(endpoint.hostname)))
  if (endpoint.hints !== undefined) append(errors, validateHints(endpoint.hints, `${field}.hints`))
  return errors
}

function validateEndpoints(slice: EndpointSlice): FieldError[] {
  const endpoints = slice.endpoints ?? []
  if (endpoints.length > maxEndpoints) return [tooMany('endpoints', endpoints.length, maxEndpoints)]
  return endpoints.flatMap((endpoint, index) => validateEndpoint(endpoint, slice.addressType, `endpoints[${index}]`))
}

function validatePorts(ports: readonly EndpointPort[]): FieldError[] {
  if (ports.length > maxPorts) return [tooMany('ports', ports.length, maxPorts)]
  const names = new Set<string>()
  return ports.flatMap((port, index) => {
    const at = `ports[${index}]`
    const name = port.name ?? ''
    const errors = name === '' ? [] : invalids(`${at}.name`, name, dns1123Label(name))
    if (names.has(name)) errors.push(duplicate(`${at}.name`, name))
    names.add(name)
    append(errors, oneOf(`${at}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']))
    if (port.appProtocol !== undefined) append(errors, invalids(`${at}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol)))
    return errors
  })
}

/** The first three of a list, and how many more there are. */
function firstThree(list: readonly string[]): string {
  if (list.length === 0) return '<unset>'
  const text = list.slice(0, 3).join(',')
  return list.length > 3 ? `${text} + ${list.length - 3} more...` : text
}

/** Rules for endpoint slices. */
export const endpointSliceStrategy: ResourceStrategy<EndpointSlice> = {
  type: endpointslices,
  hasGeneration: true,
  isNewGeneration: ({ metadata, ...rest }, { metadata: before, ...last }) =>
    !semanticEqual(rest, last) || !semanticEqual(metadata.labels, before.labels),
  defaults,
  validate: (slice) => [
    ...oneOf('addressType', slice.addressType, ['FQDN', 'IPv4', 'IPv6']),
    ...validatePorts(slice.ports ?? []),
    ...(isNew(slice) ? validateEndpoints(slice) : []),
  ],
  update: {
    validate: (slice, previous) => [
      ...(semanticEqual(slice.endpoints, previous.endpoints) ? [] : validateEndpoints(slice)),
      ...immutable('addressType', slice.addressType, previous.addressType),
    ],
  },
  columns: [
    nameColumn(),
    column('AddressType', (slice) => slice.addressType, { description: 'IPv4, IPv6 or FQDN' }),
    column('Ports', (slice) => firstThree((slice.ports ?? []).map(({ port, name }) => (port === undefined ? name || '*' : String(port))))),
    column('Endpoints', (slice) => firstThree((slice.endpoints ?? []).flatMap(({ addresses }) => addresses))),
    ageColumn(),
  ],
}
