import type { Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus } from '@k3s/api/types/core/v1'
import { formatTime, isRestartableInit, type PodContainer } from '../pods/pod-facts.ts'
import { newest, type ContainerRecord, type PodRuntimeState } from '../runtime/runtime-state.ts'
import { restartsAfterInitFailure, shouldStart } from '../sync/restart-policy.ts'

/** Why a container waits, as the last sync found. */
export interface WaitingReason {
  readonly reason: string
  readonly message: string
}

/** What the probes say of running containers. */
export interface ProbeStates {
  /** True when there is no startup probe or it has succeeded; `undefined` before its first verdict. */
  isStarted(containerId: string, container: Container): boolean | undefined
  /** True when there is no readiness probe or its last verdict was good; `undefined` before its first verdict. */
  isReady(containerId: string, container: Container): boolean | undefined
}

export interface ContainerStatusInput {
  readonly pod: Pod
  readonly state: PodRuntimeState
  /** The status as it was last told. */
  readonly previous: PodStatus
  readonly waiting: ReadonlyMap<string, WaitingReason>
  readonly probes: ProbeStates
  /** `containerd`: the scheme of container ids. */
  readonly runtimeName: string
  /** True once the pod is on its way out: nothing is going to be started. */
  readonly isTerminating: boolean
}

