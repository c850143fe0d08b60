import { jobs, type Job } from '@k3s/api/types/batch/v1'
import type { Container, Pod } from '@k3s/api/types/core/v1'
import { podOfTemplate } from '../kit/pods.ts'
import type { PodOrder } from './plan.ts'
import { failuresAnnotation, ignoredAnnotation, indexAnnotation, isIndexed, trackingFinalizer } from './pod-facts.ts'

// What the server leaves of a prefix when it adds a random end of five characters.
const maxPrefixLength = 58

/** The pod of one order: the template, the tracking finalizer, and what an Indexed Job's pod knows of its index. */
export function jobPod(job: Job, order: PodOrder): Pod {
  const pod = podOfTemplate(job.spec.template, job, jobs)
  const finalizers = [...new Set([...(pod.metadata.finalizers ?? []), trackingFinalizer])]
  if (!isIndexed(job) || order.index === undefined) return { ...pod, metadata: { ...pod.metadata, finalizers } }
  const index = String(order.index)
  const end = `-${index}-`
  const failures = order.failures && {
    [failuresAnnotation]: String(order.failures.counted),
    ...(order.failures.ignored > 0 ? { [ignoredAnnotation]: String(order.failures.ignored) } : {}),
  }
  return {
    metadata: {
      ...pod.metadata,
      generateName: `${job.metadata.name.slice(0, maxPrefixLength - end.length)}${end}`,
      finalizers,
      labels: { ...pod.metadata.labels, [indexAnnotation]: index },
      annotations: { ...pod.metadata.annotations, [indexAnnotation]: index, ...failures },
    },
    spec: {
      ...pod.spec,
      hostname: `${job.metadata.name}-${index}`,
      containers: pod.spec.containers.map(withIndex),
      ...(pod.spec.initContainers === undefined ? {} : { initContainers: pod.spec.initContainers.map(withIndex) }),
    },
  }
}

function withIndex(container: Container): Container {
  const name = 'JOB_COMPLETION_INDEX'
  if (container.env?.some((variable) => variable.name === name) === true) return container
  const variable = { name, valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: `metadata.labels['${indexAnnotation}']` } } }
  return { ...container, env: [...(container.env ?? []), variable] }
}
