import type { Container, Pod } from '@k3s/api/types/core/v1'
import type { ContainerRecord } from '../runtime/runtime-state.ts'
import { isRestartableInit } from '../pods/pod-facts.ts'

/** Whether an ordinary or init container that ended with `exitCode` runs again. Its own policy and rules win over the pod's. */
export function restartsAfterExit(pod: Pod, container: Container, exitCode: number): boolean {
  for (const rule of container.restartPolicyRules ?? []) {
    const { operator, values = [] } = rule.exitCodes ?? { operator: '' }
    const matches = (operator === 'In' && values.includes(exitCode)) || (operator === 'NotIn' && !values.includes(exitCode))
    if (matches) return rule.action === 'Restart'
  }
  const policy = container.restartPolicy ?? pod.spec.restartPolicy ?? 'Always'
  if (policy === 'Never') return false
  return policy === 'OnFailure' ? exitCode !== 0 : true
}

/** Whether an init container that failed runs again; a pod with `Always` retries its init containers as one with `OnFailure` does. */
export function restartsAfterInitFailure(pod: Pod, container: Container, exitCode: number): boolean {
  return isRestartableInit(container) || restartsAfterExit(pod, container, exitCode)
}

/** Whether an ordinary container should be started, given its newest record. */
export function shouldStart(pod: Pod, container: Container, record: ContainerRecord | undefined): boolean {
  if (record === undefined) return true
  if (record.state === 'running') return false
  if (record.state === 'created' || record.state === 'unknown') return true
  return restartsAfterExit(pod, container, record.exitCode)
}
