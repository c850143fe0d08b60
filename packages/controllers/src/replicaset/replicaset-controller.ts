import { selectorOf } from '@k3s/api'
import { replicasets } from '@k3s/api/types/apps/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { replicaController } from './replica-controller.ts'

/** Keeps the pods of ReplicaSets: creates, deletes, adopts and releases them, and reports in the status. */
export function createReplicaSetController(context: ControllerContext): Service {
  return replicaController(context, {
    name: 'replicaset',
    component: 'replicaset-controller',
    type: replicasets,
    reportsTerminating: true,
    specOf({ spec }) {
      const selector = selectorOf(spec.selector)
      if (selector === undefined) return undefined
      return { replicas: spec.replicas ?? 1, minReadySeconds: spec.minReadySeconds ?? 0, selector, template: spec.template ?? {} }
    },
    statusOf: (set) => set.status,
    withStatus: (set, status) => ({ ...set, status }),
  })
}
