import type { Container, Pod } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { isRestartableInit } from '../pods/pod-facts.ts'
import { containerHash } from '../runtime/labels.ts'
import { newest, type ContainerRecord, type PodRuntimeState } from '../runtime/runtime-state.ts'
import { restartsAfterExit, restartsAfterInitFailure, shouldStart } from './restart-policy.ts'

/** The last verdict of a container's probe; `undefined` while there is none. */
export interface ProbeVerdicts {
  startup(containerId: string): boolean | undefined
  liveness(containerId: string): boolean | undefined
}

export interface ContainerKill {
  readonly record: ContainerRecord
  readonly container: Container | undefined
  /** For the event: why. */
  readonly message: string
  readonly reason: 'StartupProbe' | 'LivenessProbe' | 'Unknown'
}

export interface ContainerStart {
  readonly kind: 'init' | 'regular' | 'ephemeral'
  readonly container: Container
  /** Ephemeral containers only: whose process namespace it joins. */
  readonly targetContainerName?: string | undefined
}

/** What has to be done to bring a pod one step on. Performed in the order of the fields. */
export interface SyncPlan {
  /** Stops every container and the sandbox; nothing else of the plan but `sandbox` and what follows it is done then. */
  readonly killPod: boolean
  readonly kill: readonly ContainerKill[]
  /** A new sandbox is made with this attempt number. */
  readonly newSandboxAttempt: number | undefined
  /** The sandbox that containers start in, when it is there already. */
  readonly sandboxId: string | undefined
  /** Ephemeral ones first, then init, then ordinary ones. */
  readonly start: readonly ContainerStart[]
}

const nothing: SyncPlan = { killPod: false, kill: [], newSandboxAttempt: undefined, sandboxId: undefined, start: [] }

/**
 * Decides what a pod that should run needs next: a sandbox, its init containers one after the other, then all ordinary ones.
 * Back-off is not looked at here: whoever performs the plan skips containers that have to wait. Follows upstream's computePodActions.
 */
export function planSync(pod: Pod, state: PodRuntimeState, probes: ProbeVerdicts): SyncPlan {
  const sandbox = sandboxDecision(pod, state)
  if (sandbox.isNew) return planNewSandbox(pod, state, sandbox.attempt)
  const start: ContainerStart[] = []
  const kill: ContainerKill[] = []
  for (const ephemeral of pod.spec.ephemeralContainers ?? [])
    if (newest(state, ephemeral.name) === undefined)
      start.push({ kind: 'ephemeral', container: ephemeral, targetContainerName: ephemeral.targetContainerName })

  const init = planInit(pod, state, probes, sandbox.id)
  if (init.killPod) return { ...nothing, killPod: true, sandboxId: sandbox.id }
  append(start, init.start)
  append(kill, init.kill)
  if (!init.isInitialized) return { ...nothing, kill, sandboxId: sandbox.id, start }

  let kept = 0
  const regular: ContainerStart[] = []
  for (const container of pod.spec.containers) {
    const record = newest(state, container.name)
    if (record === undefined || record.state !== 'running') {
      if (!shouldStart(pod, container, record)) continue
      regular.push({ kind: 'regular', container })
      if (record?.state === 'unknown')
        kill.push({ record, container, reason: 'Unknown', message: `Container is in "unknown" state, try killing it before restart` })
      continue
    }
    const reason = killReason(pod, container, record, probes)
    if (reason === undefined) {
      kept++
      continue
    }
    if (reason.restart) regular.push({ kind: 'regular', container })
    kill.push({
      record,
      container,
      reason: reason.reason,
      message: reason.restart ? `${reason.message}, will be restarted` : reason.message,
    })
  }
  append(start, regular)
  if (kept === 0 && regular.length === 0) return { ...nothing, killPod: true, sandboxId: sandbox.id }
  return { ...nothing, kill, sandboxId: sandbox.id, start }
}

function sandboxDecision(
  pod: Pod,
  state: PodRuntimeState,
): { readonly isNew: true; readonly attempt: number } | { readonly isNew: false; readonly id: string } {
  const [latest] = state.sandboxes
  if (latest === undefined) return { isNew: true, attempt: 0 }
  const ready = state.sandboxes.filter(({ isReady }) => isReady)
  const attempt = latest.attempt + 1
  if (ready.length > 1 || !latest.isReady) return { isNew: true, attempt }
  if (latest.isHostNetwork !== (pod.spec.hostNetwork === true)) return { isNew: true, attempt }
  if (!latest.isHostNetwork && latest.ips.length === 0) return { isNew: true, attempt }
  return { isNew: false, id: latest.id }
}

