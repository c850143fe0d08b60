import type { Pod, PodCondition } from '@k3s/api/types/core/v1'

/** Adds or replaces the condition of its type; `now` becomes its transition time when the status changed. */
export function setPodCondition(pod: Pod, condition: PodCondition, now: string): void {
  const status = (pod.status ??= {})
  const conditions = (status.conditions ??= [])
  const index = conditions.findIndex(({ type }) => type === condition.type)
  const old = conditions[index]
  const isSame = old?.status === condition.status
  // Who does not know what generations are does not forget them.
  const observed = old?.observedGeneration === undefined ? {} : { observedGeneration: old.observedGeneration }
  const next: PodCondition = { ...observed, ...condition, lastTransitionTime: isSame ? old.lastTransitionTime : now }
  if (old === undefined) conditions.push(next)
  else conditions[index] = next
}

/** True when the pod's Ready condition is True. */
export function isPodReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}
