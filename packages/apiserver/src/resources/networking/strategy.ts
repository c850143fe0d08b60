import {
  type IngressClass,
  ingressclasses,
  type IPAddress,
  ipaddresses,
  type NetworkPolicy,
  networkpolicies,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  type ServiceCIDR,
  servicecidrs,
} from '@k3s/api/types/networking/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notSupported, required, tooMany } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { immutable, invalids, portNumberOrName, requiredString } from '../../validation/fields.ts'
import { canonicalIp, cidrContains, cidrFamilyOf, ipFamilyOf, validateCanonicalCidr, validateCidr } from '../shared/ip.ts'
import { formatLabelSelector, validateLabelSelector } from '../shared/label-selector.ts'
import { dns1123Label, dns1123Subdomain, pathSegment, portNumber } from '../../validation/names.ts'
import { isNew, keepStatus, statusUpdate } from '../shared/status-rules.ts'

const defaultMark = 'ingressclass.kubernetes.io/is-default-class'

function validateClass({ spec }: IngressClass): FieldError[] {
  const controller = spec?.controller ?? ''
  const errors: FieldError[] = []
  if (controller.length > 250)
    errors.push({ reason: 'FieldValueTooLong', message: 'Too long: may not be more than 250 bytes', field: 'spec.controller' })
  const slash = controller.indexOf('/')
  if (controller === '') errors.push(required('spec.controller'))
  else if (slash <= 0 || slash === controller.length - 1)
    errors.push(invalidValue('spec.controller', controller, 'must be a domain-prefixed path (such as "acme.io/foo")'))
  else append(errors, invalids('spec.controller', controller.slice(0, slash), dns1123Subdomain(controller.slice(0, slash))))
  const parameters = spec?.parameters
  if (parameters === undefined) return errors
  const at = 'spec.parameters'
  if (parameters.apiGroup !== undefined)
    append(errors, invalids(`${at}.apiGroup`, parameters.apiGroup, dns1123Subdomain(parameters.apiGroup)))
  append(errors, requiredString(`${at}.kind`, parameters.kind), requiredString(`${at}.name`, parameters.name))
  if (parameters.name) append(errors, invalids(`${at}.name`, parameters.name, pathSegment(parameters.name)))
  if (parameters.scope === 'Namespace') {
    if (!parameters.namespace) errors.push(required(`${at}.namespace`, "`parameters.scope` is set to 'Namespace'"))
    else append(errors, invalids(`${at}.namespace`, parameters.namespace, dns1123Label(parameters.namespace)))
  } else if (parameters.scope === 'Cluster') {
    if (parameters.namespace !== undefined) errors.push(forbiddenField(`${at}.namespace`, "`parameters.scope` is set to 'Cluster'"))
  } else errors.push(notSupported(`${at}.scope`, parameters.scope ?? '', ['Cluster', 'Namespace']))
  return errors
}

/** Rules for ingress classes. */
export const ingressClassStrategy: ResourceStrategy<IngressClass> = {
  type: ingressclasses,
  hasGeneration: true,
  defaults({ spec }) {
    if (spec?.parameters !== undefined) spec.parameters.scope ??= 'Cluster'
  },
  validate: validateClass,
  update: { validate: ({ spec }, previous) => immutable('spec.controller', spec?.controller, previous.spec?.controller) },
  columns: [
    column('Name', ({ metadata }) => `${metadata.name}${metadata.annotations?.[defaultMark] === 'true' ? ' (default)' : ''}`, {
      format: 'name',
      description: 'Name of the object',
    }),
    column('Controller', ({ spec }) => spec?.controller ?? ''),
    column('Parameters', ({ spec }) => {
      const parameters = spec?.parameters
      if (parameters === undefined) return '<none>'
      return `${parameters.kind}${parameters.apiGroup === undefined ? '' : `.${parameters.apiGroup}`}/${parameters.name}`
    }),
    ageColumn(),
  ],
}

