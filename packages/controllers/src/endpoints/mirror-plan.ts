import { endpoints as endpointsType, type EndpointAddress, type Endpoints, type Service } from '@k3s/api/types/core/v1'
import type { Endpoint, EndpointSlice } from '@k3s/api/types/discovery/v1'
import { append } from '@k3s/lifecycle'
import { controllerReference } from '../kit/owners.ts'
import { familyOf } from './pod-endpoint.ts'
import { endpointKey, managedByLabel, planGroups, portsKey, serviceNameLabel, type PortGroup, type SlicesPlan } from './slices-plan.ts'

export const mirrorManager = 'endpointslicemirroring-controller.k8s.io'

// Upstream's bound of addresses that are mirrored of one subset.
const maxAddresses = 1000

/** True for Endpoints that somebody keeps by hand for a Service without selector, and wants mirrored. */
export function isMirrored(object: Endpoints, service: Service | undefined): boolean {
  const { labels = {}, annotations = {}, deletionTimestamp } = object.metadata
  if (deletionTimestamp !== undefined || labels['endpointslice.kubernetes.io/skip-mirror'] === 'true') return false
  if (annotations['control-plane.alpha.kubernetes.io/leader'] !== undefined) return false
  return service !== undefined && service.spec.type !== 'ExternalName' && Object.keys(service.spec.selector ?? {}).length === 0
}

/** What turns the mirrors that there are into those of these Endpoints. */
export function planMirror(object: Endpoints, slices: readonly EndpointSlice[], maxEndpoints: number): SlicesPlan {
  const { name, namespace, labels } = object.metadata
  const plan: { create: EndpointSlice[]; update: EndpointSlice[]; remove: EndpointSlice[] } = { create: [], update: [], remove: [] }
  for (const family of ['IPv4', 'IPv6']) {
    const part = planGroups({
      groups: groupsOf(object, family),
      existing: slices.filter(({ addressType }) => addressType === family),
      labels: { ...labels, [serviceNameLabel]: name, [managedByLabel]: mirrorManager },
      owner: controllerReference(object, endpointsType),
      name,
      namespace,
      family,
      maxEndpoints,
      keepsEmpty: false,
    })
    append(plan.create, part.create)
    append(plan.update, part.update)
    append(plan.remove, part.remove)
  }
  return plan
}

function groupsOf({ subsets = [] }: Endpoints, family: string): ReadonlyMap<string, PortGroup> {
  const groups = new Map<string, PortGroup>()
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets) {
    const all = [...addresses.map((address) => mirror(address, true)), ...notReadyAddresses.map((address) => mirror(address, false))]
    for (const endpoint of all.slice(0, maxAddresses)) {
      if (familyOf(endpoint.addresses[0] ?? '') !== family) continue
      const key = portsKey(ports)
      let group = groups.get(key)
      if (group === undefined) groups.set(key, (group = { ports, endpoints: new Map() }))
      group.endpoints.set(endpointKey(endpoint), endpoint)
    }
  }
  return groups
}

function mirror({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  }
}
