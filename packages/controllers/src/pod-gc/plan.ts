import type { Node, Pod } from '@k3s/api/types/core/v1'
import { isConditionTrue } from '../kit/conditions.ts'
import { byCreation } from '../kit/owners.ts'
import { isPodTerminal } from '../kit/pods.ts'

export interface PodGcPlan {
  /** Ended pods beyond the threshold, oldest first. */
  readonly ended: readonly Pod[]
  /** Being deleted without ever having been bound: no kubelet will finish it. */
  readonly unscheduled: readonly Pod[]
  /** Being deleted on a node that is not ready and was declared out of service. */
  readonly outOfService: readonly Pod[]
  /** Bound to a node that the cache does not have: to be verified. */
  readonly orphaned: readonly Pod[]
}

/** Finds pods that nobody else will remove. A threshold of 0 keeps all ended pods. */
export function planPodGc(pods: readonly Pod[], nodeOf: (name: string) => Node | undefined, threshold: number): PodGcPlan {
  const isGoing = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined
  const ended = pods.filter(isPodTerminal).toSorted(byCreation)
  const bound = pods.filter(({ spec }) => (spec.nodeName ?? '') !== '')
  return {
    ended: threshold === 0 ? [] : ended.slice(0, Math.max(0, ended.length - threshold)),
    unscheduled: pods.filter((pod) => isGoing(pod) && (pod.spec.nodeName ?? '') === ''),
    outOfService: bound.filter((pod) => {
      const node = nodeOf(pod.spec.nodeName ?? '')
      const isOut = node?.spec.taints?.some(({ key }) => key === 'node.kubernetes.io/out-of-service') === true
      return isOut && isGoing(pod) && !isConditionTrue(node?.status?.conditions, 'Ready')
    }),
    orphaned: bound.filter(({ spec }) => nodeOf(spec.nodeName ?? '') === undefined),
  }
}
