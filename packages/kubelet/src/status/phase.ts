import type { Container, ContainerStatus, Pod } from '@k3s/api/types/core/v1'
import { isRestartableInit, isStaticPod } from '../pods/pod-facts.ts'
import { restartsAfterExit, restartsAfterInitFailure } from '../sync/restart-policy.ts'

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'

const find = (statuses: readonly ContainerStatus[], container: Container): ContainerStatus | undefined =>
  statuses.find(({ name }) => name === container.name)

/** Exit code of the container's last end, when it does not run now. */
function endOf(status: ContainerStatus | undefined): number | undefined {
  return status?.state?.terminated?.exitCode ?? (status?.state?.waiting === undefined ? undefined : status.lastState?.terminated?.exitCode)
}

/**
 * The phase of a pod by its containers' statuses.
 *
 * @param isTerminating nothing is going to be started: what has stopped stays so.
 */
export function phaseOf(
  pod: Pod,
  initStatuses: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  isTerminating: boolean,
): PodPhase {
  const regular = pod.spec.containers.map((container) => ({ container, status: find(statuses, container) }))
  const hasStarted = regular.some(({ status }) => status?.state?.running !== undefined || endOf(status) !== undefined)
  let pendingInit = false
  for (const container of pod.spec.initContainers ?? []) {
    const status = find(initStatuses, container)
    if (isRestartableInit(container)) {
      if (status?.started !== true && !hasStarted) pendingInit = true
      continue
    }
    const exitCode = endOf(status)
    if (exitCode === undefined) pendingInit ||= !hasStarted
    else if (exitCode !== 0) {
      if (isTerminating || !restartsAfterInitFailure(pod, container, exitCode)) return 'Failed'
      pendingInit = true
    }
  }
  if (pendingInit) return 'Pending'
  const ends = regular.map(({ container, status }) => ({ container, exitCode: endOf(status), status }))
  if (ends.some(({ status, exitCode }) => status?.state?.running === undefined && exitCode === undefined)) return 'Pending'
  const sidecarRuns = (pod.spec.initContainers ?? []).some(
    (container) => isRestartableInit(container) && find(initStatuses, container)?.state?.running !== undefined,
  )
  if (sidecarRuns || ends.some(({ status }) => status?.state?.running !== undefined)) return 'Running'
  const isFinal = isTerminating && !isStaticPod(pod)
  const restarts = !isFinal && ends.some(({ container, exitCode = 0 }) => restartsAfterExit(pod, container, exitCode))
  if (restarts) return 'Running'
  return ends.every(({ exitCode }) => exitCode === 0) ? 'Succeeded' : 'Failed'
}
