import { isStatusError, matchesSelector, selectorOf } from '@k3s/api'
import { clusterroles, type ClusterRole, type PolicyRule } from '@k3s/api/types/rbac/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, loggerOf } from '../kit/controller.ts'
import { canonicalJson, isSemanticallyEqual } from '../kit/equal.ts'

const name = 'clusterrole-aggregation'
const fieldManager = 'clusterrole-aggregation-controller'

/** The rules of all roles that a role with an aggregation rule selects, each once: selector by selector, roles by name. Throws for a selector that cannot be read. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): readonly PolicyRule[] {
  const byName = all.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  const rules = new Map<string, PolicyRule>()
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    // A selector of nothing at all selects everything.
    const requirements = selectorOf(selector) ?? []
    for (const other of byName) {
      if (other.metadata.name === role.metadata.name || !matchesSelector(requirements, other.metadata.labels)) continue
      for (const rule of other.rules ?? []) {
        const text = canonicalJson(rule)
        if (!rules.has(text)) rules.set(text, rule)
      }
    }
  }
  return [...rules.values()]
}

/** Gives ClusterRoles with an aggregation rule the rules of the roles that it selects. */
export function createClusterRoleAggregationController(context: ControllerContext): Service {
  const { client, informers } = context
  const informer = informers.informer(clusterroles)
  return controllerService({
    name,
    context,
    informers: [informer],
    watch: (queue) => {
      // Any role may be part of any other, and there are few.
      const all = (): void => {
        for (const role of informer.lister.list()) if (role.aggregationRule !== undefined) queue.add(role.metadata.name)
      }
      return [informer.addHandler({ add: all, update: all, delete: all })]
    },
    async reconcile(key, signal) {
      const role = informer.lister.get(key)
      if (role?.aggregationRule === undefined) return
      let rules: readonly PolicyRule[]
      try {
        rules = aggregatedRules(role, informer.lister.list())
      } catch (error) {
        if (!isStatusError(error)) throw error
        loggerOf(context, name).warn({ err: error, clusterRole: key }, 'Selector of a ClusterRole cannot be read')
        return
      }
      if (isSemanticallyEqual(rules, role.rules)) return
      const patch = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: key }, rules }
      await client.resource(clusterroles).patch(key, patch, { type: 'apply', fieldManager, force: true, signal })
    },
  })
}
