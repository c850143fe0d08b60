import { matchesSelector, selectorFromExpressions } from '@k3s/api'
import type { Node, NodeSelectorTerm, PodSpec, Taint, Toleration } from '@k3s/api/types/core/v1'

/** True when the toleration lets a pod be where the taint is. */
export function tolerates({ key = '', operator = 'Equal', value = '', effect = '' }: Toleration, taint: Taint): boolean {
  if (effect !== '' && effect !== taint.effect) return false
  if (key !== '' && key !== taint.key) return false
  if (operator === 'Exists') return true
  return operator === 'Equal' && key !== '' && value === (taint.value ?? '')
}

/** The first taint of one of `effects` that no toleration covers. */
export function untoleratedTaint(
  taints: readonly Taint[] | undefined,
  tolerations: readonly Toleration[] | undefined,
  effects: readonly string[],
): Taint | undefined {
  return taints?.find((taint) => effects.includes(taint.effect) && tolerations?.some((toleration) => tolerates(toleration, taint)) !== true)
}

/** True when the pod's `nodeSelector` and required node affinity allow the node. */
export function selectsNode({ nodeSelector, affinity }: PodSpec, node: Node): boolean {
  const labels = node.metadata.labels ?? {}
  if (!Object.entries(nodeSelector ?? {}).every(([key, value]) => labels[key] === value)) return false
  const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node))
}

/** A term without requirements matches nothing. */
function matchesTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false
  return (
    matchesSelector(selectorFromExpressions(matchExpressions), node.metadata.labels) &&
    matchesSelector(selectorFromExpressions(matchFields), { 'metadata.name': node.metadata.name })
  )
}
