import type { Container, ContainerStatus, Pod, PodCondition } from '@k3s/api/types/core/v1'
import { isRestartableInit } from '../pods/pod-facts.ts'
import type { PodPhase } from './phase.ts'

/** A condition without times: those depend on what was told before. */
export type Verdict = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>

/** The condition types that the kubelet owns; all others on a pod belong to others and are left alone. */
export const ownConditions: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
])

const no = (type: string, reason: string, message?: string): Verdict => ({
  type,
  status: 'False',
  reason,
  ...(message === undefined ? {} : { message }),
})

const names = (containers: readonly Container[]): string => `[${containers.map(({ name }) => name).join(' ')}]`

export function initializedCondition(
  pod: Pod,
  initStatuses: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  phase: PodPhase,
): Verdict {
  const type = 'Initialized'
  const containers = pod.spec.initContainers ?? []
  const find = (container: Container): ContainerStatus | undefined => initStatuses.find(({ name }) => name === container.name)
  const unknown = containers.filter((container) => find(container) === undefined)
  if (phase === 'Succeeded' && unknown.length === 0) return { type, status: 'True', reason: 'PodCompleted' }
  const hasStarted = statuses.some(({ state, lastState }) => state?.running ?? state?.terminated ?? lastState?.terminated)
  if (hasStarted) return { type, status: 'True' }
  const incomplete = containers.filter((container) => {
    const status = find(container)
    return status !== undefined && (isRestartableInit(container) ? status.started !== true : !status.ready)
  })
  const messages = [
    ...(unknown.length > 0 ? [`containers with unknown status: ${names(unknown)}`] : []),
    ...(incomplete.length > 0 ? [`containers with incomplete status: ${names(incomplete)}`] : []),
  ]
  return messages.length === 0 ? { type, status: 'True' } : no(type, 'ContainersNotInitialized', messages.join(', '))
}

export function containersReadyCondition(
  pod: Pod,
  initStatuses: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  phase: PodPhase,
): Verdict {
  const type = 'ContainersReady'
  if (phase === 'Succeeded') return no(type, 'PodCompleted')
  if (phase === 'Failed') return no(type, 'PodFailed')
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => isRestartableInit(container))
  const all = [
    ...sidecars.map((container) => ({ container, status: initStatuses.find(({ name }) => name === container.name) })),
    ...pod.spec.containers.map((container) => ({ container, status: statuses.find(({ name }) => name === container.name) })),
  ]
  const unknown = all.filter(({ status }) => status === undefined).map(({ container }) => container)
  const unready = all.filter(({ status }) => status !== undefined && !status.ready).map(({ container }) => container)
  const messages = [
    ...(unknown.length > 0 ? [`containers with unknown status: ${names(unknown)}`] : []),
    ...(unready.length > 0 ? [`containers with unready status: ${names(unready)}`] : []),
  ]
  return messages.length === 0 ? { type, status: 'True' } : no(type, 'ContainersNotReady', messages.join(', '))
}

export function readyCondition(pod: Pod, containersReady: Verdict, conditions: readonly PodCondition[]): Verdict {
  const type = 'Ready'
  if (containersReady.status !== 'True') return { ...containersReady, type }
  const messages: string[] = []
  for (const { conditionType } of pod.spec.readinessGates ?? []) {
    const condition = conditions.find((candidate) => candidate.type === conditionType)
    if (condition === undefined) messages.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`)
    else if (condition.status !== 'True')
      messages.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`)
  }
  return messages.length === 0 ? { type, status: 'True' } : no(type, 'ReadinessGatesNotReady', messages.join(', '))
}