/** The statuses of one kind of containers, sorted by name as upstream does (init containers stay in the order of the spec). */
export function containerStatuses(
  input: ContainerStatusInput,
  kind: PodContainer['kind'],
  containers: readonly Container[],
): ContainerStatus[] {
  const statuses = containers.map((container) => statusOf(input, kind, container))
  return kind === 'init' ? statuses : statuses.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

function previousOf(previous: PodStatus, kind: PodContainer['kind'], name: string): ContainerStatus | undefined {
  const list =
    kind === 'init' ? previous.initContainerStatuses : kind === 'regular' ? previous.containerStatuses : previous.ephemeralContainerStatuses
  return list?.find((status) => status.name === name)
}

function statusOf(input: ContainerStatusInput, kind: PodContainer['kind'], container: Container): ContainerStatus {
  const { pod, state, probes } = input
  const previous = previousOf(input.previous, kind, container.name)
  const records = state.containers.filter(({ name }) => name === container.name)
  const [current, before] = records
  const status =
    current === undefined ? withoutRecord(input, kind, container, previous) : fromRecord(input, container, current, before, previous)
  const waiting = input.waiting.get(container.name)
  if (waiting !== undefined && !input.isTerminating && willStart(pod, kind, container, state)) {
    if (status.state?.terminated !== undefined) status.lastState = status.state
    status.state = { waiting: { reason: waiting.reason, ...(waiting.message === '' ? {} : { message: waiting.message }) } }
  }
  const isRunning = status.state?.running !== undefined && current !== undefined
  if (kind === 'ephemeral') return { ...status, ready: false }
  // Before the first verdict, what was told of this very container still holds: a kubelet that starts does not unready its pods.
  const told = previous?.containerID === status.containerID ? previous : undefined
  const started = isRunning && (probes.isStarted(current.id, container) ?? told?.started ?? false)
  const ready =
    kind === 'init' && !isRestartableInit(container)
      ? status.state?.terminated?.exitCode === 0
      : started && (probes.isReady(current.id, container) ?? told?.ready ?? false)
  return { ...status, ready, started }
}

function willStart(pod: Pod, kind: PodContainer['kind'], container: Container, state: PodRuntimeState): boolean {
  const record = newest(state, container.name)
  if (kind === 'ephemeral') return record === undefined
  if (kind === 'regular') return shouldStart(pod, container, record)
  if (record === undefined) return true
  if (record.state === 'running') return false
  if (record.state !== 'exited' || isRestartableInit(container)) return true
  return record.exitCode !== 0 && restartsAfterInitFailure(pod, container, record.exitCode)
}

function specPart(container: Container): Partial<ContainerStatus> {
  const { resources, volumeMounts = [] } = container
  return {
    ...(resources?.requests === undefined ? {} : { allocatedResources: { ...resources.requests } }),
    ...(resources === undefined || Object.keys(resources).length === 0
      ? {}
      : {
          resources: {
            ...(resources.limits === undefined ? {} : { limits: { ...resources.limits } }),
            ...(resources.requests === undefined ? {} : { requests: { ...resources.requests } }),
          },
        }),
    ...(volumeMounts.length === 0
      ? {}
      : {
          volumeMounts: volumeMounts.map(({ name, mountPath, readOnly }) => ({
            name,
            mountPath,
            ...(readOnly === true ? { readOnly, recursiveReadOnly: 'Disabled' } : {}),
          })),
        }),
  }
}

/** A container that the runtime does not have (yet, or any more). */
function withoutRecord(
  input: ContainerStatusInput,
  kind: PodContainer['kind'],
  container: Container,
  previous: ContainerStatus | undefined,
): ContainerStatus {
  // What ended stays ended, although its record was collected.
  if (
    previous?.state?.terminated !== undefined &&
    (input.isTerminating || (kind === 'init' && !isRestartableInit(container)) || kind === 'ephemeral')
  )
    return { ...previous }
  const reason = (input.pod.spec.initContainers ?? []).length > 0 ? 'PodInitializing' : 'ContainerCreating'
  const vanished = previous?.state?.running !== undefined
  const ended = previous?.state?.terminated === undefined ? previous?.lastState : previous.state
  return {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    ready: false,
    restartCount: (previous?.restartCount ?? 0) + (vanished ? 1 : 0),
    state: { waiting: { reason } },
    lastState: vanished
      ? {
          terminated: {
            exitCode: 137,
            reason: 'ContainerStatusUnknown',
            message: 'The container could not be located when the pod was deleted.  The container used to be Running',
          },
        }
      : (ended ?? {}),
    ...(vanished ? {} : specPart(container)),
  }
}

function terminated(record: ContainerRecord, runtimeName: string): ContainerStateTerminated {
  return {
    exitCode: record.exitCode,
    reason: record.reason === '' ? (record.exitCode === 0 ? 'Completed' : 'Error') : record.reason,
    ...(record.message === '' ? {} : { message: record.message }),
    ...(record.startedAtMs > 0 ? { startedAt: formatTime(record.startedAtMs) } : {}),
    ...(record.finishedAtMs > 0 ? { finishedAt: formatTime(record.finishedAtMs) } : {}),
    containerID: `${runtimeName}://${record.id}`,
  }
}

function stateOf(record: ContainerRecord, runtimeName: string): ContainerState {
  switch (record.state) {
    case 'running':
      return { running: { startedAt: formatTime(record.startedAtMs) } }
    case 'exited':
      return { terminated: terminated(record, runtimeName) }
    case 'unknown':
      return {
        terminated: {
          exitCode: 137,
          reason: 'ContainerStatusUnknown',
          message: 'The container could not be located when the pod was terminated',
          containerID: `${runtimeName}://${record.id}`,
        },
      }
    default:
      return { waiting: { reason: 'ContainerCreating' } }
  }
}

function fromRecord(
  { runtimeName }: ContainerStatusInput,
  container: Container,
  record: ContainerRecord,
  before: ContainerRecord | undefined,
  previous: ContainerStatus | undefined,
): ContainerStatus {
  const lastState =
    before !== undefined && before.state === 'exited'
      ? { terminated: terminated(before, runtimeName) }
      : record.restartCount > 0
        ? lastOf(previous, `${runtimeName}://${record.id}`)
        : {}
  const signal = container.lifecycle?.stopSignal
  return {
    name: container.name,
    image: record.image === '' ? (container.image ?? '') : record.image,
    imageID: record.imageRef,
    containerID: `${runtimeName}://${record.id}`,
    ready: false,
    restartCount: record.restartCount,
    state: stateOf(record, runtimeName),
    lastState,
    ...specPart(container),
    ...(record.user === undefined
      ? {}
      : { user: { linux: { uid: record.user.uid, gid: record.user.gid, supplementalGroups: [...record.user.supplementalGroups] } } }),
    ...(signal === undefined ? {} : { stopSignal: signal }),
  }
}

/** The last end that was told, unless it is this very container's. */
function lastOf(previous: ContainerStatus | undefined, containerID: string): ContainerState {
  if (previous?.state?.terminated !== undefined && previous.containerID !== containerID) return previous.state
  return previous?.lastState ?? {}
}
