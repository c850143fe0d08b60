import { quantityMilli, quantityValue, type Quantity } from '@k3s/api'
import type { Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration } from '@k3s/api/types/core/v1'
import { podRequest } from '../resources/amounts.ts'
import { forbiddenSysctl } from '../runtime/sandbox-config.ts'
import type { FailedVerdict } from '../status/generate-status.ts'
import { isCriticalPod, isStaticPod, qosClassOf } from './pod-facts.ts'

export interface AdmissionInput {
  readonly pod: Pod
  /** The pods that were let in and have not ended. */
  readonly others: readonly Pod[]
  readonly node: Pick<Node, 'metadata' | 'spec'>
  readonly allocatable: Readonly<Record<string, Quantity>>
  readonly allowedUnsafeSysctls: readonly string[]
  /** Conditions of the node that keep pods out. */
  readonly pressures: ReadonlySet<'MemoryPressure' | 'DiskPressure' | 'PIDPressure'>
}

/** Whether the node takes a pod that was bound to it: the scheduler may have raced, or been passed by. `undefined` means yes. Follows upstream's reasons. */
export function admit(input: AdmissionInput): FailedVerdict | undefined {
  const { pod, pressures } = input
  const sysctl = forbiddenSysctl(pod, input.allowedUnsafeSysctls)
  if (sysctl !== undefined) return { reason: 'SysctlForbidden', message: `forbidden sysctl: "${sysctl}" not allowlisted` }
  if (pressures.size > 0 && !isCriticalPod(pod)) {
    const onlyMemory = pressures.size === 1 && pressures.has('MemoryPressure')
    if (!onlyMemory || qosClassOf(pod) === 'BestEffort')
      return { reason: 'Evicted', message: `The node had condition: [${[...pressures].join(' ')}]. ` }
  }
  return checkPorts(input) ?? checkResources(input) ?? checkNode(input)
}

function checkResources({ pod, others, allocatable }: AdmissionInput): FailedVerdict | undefined {
  const podLimit = quantityValue(allocatable['pods'])
  const outOf = (resource: string, requested: number, used: number, capacity: number): FailedVerdict => ({
    reason: `OutOf${resource}`,
    message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  })
  if (podLimit > 0 && others.length + 1 > podLimit) return outOf('pods', 1, others.length, podLimit)
  const names = new Set(
    [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].flatMap(({ resources }) =>
      Object.keys({ ...resources?.requests, ...resources?.limits }),
    ),
  )
  for (const name of names) {
    const requested = podRequest(pod, name)
    if (requested === 0) continue
    const capacity = name === 'cpu' ? quantityMilli(allocatable[name]) : quantityValue(allocatable[name])
    const used = others.reduce((sum, other) => sum + podRequest(other, name), 0)
    if (requested > capacity - used) return outOf(name, requested, used, capacity)
  }
  return undefined
}

function hostPorts(pod: Pod): readonly string[] {
  return pod.spec.containers.flatMap(({ ports }) =>
    (ports ?? [])
      .map(({ hostPort, containerPort, hostIP, protocol }) => ({
        port: hostPort ?? (pod.spec.hostNetwork === true ? containerPort : 0),
        ip: hostIP === undefined || hostIP === '' ? '0.0.0.0' : hostIP,
        protocol: protocol ?? 'TCP',
      }))
      .filter(({ port }) => port > 0)
      .map(({ port, ip, protocol }) => `${protocol} ${port} ${ip}`),
  )
}

function checkPorts({ pod, others }: AdmissionInput): FailedVerdict | undefined {
  const taken = others.flatMap((other) => hostPorts(other))
  const collides = hostPorts(pod).some((wanted) => {
    const [protocol, port, ip] = wanted.split(' ')
    return taken.some((other) => {
      const [otherProtocol, otherPort, otherIp] = other.split(' ')
      return protocol === otherProtocol && port === otherPort && (ip === otherIp || ip === '0.0.0.0' || otherIp === '0.0.0.0')
    })
  })
  return collides
    ? {
        reason: 'NodePorts',
        message: "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
      }
    : undefined
}

function checkNode({ pod, node }: AdmissionInput): FailedVerdict | undefined {
  const labels = node.metadata.labels ?? {}
  const selector = Object.entries(pod.spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value)
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  const affinity = required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, labels, node.metadata.name))
  if (!selector || !affinity)
    return { reason: 'NodeAffinity', message: `Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector` }
  // The scheduler keeps off NoSchedule taints; the kubelet itself only knows NoExecute, and static pods are above both.
  const taint = isStaticPod(pod)
    ? undefined
    : (node.spec.taints ?? []).find((candidate) => candidate.effect === 'NoExecute' && !tolerates(pod.spec.tolerations ?? [], candidate))
  return taint === undefined
    ? undefined
    : { reason: 'TaintToleration', message: `Predicate TaintToleration failed: node(s) had untolerated taint(s)` }
}

function matchesTerm(term: NodeSelectorTerm, labels: Readonly<Record<string, string>>, nodeName: string): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  if (matchExpressions.length + matchFields.length === 0) return false
  return (
    matchExpressions.every((requirement) => matchesRequirement(requirement, labels[requirement.key])) &&
    matchFields.every((requirement) => matchesRequirement(requirement, requirement.key === 'metadata.name' ? nodeName : undefined))
  )
}

function matchesRequirement({ operator, values = [] }: NodeSelectorRequirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0])
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0])
    default:
      return false
  }
}

function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some(({ key = '', operator = 'Equal', value = '', effect = '' }) => {
    if (effect !== '' && effect !== taint.effect) return false
    if (key !== '' && key !== taint.key) return false
    return operator === 'Exists' || (key !== '' && value === (taint.value ?? ''))
  })
}