function validatePolicyPort({ port, endPort, protocol }: NetworkPolicyPort, field: string): FieldError[] {
  const errors: FieldError[] = []
  const protocols = ['TCP', 'UDP', 'SCTP']
  if (protocol !== undefined && !protocols.includes(protocol)) errors.push(notSupported(`${field}.protocol`, protocol, protocols))
  if (port === undefined) {
    if (endPort !== undefined) errors.push(invalidValue(`${field}.endPort`, endPort, 'may not be specified when `port` is not specified'))
    return errors
  }
  if (typeof port === 'string') {
    if (endPort !== undefined) errors.push(invalidValue(`${field}.endPort`, endPort, 'may not be specified when `port` is non-numeric'))
    return [...errors, ...portNumberOrName(`${field}.port`, port)]
  }
  append(errors, invalids(`${field}.port`, port, portNumber(port)))
  if (endPort !== undefined) {
    if (endPort < port) errors.push(invalidValue(`${field}.endPort`, port, 'must be greater than or equal to `port`'))
    append(errors, invalids(`${field}.endPort`, endPort, portNumber(endPort)))
  }
  return errors
}

function validatePeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, field: string): FieldError[] {
  const errors = [
    ...validateLabelSelector(podSelector, `${field}.podSelector`),
    ...validateLabelSelector(namespaceSelector, `${field}.namespaceSelector`),
  ]
  if (ipBlock !== undefined) {
    if (!ipBlock.cidr) errors.push(required(`${field}.ipBlock.cidr`))
    else append(errors, validateCidr(`${field}.ipBlock.cidr`, ipBlock.cidr))
    for (const [index, except] of (ipBlock.except ?? []).entries()) {
      const at = `${field}.ipBlock.except[${index}]`
      const own = validateCidr(at, except)
      append(errors, own)
      if (own.length > 0 || cidrFamilyOf(ipBlock.cidr ?? '') === undefined) continue
      const [address = '', bits = '0'] = except.split('/')
      const isWithin = cidrContains(ipBlock.cidr, address) && Number(bits) > Number(ipBlock.cidr.split('/')[1])
      if (!isWithin) errors.push(invalidValue(at, except, 'must be a strict subset of `cidr`'))
    }
  }
  const count = [podSelector, namespaceSelector, ipBlock].filter((peer) => peer !== undefined).length
  if (count === 0) errors.push(required(field, 'must specify a peer'))
  else if (count > 1 && ipBlock !== undefined) errors.push(forbiddenField(field, 'may not specify both ipBlock and another peer'))
  return errors
}

function validatePolicy({ spec = {} }: NetworkPolicy): FieldError[] {
  const errors = validateLabelSelector(spec.podSelector, 'spec.podSelector')
  for (const [index, rule] of (spec.ingress ?? []).entries()) {
    const at = `spec.ingress[${index}]`
    append(
      errors,
      (rule.ports ?? []).flatMap((port, item) => validatePolicyPort(port, `${at}.ports[${item}]`)),
    )
    append(
      errors,
      (rule.from ?? []).flatMap((peer, item) => validatePeer(peer, `${at}.from[${item}]`)),
    )
  }
  for (const [index, rule] of (spec.egress ?? []).entries()) {
    const at = `spec.egress[${index}]`
    append(
      errors,
      (rule.ports ?? []).flatMap((port, item) => validatePolicyPort(port, `${at}.ports[${item}]`)),
    )
    append(
      errors,
      (rule.to ?? []).flatMap((peer, item) => validatePeer(peer, `${at}.to[${item}]`)),
    )
  }
  const types = spec.policyTypes ?? []
  if (types.length > 2) return [...errors, invalidValue('spec.policyTypes', types, 'may not specify more than two policyTypes')]
  for (const [index, type] of types.entries()) {
    if (!['Ingress', 'Egress'].includes(type)) errors.push(notSupported(`spec.policyTypes[${index}]`, type, ['Ingress', 'Egress']))
  }
  return errors
}

