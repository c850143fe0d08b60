import { invalid } from '@k3s/api'
import { type Service, services } from '@k3s/api/types/core/v1'
import { invalidValue } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { ipFamilyOf } from '../shared/ip.ts'

const other = (family: string): 'IPv4' | 'IPv6' => (family === 'IPv4' ? 'IPv6' : 'IPv4')

/** A service that prefers two families keeps what it has when the cluster changes; only a change of the service itself changes it. */
function isSettled(service: Service, previous: Service | undefined): boolean {
  if (previous === undefined || service.spec.ipFamilyPolicy !== 'PreferDualStack' || previous.spec.type !== service.spec.type) return false
  return (
    (previous.spec.ipFamilyPolicy ?? 'PreferDualStack') === 'PreferDualStack' &&
    semanticEqual(previous.spec.clusterIPs, service.spec.clusterIPs) &&
    semanticEqual(previous.spec.ipFamilies, service.spec.ipFamilies)
  )
}

/** Fills `ipFamilyPolicy` and `ipFamilies` in place from what is given and what the cluster has. Throws Invalid. Follows upstream's initIPFamilyFields. */
export function initializeIpFamilies(service: Service, previous: Service | undefined, families: readonly ('IPv4' | 'IPv6')[]): void {
  const { spec } = service
  if (spec.type === 'ExternalName' || isSettled(service, previous)) return
  const isSelectorlessHeadless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
  spec.ipFamilyPolicy ??= previous?.spec.ipFamilyPolicy ?? (isSelectorlessHeadless ? 'RequireDualStack' : 'SingleStack')
  const errors = previous === undefined ? [] : reductions(service, previous)
  if (spec.ipFamilyPolicy === 'SingleStack') {
    for (const [list, what] of [
      [spec.clusterIPs, 'cluster IPs'],
      [spec.ipFamilies, 'IP families'],
    ] as const) {
      if (list?.length !== 2) continue
      errors.push(
        invalidValue(
          'spec.ipFamilyPolicy',
          spec.ipFamilyPolicy,
          `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`,
        ),
      )
    }
  }
  const wanted = [...(spec.ipFamilies ?? [])]
  for (const [index, ip] of (spec.clusterIPs ?? []).entries()) {
    if (ip === 'None') break
    const family = ipFamilyOf(ip)
    if (family === undefined || index < wanted.length) continue
    if (families.includes(family)) wanted.push(family)
    else errors.push(invalidValue(`spec.clusterIPs[${index}]`, spec.clusterIPs, `${family} is not configured on this cluster`))
  }
  const refuse = (): void => {
    if (errors.length > 0) throw invalid(services, service.metadata.name, errors)
  }
  refuse()
  const [standard = 'IPv4'] = families
  if (isSelectorlessHeadless) {
    if (wanted.length === 0) wanted.push(standard)
    if (wanted.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') wanted.push(other(wanted[0] ?? standard))
    spec.ipFamilies = wanted
    return
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack' && families.length < 2) {
    errors.push(invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'))
  }
  for (const [index, family] of wanted.entries()) {
    if (!families.some((known) => known === family))
      errors.push(invalidValue(`spec.ipFamilies[${index}]`, family, 'not configured on this cluster'))
  }
  refuse()
  if (wanted.length === 0) wanted.push(standard)
  if (spec.ipFamilyPolicy !== 'SingleStack' && wanted.length === 1 && families.length === 2) wanted.push(other(wanted[0] ?? standard))
  spec.ipFamilies = wanted
}

/** Going back to one family: silently when the policy says so, refused when it does not. */
function reductions({ spec }: Service, previous: Service): FieldError[] {
  const old = previous.spec
  if (spec.ipFamilyPolicy === 'SingleStack') {
    if (semanticEqual(old.clusterIPs, spec.clusterIPs) && (spec.clusterIPs?.length ?? 0) > 1) spec.clusterIPs = spec.clusterIPs?.slice(0, 1)
    if (semanticEqual(old.ipFamilies, spec.ipFamilies) && (spec.ipFamilies?.length ?? 0) > 1) spec.ipFamilies = spec.ipFamilies?.slice(0, 1)
    return []
  }
  const isReduced = (now: readonly string[] | undefined, then: readonly string[] | undefined): boolean =>
    then?.length === 2 && now?.length === 1
  return [
    ...(isReduced(spec.clusterIPs, old.clusterIPs)
      ? [invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP")]
      : []),
    ...(isReduced(spec.ipFamilies, old.ipFamilies)
      ? [invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy, "must be 'SingleStack' to release the secondary IP family")]
      : []),
  ]
}
