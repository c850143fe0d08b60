import { type HorizontalPodAutoscaler, horizontalpodautoscalers } from '@k3s/api/types/autoscaling/v2'
import type { ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { nonNegative } from '../../validation/fields.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { metricsText, validateAutoscalerSpec, validateTargetVersion } from './metrics.ts'

function defaults({ spec }: HorizontalPodAutoscaler): void {
  spec.minReplicas ??= 1
  if ((spec.metrics ?? []).length === 0) {
    spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }]
  }
  const { behavior } = spec
  if (behavior === undefined) return
  const percent = { type: 'Percent', value: 100, periodSeconds: 15 }
  behavior.scaleUp ??= {}
  behavior.scaleUp.stabilizationWindowSeconds ??= 0
  behavior.scaleUp.selectPolicy ??= 'Max'
  behavior.scaleUp.policies ??= [{ type: 'Pods', value: 4, periodSeconds: 15 }, { ...percent }]
  behavior.scaleDown ??= {}
  behavior.scaleDown.selectPolicy ??= 'Max'
  behavior.scaleDown.policies ??= [percent]
}

/** Rules for horizontal pod autoscalers. */
export const horizontalPodAutoscalerStrategy: ResourceStrategy<HorizontalPodAutoscaler> = {
  type: horizontalpodautoscalers,
  hasGeneration: false,
  defaults,
  prepareForCreate(autoscaler) {
    delete autoscaler.status
  },
  validate: ({ spec }) => validateAutoscalerSpec(spec),
  validateCreate: ({ spec }) => validateTargetVersion(spec),
  update: { prepare: keepStatus, validate: ({ spec }, { spec: previous }) => validateTargetVersion(spec, previous) },
  status: statusUpdate(({ status }) => [
    ...nonNegative('status.currentReplicas', status?.currentReplicas),
    ...nonNegative('status.desiredReplicas', status?.desiredReplicas),
  ]),
  columns: [
    nameColumn(),
    column('Reference', ({ spec }) => `${spec.scaleTargetRef.kind}/${spec.scaleTargetRef.name}`, { description: 'What is scaled' }),
    column('Targets', metricsText, { description: 'What is measured, and what is wanted' }),
    column('MinPods', ({ spec }) => (spec.minReplicas === undefined ? '<unset>' : String(spec.minReplicas))),
    column('MaxPods', ({ spec }) => spec.maxReplicas),
    column('Replicas', ({ status }) => status?.currentReplicas ?? 0),
    ageColumn(),
  ],
}
