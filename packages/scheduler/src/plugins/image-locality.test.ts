import { expect, it } from 'vitest'
import { testCluster, testNode, testPodInfo } from '../../test/cluster.ts'
import { imageLocality, normalizedImageName } from './image-locality.ts'

const mb = 1024 * 1024
const withImage = (name: string, sizeBytes: number) =>
  testNode(name, {}, { status: { images: [{ names: ['repo/app:latest'], sizeBytes }] } })

it.each([
  ['a', 'a:latest'],
  ['a:1', 'a:1'],
  ['host:5000/a', 'host:5000/a:latest'],
])('normalizedImageName(%j) is %j', (name, expected) => {
  expect(normalizedImageName(name)).toBe(expected)
})

it('prefers nodes that have the image, the more of them have it', () => {
  const score = (...nodes: ReturnType<typeof testNode>[]) => {
    const cluster = testCluster(nodes)
    const scorer = imageLocality.prepareScore?.(testPodInfo({ containers: [{ name: 'c', image: 'repo/app' }] }), cluster.nodes, cluster)
    return cluster.nodes.map((node) => scorer?.score(node))
  }
  expect(score(withImage('a', 1000 * mb), testNode('b'))).toEqual([48, 0])
  expect(score(withImage('a', 1000 * mb), withImage('b', 2000 * mb))).toEqual([100, 100])
  expect(score(withImage('a', 20 * mb), testNode('b'))).toEqual([0, 0])
})
