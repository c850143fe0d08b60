import type { Container } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testPod } from '../test/cluster.ts'
import { nonZeroRequestsOf, requestsOf } from './pod-resources.ts'

const container = (cpu?: string, rest: Partial<Container> = {}): Container => ({
  name: rest.name ?? 'c',
  ...(cpu === undefined ? {} : { resources: { requests: { cpu } } }),
  ...rest,
})
const sidecar = (cpu: string): Container => container(cpu, { restartPolicy: 'Always' })

describe('requestsOf()', () => {
  it.each<[string, Parameters<typeof testPod>[0], number]>([
    ['containers together', { containers: [container('1'), container('500m')] }, 1500],
    [
      'the largest init container, when it is more',
      { initContainers: [container('3'), container('2')], containers: [container('1')] },
      3000,
    ],
    ['containers, when init containers are less', { initContainers: [container('1')], containers: [container('2')] }, 2000],
    ['sidecars beside containers', { initContainers: [sidecar('1')], containers: [container('2')] }, 3000],
    ['sidecars beside later init containers', { initContainers: [sidecar('1'), container('3')], containers: [container('1')] }, 4000],
    ['sidecars not beside earlier init containers', { initContainers: [container('3'), sidecar('1')], containers: [container('1')] }, 3000],
    ['overhead on top', { containers: [container('1')], overhead: { cpu: '250m' } }, 1250],
    ['requests of the pod as a whole', { containers: [container('1')], resources: { requests: { cpu: '5' } } }, 5000],
    ['nothing', { containers: [container()] }, 0],
  ])('counts %s', (_case, spec, expected) => {
    expect(requestsOf(testPod(spec)).get('cpu') ?? 0).toBe(expected)
  })

  it('counts a resize in place at its larger end until it has happened', () => {
    const pod = testPod({ containers: [container('1', { name: 'c' })] })
    const status = { name: 'c', image: '', imageID: '', ready: true, restartCount: 0, resources: { requests: { cpu: '2' } } }
    expect(requestsOf({ ...pod, status: { containerStatuses: [status] } }).get('cpu')).toBe(2000)
  })
})

describe('nonZeroRequestsOf()', () => {
  it('guesses for each container that requests nothing', () => {
    const requests = nonZeroRequestsOf(testPod({ containers: [container(), container('1')] }))
    expect(requests.get('cpu')).toBe(1100)
    expect(requests.get('memory')).toBe(2 * 200 * 1024 * 1024)
  })
})
