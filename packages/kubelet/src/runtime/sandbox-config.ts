import { join } from 'node:path'
import type { Pod } from '@k3s/api/types/core/v1'
import type { CriInput, PodSandboxConfig } from '@k3s/cri-client'
import type { DnsConfig } from '../config/dns.ts'
import { podDomain, podHostname } from '../pods/pod-facts.ts'
import { podLogsName, sandboxLabels } from './labels.ts'
import { sandboxSecurityContext } from './security-context.ts'

export interface SandboxInput {
  readonly attempt: number
  readonly dns: DnsConfig
  readonly clusterDomain: string
  readonly podLogsDir: string
  readonly seccompDir: string
  /** As the runtime takes it: relative to its own root, with the driver's spelling. Empty: the runtime's default. */
  readonly cgroupParent: string
}

/** Host name that the pod's processes see. Throws when `setHostnameAsFQDN` gives one that is too long. */
export function sandboxHostname(pod: Pod, clusterDomain: string): string {
  if (pod.spec.hostnameOverride !== undefined && pod.spec.hostnameOverride !== '') return pod.spec.hostnameOverride
  const hostname = podHostname(pod)
  const domain = podDomain(pod, clusterDomain)
  if (pod.spec.setHostnameAsFQDN !== true || domain === '') return hostname
  const fqdn = `${hostname}.${domain}`
  if (fqdn.length > 64)
    throw new Error(
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long (64 characters is the max, ${fqdn.length} characters requested)`,
    )
  return fqdn
}

/** The sandbox of a pod as the runtime is asked for it; the same for every call about one sandbox. */
export function sandboxConfig(pod: Pod, input: SandboxInput): CriInput<PodSandboxConfig> {
  const { name, namespace = '', uid = '' } = pod.metadata
  const hostNetwork = pod.spec.hostNetwork === true
  const restartable = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  return {
    metadata: { name, namespace, uid, attempt: input.attempt },
    // A pod on the host's network keeps the host's name.
    ...(hostNetwork ? {} : { hostname: sandboxHostname(pod, input.clusterDomain) }),
    logDirectory: join(input.podLogsDir, podLogsName({ name, namespace, uid })),
    dnsConfig: input.dns,
    portMappings: hostNetwork
      ? []
      : [...restartable, ...pod.spec.containers]
          .flatMap(({ ports }) => ports ?? [])
          .map(({ containerPort, hostPort, hostIP, protocol }) => ({
            containerPort,
            hostPort: hostPort ?? 0,
            hostIp: hostIP ?? '',
            protocol: protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP',
          })),
    labels: sandboxLabels(pod),
    annotations: { ...pod.metadata.annotations },
    linux: {
      cgroupParent: input.cgroupParent,
      securityContext: sandboxSecurityContext(pod, input.seccompDir),
      sysctls: Object.fromEntries(
        (pod.spec.securityContext?.sysctls ?? []).map(({ name: key, value }) => [key.replaceAll('/', '.'), value]),
      ),
    },
  }
}

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

/** The first sysctl of a pod that this node does not allow. `allowed` names unsafe ones; a `*` at the end covers all that begin so. */
export function forbiddenSysctl(pod: Pod, allowed: readonly string[]): string | undefined {
  return (pod.spec.securityContext?.sysctls ?? [])
    .map(({ name }) => name.replaceAll('/', '.'))
    .find((name) => {
      if (pod.spec.hostNetwork === true && name.startsWith('net.')) return true
      if (safeSysctls.has(name)) return false
      return !allowed.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern))
    })
}
