import type { ContainerStatus, Pod, PodCondition, PodStatus } from '@k3s/api/types/core/v1'
import { formatTime, isRestartableInit, isTerminalPhase, qosClassOf } from '../pods/pod-facts.ts'
import { containerStatuses, type ContainerStatusInput } from './container-statuses.ts'
import { containersReadyCondition, initializedCondition, ownConditions, readyCondition, type Verdict } from './conditions.ts'
import { phaseOf, type PodPhase } from './phase.ts'

/** Says that the kubelet itself ended a pod: eviction, a deadline, a refused admission. */
export interface FailedVerdict {
  readonly reason: string
  readonly message: string
  readonly conditions?: readonly Verdict[] | undefined
}

export interface StatusInput extends ContainerStatusInput {
  readonly nodeIps: readonly string[]
  readonly nowMs: number
  readonly failure?: FailedVerdict | undefined
}

/**
 * The status of a pod, made anew from what its containers do. Only what has happened once and cannot be seen again is taken from
 * `previous`: the start time, times of transitions, an end of the pod, ends of containers whose records were collected.
 */
export function generateStatus(input: StatusInput): PodStatus {
  const { pod, state, previous, nodeIps, nowMs, failure } = input
  const init = containerStatuses(input, 'init', pod.spec.initContainers ?? [])
  const regular = containerStatuses(input, 'regular', pod.spec.containers)
  const ephemeral = containerStatuses(input, 'ephemeral', pod.spec.ephemeralContainers ?? [])
  const phase = decidePhase(input, phaseOf(pod, init, regular, input.isTerminating))
  const wasTerminal = isTerminalPhase(previous.phase)
  const [sandbox] = state.sandboxes
  const hasNetwork = sandbox?.isReady === true && (sandbox.isHostNetwork || sandbox.ips.length > 0)
  const others = (previous.conditions ?? []).filter(({ type }) => !ownConditions.has(type))
  const containersReady = containersReadyCondition(pod, init, regular, phase)
  const verdicts: readonly Verdict[] = [
    ...(failure?.conditions ?? []),
    { type: 'PodReadyToStartContainers', status: hasNetwork ? 'True' : 'False' },
    initializedCondition(pod, init, regular, phase),
    readyCondition(pod, containersReady, others),
    containersReady,
    { type: 'PodScheduled', status: 'True' },
  ]
  const replaced = new Set(verdicts.map(({ type }) => type))
  const podIps = pod.spec.hostNetwork === true ? nodeIps : hasNetwork ? sandbox.ips : (previous.podIPs ?? []).map(({ ip }) => ip)
  const reason = failure?.reason ?? (wasTerminal ? previous.reason : undefined)
  const message = failure?.message ?? (wasTerminal ? previous.message : undefined)
  const { generation } = pod.metadata
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    conditions: [
      ...verdicts.map((verdict) => withTimes(verdict, previous.conditions ?? [], nowMs, generation)),
      ...others.filter(({ type }) => !replaced.has(type)),
    ],
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
    ...(nodeIps[0] === undefined ? {} : { hostIP: nodeIps[0], hostIPs: nodeIps.map((ip) => ({ ip })) }),
    ...(podIps[0] === undefined ? {} : { podIP: podIps[0], podIPs: podIps.map((ip) => ({ ip })) }),
    startTime: previous.startTime ?? formatTime(nowMs),
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
    containerStatuses: regular,
    ...(ephemeral.length === 0 ? {} : { ephemeralContainerStatuses: ephemeral }),
    qosClass: previous.qosClass ?? qosClassOf(pod),
  }
}

/** An end is for ever: neither a new record nor a lost one takes a pod out of it. */
function decidePhase({ previous, failure }: StatusInput, computed: PodPhase): PodPhase {
  if (previous.phase === 'Failed' || previous.phase === 'Succeeded') return previous.phase
  return failure === undefined ? computed : 'Failed'
}

function withTimes(verdict: Verdict, previous: readonly PodCondition[], nowMs: number, generation: number | undefined): PodCondition {
  const before = previous.find(({ type }) => type === verdict.type)
  const lastTransitionTime =
    before !== undefined && before.status === verdict.status && before.lastTransitionTime !== undefined
      ? before.lastTransitionTime
      : formatTime(nowMs)
  return { ...verdict, lastTransitionTime, ...(generation === undefined ? {} : { observedGeneration: generation }) }
}

const lost = { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' }

const end = (container: ContainerStatus): ContainerStatus => ({
  ...container,
  ready: container.state?.terminated?.exitCode === 0 && container.ready,
  started: false,
  ...(container.state?.terminated === undefined ? { state: { terminated: container.lastState?.terminated ?? lost } } : {}),
})

const hasRun = ({ state, lastState }: ContainerStatus): boolean => lastState?.terminated !== undefined || state?.waiting === undefined

function isInitialized(pod: Pod, status: PodStatus): boolean {
  const init = pod.spec.initContainers ?? []
  if (init.length === 0 || (status.containerStatuses ?? []).some(hasRun)) return true
  const [spec, last] = [init.at(-1), status.initContainerStatuses?.at(-1)]
  if (spec !== undefined && isRestartableInit(spec)) return last?.started === true
  return last?.state?.terminated?.exitCode === 0 || last?.lastState?.terminated?.exitCode === 0
}

/**
 * What is told last of a pod that is gone: every container that was started, or had its turn, and was not seen to end counts as killed, and
 * the phase is final. Follows upstream's TerminatePod.
 */
export function finalStatus(pod: Pod, status: PodStatus): PodStatus {
  const { containerStatuses = [], initContainerStatuses, ephemeralContainerStatuses } = status
  const regular = isInitialized(pod, status)
    ? containerStatuses.map(end)
    : containerStatuses.map((container) => ({ ...container, ready: false, started: false }))
  const reached = Math.max(0, initContainerStatuses?.findLastIndex(hasRun) ?? 0)
  const phase = isTerminalPhase(status.phase)
    ? status.phase
    : regular.length > 0 && regular.every(({ state }) => state?.terminated?.exitCode === 0)
      ? 'Succeeded'
      : 'Failed'
  return {
    ...status,
    phase,
    containerStatuses: regular,
    ...(initContainerStatuses === undefined
      ? {}
      : { initContainerStatuses: initContainerStatuses.map((container, index) => (index <= reached ? end(container) : container)) }),
    ...(ephemeralContainerStatuses === undefined ? {} : { ephemeralContainerStatuses: ephemeralContainerStatuses.map(end) }),
  }
}
