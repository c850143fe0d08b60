import type { Node, Taint, Toleration } from '@k3s/api/types/core/v1'
import { normalizeScores, type Plugin, type Rejection } from '../framework.ts'

/** True when the toleration covers the taint. Comparison operators (`Gt`, `Lt`) cover nothing, as with upstream's default gates. */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  const { effect = '', key = '', operator = '', value = '' } = toleration
  if (effect !== '' && effect !== taint.effect) return false
  if (key !== '' && key !== taint.key) return false
  if (operator === 'Exists') return true
  return (operator === '' || operator === 'Equal') && value === (taint.value ?? '')
}

/** The first taint that keeps the pod away; PreferNoSchedule does not. */
export function untoleratedTaint(node: Node | undefined, tolerations: readonly Toleration[] | undefined): Taint | undefined {
  return node?.spec.taints?.find(
    (taint) =>
      (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') && !tolerations?.some((toleration) => tolerates(toleration, taint)),
  )
}

const reject = (plugin: string, reason: string): Rejection => ({ plugin, reasons: [reason], isResolvable: false })

const unschedulableTaint: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
const nodeUnschedulableRejection = reject('NodeUnschedulable', 'node(s) were unschedulable')

/** Keeps pods off cordoned nodes, unless they tolerate that. */
export const nodeUnschedulable: Plugin = {
  name: 'NodeUnschedulable',
  prepareFilter({ pod }) {
    if (pod.spec.tolerations?.some((toleration) => tolerates(toleration, unschedulableTaint)) === true) return undefined
    return { check: ({ node }) => (node?.spec.unschedulable === true ? nodeUnschedulableRejection : undefined) }
  },
  isWorthRetrying: (_pod, event) => event.kind === 'nodeChanged' && event.node.spec.unschedulable !== true,
}

const nodeNameRejection = reject('NodeName', "node(s) didn't match the requested node name")

/** Holds a pod to the node it names. */
export const nodeName: Plugin = {
  name: 'NodeName',
  prepareFilter({ pod }) {
    const { nodeName } = pod.spec
    return nodeName ? { check: ({ name }) => (name === nodeName ? undefined : nodeNameRejection) } : undefined
  },
  isWorthRetrying: ({ pod }, event) => event.kind === 'nodeChanged' && event.node.metadata.name === pod.spec.nodeName,
}

const taintRejection = reject('TaintToleration', 'node(s) had untolerated taint(s)')

/** Keeps pods off nodes whose taints they do not tolerate, and prefers nodes with few PreferNoSchedule taints. */
export const taintToleration: Plugin = {
  name: 'TaintToleration',
  weight: 3,
  prepareFilter: ({ pod }) => ({
    check: ({ node }) => (untoleratedTaint(node, pod.spec.tolerations) === undefined ? undefined : taintRejection),
  }),
  prepareScore({ pod }) {
    const tolerations = (pod.spec.tolerations ?? []).filter(({ effect }) => !effect || effect === 'PreferNoSchedule')
    return {
      score: ({ node }) =>
        (node?.spec.taints ?? []).filter(
          (taint) => taint.effect === 'PreferNoSchedule' && !tolerations.some((toleration) => tolerates(toleration, taint)),
        ).length,
      normalize: (scores) => normalizeScores(scores, 'reverse'),
    }
  },
  isWorthRetrying: ({ pod }, event) => event.kind === 'nodeChanged' && untoleratedTaint(event.node, pod.spec.tolerations) === undefined,
}
