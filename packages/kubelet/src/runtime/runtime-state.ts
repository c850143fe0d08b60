import type {
  Container as CriContainer,
  ContainerStatus as CriContainerStatus,
  CriClient,
  PodSandbox,
  PodSandboxStatus,
} from '@k3s/cri-client'
import { isCriError } from '@k3s/cri-client'
import { readTerminationMessage } from './termination-message.ts'
import { annotation, label } from './labels.ts'

export interface SandboxRecord {
  readonly id: string
  readonly attempt: number
  readonly createdAtMs: number
  readonly isReady: boolean
  /** Empty for pods on the host's network and for sandboxes that have stopped. */
  readonly ips: readonly string[]
  readonly isHostNetwork: boolean
}

export interface ContainerRecord {
  readonly id: string
  readonly name: string
  readonly sandboxId: string
  readonly state: 'created' | 'running' | 'exited' | 'unknown'
  readonly restartCount: number
  readonly hash: string
  readonly image: string
  readonly imageRef: string
  readonly createdAtMs: number
  /** 0 when it never started. */
  readonly startedAtMs: number
  /** 0 while it runs. */
  readonly finishedAtMs: number
  readonly exitCode: number
  readonly reason: string
  /** The termination message, for exited containers. */
  readonly message: string
  readonly logPath: string
  /** From the annotations of the container: usable when its pod is no longer known. */
  readonly terminationGraceSeconds: number | undefined
  readonly preStop: string | undefined
  readonly user: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] } | undefined
}

/** Everything the runtime has of one pod. */
export interface PodRuntimeState {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  /** Newest first. */
  readonly sandboxes: readonly SandboxRecord[]
  /** Newest first; several of one name after restarts. */
  readonly containers: readonly ContainerRecord[]
}

/** The newest container of a name. */
export function newest(state: PodRuntimeState, name: string): ContainerRecord | undefined {
  return state.containers.find((container) => container.name === name)
}

export function isAnythingRunning(state: PodRuntimeState): boolean {
  return state.containers.some(({ state: s }) => s === 'running') || state.sandboxes.some(({ isReady }) => isReady)
}

/** Changes whenever a sandbox or container appears, vanishes or changes state. Comparable with that of lists, see {@link listSignature}. */
export function stateSignature(state: PodRuntimeState): string {
  return [
    ...state.sandboxes.map(({ id, isReady }) => `${id}=${isReady ? 'ready' : 'ended'}`),
    ...state.containers.map((record) => `${record.id}=${record.state}`),
  ]
    .toSorted()
    .join(' ')
}

/** One part of a signature, from an entry of a list. */
export function listSignature(entry: Pick<PodSandbox, 'id' | 'state'> | Pick<CriContainer, 'id' | 'state'>): string {
  const { id, state } = entry
  if (state === 'SANDBOX_READY' || state === 'SANDBOX_NOTREADY') return `${id}=${state === 'SANDBOX_READY' ? 'ready' : 'ended'}`
  return `${id}=${states[state]}`
}

const nanosToMs = (nanos: number): number => Math.trunc(nanos / 1e6)

const states = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
  CONTAINER_UNKNOWN: 'unknown',
  UNRECOGNIZED: 'unknown',
} as const

/** The state of a listed container in this package's words. */
export function containerState({ state }: Pick<CriContainer, 'state'>): ContainerRecord['state'] {
  return states[state]
}

/** Reads what the runtime has of a pod now: two lists and one status for each sandbox and container. */
export async function readPodState(
  cri: CriClient,
  pod: { readonly uid: string; readonly name: string; readonly namespace: string },
  signal?: AbortSignal,
): Promise<PodRuntimeState> {
  const filter = { labelSelector: { [label.podUid]: pod.uid } }
  const [sandboxes, containers] = await Promise.all([
    cri.listPodSandbox({ filter }, { signal }),
    cri.listContainers({ filter }, { signal }),
  ])
  const [sandboxRecords, containerRecords] = await Promise.all([
    Promise.all(sandboxes.items.map((sandbox) => readSandbox(cri, sandbox, signal))),
    Promise.all(containers.containers.map((container) => readContainer(cri, container, signal))),
  ])
  return {
    ...pod,
    sandboxes: sandboxRecords
      .filter((record) => record !== undefined)
      .toSorted((a, b) => b.createdAtMs - a.createdAtMs || b.attempt - a.attempt),
    containers: containerRecords
      .filter((record) => record !== undefined)
      .toSorted((a, b) => b.createdAtMs - a.createdAtMs || b.restartCount - a.restartCount),
  }
}

async function readSandbox(cri: CriClient, sandbox: PodSandbox, signal: AbortSignal | undefined): Promise<SandboxRecord | undefined> {
  let status: PodSandboxStatus | undefined
  try {
    status = (await cri.podSandboxStatus({ podSandboxId: sandbox.id }, { signal })).status
  } catch (error) {
    if (isCriError(error, 'NOT_FOUND')) return undefined // removed since it was listed
    throw error
  }
  const isHostNetwork = status?.linux?.namespaces?.options?.network === 'NODE'
  const ips = [status?.network?.ip ?? '', ...(status?.network?.additionalIps ?? []).map(({ ip }) => ip)].filter((ip) => ip !== '')
  return {
    id: sandbox.id,
    attempt: sandbox.metadata?.attempt ?? 0,
    createdAtMs: nanosToMs(sandbox.createdAt),
    isReady: (status?.state ?? sandbox.state) === 'SANDBOX_READY',
    ips: isHostNetwork ? [] : ips,
    isHostNetwork,
  }
}

async function readContainer(
  cri: CriClient,
  container: CriContainer,
  signal: AbortSignal | undefined,
): Promise<ContainerRecord | undefined> {
  let status: CriContainerStatus | undefined
  try {
    status = (await cri.containerStatus({ containerId: container.id }, { signal })).status
  } catch (error) {
    if (isCriError(error, 'NOT_FOUND')) return undefined // removed since it was listed
    throw error
  }
  if (status === undefined) return undefined
  const { annotations } = container
  const state = states[status.state]
  const grace = annotations[annotation.podDeletionGracePeriod] ?? annotations[annotation.podTerminationGracePeriod]
  const user = status.user?.linux
  return {
    id: container.id,
    name: container.labels[label.containerName] ?? container.metadata?.name ?? '',
    sandboxId: container.podSandboxId,
    state,
    restartCount: Number(annotations[annotation.restartCount] ?? container.metadata?.attempt ?? 0),
    hash: annotations[annotation.hash] ?? '',
    image: status.image?.image ?? container.image?.image ?? '',
    imageRef: status.imageRef,
    createdAtMs: nanosToMs(status.createdAt),
    startedAtMs: nanosToMs(status.startedAt),
    finishedAtMs: nanosToMs(status.finishedAt),
    exitCode: status.exitCode,
    reason: status.reason,
    message: state === 'exited' ? await readTerminationMessage(status, annotations) : '',
    logPath: status.logPath,
    terminationGraceSeconds: grace === undefined ? undefined : Number(grace),
    preStop: annotations[annotation.preStopHandler],
    user: user === undefined ? undefined : { uid: user.uid, gid: user.gid, supplementalGroups: user.supplementalGroups },
  }
}
