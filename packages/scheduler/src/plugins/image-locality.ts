import { maxScore, type Cluster, type Plugin } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'

// Upstream's range in which an image's size counts: most images are in it.
const minBytes = 23 * 1024 * 1024
const maxBytesOfContainer = 1000 * 1024 * 1024

/** The name as a runtime lists it: with a tag. */
export function normalizedImageName(name: string): string {
  return name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name
}

/** 0 to 100 by the bytes of the pod's images that the node has; an image counts in proportion to the nodes that have it, so that it does not draw everything to one. */
export function imageLocalityScore({ pod }: PodInfo, node: NodeInfo, cluster: Pick<Cluster, 'nodes' | 'imageSpread'>): number {
  const { containers, initContainers = [], volumes = [] } = pod.spec
  const images = [...initContainers, ...containers].map(({ image }) => image).concat(volumes.map(({ image }) => image?.reference))
  let sum = 0
  for (const image of images) {
    if (image === undefined) continue
    const name = normalizedImageName(image)
    sum += Math.trunc(((node.images.get(name) ?? 0) * cluster.imageSpread(name)) / cluster.nodes.length)
  }
  const maxBytes = maxBytesOfContainer * (containers.length + initContainers.length)
  const bounded = Math.min(Math.max(sum, minBytes), maxBytes)
  return Math.trunc((maxScore * (bounded - minBytes)) / (maxBytes - minBytes))
}

/** Prefers nodes that have the pod's images. */
export const imageLocality: Plugin = {
  name: 'ImageLocality',
  prepareScore: (pod, _nodes, cluster) => ({ score: (node) => imageLocalityScore(pod, node, cluster) }),
}
