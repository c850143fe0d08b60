import { daemonsets, type DaemonSet } from '@k3s/api/types/apps/v1'
import type { Node, Pod, PodSpec, Toleration } from '@k3s/api/types/core/v1'
import { revisionHashLabel } from '../kit/history.ts'
import { selectsNode, untoleratedTaint } from '../kit/node-fit.ts'
import { podOfTemplate } from '../kit/pods.ts'

const taint = (name: string, effect: string): Toleration => ({ key: `node.kubernetes.io/${name}`, operator: 'Exists', effect })

/** What no daemon pod minds of its node: it is often there to mend it. */
const ownTolerations: readonly Toleration[] = [
  taint('not-ready', 'NoExecute'),
  taint('unreachable', 'NoExecute'),
  taint('disk-pressure', 'NoSchedule'),
  taint('memory-pressure', 'NoSchedule'),
  taint('pid-pressure', 'NoSchedule'),
  taint('unschedulable', 'NoSchedule'),
]

function tolerationsOf(spec: PodSpec): Toleration[] {
  const own = spec.hostNetwork === true ? [...ownTolerations, taint('network-unavailable', 'NoSchedule')] : ownTolerations
  const isSame = (a: Toleration, b: Toleration): boolean => a.key === b.key && a.effect === b.effect && (a.value ?? '') === (b.value ?? '')
  return [...(spec.tolerations ?? []).filter((one) => !own.some((other) => isSame(one, other))), ...own]
}

/** Whether a daemon pod should be started on a node, and whether one that is there may stay. */
export function fitOf(set: DaemonSet, node: Node): { readonly shouldRun: boolean; readonly mayStay: boolean } {
  const spec = set.spec.template.spec ?? { containers: [] }
  const isPlaced = (spec.nodeName ?? '') === '' || spec.nodeName === node.metadata.name
  if (!isPlaced || !selectsNode(spec, node)) return { shouldRun: false, mayStay: false }
  const tolerations = tolerationsOf(spec)
  const isTolerant = untoleratedTaint(node.spec.taints, tolerations, ['NoSchedule', 'NoExecute']) === undefined
  if (isTolerant) return { shouldRun: true, mayStay: true }
  return { shouldRun: false, mayStay: untoleratedTaint(node.spec.taints, tolerations, ['NoExecute']) === undefined }
}

/** The daemon pod for one node. It is bound by the scheduler, which its affinity leaves no choice. */
export function daemonPod(set: DaemonSet, nodeName: string, hash: string): Pod {
  const pod = podOfTemplate(set.spec.template, set, daemonsets)
  const generation = set.metadata.annotations?.['deprecated.daemonset.template.generation']
  const nodeAffinity = pod.spec.affinity?.nodeAffinity
  return {
    metadata: {
      ...pod.metadata,
      labels: {
        ...pod.metadata.labels,
        ...(generation === undefined ? {} : { 'pod-template-generation': generation }),
        [revisionHashLabel]: hash,
      },
    },
    spec: {
      ...pod.spec,
      tolerations: tolerationsOf(pod.spec),
      affinity: {
        ...pod.spec.affinity,
        nodeAffinity: {
          ...nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [nodeName] }] }],
          },
        },
      },
    },
  }
}

/** The node that a daemon pod is on or made for; empty when it says none. */
export function targetNodeOf(pod: Pod): string {
  if ((pod.spec.nodeName ?? '') !== '') return pod.spec.nodeName ?? ''
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  for (const { matchFields = [] } of terms)
    for (const { key, operator, values } of matchFields)
      if (key === 'metadata.name' && operator === 'In' && values?.length === 1) return values[0] ?? ''
  return ''
}
