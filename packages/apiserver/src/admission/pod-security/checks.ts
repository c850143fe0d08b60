import type { Container, EphemeralContainer, PodSpec, SELinuxOptions, Volume } from '@k3s/api/types/core/v1'
import type { ObjectMeta } from '@k3s/api/types/meta/v1'

/** What a pod does that a level forbids: a short reason, and the details in brackets. */
export interface Violation {
  readonly reason: string
  readonly detail: string
}

type AnyContainer = Container | EphemeralContainer
type Check = (spec: PodSpec, metadata: ObjectMeta) => Violation | undefined

/** Levels of the Pod Security Standards. */
export type PodSecurityLevel = 'privileged' | 'baseline' | 'restricted'

const containersOf = (spec: PodSpec): AnyContainer[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...(spec.ephemeralContainers ?? []),
]
const quote = (values: readonly string[]): string => values.map((value) => JSON.stringify(value)).join(', ')
const plural = (one: string, many: string, count: number): string => (count === 1 ? one : many)
const named = (names: readonly string[]): string => `${plural('container', 'containers', names.length)} ${quote(names)}`
const sorted = (values: Iterable<string>): string[] => [...new Set(values)].toSorted()

/** Names of the containers for which `isBad` holds. */
const bad = (spec: PodSpec, isBad: (container: AnyContainer) => boolean): string[] =>
  containersOf(spec)
    .filter(isBad)
    .map(({ name }) => name)

/** The pod itself (if `pod`) and the containers that set something. */
const setters = (pod: boolean, containers: readonly string[]): string[] => [
  ...(pod ? ['pod'] : []),
  ...(containers.length === 0 ? [] : [named(containers)]),
]

const baselineCapabilities = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])
const seLinuxTypes = new Set(['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'])
const safeSysctls = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
])
const restrictedVolumes = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
])
const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/'

const isWindows = (spec: PodSpec): boolean => spec.os?.name === 'windows'

const hostNamespaces: Check = (spec) => {
  const detail = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((name) => spec[name] === true).map((name) => `${name}=true`)
  return detail.length === 0 ? undefined : { reason: 'host namespaces', detail: detail.join(', ') }
}

const privileged: Check = (spec) => {
  const names = bad(spec, ({ securityContext }) => securityContext?.privileged === true)
  return names.length === 0 ? undefined : { reason: 'privileged', detail: `${named(names)} must not set securityContext.privileged=true` }
}

const capabilitiesBaseline: Check = (spec) => {
  const forbidden = ({ securityContext }: AnyContainer): string[] =>
    (securityContext?.capabilities?.add ?? []).filter((name) => !baselineCapabilities.has(name))
  const names = bad(spec, (container) => forbidden(container).length > 0)
  if (names.length === 0) return undefined
  const all = sorted(containersOf(spec).flatMap(forbidden))
  return {
    reason: 'non-default capabilities',
    detail: `${named(names)} must not include ${quote(all)} in securityContext.capabilities.add`,
  }
}

const capabilitiesRestricted: Check = (spec) => {
  if (isWindows(spec)) return undefined
  const forbidden = ({ securityContext }: AnyContainer): string[] =>
    (securityContext?.capabilities?.add ?? []).filter((name) => name !== 'NET_BIND_SERVICE')
  const missing = bad(spec, ({ securityContext }) => securityContext?.capabilities?.drop?.includes('ALL') !== true)
  const adding = bad(spec, (container) => forbidden(container).length > 0)
  const details: string[] = []
  if (missing.length > 0) details.push(`${named(missing)} must set securityContext.capabilities.drop=["ALL"]`)
  if (adding.length > 0)
    details.push(
      `${named(adding)} must not include ${quote(sorted(containersOf(spec).flatMap(forbidden)))} in securityContext.capabilities.add`,
    )
  return details.length === 0 ? undefined : { reason: 'unrestricted capabilities', detail: details.join('; ') }
}

const hostPathVolumes: Check = (spec) => {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name)
  return names.length === 0
    ? undefined
    : { reason: 'hostPath volumes', detail: `${plural('volume', 'volumes', names.length)} ${quote(names)}` }
}

const hostPorts: Check = (spec) => {
  const portsOf = ({ ports }: AnyContainer): string[] => (ports ?? []).flatMap(({ hostPort }) => (hostPort ? [String(hostPort)] : []))
  const names = bad(spec, (container) => portsOf(container).length > 0)
  if (names.length === 0) return undefined
  const ports = sorted(containersOf(spec).flatMap(portsOf))
  const detail = `${named(names)} ${plural('uses', 'use', names.length)} ${plural('hostPort', 'hostPorts', ports.length)} ${ports.join(', ')}`
  return { reason: 'hostPort', detail }
}

