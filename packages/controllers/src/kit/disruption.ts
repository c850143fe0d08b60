import { hasReason } from '@k3s/api'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { withCondition } from './conditions.ts'
import { isPodTerminal } from './pods.ts'
import { formatTime } from './time.ts'

export interface DisruptOptions {
  readonly client: Client
  readonly signal: AbortSignal
  readonly nowMs: number
  /** Of the condition `DisruptionTarget`. */
  readonly reason: string
  readonly message: string
  /** The pod's node will never report its end: it is marked Failed and removed without grace. */
  readonly isLost?: boolean | undefined
}

/** Marks a pod as the target of a disruption, so that Jobs and users can tell, and deletes it. Harmless when it is gone. */
export async function disruptPod(pod: Pod, options: DisruptOptions): Promise<void> {
  const { client, signal, nowMs, reason, message, isLost = false } = options
  const { name, namespace, uid, resourceVersion } = pod.metadata
  const condition = { type: 'DisruptionTarget', status: 'True', reason, message, lastTransitionTime: formatTime(nowMs) }
  const conditions = withCondition(pod.status?.conditions, condition)
  const phase = isLost && !isPodTerminal(pod) ? 'Failed' : pod.status?.phase
  try {
    if (!isPodTerminal(pod)) {
      // With the version, because the list of conditions is replaced whole.
      const patch = { metadata: { uid, resourceVersion }, status: { phase, conditions } }
      await client.resource(pods).patch(name, patch, { type: 'merge', subresource: 'status', namespace, signal })
    }
    const grace = isLost ? { gracePeriodSeconds: 0 } : {}
    await client.resource(pods).delete(name, { namespace, ...grace, preconditions: { uid }, signal })
  } catch (error) {
    if (!hasReason(error, 'NotFound')) throw error
  }
}
