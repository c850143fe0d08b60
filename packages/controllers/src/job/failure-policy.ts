import type { PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement } from '@k3s/api/types/batch/v1'
import type { ContainerStatus, Pod } from '@k3s/api/types/core/v1'

/** What a pod failure policy says of a failed pod. */
export interface FailureVerdict {
  readonly action: 'Count' | 'Ignore' | 'FailIndex' | 'FailJob'
  /** Of a Job that fails by it. */
  readonly message: string
}

/** The action of the first rule that matches; `Count` without policy or match. */
export function judgeFailure(policy: PodFailurePolicy | undefined, pod: Pod): FailureVerdict {
  const name = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`
  for (const [index, { action, onExitCodes, onPodConditions }] of (policy?.rules ?? []).entries()) {
    const known = action as FailureVerdict['action'] // the API server admits these four only
    if (onExitCodes !== undefined) {
      const container = containerWithExitCode(pod, onExitCodes)
      if (container === undefined) continue
      const code = container.state?.terminated?.exitCode
      return {
        action: known,
        message: `Container ${container.name} for pod ${name} failed with exit code ${code} matching ${action} rule at index ${index}`,
      }
    }
    const condition = pod.status?.conditions?.find(({ type, status }) =>
      onPodConditions?.some((pattern) => pattern.type === type && (pattern.status ?? 'True') === status),
    )
    if (condition !== undefined)
      return { action: known, message: `Pod ${name} has condition ${condition.type} matching ${action} rule at index ${index}` }
  }
  return { action: 'Count', message: '' }
}

function containerWithExitCode(pod: Pod, requirement: PodFailurePolicyOnExitCodesRequirement): ContainerStatus | undefined {
  const { containerName, operator, values } = requirement
  return [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(({ name, state }) => {
    const code = state?.terminated?.exitCode ?? 0
    if (code === 0 || (containerName !== undefined && containerName !== name)) return false
    return operator === 'In' ? values.includes(code) : operator === 'NotIn' && !values.includes(code)
  })
}
