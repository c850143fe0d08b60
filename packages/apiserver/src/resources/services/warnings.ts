import type { Service } from '@k3s/api/types/core/v1'

const hints = 'service.kubernetes.io/topology-aware-hints'
const mode = 'service.kubernetes.io/topology-mode'

/** What users are warned of about a service that is valid. */
export function serviceWarnings({ spec, metadata }: Service): readonly string[] {
  const isHeadless = spec.type === 'ClusterIP' && spec.clusterIP === 'None'
  const isName = spec.type === 'ExternalName'
  const hasExternalIps = (spec.externalIPs ?? []).length > 0
  const found: readonly (readonly [applies: boolean, warning: string])[] = [
    [metadata.annotations?.[hints] !== undefined, `annotation ${hints} is deprecated, please use ${mode} instead`],
    [isHeadless && Boolean(spec.loadBalancerIP), 'spec.loadBalancerIP is ignored for headless services'],
    [isHeadless && hasExternalIps, 'spec.externalIPs is ignored for headless services'],
    [isHeadless && spec.sessionAffinity !== 'None', 'spec.SessionAffinity is ignored for headless services'],
    [hasExternalIps && !isHeadless && !isName, 'spec.externalIPs is deprecated and may no longer be implemented in some clusters'],
    [isName && hasExternalIps, 'spec.externalIPs is ignored when spec.type is "ExternalName"'],
    [!isName && Boolean(spec.externalName), 'spec.externalName is ignored when spec.type is not "ExternalName"'],
    [spec.trafficDistribution === 'PreferClose', 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
  ]
  return found.filter(([applies]) => applies).map(([, warning]) => warning)
}
