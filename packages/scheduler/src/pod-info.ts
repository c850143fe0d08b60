import { matchesSelector, objectKey, selectorOf, type Selector } from '@k3s/api'
import type { Pod, PodAffinityTerm } from '@k3s/api/types/core/v1'
import { nonZeroRequestsOf, requestsOf, type Resources } from './pod-resources.ts'

export interface HostPort {
  readonly protocol: string
  readonly port: number
  /** `0.0.0.0` for all addresses. */
  readonly ip: string
}

/** A pod (anti-)affinity term in the form that is matched. */
export interface AffinityTerm {
  readonly namespaces: ReadonlySet<string>
  /** Undefined selects no namespace beyond `namespaces`. */
  readonly namespaceSelector: Selector | undefined
  /** Undefined selects no pod. */
  readonly selector: Selector | undefined
  readonly topologyKey: string
  /** 0 for required terms. */
  readonly weight: number
}

/** A pod with what scheduling reads of it, worked out once. */
export interface PodInfo {
  readonly pod: Pod
  readonly uid: string
  /** `namespace/name`. */
  readonly key: string
  readonly namespace: string
  readonly priority: number
  readonly requests: Resources
  readonly nonZeroRequests: Resources
  readonly hostPorts: readonly HostPort[]
  readonly requiredAffinity: readonly AffinityTerm[]
  readonly requiredAntiAffinity: readonly AffinityTerm[]
  readonly preferredAffinity: readonly AffinityTerm[]
  readonly preferredAntiAffinity: readonly AffinityTerm[]
  /** True when it has any of the four. */
  readonly hasAffinity: boolean
}

export function podInfoOf(pod: Pod): PodInfo {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {}
  const namespace = pod.metadata.namespace ?? ''
  const required = (terms: readonly PodAffinityTerm[] | undefined): readonly AffinityTerm[] =>
    (terms ?? []).map((term) => parseTerm(term, namespace, 0))
  const preferred = (terms: readonly { readonly podAffinityTerm: PodAffinityTerm; readonly weight: number }[] | undefined) =>
    (terms ?? []).map(({ podAffinityTerm, weight }) => parseTerm(podAffinityTerm, namespace, weight))
  const terms = {
    requiredAffinity: required(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    requiredAntiAffinity: required(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferredAffinity: preferred(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    preferredAntiAffinity: preferred(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
  }
  return {
    pod,
    uid: pod.metadata.uid ?? objectKey(pod),
    key: objectKey(pod),
    namespace,
    priority: pod.spec.priority ?? 0,
    requests: requestsOf(pod),
    nonZeroRequests: nonZeroRequestsOf(pod),
    hostPorts: hostPortsOf(pod),
    ...terms,
    hasAffinity: Object.values(terms).some(({ length }) => length > 0),
  }
}

function parseTerm(term: PodAffinityTerm, podNamespace: string, weight: number): AffinityTerm {
  const { namespaces = [], namespaceSelector, labelSelector, topologyKey } = term
  const isOwn = namespaces.length === 0 && namespaceSelector === undefined
  return {
    namespaces: new Set(isOwn ? [podNamespace] : namespaces),
    namespaceSelector: selectorOf(namespaceSelector),
    selector: selectorOf(labelSelector),
    topologyKey,
    weight,
  }
}

/** Labels of a namespace; undefined when it is not known. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined

/** True when the term selects the pod. */
export function termMatches(term: AffinityTerm, { pod, namespace }: PodInfo, namespaceLabels: NamespaceLabels): boolean {
  if (term.selector === undefined || !matchesSelector(term.selector, pod.metadata.labels)) return false
  if (term.namespaces.has(namespace)) return true
  return term.namespaceSelector !== undefined && matchesSelector(term.namespaceSelector, namespaceLabels(namespace))
}

function hostPortsOf({ spec }: Pod): readonly HostPort[] {
  const running = [...spec.containers, ...(spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')]
  return running
    .flatMap(({ ports }) => ports ?? [])
    .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
    .map(({ hostPort = 0, hostIP, protocol }) => ({ port: hostPort, ip: hostIP || anyIp, protocol: protocol ?? 'TCP' }))
}

export const anyIp = '0.0.0.0'
