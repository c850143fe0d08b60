import type { Pod, Taint } from '@k3s/api/types/core/v1'
import { leastOf } from '@k3s/lifecycle'
import { findCondition } from '../kit/conditions.ts'
import { tolerates } from '../kit/node-fit.ts'
import { parseTime } from '../kit/time.ts'

/**
 * When a pod must leave its node because of NoExecute taints, in milliseconds since the epoch; `undefined` when it may stay.
 *
 * A taint that is not tolerated counts from at once. Tolerations with `tolerationSeconds` count from when the taint was added (by
 * `firstSeenMs`, where it does not say) or the pod was bound, whichever is later; the shortest decides.
 */
export function evictionTime(pod: Pod, taints: readonly Taint[], firstSeenMs: (taint: Taint) => number): number | undefined {
  const evicting = taints.filter(({ effect }) => effect === 'NoExecute')
  const boundMs =
    parseTime(findCondition(pod.status?.conditions, 'PodScheduled')?.lastTransitionTime) ?? parseTime(pod.metadata.creationTimestamp) ?? 0
  let earliest: number | undefined
  for (const taint of evicting) {
    const matching = (pod.spec.tolerations ?? []).filter((toleration) => tolerates(toleration, taint))
    if (matching.length === 0) return 0
    const seconds = matching.map(({ tolerationSeconds }) => tolerationSeconds).filter((value) => value !== undefined)
    if (seconds.length === 0) continue
    const since = Math.max(boundMs, parseTime(taint.timeAdded) ?? firstSeenMs(taint))
    const at = since + Math.max(0, leastOf(seconds)) * 1000
    earliest = Math.min(earliest ?? Infinity, at)
  }
  return earliest
}
