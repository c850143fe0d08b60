import type { Pod, Service, ServicePort } from '@k3s/api/types/core/v1'
import { omit } from '../kit/omit.ts'

/** A port of a Service as one pod answers it. */
export interface ResolvedPort {
  readonly name: string
  readonly protocol: string
  readonly port: number
  readonly appProtocol?: string | undefined
}

const isHeadless = (service: Service): boolean => service.spec.clusterIP === 'None' || (service.spec.clusterIP ?? '') === ''

/** True for Services whose endpoints follow from pods. */
export function selectsPods(service: Service): boolean {
  return service.spec.type !== 'ExternalName' && service.spec.selector !== undefined && Object.keys(service.spec.selector).length > 0
}

/** The container port that a Service port leads to; `undefined` when it names one that the pod does not have. */
function targetPortOf(pod: Pod, { targetPort, port, protocol = 'TCP' }: ServicePort): number | undefined {
  if (targetPort === undefined || targetPort === 0 || targetPort === '') return port
  if (typeof targetPort === 'number') return targetPort
  const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  for (const container of [...pod.spec.containers, ...sidecars])
    for (const candidate of container.ports ?? [])
      if (candidate.name === targetPort && (candidate.protocol ?? 'TCP') === protocol) return candidate.containerPort
  return undefined
}

/** All ports of the Service that the pod has, in the Service's order. */
export function resolvedPorts(service: Service, pod: Pod): readonly ResolvedPort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const target = targetPortOf(pod, port)
    if (target === undefined) return []
    const { name = '', protocol = 'TCP', appProtocol } = port
    return [{ name, protocol, port: target, ...(appProtocol === undefined ? {} : { appProtocol }) }]
  })
}

/** All addresses of the pod. */
export function podIpsOf(pod: Pod): readonly string[] {
  const { podIPs, podIP } = pod.status ?? {}
  if (podIPs !== undefined && podIPs.length > 0) return podIPs.map(({ ip }) => ip)
  return podIP === undefined || podIP === '' ? [] : [podIP]
}

export const familyOf = (ip: string): 'IPv4' | 'IPv6' => (ip.includes(':') ? 'IPv6' : 'IPv4')

/** The name under which DNS has the pod by itself; `undefined` when it has none in this Service. */
export function hostnameOf(service: Service, pod: Pod): string | undefined {
  const { hostname = '', subdomain } = pod.spec
  return hostname !== '' && subdomain === service.metadata.name ? hostname : undefined
}

/** Labels that the objects made for a Service have: its own and some that say what they are. */
export function derivedLabels(service: Service, own: Readonly<Record<string, string>>): Record<string, string> {
  return {
    ...omit(service.metadata.labels ?? {}, 'service.kubernetes.io/headless'),
    ...(isHeadless(service) ? { 'service.kubernetes.io/headless': '' } : {}),
    ...own,
  }
}
