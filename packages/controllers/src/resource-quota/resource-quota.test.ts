import { configmaps, pods, resourcequotas, services, type Pod, type ResourceQuota } from '@k3s/api/types/core/v1'
import { replicasets } from '@k3s/api/types/apps/v1'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { createResourceQuotaController } from './resource-quota-controller.ts'
import { claimUsage, isInScope, podAmounts, podUsage, serviceUsage } from './usage.ts'

const container = (cpu: string, restartPolicy?: string) => ({
  name: cpu,
  image: 'a',
  resources: { requests: { cpu } },
  ...(restartPolicy === undefined ? {} : { restartPolicy }),
})
const pod = (spec: Partial<Pod['spec']>, name = 'p'): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: { containers: [], ...spec },
})
const quota = (spec: ResourceQuota['spec']): ResourceQuota => ({ metadata: { name: 'q', namespace: 'default' }, spec })

describe('podAmounts()', () => {
  it.each([
    ['containers add up', { containers: [container('100m'), container('1')] }, '1100m'],
    ['a large init container decides', { containers: [container('100m')], initContainers: [container('2')] }, '2'],
    ['sidecars run beside both', { containers: [container('1')], initContainers: [container('500m', 'Always'), container('2')] }, '2500m'],
    ['overhead is added', { containers: [container('1')], overhead: { cpu: '250m' } }, '1250m'],
    ['the pod as a whole decides', { containers: [container('1')], resources: { requests: { cpu: '3' } } }, '3'],
  ])('%s', (_, spec, cpu) => {
    expect(podAmounts(pod(spec), 'requests')).toEqual({ cpu })
  })
})

describe('usage', () => {
  it('charges a pod under all names that limits may use', () => {
    const gpu = { name: 'c', image: 'a', resources: { requests: { cpu: '1', 'nvidia.com/gpu': '2' }, limits: { cpu: '2' } } }
    expect(podUsage(pod({ containers: [gpu] }), 0)).toEqual({
      pods: '1',
      'count/pods': '1',
      cpu: '1',
      'requests.cpu': '1',
      'requests.nvidia.com/gpu': '2',
      'limits.cpu': '2',
    })
    expect(podUsage({ ...pod({ containers: [gpu] }), status: { phase: 'Succeeded' } }, 0)).toEqual({ 'count/pods': '1' })
  })

  it('charges Services for node ports and load balancers, and claims by class', () => {
    const ports = [{ port: 1 }, { port: 2 }]
    expect(serviceUsage({ metadata: { name: 's' }, spec: { type: 'LoadBalancer', ports } })).toMatchObject({
      'services.nodeports': '2',
      'services.loadbalancers': '1',
    })
    expect(serviceUsage({ metadata: { name: 's' }, spec: { type: 'ClusterIP', ports } })).toMatchObject({
      'services.nodeports': '0',
      'services.loadbalancers': '0',
    })
    const claim = { metadata: { name: 'c' }, spec: { storageClassName: 'gold', resources: { requests: { storage: '1Gi' } } } }
    expect(claimUsage(claim)).toMatchObject({ 'requests.storage': '1Gi', 'gold.storageclass.storage.k8s.io/requests.storage': '1Gi' })
  })

  it.each([
    ['Terminating', { activeDeadlineSeconds: 5 }, true],
    ['NotTerminating', { activeDeadlineSeconds: 5 }, false],
    ['BestEffort', {}, true],
    ['NotBestEffort', { containers: [container('1')] }, true],
    ['PriorityClass', { priorityClassName: 'high' }, true],
  ])('isInScope() of %s', (scope, spec, expected) => {
    expect(isInScope(quota({ scopes: [scope] }), pod(spec))).toBe(expected)
  })
})

describe('resource quota controller', () => {
  it('counts what the quota limits and follows changes', async () => {
    const discover = async () => ({
      resources: [configmaps, replicasets].map((type) => ({ ...type, verbs: ['list', 'watch'] })),
      failures: [],
    })
    await using world = await startWorld((context) => [createResourceQuotaController(context, { discover })])
    const hard = { pods: '5', cpu: '2', services: '3', configmaps: '10', 'count/replicasets.apps': '4' }
    const used = (): unknown => world.server.peek(resourcequotas, 'default/q')?.status?.used
    world.server.put(pods, pod({ containers: [container('500m')] }, 'a'))
    world.server.put(pods, pod({ containers: [container('750m')] }, 'b'))
    world.server.put(services, { metadata: { name: 's', namespace: 'default' }, spec: {} })
    world.server.put(configmaps, { metadata: { name: 'c', namespace: 'default' } })
    world.server.put(replicasets, { metadata: { name: 'r', namespace: 'default' }, spec: { selector: {} } })
    await world.client.resource(resourcequotas).create(quota({ hard }))
    await world.eventually(
      () => (expect(used()).toEqual({ pods: '2', cpu: '1250m', services: '1', configmaps: '1', 'count/replicasets.apps': '1' }), true),
    )
    world.server.remove(pods, 'default/a')
    world.server.remove(configmaps, 'default/c')
    await world.eventually(() => (expect(used()).toMatchObject({ pods: '1', cpu: '750m', configmaps: '0' }), true))
    // Admission charged the new pod before it came: the next release counts it.
    world.server.put(pods, pod({ containers: [container('100m')] }, 'c'))
    world.server.remove(pods, 'default/b')
    await world.eventually(() => (expect(used()).toMatchObject({ pods: '1', cpu: '100m' }), true))
  })
})
