import type { KubernetesObject } from '@k3s/api'
import type { HorizontalPodAutoscaler as AutoscalerV1 } from '@k3s/api/types/autoscaling/v1'
import type { HorizontalPodAutoscaler as AutoscalerV2, MetricSpec } from '@k3s/api/types/autoscaling/v2'
import type { VersionConversion } from '../served-resource.ts'

// What v1 has no field for travels in an annotation, so that a read and write in v1 loses nothing.
// Unlike kube-apiserver, whose annotations hold one alpha form of each part, ours holds the v2 form of all of them.
const extraAnnotation = 'autoscaling.alpha.kubernetes.io/v2'

interface Extra {
  readonly metrics?: readonly MetricSpec[]
  readonly behavior?: unknown
  readonly conditions?: unknown
  readonly currentMetrics?: unknown
}

const isCpu = (metric: MetricSpec): boolean =>
  metric.type === 'Resource' && metric.resource?.name === 'cpu' && metric.resource.target.averageUtilization !== undefined

/** autoscaling/v1 of an autoscaler that is stored as v2. Objects of these resources are autoscalers of their version. */
export const autoscalerV1: VersionConversion = {
  toStored(object) {
    const { spec, status, metadata, ...same } = object as KubernetesObject & AutoscalerV1
    const { [extraAnnotation]: text, ...annotations } = metadata.annotations ?? {}
    const extra = parseExtra(text)
    const { targetCPUUtilizationPercentage: cpu, ...target } = spec
    const cpuMetric: MetricSpec = {
      type: 'Resource',
      resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: cpu } },
    }
    const metrics = [...(extra.metrics ?? []), ...(cpu === undefined ? [] : [cpuMetric])]
    const stored: object = {
      ...same,
      apiVersion: 'autoscaling/v2',
      metadata: {
        ...metadata,
        annotations: Object.keys(annotations).length > 0 || metadata.annotations !== undefined ? annotations : undefined,
      },
      spec: { ...target, metrics: metrics.length > 0 ? metrics : undefined, behavior: extra.behavior },
      status: {
        desiredReplicas: 0,
        ...status,
        currentCPUUtilizationPercentage: undefined,
        conditions: extra.conditions,
        currentMetrics: extra.currentMetrics,
      },
    }
    return stored as KubernetesObject // built from one
  },
  fromStored(object) {
    const { spec, status, metadata, ...same } = object as KubernetesObject & AutoscalerV2
    const { metrics = [], behavior, ...target } = spec
    const { conditions, currentMetrics, ...rest } = status ?? { desiredReplicas: 0 }
    const others = metrics.filter((metric) => !isCpu(metric))
    const extra: Extra = {
      ...(others.length > 0 ? { metrics: others } : {}),
      ...(behavior === undefined ? {} : { behavior }),
      ...(conditions === undefined ? {} : { conditions }),
      ...(currentMetrics === undefined || currentMetrics === null || currentMetrics.length === 0 ? {} : { currentMetrics }),
    }
    const served: object = {
      ...same,
      apiVersion: 'autoscaling/v1',
      metadata:
        Object.keys(extra).length === 0
          ? metadata
          : { ...metadata, annotations: { ...metadata.annotations, [extraAnnotation]: JSON.stringify(extra) } },
      spec: { ...target, targetCPUUtilizationPercentage: metrics.find(isCpu)?.resource?.target.averageUtilization },
      status: {
        currentReplicas: 0,
        ...rest,
        currentCPUUtilizationPercentage: currentMetrics?.find((metric) => metric.resource?.name === 'cpu')?.resource?.current
          .averageUtilization,
      },
    }
    return served as KubernetesObject // as above
  },
}

/** An annotation that a client damaged says nothing. */
function parseExtra(text: string | undefined): Extra {
  if (text === undefined) return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {} // as upstream, which ignores annotations that it cannot read
  }
}
