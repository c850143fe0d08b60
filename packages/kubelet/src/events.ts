import type { Pod } from '@k3s/api/types/core/v1'
import type { EventRecorder } from '@k3s/client'
import { isStaticPod } from './pods/pod-facts.ts'

export type EventType = 'Normal' | 'Warning'

/** Tells users of what happened to a pod. Never throws and never waits. */
export interface PodEvents {
  /** `fieldPath` names the container: `spec.containers{web}`. */
  podEvent(pod: Pod, type: EventType, reason: string, message: string, fieldPath?: string): void
}

/** Tells users of what happened to this node. Never throws and never waits. */
export interface NodeEvents {
  nodeEvent(type: EventType, reason: string, message: string): void
}

/** Gives a recorder the kubelet's words. */
export function kubeletEvents(recorder: EventRecorder, nodeName: string): PodEvents & NodeEvents {
  return {
    podEvent(pod, type, reason, message, fieldPath) {
      const { name, namespace = '', uid = '', resourceVersion } = pod.metadata
      const version = resourceVersion === undefined || isStaticPod(pod) ? {} : { resourceVersion }
      const reference = {
        kind: 'Pod',
        apiVersion: 'v1',
        namespace,
        name,
        uid,
        ...version,
        ...(fieldPath === undefined ? {} : { fieldPath }),
      }
      recorder.event(reference, type, reason, message)
    },
    nodeEvent(type, reason, message) {
      recorder.event({ kind: 'Node', name: nodeName, uid: nodeName }, type, reason, message)
    },
  }
}
