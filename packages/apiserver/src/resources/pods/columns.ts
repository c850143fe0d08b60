import type { ContainerStatus, Pod } from '@k3s/api/types/core/v1'
import type { TableColumn } from '../../registry/strategy.ts'
import { age, ageColumn, column, nameColumn } from '../shared/columns.ts'

/** What `kubectl get pods` says about a pod. */
export interface PodSummary {
  readonly ready: number
  readonly total: number
  readonly status: string
  readonly restarts: number
  /** RFC 3339; undefined when no container has ended before. */
  readonly lastRestart: string | undefined
}

const hasCondition = (pod: Pod, type: string): boolean =>
  pod.status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false

const later = (left: string | undefined, right: string | undefined): string | undefined =>
  left === undefined || (right !== undefined && Date.parse(right) > Date.parse(left)) ? right : left

const endReason = (terminated: { reason?: string | undefined; signal?: number | undefined; exitCode: number }): string =>
  terminated.reason || ((terminated.signal ?? 0) === 0 ? `ExitCode:${terminated.exitCode}` : `Signal:${terminated.signal}`)

/** The state of the init containers: the reason of the first that is not done, if any. */
function summarizeInit(pod: Pod) {
  const sidecars = new Set(
    (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always').map(({ name }) => name),
  )
  let [ready, restarts, sidecarRestarts] = [0, 0, 0]
  let lastRestart: string | undefined
  let lastSidecarRestart: string | undefined
  let reason: string | undefined
  for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const { terminated, waiting } = container.state ?? {}
    const isSidecar = sidecars.has(container.name)
    const finished = container.lastState?.terminated?.finishedAt
    restarts += container.restartCount
    lastRestart = later(lastRestart, finished)
    if (isSidecar) {
      sidecarRestarts += container.restartCount
      lastSidecarRestart = later(lastSidecarRestart, finished)
    }
    if (terminated?.exitCode === 0) continue
    if (isSidecar && container.started === true) {
      if (container.ready) ready += 1
      continue
    }
    if (terminated !== undefined) reason = `Init:${endReason(terminated)}`
    else if ((waiting?.reason ?? '') !== '' && waiting?.reason !== 'PodInitializing') reason = `Init:${waiting?.reason}`
    else reason = `Init:${index}/${pod.spec.initContainers?.length ?? 0}`
    break
  }
  return { sidecars: sidecars.size, ready, restarts, sidecarRestarts, lastRestart, lastSidecarRestart, reason }
}

function summarizeContainers(pod: Pod, statuses: readonly ContainerStatus[], start: string) {
  let [ready, restarts] = [0, 0]
  let lastRestart: string | undefined
  let reason = start
  let errorReason = ''
  let hasRunning = false
  for (const container of statuses.toReversed()) {
    const { terminated, waiting, running } = container.state ?? {}
    restarts += container.restartCount
    lastRestart = later(lastRestart, container.lastState?.terminated?.finishedAt)
    if ((waiting?.reason ?? '') !== '') reason = waiting?.reason ?? ''
    else if (terminated !== undefined) {
      reason = endReason(terminated)
      if (terminated.exitCode !== 0) errorReason = reason
    } else if (container.ready && running !== undefined) {
      hasRunning = true
      ready += 1
    }
  }
  if (reason === 'Completed') {
    if (hasRunning && hasCondition(pod, 'Ready')) reason = 'Running'
    else if (errorReason !== '') reason = errorReason
    else if (hasRunning) reason = 'NotReady'
  }
  return { ready, restarts, lastRestart, reason }
}

/** Readiness, status and restarts in one look. Follows upstream's printPod. */
export function summarizePod(pod: Pod): PodSummary {
  const phase = pod.status?.phase ?? ''
  let status = pod.status?.reason || phase
  if (pod.status?.conditions?.some(({ type, reason }) => type === 'PodScheduled' && reason === 'SchedulingGated') === true)
    status = 'SchedulingGated'
  const init = summarizeInit(pod)
  status = init.reason ?? status
  let { ready, restarts, lastRestart } = init
  if (init.reason === undefined || hasCondition(pod, 'Initialized')) {
    const main = summarizeContainers(pod, pod.status?.containerStatuses ?? [], status)
    status = main.reason
    ready += main.ready
    restarts = init.sidecarRestarts + main.restarts
    lastRestart = later(init.lastSidecarRestart, main.lastRestart)
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (pod.status?.reason === 'NodeLost') status = 'Unknown'
    else if (phase !== 'Succeeded' && phase !== 'Failed') status = 'Terminating'
  }
  return { ready, total: (pod.spec.containers ?? []).length + init.sidecars, status, restarts, lastRestart }
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec.readinessGates ?? []
  if (gates.length === 0) return '<none>'
  const open = gates.filter(({ conditionType }) => pod.status?.conditions?.find(({ type }) => type === conditionType)?.status === 'True')
  return `${open.length}/${gates.length}`
}

function restartsCell(pod: Pod, nowMs: number): string {
  const { restarts, lastRestart } = summarizePod(pod)
  return restarts === 0 || lastRestart === undefined ? String(restarts) : `${restarts} (${age(lastRestart, nowMs)} ago)`
}

/** Columns of `kubectl get pods`. */
export const podColumns: readonly TableColumn<Pod>[] = [
  nameColumn(),
  column(
    'Ready',
    (pod) => {
      const { ready, total } = summarizePod(pod)
      return `${ready}/${total}`
    },
    { description: 'How many of the containers are ready' },
  ),
  column('Status', (pod) => summarizePod(pod).status, { description: 'State of the containers in one word' }),
  column('Restarts', (pod, { nowMs }) => restartsCell(pod, nowMs), { description: 'How often containers were restarted, and when last' }),
  ageColumn(),
  column('IP', (pod) => pod.status?.podIPs?.[0]?.ip || '<none>', { wide: true, description: 'First address of the pod' }),
  column('Node', (pod) => pod.spec.nodeName || '<none>', { wide: true, description: 'Node that runs the pod' }),
  column('Nominated Node', (pod) => pod.status?.nominatedNodeName || '<none>', {
    wide: true,
    description: 'Node on which room is being made for the pod',
  }),
  column('Readiness Gates', readinessGates, { wide: true, description: 'How many of the readiness gates are open' }),
]
