import type { Node } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { scopeOf } from '../../../test/strategy-runs.ts'
import { nodeStrategy } from './strategy.ts'

const nodeOf = (spec: Node['spec']): Node => ({ metadata: { name: 'n' }, spec, status: {} })

it('nodes do not say any more where their kubelets’ configuration is', () => {
  const node = nodeOf({ configSource: {} })
  nodeStrategy.prepareForCreate?.(node, scopeOf())
  expect(node.spec).toEqual({})
  const [kept, added] = [nodeOf({ configSource: {} }), nodeOf({ configSource: {} })]
  nodeStrategy.update?.prepare?.(kept, nodeOf({ configSource: {} }), scopeOf())
  nodeStrategy.update?.prepare?.(added, nodeOf({}), scopeOf())
  expect([kept.spec, added.spec]).toEqual([{ configSource: {} }, {}])
})

it('nodes warn of fields that mean nothing', () => {
  const found = ['spec.externalID: this field is deprecated, and is unused by Kubernetes']
  expect(nodeStrategy.warningsOnCreate?.(nodeOf({ externalID: 'x' }))).toEqual(found)
  expect(nodeStrategy.update?.warnings?.(nodeOf({ externalID: 'x', configSource: {} }), nodeOf({}))).toEqual([
    'spec.configSource: the feature is removed',
    ...found,
  ])
})