/** Rules for network policies. */
export const networkPolicyStrategy: ResourceStrategy<NetworkPolicy> = {
  type: networkpolicies,
  hasGeneration: true,
  defaults(policy) {
    const spec = (policy.spec ??= {})
    spec.podSelector ??= {}
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
    if ((spec.policyTypes ?? []).length === 0) spec.policyTypes = ['Ingress', ...((spec.egress ?? []).length > 0 ? ['Egress'] : [])]
  },
  validate: validatePolicy,
  columns: [
    nameColumn(),
    column('Pod-Selector', ({ spec }) => formatLabelSelector(spec?.podSelector), { description: 'Which pods are isolated' }),
    ageColumn(),
  ],
}

/** Rules for IP addresses: they belong to one parent for ever. */
export const ipAddressStrategy: ResourceStrategy<IPAddress> = {
  type: ipaddresses,
  hasGeneration: false,
  // An address with something behind it is none.
  generateName: (prefix) => prefix,
  validateName: (name) =>
    canonicalIp(name) === name
      ? []
      : [
          ipFamilyOf(name) === undefined
            ? 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
            : `must be in canonical form (${JSON.stringify(canonicalIp(name))})`,
        ],
  validate: ({ spec }) => {
    const parent = spec?.parentRef
    if (parent === undefined) return [required('spec.parentRef')]
    return [
      ...(parent.group ? invalids('spec.parentRef.group', parent.group, dns1123Subdomain(parent.group)) : []),
      ...requiredString('spec.parentRef.resource', parent.resource),
      ...requiredString('spec.parentRef.name', parent.name),
    ]
  },
  update: { validate: ({ spec }, previous) => immutable('spec.parentRef', spec?.parentRef, previous.spec?.parentRef) },
  selectableFields: {
    'spec.parentRef.group': ({ spec }) => spec?.parentRef?.group ?? '',
    'spec.parentRef.resource': ({ spec }) => spec?.parentRef?.resource ?? '',
    'spec.parentRef.name': ({ spec }) => spec?.parentRef?.name ?? '',
    'spec.parentRef.namespace': ({ spec }) => spec?.parentRef?.namespace ?? '',
  },
  columns: [
    nameColumn(),
    column('ParentRef', ({ spec }) => {
      const parent = spec?.parentRef
      if (parent === undefined) return '<none>'
      const resource = parent.group ? `${parent.resource}.${parent.group}` : (parent.resource ?? '')
      return `${resource.toLowerCase()}${parent.namespace ? `/${parent.namespace}` : ''}/${parent.name}`
    }),
    { ...ageColumn<IPAddress>(), isUndeclared: true },
  ],
}

function validateServiceCidr(range: ServiceCIDR): FieldError[] {
  const cidrs = range.spec?.cidrs ?? []
  const errors: FieldError[] = cidrs.length === 0 ? [required('spec.cidrs', 'at least one CIDR required')] : []
  if (cidrs.length > 2) errors.push(tooMany('spec.cidrs', cidrs.length, 2))
  if (cidrs.length === 2 && cidrFamilyOf(cidrs[0] ?? '') === cidrFamilyOf(cidrs[1] ?? '')) {
    errors.push(
      invalidValue('spec.cidrs', cidrs, 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96'),
    )
  }
  return [...errors, ...cidrs.flatMap((cidr, index) => validateCanonicalCidr(`spec.cidrs[${index}]`, cidr))]
}

/** Rules for service CIDRs. */
export const serviceCidrStrategy: ResourceStrategy<ServiceCIDR> = {
  type: servicecidrs,
  hasGeneration: false,
  prepareForCreate(range) {
    range.status = {}
  },
  validate: (range) => (isNew(range) ? validateServiceCidr(range) : []),
  update: { prepare: keepStatus, validate: ({ spec }, previous) => immutable('spec.cidrs', spec?.cidrs, previous.spec?.cidrs) },
  status: statusUpdate(),
  columns: [nameColumn(), column('CIDRs', ({ spec }) => (spec?.cidrs ?? []).join(',')), ageColumn()],
}