const hostProbes: Check = (spec) => {
  const hostsOf = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: AnyContainer): string[] =>
    [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]
      .flatMap((handler) => [handler?.httpGet?.host, handler?.tcpSocket?.host])
      .filter((host) => host !== undefined && host !== '')
      .map(String)
  const names = sorted(bad(spec, (container) => hostsOf(container).length > 0))
  if (names.length === 0) return undefined
  const hosts = sorted(containersOf(spec).flatMap(hostsOf))
  const what = plural('probe or lifecycle host', 'probe or lifecycle hosts', hosts.length)
  return { reason: 'probe or lifecycle host', detail: `${named(names)} ${plural('uses', 'use', names.length)} ${what} ${quote(hosts)}` }
}

const appArmor: Check = (spec, metadata) => {
  const isBad = (type: string | undefined): boolean => type !== undefined && type !== 'RuntimeDefault' && type !== 'Localhost'
  const podType = spec.securityContext?.appArmorProfile?.type
  const names = bad(spec, ({ securityContext }) => isBad(securityContext?.appArmorProfile?.type))
  const values = sorted(
    [podType, ...containersOf(spec).map(({ securityContext }) => securityContext?.appArmorProfile?.type)].filter(isBad).map(String),
  )
  const annotations = Object.entries(metadata.annotations ?? {})
    .filter(
      ([key, value]) => key.startsWith(appArmorPrefix) && value !== '' && value !== 'runtime/default' && !value.startsWith('localhost/'),
    )
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .toSorted()
  const who = setters(isBad(podType), names)
  if (annotations.length > 0) who.push(plural('annotation', 'annotations', annotations.length))
  if (who.length === 0) return undefined
  const all = [...values, ...annotations]
  return {
    reason: plural('forbidden AppArmor profile', 'forbidden AppArmor profiles', all.length),
    detail: `${who.join(' and ')} must not set AppArmor profile type to ${quote(all)}`,
  }
}

const seLinux: Check = (spec) => {
  const types = new Set<string>()
  let setsUser = false
  let setsRole = false
  const isBad = (options: SELinuxOptions | undefined): boolean => {
    if (options === undefined) return false
    const isType = !seLinuxTypes.has(options.type ?? '')
    if (isType) types.add(options.type ?? '')
    setsUser ||= Boolean(options.user)
    setsRole ||= Boolean(options.role)
    return isType || Boolean(options.user) || Boolean(options.role)
  }
  const isPodBad = isBad(spec.securityContext?.seLinuxOptions)
  const who = setters(
    isPodBad,
    bad(spec, ({ securityContext }) => isBad(securityContext?.seLinuxOptions)),
  )
  if (who.length === 0) return undefined
  const data = [
    ...(types.size === 0 ? [] : [`${plural('type', 'types', types.size)} ${quote(sorted(types))}`]),
    ...(setsUser ? ['user may not be set'] : []),
    ...(setsRole ? ['role may not be set'] : []),
  ]
  return { reason: 'seLinuxOptions', detail: `${who.join(' and ')} set forbidden securityContext.seLinuxOptions: ${data.join('; ')}` }
}

const procMount: Check = (spec) => {
  if (spec.hostUsers === false) return undefined
  const valueOf = ({ securityContext }: AnyContainer): string => securityContext?.procMount ?? 'Default'
  const names = bad(spec, (container) => valueOf(container) !== 'Default')
  if (names.length === 0) return undefined
  const values = sorted(
    containersOf(spec)
      .map(valueOf)
      .filter((value) => value !== 'Default'),
  )
  return { reason: 'procMount', detail: `${named(names)} must not set securityContext.procMount to ${quote(values)}` }
}

const isSeccompAllowed = (type: string | undefined): boolean => type === 'RuntimeDefault' || type === 'Localhost'

/** Explicitly forbidden seccomp profiles. */
function badSeccomp(spec: PodSpec): Violation | undefined {
  const isBad = (type: string | undefined): boolean => type !== undefined && !isSeccompAllowed(type)
  const podType = spec.securityContext?.seccompProfile?.type
  const typeOf = ({ securityContext }: AnyContainer): string | undefined => securityContext?.seccompProfile?.type
  const who = setters(
    isBad(podType),
    bad(spec, (container) => isBad(typeOf(container))),
  )
  if (who.length === 0) return undefined
  const values = sorted([podType, ...containersOf(spec).map(typeOf)].filter(isBad).map(String))
  return { reason: 'seccompProfile', detail: `${who.join(' and ')} must not set securityContext.seccompProfile.type to ${quote(values)}` }
}

