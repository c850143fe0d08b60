import { selectorOf } from '@k3s/api'
import { replicationcontrollers } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { replicaController } from './replica-controller.ts'

/** Keeps the pods of ReplicationControllers, by the same rules as those of ReplicaSets. */
export function createReplicationControllerController(context: ControllerContext): Service {
  return replicaController(context, {
    name: 'replicationcontroller',
    component: 'replication-controller',
    type: replicationcontrollers,
    reportsTerminating: false,
    specOf({ spec }) {
      // An empty selector would take every pod of the namespace: the API server fills it in from the template.
      const selector = selectorOf({ matchLabels: spec.selector ?? {} })
      if (selector === undefined || selector.length === 0) return undefined
      return { replicas: spec.replicas ?? 1, minReadySeconds: spec.minReadySeconds ?? 0, selector, template: spec.template ?? {} }
    },
    statusOf: (controller) => controller.status,
    withStatus: (controller, status) => ({ ...controller, status }),
  })
}
