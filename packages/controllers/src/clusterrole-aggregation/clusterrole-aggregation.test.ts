import { clusterroles, type ClusterRole, type PolicyRule } from '@k3s/api/types/rbac/v1'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { aggregatedRules, createClusterRoleAggregationController } from './clusterrole-aggregation-controller.ts'

const rule = (resource: string): PolicyRule => ({ apiGroups: [''], resources: [resource], verbs: ['get'] })
const part = (name: string, resources: readonly string[], labels: Record<string, string> = { part: 'yes' }): ClusterRole => ({
  metadata: { name, labels },
  rules: resources.map(rule),
})
const whole: ClusterRole = {
  metadata: { name: 'whole', labels: { part: 'yes' } },
  aggregationRule: {
    clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }, { matchExpressions: [{ key: 'extra', operator: 'Exists' }] }],
  },
  rules: [rule('stale')],
}

describe('aggregatedRules()', () => {
  it('takes each rule once, selector by selector and role by role', () => {
    const all = [
      part('b', ['pods', 'nodes']),
      part('a', ['secrets', 'pods']),
      whole,
      part('c', ['services'], { extra: '' }),
      part('d', ['x'], {}),
    ]
    expect(aggregatedRules(whole, all).map(({ resources }) => resources?.[0])).toEqual(['secrets', 'pods', 'nodes', 'services'])
  })
})

describe('the aggregation controller', () => {
  it('follows the roles that are selected', async () => {
    await using world = await startWorld((context) => [createClusterRoleAggregationController(context)])
    world.server.put(clusterroles, whole)
    world.server.put(clusterroles, part('a', ['pods']))
    const resources = (): string | undefined =>
      world.server
        .peek(clusterroles, 'whole')
        ?.rules?.map((one) => one.resources?.[0])
        .join(' ')
    await world.eventually(() => resources() === 'pods')
    world.server.put(clusterroles, part('b', ['nodes']))
    await world.eventually(() => resources() === 'pods nodes')
    await world.client.resource(clusterroles).delete('a')
    await world.eventually(() => resources() === 'nodes')
    await world.client.resource(clusterroles).delete('b')
    await world.eventually(() => resources() === '')
  })
})