const seccompRestricted: Check = (spec) => {
  if (isWindows(spec)) return undefined
  const found = badSeccomp(spec)
  if (found !== undefined || isSeccompAllowed(spec.securityContext?.seccompProfile?.type)) return found
  const names = bad(spec, ({ securityContext }) => !isSeccompAllowed(securityContext?.seccompProfile?.type))
  if (names.length === 0) return undefined
  return {
    reason: 'seccompProfile',
    detail: `pod or ${named(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  }
}

const sysctls: Check = (spec) => {
  const names = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !safeSysctls.has(name))
  return names.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: names.join(', ') }
}

const windowsHostProcess: Check = (spec) => {
  const isPod = spec.securityContext?.windowsOptions?.hostProcess === true
  const who = setters(
    isPod,
    bad(spec, ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true),
  )
  return who.length === 0
    ? undefined
    : { reason: 'hostProcess', detail: `${who.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true` }
}

const allowPrivilegeEscalation: Check = (spec) => {
  if (isWindows(spec)) return undefined
  const names = bad(spec, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false)
  return names.length === 0
    ? undefined
    : { reason: 'allowPrivilegeEscalation != false', detail: `${named(names)} must set securityContext.allowPrivilegeEscalation=false` }
}

const volumeTypes: Check = (spec) => {
  const typeOf = ({ name: _name, ...sources }: Volume): string =>
    Object.entries(sources).find(([, source]) => source !== undefined)?.[0] ?? 'unknown'
  const found = (spec.volumes ?? []).filter((volume) => !restrictedVolumes.has(typeOf(volume)))
  if (found.length === 0) return undefined
  const types = sorted(found.map(typeOf))
  const volumes = `${plural('volume', 'volumes', found.length)} ${quote(found.map(({ name }) => name))}`
  const restricted = plural('restricted volume type', 'restricted volume types', types.length)
  return { reason: 'restricted volume types', detail: `${volumes} ${plural('uses', 'use', found.length)} ${restricted} ${quote(types)}` }
}

const runAsNonRoot: Check = (spec) => {
  if (spec.hostUsers === false) return undefined
  const pod = spec.securityContext?.runAsNonRoot
  const explicit = setters(
    pod === false,
    bad(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false),
  )
  const reason = 'runAsNonRoot != true'
  if (explicit.length > 0) return { reason, detail: `${explicit.join(' and ')} must not set securityContext.runAsNonRoot=false` }
  const implicit = pod === true ? [] : bad(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined)
  return implicit.length === 0 ? undefined : { reason, detail: `pod or ${named(implicit)} must set securityContext.runAsNonRoot=true` }
}

const runAsUser: Check = (spec) => {
  if (spec.hostUsers === false) return undefined
  const who = setters(
    spec.securityContext?.runAsUser === 0,
    bad(spec, ({ securityContext }) => securityContext?.runAsUser === 0),
  )
  return who.length === 0 ? undefined : { reason: 'runAsUser=0', detail: `${who.join(' and ')} must not set runAsUser=0` }
}

/** In upstream's order: by the names of the checks. Restricted ones replace the weaker ones of baseline. */
const levels: Readonly<Record<PodSecurityLevel, readonly Check[]>> = {
  privileged: [],
  baseline: [
    appArmor,
    capabilitiesBaseline,
    hostNamespaces,
    hostPathVolumes,
    hostPorts,
    hostProbes,
    privileged,
    procMount,
    seLinux,
    badSeccomp,
    sysctls,
    windowsHostProcess,
  ],
  restricted: [
    appArmor,
    hostNamespaces,
    hostPorts,
    hostProbes,
    privileged,
    procMount,
    seLinux,
    sysctls,
    windowsHostProcess,
    allowPrivilegeEscalation,
    capabilitiesRestricted,
    volumeTypes,
    runAsNonRoot,
    runAsUser,
    seccompRestricted,
  ],
}

/** What of a pod's spec a level forbids. */
export function violations(level: PodSecurityLevel, spec: PodSpec, metadata: ObjectMeta): Violation[] {
  return levels[level].flatMap((check) => check(spec, metadata) ?? [])
}

/** Violations as upstream's messages show them. */
export function violationText(found: readonly Violation[]): string {
  return found.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ')
}
