import type { Container, ContainerStatus, PodSpec, PodStatus, PodTemplateSpec, VolumeProjection } from '@k3s/api/types/core/v1'

/** Fields of features that are off by default: they stay only where they are in use already. */

const containersOf = ({ initContainers = [], containers = [], ephemeralContainers = [] }: PodSpec): readonly Container[] => [
  ...initContainers,
  ...containers,
  ...ephemeralContainers,
]
const sourcesOf = ({ volumes = [] }: PodSpec): readonly VolumeProjection[] => volumes.flatMap(({ projected }) => projected?.sources ?? [])
const hasStopSignal = ({ lifecycle }: Container): boolean => lifecycle?.stopSignal !== undefined

/** Drops them from a spec, in place. `previous` is the one that was stored; absent for a new object. */
export function dropAlphaFields(spec: PodSpec, previous?: PodSpec): void {
  if (previous?.schedulingGroup === undefined) delete spec.schedulingGroup
  for (const kind of ['clusterTrustBundle', 'podCertificate'] as const) {
    if (previous !== undefined && sourcesOf(previous).some((source) => source[kind] !== undefined)) continue
    for (const source of sourcesOf(spec)) delete source[kind]
  }
  if (previous !== undefined && containersOf(previous).some(hasStopSignal)) return
  for (const container of containersOf(spec).filter(hasStopSignal)) {
    const { stopSignal: _, ...lifecycle } = container.lifecycle ?? {}
    if (Object.keys(lifecycle).length === 0) delete container.lifecycle
    else container.lifecycle = lifecycle
  }
}

/** The same for the template of a workload, which may be missing. */
export function dropAlphaTemplateFields(template: PodTemplateSpec | undefined, previous?: PodTemplateSpec): void {
  if (template?.spec !== undefined) dropAlphaFields(template.spec, previous?.spec)
}

const mountsOf = (status: PodStatus | undefined): NonNullable<ContainerStatus['volumeMounts']> =>
  [status?.containerStatuses, status?.initContainerStatuses, status?.ephemeralContainerStatuses].flatMap((statuses = []) =>
    statuses.flatMap(({ volumeMounts = [] }) => volumeMounts),
  )

/** The same for a status. */
export function dropAlphaStatusFields(status: PodStatus, previous: PodStatus | undefined): void {
  if ((previous?.nodeAllocatableResourceClaimStatuses ?? []).length === 0) delete status.nodeAllocatableResourceClaimStatuses
  if (mountsOf(previous).some(({ volumeStatus }) => volumeStatus !== undefined)) return
  for (const mount of mountsOf(status)) delete mount.volumeStatus
}
