import { quantityMilli, quantityNanos, quantityValue } from '@k3s/api'
import type { Container, Pod, ResourceFieldSelector } from '@k3s/api/types/core/v1'

/** Addresses that a pod's fields may ask for before its status says them. */
export interface PodAddresses {
  readonly hostIps: readonly string[]
  readonly podIps: readonly string[]
}

/** A map as lines of `key="value"`, sorted by key, as downward API files show labels. */
export function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.keys(map ?? {})
    .toSorted()
    .map((key) => `${key}=${quote(map?.[key] ?? '')}`)
    .join('\n')
}

/** Go's %q for text: JSON's escapes are the same but for a few control characters. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll(/\\u00([0-9a-f]{2})/g, (whole, hex: string) =>
    hex === '07' ? '\\a' : hex === '0b' ? '\\v' : `\\x${hex}`,
  )
}

/** Value of a `fieldRef` path. Throws upstream's message for a path that no pod has. */
export function fieldValue(pod: Pod, path: string, addresses: PodAddresses): string {
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path)
  if (subscript !== null) {
    const map = subscript[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations
    return map?.[subscript[2] ?? ''] ?? ''
  }
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name
    case 'metadata.namespace':
      return pod.metadata.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata.uid ?? ''
    case 'metadata.labels':
      return formatMap(pod.metadata.labels)
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations)
    case 'spec.nodeName':
      return pod.spec.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? ''
    case 'status.hostIP':
      return addresses.hostIps[0] ?? ''
    case 'status.hostIPs':
      return addresses.hostIps.join(',')
    case 'status.podIP':
      return addresses.podIps[0] ?? ''
    case 'status.podIPs':
      return addresses.podIps.join(',')
    default:
      throw new Error(`unsupported fieldPath: ${path}`)
  }
}

/**
 * Value of a `resourceFieldRef`, divided by its divisor and rounded up.
 *
 * @param allocatable of the node: what a container without a limit may use.
 */
export function resourceValue(
  container: Container,
  selector: ResourceFieldSelector,
  allocatable: Readonly<Record<string, string>>,
): string {
  const [kind, ...rest] = selector.resource.split('.')
  const name = rest.join('.')
  if ((kind !== 'limits' && kind !== 'requests') || name === '') throw new Error(`unsupported container resource : ${selector.resource}`)
  const { limits, requests } = container.resources ?? {}
  const limit = limits?.[name] ?? (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' ? allocatable[name] : undefined)
  const quantity = kind === 'limits' ? limit : (requests?.[name] ?? limits?.[name])
  const divisor = selector.divisor === undefined || quantityNanos(selector.divisor) === 0n ? '1' : selector.divisor
  return name === 'cpu'
    ? String(Math.ceil(quantityMilli(quantity) / quantityMilli(divisor)))
    : String(Math.ceil(quantityValue(quantity) / quantityValue(divisor)))
}