function planNewSandbox(pod: Pod, state: PodRuntimeState, attempt: number): SyncPlan {
  const hasHistory = attempt > 0 && state.containers.length > 0
  const stays = (container: Container): boolean => {
    const record = newest(state, container.name)
    return record?.state === 'exited' && !restartsAfterExit(pod, container, record.exitCode)
  }
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  const neverRestarts = all.every((container) => (container.restartPolicy ?? pod.spec.restartPolicy) === 'Never')
  // A pod that may not restart is over when its sandbox died under it.
  if (hasHistory && neverRestarts) return { ...nothing, killPod: true }
  if (pod.spec.containers.every((container) => stays(container))) return { ...nothing, killPod: true }
  const [firstInit] = pod.spec.initContainers ?? []
  const start: ContainerStart[] =
    firstInit === undefined
      ? pod.spec.containers.filter((container) => !stays(container)).map((container) => ({ kind: 'regular', container }))
      : [{ kind: 'init', container: firstInit }]
  return { ...nothing, killPod: state.sandboxes.length > 0, newSandboxAttempt: attempt, start }
}

function killReason(
  pod: Pod,
  container: Container,
  record: ContainerRecord,
  probes: ProbeVerdicts,
): { readonly reason: ContainerKill['reason']; readonly message: string; readonly restart: boolean } | undefined {
  if (record.hash !== '' && record.hash !== containerHash(container))
    return { reason: 'Unknown', message: `Container ${container.name} definition changed`, restart: true }
  const restart = isRestartableInit(container) || (container.restartPolicy ?? pod.spec.restartPolicy) !== 'Never'
  if (probes.liveness(record.id) === false)
    return { reason: 'LivenessProbe', message: `Container ${container.name} failed liveness probe`, restart }
  if (probes.startup(record.id) === false)
    return { reason: 'StartupProbe', message: `Container ${container.name} failed startup probe`, restart }
  return undefined
}

interface InitPlan {
  readonly isInitialized: boolean
  readonly killPod: boolean
  readonly start: readonly ContainerStart[]
  readonly kill: readonly ContainerKill[]
}

/**
 * Init containers are looked at from the last to the first: the newest one that ran says how far the pod has come, even when
 * records of earlier ones were collected. Only records of the present sandbox count: a new sandbox initializes anew.
 */
function planInit(pod: Pod, state: PodRuntimeState, probes: ProbeVerdicts, sandboxId: string): InitPlan {
  const containers = pod.spec.initContainers ?? []
  if (containers.length === 0) return { isInitialized: true, killPod: false, start: [], kill: [] }
  const current = { ...state, containers: state.containers.filter((record) => record.sandboxId === sandboxId) }
  let isInitialized = pod.spec.containers.some(({ name }) => newest(current, name) !== undefined)
  let isReached = isInitialized
  const starts = new Set<number>()
  const kill: ContainerKill[] = []
  for (let index = containers.length - 1; index >= 0; index--) {
    const container = containers[index]
    if (container === undefined) continue
    const restartable = isRestartableInit(container)
    const record = newest(current, container.name)
    if (record === undefined) {
      if (isReached && restartable) starts.add(index)
      continue
    }
    if (isReached && !restartable) continue
    const next = (): void => {
      if (isReached) return
      if (index === containers.length - 1) isInitialized = true
      else starts.add(index + 1)
    }
    switch (record.state) {
      case 'created':
        starts.add(index)
        break
      case 'running': {
        if (!restartable) break
        if (container.startupProbe !== undefined && probes.startup(record.id) === undefined) break
        const reason = killReason(pod, container, record, probes)
        if (reason !== undefined) {
          kill.push({
            record,
            container,
            reason: reason.reason,
            message: `Init container ${container.name} ${reason.message.replace(/^Container \S+ /, '')}, will be restarted`,
          })
          starts.add(index)
          if (reason.reason === 'StartupProbe') break
        }
        next()
        break
      }
      case 'exited':
        if (restartable) starts.add(index)
        else if (record.exitCode === 0) next()
        else if (restartsAfterInitFailure(pod, container, record.exitCode)) starts.add(index)
        else return { isInitialized: false, killPod: true, start: [], kill: [] }
        break
      case 'unknown':
        if (!restartable && (container.restartPolicy ?? pod.spec.restartPolicy) === 'Never')
          return { isInitialized: false, killPod: true, start: [], kill: [] }
        kill.push({ record, container, reason: 'Unknown', message: 'Init container is in "unknown" state, try killing it before restart' })
        starts.add(index)
        break
    }
    isReached = true
  }
  if (!isReached) starts.add(0)
  const start = [...starts]
    .toSorted((a, b) => a - b)
    .flatMap((index): ContainerStart[] => {
      const container = containers[index]
      return container === undefined ? [] : [{ kind: 'init', container }]
    })
  return { isInitialized, killPod: false, start, kill }
}
