import { matchesSelector, selectorFromExpressions } from '@k3s/api'
import type { Node, NodeSelector, NodeSelectorTerm, Pod } from '@k3s/api/types/core/v1'
import { normalizeScores, type Plugin, type Rejection } from '../framework.ts'

/** True when the node meets one term of the selector. */
export function nodeSelectorMatches(selector: NodeSelector, node: Node): boolean {
  return selector.nodeSelectorTerms.some((term) => termMatches(term, node))
}

/** A term without requirements matches nothing. */
function termMatches({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, { metadata }: Node): boolean {
  if (matchExpressions.length === 0 && matchFields.length === 0) return false
  return (
    matchesSelector(selectorFromExpressions(matchExpressions), metadata.labels) &&
    matchFields.every(({ key, operator, values = [] }) => {
      const isIn = key === 'metadata.name' && values.includes(metadata.name)
      return operator === 'In' ? isIn : operator === 'NotIn' && !isIn
    })
  )
}

/** True when the node is one that the pod's `nodeSelector` and required node affinity allow. */
export function nodeAffinityMatches({ spec }: Pod, node: Node | undefined): boolean {
  if (node === undefined) return false
  const labels = node.metadata.labels ?? {}
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {})) if (labels[key] !== value) return false
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return required === undefined || nodeSelectorMatches(required, node)
}

const rejection: Rejection = { plugin: 'NodeAffinity', reasons: ["node(s) didn't match Pod's node affinity/selector"], isResolvable: false }
const conflict: Rejection = { plugin: 'NodeAffinity', reasons: ['pod affinity terms conflict'], isResolvable: false }

/** Names of nodes that alone can match, when every term names some; DaemonSet pods name one. */
function namedNodes(terms: readonly NodeSelectorTerm[]): ReadonlySet<string> | undefined {
  const names = new Set<string>()
  for (const { matchFields = [] } of terms) {
    const lists = matchFields
      .filter(({ key, operator }) => key === 'metadata.name' && operator === 'In')
      .map(({ values = [] }) => new Set(values))
    const [first, ...rest] = lists
    if (first === undefined) return undefined
    for (const name of first) if (rest.every((list) => list.has(name))) names.add(name)
  }
  return names
}

/** `nodeSelector`, required and preferred node affinity. */
export const nodeAffinity: Plugin = {
  name: 'NodeAffinity',
  weight: 2,
  prepareFilter({ pod }) {
    const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    if (required === undefined && pod.spec.nodeSelector === undefined) return undefined
    const nodeNames = required === undefined || required.nodeSelectorTerms.length === 0 ? undefined : namedNodes(required.nodeSelectorTerms)
    if (nodeNames?.size === 0) return conflict
    return { nodeNames, check: ({ node }) => (nodeAffinityMatches(pod, node) ? undefined : rejection) }
  },
  prepareScore({ pod }) {
    const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
    if (preferred.length === 0) return undefined
    return {
      score: ({ node }) =>
        preferred.reduce((sum, { preference, weight }) => sum + (node !== undefined && termMatches(preference, node) ? weight : 0), 0),
      normalize: (scores) => normalizeScores(scores, 'asIs'),
    }
  },
  isWorthRetrying: ({ pod }, event) => event.kind === 'nodeChanged' && nodeAffinityMatches(pod, event.node),
}
