import type { KubernetesObject } from '@k3s/api'
import type { ControllerContext } from './context.ts'

/** Tells users what was done to an object, as an Event that names it. */
export interface EventRecorder {
  /** Never throws and does not wait; `reason` is UpperCamelCase. `object` needs `apiVersion`, `kind` and a uid. */
  event(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, message: string): void
}

/** Records nothing. */
export const noEvents: EventRecorder = { event() {} }

/** The context's recorder. */
export function recorderOf(context: ControllerContext, _component: string): EventRecorder {
  return context.recorder ?? noEvents
}
