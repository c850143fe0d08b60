import { matchesSelector, selectorOf } from '@k3s/api'
import { services, type Node, type Pod, type Service } from '@k3s/api/types/core/v1'
import type { Endpoint, EndpointPort, EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { OwnerReference } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { canonicalJson, isSemanticallyEqual } from '../kit/equal.ts'
import { byCreation, controllerReference } from '../kit/owners.ts'
import { isPodReady, isPodTerminal } from '../kit/pods.ts'
import { derivedLabels, familyOf, hostnameOf, podIpsOf, resolvedPorts } from './pod-endpoint.ts'

export const serviceNameLabel = 'kubernetes.io/service-name'
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by'
export const sliceManager = 'endpointslice-controller.k8s.io'

export interface SlicesInput {
  readonly service: Service
  /** Pods of the Service's namespace; those that it does not select are skipped. */
  readonly pods: readonly Pod[]
  readonly nodeOf: (name: string) => Node | undefined
  /** Slices of the Service that we manage. */
  readonly slices: readonly EndpointSlice[]
  readonly maxEndpoints: number
}

export interface SlicesPlan {
  readonly create: readonly EndpointSlice[]
  readonly update: readonly EndpointSlice[]
  readonly remove: readonly EndpointSlice[]
}

/** Endpoints that share one list of ports. */
export interface PortGroup {
  readonly ports: readonly EndpointPort[]
  readonly endpoints: Map<string, Endpoint>
}

/** What turns the Service's slices into those that its pods ask for, with endpoints staying in the slice where they are. */
export function planSlices(input: SlicesInput): SlicesPlan {
  const families = input.service.spec.ipFamilies ?? ['IPv4']
  const plan: { create: EndpointSlice[]; update: EndpointSlice[]; remove: EndpointSlice[] } = { create: [], update: [], remove: [] }
  for (const slice of input.slices) if (!families.includes(slice.addressType)) plan.remove.push(slice)
  for (const family of families) {
    const { create, update, remove } = planFamily(input, family)
    append(plan.create, create)
    append(plan.update, update)
    append(plan.remove, remove)
  }
  return plan
}

function planFamily(input: SlicesInput, family: string): SlicesPlan {
  const { service, maxEndpoints } = input
  return planGroups({
    groups: groupEndpoints(input, family),
    existing: input.slices.filter(({ addressType }) => addressType === family),
    labels: derivedLabels(service, { [serviceNameLabel]: service.metadata.name, [managedByLabel]: sliceManager }),
    owner: controllerReference(service, services),
    name: service.metadata.name,
    namespace: service.metadata.namespace,
    family,
    maxEndpoints,
    // A Service without endpoints keeps one empty slice, so that consumers can tell it from one that was not looked at yet.
    keepsEmpty: true,
  })
}

export interface GroupsInput {
  readonly groups: ReadonlyMap<string, PortGroup>
  /** Slices that are ours, of this family. */
  readonly existing: readonly EndpointSlice[]
  readonly labels: Record<string, string>
  readonly owner: OwnerReference
  /** Of the Service: names of slices begin with it. */
  readonly name: string
  readonly namespace: string | undefined
  readonly family: string
  readonly maxEndpoints: number
  readonly keepsEmpty: boolean
}

/** Spreads groups of endpoints over slices, changing as few as it can. */
export function planGroups(input: GroupsInput): SlicesPlan {
  const { groups, labels, owner, name, namespace, family, maxEndpoints, keepsEmpty } = input
  const existing = input.existing.filter(({ metadata }) => metadata.deletionTimestamp === undefined).toSorted(byCreation)
  const fresh = (ports: readonly EndpointPort[], endpoints: readonly Endpoint[]): EndpointSlice => ({
    metadata: { name: '', generateName: `${name}-`, namespace, labels, ownerReferences: [owner] },
    addressType: family,
    ports: [...ports],
    endpoints: [...endpoints],
  })
  const change = (slice: EndpointSlice, ports: readonly EndpointPort[], endpoints: readonly Endpoint[]): EndpointSlice[] => {
    const isSame = isSemanticallyEqual(slice.endpoints, endpoints) && isSemanticallyEqual(slice.ports, ports)
    if (isSame && isSemanticallyEqual(slice.metadata.labels, labels)) return []
    return [{ ...slice, metadata: { ...slice.metadata, labels }, ports: [...ports], endpoints: [...endpoints] }]
  }
  if (groups.size === 0) {
    const [first, ...rest] = existing
    if (!keepsEmpty) return { create: [], update: [], remove: existing }
    if (first === undefined) return { create: [fresh([], [])], update: [], remove: [] }
    return { create: [], update: change(first, [], []), remove: rest }
  }
  const plan: { create: EndpointSlice[]; update: EndpointSlice[]; remove: EndpointSlice[] } = { create: [], update: [], remove: [] }
  const spare = existing.filter(({ ports }) => !groups.has(portsKey(ports ?? [])))
  for (const [key, { ports, endpoints }] of groups) {
    const mine = existing.filter((slice) => portsKey(slice.ports ?? []) === key)
    const left = new Map(endpoints)
    const contents = mine.map((slice) => {
      const kept: Endpoint[] = []
      for (const endpoint of slice.endpoints ?? []) {
        const id = endpointKey(endpoint)
        const wanted = left.get(id)
        if (wanted === undefined || kept.length >= maxEndpoints) continue
        left.delete(id)
        kept.push(isSemanticallyEqual(wanted, endpoint) ? endpoint : wanted)
      }
      return kept
    })
    const added = [...left.values()]
    // New ones go to slices that change anyway, the fullest first; a slice without change is only touched when that saves a new one.
    const hasChanged = (i: number): boolean => change(mine[i] ?? fresh(ports, []), ports, contents[i] ?? []).length > 0
    const order = contents
      .map((_, i) => i)
      .toSorted((a, b) => Number(hasChanged(b)) - Number(hasChanged(a)) || (contents[b]?.length ?? 0) - (contents[a]?.length ?? 0))
    for (const i of order) {
      const content = contents[i] ?? []
      append(content, added.splice(0, maxEndpoints - content.length))
    }
    for (const [i, slice] of mine.entries()) {
      const content = contents[i] ?? []
      if (content.length === 0) plan.remove.push(slice)
      else append(plan.update, change(slice, ports, content))
    }
    while (added.length > 0) {
      const content = added.splice(0, maxEndpoints)
      const reused = spare.pop()
      if (reused === undefined) plan.create.push(fresh(ports, content))
      else append(plan.update, change(reused, ports, content))
    }
  }
  return { ...plan, remove: [...plan.remove, ...spare] }
}

function groupEndpoints({ service, pods, nodeOf }: SlicesInput, family: string): ReadonlyMap<string, PortGroup> {
  const selector = selectorOf({ matchLabels: service.spec.selector ?? {} }) ?? []
  const groups = new Map<string, PortGroup>()
  for (const pod of pods) {
    if (isPodTerminal(pod) || !matchesSelector(selector, pod.metadata.labels)) continue
    const addresses = podIpsOf(pod).filter((ip) => familyOf(ip) === family)
    const address = addresses[0]
    if (address === undefined) continue
    const ports = resolvedPorts(service, pod)
    const key = portsKey(ports)
    let group = groups.get(key)
    if (group === undefined) groups.set(key, (group = { ports: [...ports], endpoints: new Map() }))
    const endpoint = endpointOf(service, pod, address, nodeOf)
    group.endpoints.set(endpointKey(endpoint), endpoint)
  }
  return groups
}

function endpointOf(service: Service, pod: Pod, address: string, nodeOf: SlicesInput['nodeOf']): Endpoint {
  const { name, namespace, uid, deletionTimestamp } = pod.metadata
  const serving = isPodReady(pod)
  const terminating = deletionTimestamp !== undefined
  const { nodeName = '' } = pod.spec
  const zone = nodeName === '' ? undefined : nodeOf(nodeName)?.metadata.labels?.['topology.kubernetes.io/zone']
  const hostname = hostnameOf(service, pod)
  return {
    addresses: [address],
    conditions: { ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === '' ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  }
}

/** The same for one endpoint before and after a change. */
export const endpointKey = ({ targetRef, addresses }: Endpoint): string => targetRef?.uid ?? addresses.join()

/** Equal for lists with the same ports in any order. */
export const portsKey = (ports: readonly EndpointPort[]): string =>
  ports
    .map((port) => canonicalJson({ ...port, name: port.name ?? '', protocol: port.protocol ?? 'TCP' }))
    .toSorted()
    .join()
