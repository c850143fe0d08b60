import type { Service, ServicePort } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { immutableMessage, invalids, oneOf, optionalOneOf, portNumberOrName } from '../../validation/fields.ts'
import { ipFamilyOf, validateCidr, validateEndpointIp, validateIp } from '../shared/ip.ts'
import { dns1123Label, dns1123Subdomain, portNumber, qualifiedName } from '../../validation/names.ts'
import { validateLabels } from '../../validation/object-meta.ts'
import { isExternallyAccessible, isHeadless, needsHealthCheckPort } from './service-kind.ts'

const maxAffinitySeconds = 86400
const sourceRangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges'
const balancersOnly = "may only be used when `type` is 'LoadBalancer'"

function validatePort(port: ServicePort, needsName: boolean, names: Set<string>, field: string): FieldError[] {
  const errors: FieldError[] = []
  if (needsName && !port.name) errors.push(required(`${field}.name`))
  else if (port.name) {
    append(errors, invalids(`${field}.name`, port.name, dns1123Label(port.name)))
    if (names.has(port.name)) errors.push(duplicate(`${field}.name`, port.name))
    names.add(port.name)
  }
  errors.push(
    ...invalids(`${field}.port`, port.port ?? 0, portNumber(port.port ?? 0)),
    ...oneOf(`${field}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']),
    ...portNumberOrName(`${field}.targetPort`, port.targetPort),
  )
  if (port.appProtocol !== undefined) append(errors, invalids(`${field}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol)))
  return errors
}

function validateType(service: Service): FieldError[] {
  const { spec } = service
  const errors: FieldError[] = []
  if ((spec.ports ?? []).length === 0 && !isHeadless(service) && spec.type !== 'ExternalName') errors.push(required('spec.ports'))
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless(service)) {
    errors.push(invalidValue('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`))
  }
  if (spec.type !== 'ExternalName') return errors
  const message = 'may not be set for ExternalName services'
  if ((spec.clusterIPs ?? []).length > 0) errors.push(forbiddenField('spec.clusterIPs', message))
  if ((spec.ipFamilies ?? []).length > 0) errors.push(forbiddenField('spec.ipFamilies', message))
  if (spec.ipFamilyPolicy !== undefined) errors.push(forbiddenField('spec.ipFamilyPolicy', message))
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  append(errors, name === '' ? [required('spec.externalName')] : invalids('spec.externalName', name, dns1123Subdomain(name)))
  return errors
}

function validateAffinity({ spec }: Service): FieldError[] {
  const errors = oneOf('spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None'])
  const field = 'spec.sessionAffinityConfig'
  const config = spec.sessionAffinityConfig
  if (spec.sessionAffinity === 'None' && config !== undefined)
    errors.push(forbiddenField(field, 'must not be set when session affinity is None'))
  if (spec.sessionAffinity !== 'ClientIP') return errors
  const why = 'when session affinity type is ClientIP'
  const seconds = config?.clientIP?.timeoutSeconds
  if (config === undefined) errors.push(required(field, why))
  else if (config.clientIP === undefined) errors.push(required(`${field}.clientIP`, why))
  else if (seconds === undefined) errors.push(required(`${field}.clientIP.timeoutSeconds`, why))
  else if (seconds <= 0 || seconds > maxAffinitySeconds) {
    errors.push(invalidValue(`${field}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than ${maxAffinitySeconds}`))
  }
  return errors
}

function validateClusterIps(service: Service, previous: Service | undefined): FieldError[] {
  const { spec } = service
  if (spec.type === 'ExternalName') return []
  const errors: FieldError[] = []
  const field = 'spec.clusterIPs'
  const ips = spec.clusterIPs ?? []
  if (spec.clusterIP) {
    if (ips.length === 0) errors.push(required(field))
    else if (ips[0] !== spec.clusterIP) errors.push(invalidValue(field, ips, 'first value must match `clusterIP`'))
  } else if (ips.length > 0) errors.push(invalidValue(field, ips, 'must be empty when `clusterIP` is not specified'))
  const families = spec.ipFamilies ?? []
  for (const [index, family] of families.entries()) {
    if (!['IPv4', 'IPv6'].includes(family)) errors.push(notSupported(`spec.ipFamilies[${index}]`, family, ['IPv4', 'IPv6']))
    if (families.indexOf(family) < index) errors.push(duplicate(`spec.ipFamilies[${index}]`, family))
  }
  append(errors, optionalOneOf('spec.ipFamilyPolicy', spec.ipFamilyPolicy, ['PreferDualStack', 'RequireDualStack', 'SingleStack']))
  let hasBadIps = false
  for (const [index, ip] of ips.entries()) {
    const own =
      index === 0 && ip === 'None'
        ? ips.length > 1
          ? [invalidValue(field, ips, "'None' must be the first and only value")]
          : []
        : validateIp(`${field}[${index}]`, ip, previous?.spec.clusterIPs)
    hasBadIps ||= own.length > 0
    append(errors, own)
  }
  if (ips.length > 2) errors.push(invalidValue(field, ips, 'may only hold up to 2 values'))
  if (hasBadIps) return errors
  if (ips.length > 1 && ipFamilyOf(ips[0] ?? '') === ipFamilyOf(ips[1] ?? '')) {
    errors.push(invalidValue(field, ips, 'may specify no more than one IP for each IP family'))
  }
  if (isHeadless(service)) return errors
  for (const [index, ip] of ips.entries()) {
    const family = families[index]
    if (family !== undefined && ipFamilyOf(ip) !== family) {
      errors.push(invalidValue(`${field}[${index}]`, ip, `expected an ${family} value as indicated by \`ipFamilies[${index}]\``))
    }
  }
  return errors
}

