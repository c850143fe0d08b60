import { type HTTPIngressPath, type Ingress, type IngressBackend, ingresses } from '@k3s/api/types/networking/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, requiredString } from '../../validation/fields.ts'
import { ipFamilyOf, validateIp } from '../shared/ip.ts'
import { dns1123Label, dns1123Subdomain, pathSegment, portName, portNumber, wildcardDns1123Subdomain } from '../../validation/names.ts'
import { isNew, keepStatus, statusUpdate } from '../shared/status-rules.ts'

const classAnnotation = 'kubernetes.io/ingress.class'
const badSequences = ['//', '/./', '/../', '%2f', '%2F']
const badSuffixes = ['/..', '/.']

function validateBackend(backend: IngressBackend | undefined, field: string): FieldError[] {
  const { resource, service } = backend ?? {}
  if (resource !== undefined && service !== undefined) return [invalidValue(field, '', 'cannot set both resource and service backends')]
  if (resource !== undefined) {
    return [
      ...(resource.apiGroup === undefined
        ? []
        : invalids(`${field}.resource.apiGroup`, resource.apiGroup, dns1123Subdomain(resource.apiGroup))),
      ...requiredString(`${field}.resource.kind`, resource.kind),
      ...requiredString(`${field}.resource.name`, resource.name),
      ...(resource.name ? invalids(`${field}.resource.name`, resource.name, pathSegment(resource.name)) : []),
    ]
  }
  if (service === undefined) return [invalidValue(field, '', 'resource or service backend is required')]
  const errors = service.name
    ? invalids(`${field}.service.name`, service.name, dns1123Label(service.name))
    : [required(`${field}.service.name`)]
  const { name, number } = service.port ?? {}
  if (name && number) errors.push(invalidValue(field, '', 'cannot set both port name & port number'))
  else if (name) append(errors, invalids(`${field}.service.port.name`, name, portName(name)))
  else if (number) append(errors, invalids(`${field}.service.port.number`, number, portNumber(number)))
  else errors.push(required(field, 'port name or number is required'))
  return errors
}

function validatePath(path: HTTPIngressPath, field: string): FieldError[] {
  const text = path.path ?? ''
  if (path.pathType === undefined) return [required(`${field}.pathType`, 'pathType must be specified')]
  const errors: FieldError[] = []
  if (path.pathType === 'Exact' || path.pathType === 'Prefix') {
    if (!text.startsWith('/')) errors.push(invalidValue(`${field}.path`, text, 'must be an absolute path'))
    for (const sequence of badSequences)
      if (text.includes(sequence)) errors.push(invalidValue(`${field}.path`, text, `must not contain '${sequence}'`))
    for (const suffix of badSuffixes)
      if (text.endsWith(suffix)) errors.push(invalidValue(`${field}.path`, text, `cannot end with '${suffix}'`))
  } else if (path.pathType === 'ImplementationSpecific') {
    if (text !== '' && !text.startsWith('/')) errors.push(invalidValue(`${field}.path`, text, 'must be an absolute path'))
  } else errors.push(notSupported(`${field}.pathType`, path.pathType, ['Exact', 'ImplementationSpecific', 'Prefix']))
  return [...errors, ...validateBackend(path.backend, `${field}.backend`)]
}

const hostMessages = (host: string): string[] => (host.includes('*') ? wildcardDns1123Subdomain(host) : dns1123Subdomain(host))

function validate(ingress: Ingress): FieldError[] {
  const spec = ingress.spec ?? {}
  const errors: FieldError[] = []
  const rules = spec.rules ?? []
  if (rules.length === 0 && spec.defaultBackend === undefined)
    errors.push(invalidValue('spec', spec.rules ?? null, 'either `defaultBackend` or `rules` must be specified'))
  if (spec.defaultBackend !== undefined) append(errors, validateBackend(spec.defaultBackend, 'spec.defaultBackend'))
  for (const [index, rule] of rules.entries()) {
    const at = `spec.rules[${index}]`
    const host = rule.host ?? ''
    if (host !== '' && ipFamilyOf(host) !== undefined)
      errors.push(invalidValue(`${at}.host`, host, 'must be a DNS name, not an IP address'))
    if (host !== '') append(errors, invalids(`${at}.host`, host, hostMessages(host)))
    if (rule.http === undefined) continue
    if ((rule.http.paths ?? []).length === 0) errors.push(required(`${at}.http.paths`))
    for (const [item, path] of (rule.http.paths ?? []).entries()) append(errors, validatePath(path, `${at}.http.paths[${item}]`))
  }
  for (const [index, tls] of (spec.tls ?? []).entries()) {
    for (const [item, host] of (tls.hosts ?? []).entries())
      append(errors, invalids(`spec.tls[${index}].hosts[${item}]`, host, hostMessages(host)))
    if (tls.secretName) append(errors, invalids(`spec.tls[${index}].secretName`, tls.secretName, dns1123Subdomain(tls.secretName)))
  }
  const { ingressClassName } = spec
  if (ingressClassName !== undefined)
    append(errors, invalids('spec.ingressClassName', ingressClassName, dns1123Subdomain(ingressClassName)))
  const annotation = ingress.metadata.annotations?.[classAnnotation]
  if (isNew(ingress) && annotation !== undefined && ingressClassName !== undefined && annotation !== ingressClassName) {
    errors.push(invalidValue(`annotations.${classAnnotation}`, annotation, 'must match `ingressClassName` when both are specified'))
  }
  return errors
}

function validateStatus({ status }: Ingress, previous: Ingress): FieldError[] {
  const kept = (previous.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []))
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip = '', hostname = '' }, index) => {
    const at = `status.loadBalancer.ingress[${index}]`
    const errors = ip === '' ? [] : validateIp(`${at}.ip`, ip, kept)
    if (hostname === '') return errors
    append(errors, invalids(`${at}.hostname`, hostname, dns1123Subdomain(hostname)))
    if (ipFamilyOf(hostname) !== undefined) errors.push(invalidValue(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'))
    return errors
  })
}

function hostsText({ spec }: Ingress): string {
  const rules = spec?.rules ?? []
  const hosts = rules.slice(0, 3).flatMap(({ host }) => (host ? [host] : []))
  if (hosts.length === 0) return '*'
  return rules.length > 3 && hosts.length === 3 ? `${hosts.join(',')} + ${rules.length - 3} more...` : hosts.join(',')
}

function addressText({ status }: Ingress): string {
  const addresses = (status?.loadBalancer?.ingress ?? [])
    .map(({ ip, hostname }) => ip || hostname || '')
    .filter((address) => address !== '')
  return [...new Set(addresses)].toSorted().join(',')
}

/** Rules for ingresses. */
export const ingressStrategy: ResourceStrategy<Ingress> = {
  type: ingresses,
  hasGeneration: true,
  prepareForCreate(ingress) {
    ingress.status = { loadBalancer: {} }
  },
  validate,
  update: { prepare: keepStatus },
  status: statusUpdate(validateStatus),
  columns: [
    nameColumn(),
    column('Class', ({ spec }) => spec?.ingressClassName ?? '<none>', { description: 'Which controller serves it' }),
    column('Hosts', hostsText, { description: 'Names that it answers to' }),
    column('Address', addressText, { description: 'Where it is reached' }),
    column('Ports', ({ spec }) => ((spec?.tls ?? []).length > 0 ? '80, 443' : '80'), { description: 'Ports that it answers on' }),
    ageColumn(),
  ],
}
