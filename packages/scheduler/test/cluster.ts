import type { KubernetesObject } from '@k3s/api'
import { objectKey } from '@k3s/api'
import type { Node, Pod } from '@k3s/api/types/core/v1'
import type { Lister } from '@k3s/client'
import { SchedulerCache } from '../src/cache.ts'
import type { Listers } from '../src/framework.ts'
import { podInfoOf, type PodInfo } from '../src/pod-info.ts'

/** A lister over a few objects, for tests. */
function listerOf<T extends KubernetesObject>(objects: readonly T[] = []): Lister<T> {
  return {
    get: (key) => objects.find((object) => objectKey(object) === key),
    list: () => objects,
    inNamespace: (namespace) => objects.filter(({ metadata }) => metadata.namespace === namespace),
    byIndex: () => [],
  }
}

type Objects = { readonly [K in keyof Listers]?: Listers[K] extends Lister<infer T> ? readonly T[] : never }

/** A cluster for table tests of plugins: pods that name a node are on it. */
export function testCluster(nodes: readonly Node[], pods: readonly Pod[] = [], objects: Objects = {}): SchedulerCache {
  const cache = new SchedulerCache({
    namespaces: listerOf(objects.namespaces),
    services: listerOf(objects.services),
    replicationcontrollers: listerOf(objects.replicationcontrollers),
    replicasets: listerOf(objects.replicasets),
    statefulsets: listerOf(objects.statefulsets),
    persistentvolumeclaims: listerOf(objects.persistentvolumeclaims),
    persistentvolumes: listerOf(objects.persistentvolumes),
    storageclasses: listerOf(objects.storageclasses),
    poddisruptionbudgets: listerOf(objects.poddisruptionbudgets),
  })
  for (const node of nodes) cache.setNode(node)
  for (const pod of pods) cache.setPod(podInfoOf(pod))
  return cache
}

export function testNode(name: string, labels: Record<string, string> = {}, rest: Partial<Pick<Node, 'spec' | 'status'>> = {}): Node {
  return {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
    spec: {},
    status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110' } },
    ...rest,
  }
}

/** A pod in the namespace `default` with a name and uid of its own. */
export function testPod(spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  const name = `pod-${crypto.randomUUID()}`
  return { metadata: { name, namespace: 'default', uid: name, ...metadata }, spec: { containers: [{ name: 'main' }], ...spec } }
}

export const testPodInfo = (...args: Parameters<typeof testPod>): PodInfo => podInfoOf(testPod(...args))
