import type { ResourceType } from '@k3s/api'
import { configmaps } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { OwnerGraph } from './graph.ts'

it('looks for an owner whose kind was not served when it was first named', () => {
  const widgets: ResourceType = { group: 'example.com', version: 'v1', resource: 'widgets', kind: 'Widget', namespaced: true }
  let isServed = false
  const graph = new OwnerGraph(() => (isServed ? widgets : undefined))
  const ownerReferences = [{ apiVersion: 'example.com/v1', kind: 'Widget', name: 'owner', uid: 'o' }]
  graph.observe(configmaps, { metadata: { name: 'first', namespace: 'a', uid: '1', ownerReferences } })
  isServed = true
  const work = graph.observe(widgets, { metadata: { name: 'second', namespace: 'a', uid: '2', ownerReferences } })
  expect(work.attemptDelete).toEqual(['o'])
  expect(graph.get('o')).toMatchObject({ type: widgets, namespace: 'a', isObserved: false })
})
