import { quantityMilli, quantityValue, type Quantity } from '@k3s/api'
import type { Container, ContainerStatus, Pod } from '@k3s/api/types/core/v1'

/** Amounts by resource name: `cpu` in millicores, all others in whole units. An absent one is 0. */
export type Resources = ReadonlyMap<string, number>

type Amounts = Map<string, number>

/** Upstream's guess of what a container needs that requests nothing: so that nodes full of such containers do not look empty to scoring. */
const defaultRequests: Resources = new Map([
  ['cpu', 100],
  ['memory', 200 * 1024 * 1024],
])

/** Resources that pod-level requests can replace. */
const isPodLevel = (name: string): boolean => name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')

export function parseResources(quantities: Readonly<Record<string, Quantity>> | undefined): Amounts {
  const amounts: Amounts = new Map()
  for (const [name, quantity] of Object.entries(quantities ?? {}))
    amounts.set(name, name === 'cpu' ? quantityMilli(quantity) : quantityValue(quantity))
  return amounts
}

export function addResources(target: Amounts, amounts: Resources, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) target.set(name, (target.get(name) ?? 0) + sign * amount)
}

function raiseTo(target: Amounts, amounts: Resources): void {
  for (const [name, amount] of amounts) if (amount > (target.get(name) ?? 0)) target.set(name, amount)
}

/**
 * What a pod takes from a node. Containers and sidecars (init containers that restart always) run together; each other init container runs
 * alone beside the sidecars that began before it. The larger of the two counts, then overhead is added.
 *
 * ```
 * init a: 5, sidecar s: 1, init b: 3; containers: 2 + 1
 * a alone 5;  b beside s 4;  containers beside s 4   → 5
 * ```
 *
 * @param missing what a container counts for that does not request a resource named here.
 */
function podRequests(pod: Pod, missing: Resources | undefined): Resources {
  const { spec, status } = pod
  const isInfeasible = status?.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible') === true
  const requestsOf = (container: Container, statuses: readonly ContainerStatus[] | undefined): Amounts => {
    const requests = parseResources(container.resources?.requests)
    const actual = statuses?.find(({ name }) => name === container.name)
    // A resize in place is counted at its larger end until it has happened; one that never can is not counted.
    if (actual?.resources !== undefined || actual?.allocatedResources !== undefined) {
      if (isInfeasible) requests.clear()
      raiseTo(requests, parseResources(actual.resources?.requests))
      raiseTo(requests, parseResources(actual.allocatedResources))
    }
    if (missing !== undefined) for (const [name, amount] of missing) if (!requests.has(name)) requests.set(name, amount)
    return requests
  }

  const total: Amounts = new Map()
  for (const container of spec.containers) addResources(total, requestsOf(container, status?.containerStatuses))
  const sidecars: Amounts = new Map()
  const starting: Amounts = new Map()
  for (const container of spec.initContainers ?? []) {
    const requests = requestsOf(container, status?.initContainerStatuses)
    if (container.restartPolicy === 'Always') {
      addResources(total, requests)
      addResources(sidecars, requests)
      raiseTo(starting, sidecars)
    } else {
      addResources(requests, sidecars)
      raiseTo(starting, requests)
    }
  }
  raiseTo(total, starting)
  for (const [name, amount] of parseResources(spec.resources?.requests)) if (isPodLevel(name)) total.set(name, amount)
  addResources(total, parseResources(spec.overhead))
  return total
}

/** What the pod's node must have free. */
export function requestsOf(pod: Pod): Resources {
  return podRequests(pod, undefined)
}

/** The same with a guess for containers that request no CPU or memory, for scoring. */
export function nonZeroRequestsOf(pod: Pod): Resources {
  return podRequests(pod, defaultRequests)
}
