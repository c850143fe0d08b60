import type { KubernetesObject } from '@k3s/api'
import { createEventRecorder } from '@k3s/client'
import type { ControllerContext } from './context.ts'

/** Tells users what was done to an object, as an Event that names it. */
export interface EventRecorder {
  /** Never throws and does not wait; `reason` is UpperCamelCase. `object` carries `apiVersion` and `kind`, as those from informers do. */
  event(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, message: string): void
}

/** The context's recorder, or one of the controller's own: that starts with its first event, and must be disposed. */
export function recorderOf(context: ControllerContext, component: string): EventRecorder & Disposable {
  if (context.recorder !== undefined) {
    const { recorder } = context
    return { event: (...about) => recorder.event(...about), [Symbol.dispose]() {} }
  }
  let own: ReturnType<typeof createEventRecorder> | undefined
  return {
    event(...about) {
      own ??= createEventRecorder(context.client, { component, clock: context.clock, logger: context.logger })
      own.event(...about)
    },
    [Symbol.dispose]() {
      own?.[Symbol.dispose]()
      own = undefined
    },
  }
}