function validatePorts({ spec }: Service): FieldError[] {
  const ports = spec.ports ?? []
  const errors: FieldError[] = []
  if (spec.type === 'ClusterIP') {
    for (const [index, { nodePort }] of ports.entries()) {
      if (nodePort) errors.push(forbiddenField(`spec.ports[${index}].nodePort`, "may not be used when `type` is 'ClusterIP'"))
    }
  }
  const nodePorts = new Set<string>()
  for (const [index, { nodePort, protocol }] of ports.entries()) {
    if (!nodePort) continue
    const key = `${protocol}/${nodePort}`
    if (nodePorts.has(key)) errors.push(duplicate(`spec.ports[${index}].nodePort`, nodePort))
    nodePorts.add(key)
  }
  const numbers = new Set<string>()
  for (const [index, { port, protocol }] of ports.entries()) {
    const key = `${protocol}/${port}`
    if (numbers.has(key)) {
      // Upstream shows its internal struct here.
      const shown = { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 }
      errors.push(duplicate(`spec.ports[${index}]`, shown))
    }
    numbers.add(key)
  }
  return errors
}

function validateSourceRanges(service: Service, previous: Service | undefined): FieldError[] {
  const { spec, metadata } = service
  const ranges = spec.loadBalancerSourceRanges ?? []
  const isBalancer = spec.type === 'LoadBalancer'
  if (ranges.length > 0) {
    const field = 'spec.LoadBalancerSourceRanges'
    const kept = (previous?.spec.loadBalancerSourceRanges ?? []).map((range) => range.trim())
    return [
      ...(isBalancer ? [] : [forbiddenField(field, balancersOnly)]),
      ...ranges.flatMap((range, index) => validateCidr(`${field}[${index}]`, range.trim(), kept)),
    ]
  }
  const annotation = metadata.annotations?.[sourceRangesAnnotation]
  if (annotation === undefined) return []
  const field = `metadata.annotations[${sourceRangesAnnotation}]`
  const isKept = previous?.metadata.annotations?.[sourceRangesAnnotation] === annotation
  const list = isKept || annotation.trim() === '' ? [] : annotation.trim().split(',')
  return [...(isBalancer ? [] : [forbiddenField(field, balancersOnly)]), ...list.flatMap((range) => validateCidr(field, range.trim()))]
}

