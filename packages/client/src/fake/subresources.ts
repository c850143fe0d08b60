import { badRequest, conflict } from '@k3s/api'
import type { FakeObject } from './fake-api-server.ts'
import { isJsonObject, type JsonObject } from './patch.ts'

const section = (object: FakeObject, name: string): JsonObject => {
  const value = object[name]
  return isJsonObject(value) ? value : {}
}

const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

/** The pod as its `binding` leaves it. */
export function bindPod(pod: FakeObject, binding: FakeObject, nowMs: number): FakeObject {
  const spec = section(pod, 'spec')
  const status = section(pod, 'status')
  const target = section(binding, 'target')['name']
  const { name, deletionTimestamp } = pod.metadata
  const subject = { resource: 'pods/binding' }
  if (typeof target !== 'string') throw badRequest('a binding has a target')
  if (deletionTimestamp !== undefined) throw conflict(subject, name, `pod ${name} is being deleted, cannot be assigned to a host`)
  if (spec['nodeName']) throw conflict(subject, name, `pod ${name} is already assigned to node ${JSON.stringify(spec['nodeName'])}`)
  if (Array.isArray(spec['schedulingGates']) && spec['schedulingGates'].length > 0)
    throw conflict(subject, name, `pod ${name} has non-empty .spec.schedulingGates`)
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : []
  const scheduled = { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timestamp(nowMs) }
  const others = conditions.filter((condition) => !isJsonObject(condition) || condition['type'] !== 'PodScheduled')
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, ...binding.metadata.annotations } },
    spec: { ...spec, nodeName: target },
    status: { ...status, conditions: [...others, scheduled] },
  }
}

/** The object as a deletion with these DeleteOptions leaves it: it stays while it has finalizers, or grace left (bound pods only). */
export function markDeleted(resource: string, object: FakeObject, options: JsonObject, nowMs: number): FakeObject {
  const { metadata } = object
  const policy = options['propagationPolicy']
  const added = policy === 'Foreground' ? ['foregroundDeletion'] : policy === 'Orphan' ? ['orphan'] : []
  const finalizers = [...new Set([...(metadata.finalizers ?? []), ...added])]
  const grace = resource === 'pods' ? graceOf(object, options) : 0
  return {
    ...object,
    metadata: {
      ...metadata,
      ...(finalizers.length === 0 ? {} : { finalizers }),
      generation: (metadata.generation ?? 0) + (metadata.deletionTimestamp === undefined ? 1 : 0),
      deletionTimestamp: metadata.deletionTimestamp ?? timestamp(nowMs + grace * 1000),
      deletionGracePeriodSeconds: Math.min(grace, metadata.deletionGracePeriodSeconds ?? grace),
    },
  }
}

function graceOf(pod: FakeObject, options: JsonObject): number {
  const spec = section(pod, 'spec')
  const phase = section(pod, 'status')['phase']
  if (!spec['nodeName'] || phase === 'Succeeded' || phase === 'Failed') return 0
  return Number(options['gracePeriodSeconds'] ?? spec['terminationGracePeriodSeconds'] ?? 30)
}

/** The autoscaling/v1 Scale of a workload. */
export function readScale(object: FakeObject): FakeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: section(object, 'spec')['replicas'] ?? 1 },
    status: { replicas: section(object, 'status')['replicas'] ?? 0 },
  }
}

/** The workload with the replicas of a Scale. */
export function writeScale(object: FakeObject, scale: FakeObject): FakeObject {
  const replicas = section(scale, 'spec')['replicas'] ?? 0
  const spec = section(object, 'spec')
  const { generation = 0 } = object.metadata
  return {
    ...object,
    metadata: { ...object.metadata, generation: generation + (spec['replicas'] === replicas ? 0 : 1) },
    spec: { ...spec, replicas },
  }
}
