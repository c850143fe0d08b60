import type { Plugin } from './framework.ts'
import { imageLocality } from './plugins/image-locality.ts'
import { interPodAffinity } from './plugins/inter-pod-affinity.ts'
import { nodeAffinity } from './plugins/node-affinity.ts'
import { nodeName, nodeUnschedulable, taintToleration } from './plugins/node-plugins.ts'
import { nodePorts } from './plugins/node-ports.ts'
import { balancedAllocation, nodeResourcesFit } from './plugins/node-resources.ts'
import { podTopologySpread } from './plugins/pod-topology-spread.ts'
import { schedulingGates } from './plugins/scheduling-gates.ts'
import { volumeBinding } from './plugins/volume-binding.ts'

/**
 * The plugins of upstream's default profile, in its order: a node is told of by the first that rejects it. PrioritySort and DefaultPreemption are
 * no entries but part of the queue and of the cycle.
 */
export const defaultPlugins: readonly Plugin[] = Object.freeze([
  schedulingGates,
  nodeUnschedulable,
  nodeName,
  taintToleration,
  nodeAffinity,
  nodePorts,
  nodeResourcesFit,
  volumeBinding,
  podTopologySpread,
  interPodAffinity,
  balancedAllocation,
  imageLocality,
])