function validateTraffic(service: Service): FieldError[] {
  const { spec } = service
  const errors: FieldError[] = []
  const policy = spec.externalTrafficPolicy
  if (isExternallyAccessible(service)) append(errors, oneOf('spec.externalTrafficPolicy', policy, ['Cluster', 'Local']))
  else if (policy) errors.push(invalidValue('spec.externalTrafficPolicy', policy, 'may only be set for externally-accessible services'))
  const port = spec.healthCheckNodePort ?? 0
  // A missing port is allocated after validation.
  if (port !== 0) {
    if (needsHealthCheckPort(service)) append(errors, invalids('spec.healthCheckNodePort', port, portNumber(port)))
    else
      errors.push(
        invalidValue(
          'spec.healthCheckNodePort',
          port,
          "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
      )
  }
  const isCluster = spec.type === 'NodePort' || spec.type === 'LoadBalancer' || spec.type === 'ClusterIP'
  if (spec.internalTrafficPolicy === undefined && isCluster) errors.push(required('spec.internalTrafficPolicy'))
  errors.push(
    ...optionalOneOf('spec.internalTrafficPolicy', spec.internalTrafficPolicy, ['Cluster', 'Local']),
    ...optionalOneOf('spec.trafficDistribution', spec.trafficDistribution, ['PreferClose', 'PreferSameZone', 'PreferSameNode']),
  )
  return errors
}

/** Problems of a service by itself; `previous` only to leave alone what was valid once. */
function validate(service: Service, previous: Service | undefined): FieldError[] {
  const { spec, metadata } = service
  const errors: FieldError[] = []
  const [mode, hints] = [
    metadata.annotations?.['service.kubernetes.io/topology-mode'],
    metadata.annotations?.['service.kubernetes.io/topology-aware-hints'],
  ]
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    const message = 'must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified'
    errors.push(invalidValue('metadata.annotations[service.kubernetes.io/topology-mode]', mode, message))
  }
  const names = new Set<string>()
  const ports = spec.ports ?? []
  errors.push(
    ...validateType(service),
    ...ports.flatMap((port, index) => validatePort(port, ports.length > 1, names, `spec.ports[${index}]`)),
    ...validateLabels(spec.selector, 'spec.selector'),
    ...validateAffinity(service),
    ...validateClusterIps(service, previous),
    ...(spec.externalIPs ?? []).flatMap((ip, index) => {
      const own = validateIp(`spec.externalIPs[${index}]`, ip, previous?.spec.externalIPs)
      return own.length > 0 ? own : validateEndpointIp(`spec.externalIPs[${index}]`, ip)
    }),
    ...oneOf('spec.type', spec.type, ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']),
    ...validatePorts(service),
    ...validateSourceRanges(service, previous),
  )
  if (spec.allocateLoadBalancerNodePorts !== undefined && spec.type !== 'LoadBalancer')
    errors.push(forbiddenField('spec.allocateLoadBalancerNodePorts', balancersOnly))
  if (spec.loadBalancerClass !== undefined) {
    errors.push(
      ...(spec.type === 'LoadBalancer'
        ? invalids('spec.loadBalancerClass', spec.loadBalancerClass, qualifiedName(spec.loadBalancerClass))
        : [forbiddenField('spec.loadBalancerClass', balancersOnly)]),
    )
  }
  append(errors, validateTraffic(service))
  return errors
}

/** Problems of a new service. */
export function validateServiceCreate(service: Service): FieldError[] {
  return validate(service, undefined)
}

function validateFamilyChange(field: 'clusterIPs' | 'ipFamilies', service: Service, previous: Service): FieldError[] {
  const [now, then] = [service.spec[field] ?? [], previous.spec[field] ?? []]
  const at = (index: number): string => `spec.${field}[${field === 'ipFamilies' ? 0 : index}]`
  const errors: FieldError[] = []
  if (now.length === then.length) {
    for (const [index, value] of then.entries())
      if (value !== now[index]) errors.push(invalidValue(at(index), now, 'may not change once set'))
    return errors
  }
  const what = field === 'clusterIPs' ? 'clusterIP' : 'ipFamily'
  if (then.length > now.length && (service.spec.clusterIPs ?? []).length === 0)
    errors.push(invalidValue(at(0), now, `primary ${what} can not be unset`))
  if (then.length > 0 && now.length > 0 && now[0] !== then[0]) errors.push(invalidValue(at(0), now, 'may not change once set'))
  if (then.length > now.length && now.length === 1 && service.spec.ipFamilyPolicy !== 'SingleStack') {
    errors.push(
      invalidValue('spec.ipFamilyPolicy', service.spec.ipFamilyPolicy, `must be set to 'SingleStack' when releasing the secondary ${what}`),
    )
  }
  return errors
}

/** Problems of a plain update. */
export function validateServiceUpdate(service: Service, previous: Service): FieldError[] {
  const errors: FieldError[] = []
  if (service.spec.type !== 'ExternalName' && previous.spec.type !== 'ExternalName') {
    const [now, then] = [isHeadless(service), isHeadless(previous)]
    if (!now || !then) append(errors, validateFamilyChange('clusterIPs', service, previous))
    if (!now && !then) append(errors, validateFamilyChange('ipFamilies', service, previous))
  }
  if (
    service.spec.type === 'LoadBalancer' &&
    previous.spec.type === 'LoadBalancer' &&
    service.spec.loadBalancerClass !== previous.spec.loadBalancerClass
  ) {
    errors.push(invalidValue('spec.loadBalancerClass', service.spec.loadBalancerClass, 'may not change once set'))
  }
  const port = service.spec.healthCheckNodePort
  if (needsHealthCheckPort(previous) && needsHealthCheckPort(service) && port !== previous.spec.healthCheckNodePort) {
    errors.push(forbiddenField('spec.healthCheckNodePort', immutableMessage))
  }
  return [...errors, ...validate(service, previous)]
}

/** Problems of a new status: addresses belong to load balancers only. */
export function validateServiceStatus(service: Service, previous: Service): FieldError[] {
  const ingress = service.status?.loadBalancer?.ingress ?? []
  const field = 'status.loadBalancer.ingress'
  if (service.spec.type !== 'LoadBalancer' && ingress.length > 0)
    return [forbiddenField(field, "may only be used when `spec.type` is 'LoadBalancer'")]
  const kept = (previous.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []))
  return ingress.flatMap(({ ip = '', ipMode, hostname = '' }, index) => {
    const at = `${field}[${index}]`
    const errors = ip === '' ? [] : validateIp(`${at}.ip`, ip, kept)
    if (ipMode === undefined) {
      if (ip !== '') errors.push(required(`${at}.ipMode`, 'must be specified when `ip` is set'))
    } else if (ip === '') errors.push(forbiddenField(`${at}.ipMode`, 'may not be specified when `ip` is not set'))
    else if (!['Proxy', 'VIP'].includes(ipMode)) errors.push(notSupported(`${at}.ipMode`, ipMode, ['Proxy', 'VIP']))
    if (hostname !== '') {
      append(errors, invalids(`${at}.hostname`, hostname, dns1123Subdomain(hostname)))
      if (ipFamilyOf(hostname) !== undefined) errors.push(invalidValue(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address'))
    }
    return errors
  })
}
