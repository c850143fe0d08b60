import { deployments, replicasets } from '@k3s/api/types/apps/v1'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import { poddisruptionbudgets, type PodDisruptionBudget } from '@k3s/api/types/policy/v1'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { createDisruptionController } from './disruption-controller.ts'
import { planBudget, untilStaleMs } from './plan.ts'

const nowMs = Date.parse('2026-01-01T00:10:00Z')
const budget = (spec: Partial<PodDisruptionBudget['spec']>, status: PodDisruptionBudget['status'] = {}): PodDisruptionBudget => ({
  metadata: { name: 'b', namespace: 'default', generation: 2 },
  spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
  status,
})
const pod = (name: string, ready = true, metadata: Partial<Pod['metadata']> = {}): Pod => ({
  metadata: { name, namespace: 'default', labels: { app: 'web' }, ...metadata },
  spec: { containers: [] },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
})

describe('planBudget()', () => {
  const three = [pod('a'), pod('b'), pod('c', false)]
  it.each([
    ['a number of available pods', { minAvailable: 1 }, 3, [3, 1, 2, 1]],
    ['a share of available pods, rounded up', { minAvailable: '50%' }, 3, [3, 2, 2, 0]],
    ['a number of unavailable pods', { maxUnavailable: 2 }, 3, [3, 1, 2, 1]],
    ['a share of a larger workload', { maxUnavailable: '50%' }, 10, [10, 5, 2, 0]],
  ])('with %s', (_, spec, scale, expected) => {
    const { status } = planBudget({ budget: budget(spec), pods: three, scale, nowMs })
    expect([status.expectedPods, status.desiredHealthy, status.currentHealthy, status.disruptionsAllowed]).toEqual(expected)
    expect(status.observedGeneration).toBe(2)
    expect(status.conditions?.[0]?.reason).toBe((status.disruptionsAllowed ?? 0) > 0 ? 'SufficientPods' : 'InsufficientPods')
  })

  it('allows nothing when it selects nothing', () => {
    expect(planBudget({ budget: budget({ minAvailable: 0 }), pods: [], scale: 0, nowMs }).status.disruptionsAllowed).toBe(0)
  })

  it('counts a pod whose eviction was granted as gone, until that times out', () => {
    const disruptedPods = { a: '2026-01-01T00:09:00Z', b: '2026-01-01T00:01:00Z' }
    const { status, againMs } = planBudget({
      budget: budget({ minAvailable: 1 }, { disruptedPods }),
      pods: [pod('a'), pod('b')],
      scale: 2,
      nowMs,
    })
    expect(status.currentHealthy).toBe(1)
    expect(status.disruptedPods).toEqual({ a: '2026-01-01T00:09:00Z' })
    expect(againMs).toBe(60_000)
  })

  it('allows nothing when the size of the workload is not known', () => {
    const { status } = planBudget({
      budget: budget({ maxUnavailable: 1 }, { disruptionsAllowed: 3 }),
      pods: three,
      scale: { error: 'why' },
      nowMs,
    })
    expect(status.disruptionsAllowed).toBe(0)
    expect(status.conditions?.[0]).toMatchObject({ status: 'False', reason: 'SyncFailed', message: 'why' })
  })
})

describe('untilStaleMs()', () => {
  it('gives a mark of a disruption two minutes to come true', () => {
    const target = { type: 'DisruptionTarget', status: 'True', lastTransitionTime: '2026-01-01T00:09:00Z' }
    expect(untilStaleMs({ ...pod('a'), status: { conditions: [target] } }, nowMs)).toBe(60_000)
    expect(untilStaleMs(pod('a'), nowMs)).toBeUndefined()
  })
})

describe('disruption controller', () => {
  it('follows the size of the Deployment behind the pods', async () => {
    await using world = await startWorld((context) => [
      createDisruptionController(context, { discover: async () => ({ resources: [], failures: [] }) }),
    ])
    const owner = (object: { readonly metadata: { readonly name: string; readonly uid?: string | undefined } }, kind: string) => [
      { apiVersion: 'apps/v1', kind, name: object.metadata.name, uid: object.metadata.uid ?? '', controller: true },
    ]
    const spec = { replicas: 4, selector: {}, template: {} }
    const deployment = world.server.put(deployments, { metadata: { name: 'web', namespace: 'default' }, spec })
    const set = world.server.put(replicasets, {
      metadata: { name: 'web-1', namespace: 'default', ownerReferences: owner(deployment, 'Deployment') },
      spec: { ...spec, replicas: 2 },
    })
    for (const name of ['a', 'b', 'c']) world.server.put(pods, pod(name, true, { ownerReferences: owner(set, 'ReplicaSet') }))
    world.server.put(poddisruptionbudgets, budget({ maxUnavailable: '50%' }))
    const allowed = (): unknown => world.server.peek(poddisruptionbudgets, 'default/b')?.status
    await world.eventually(
      () => (expect(allowed()).toMatchObject({ expectedPods: 4, desiredHealthy: 2, currentHealthy: 3, disruptionsAllowed: 1 }), true),
    )
    world.server.put(deployments, { ...deployment, spec: { ...spec, replicas: 6 } })
    await world.eventually(() => (expect(allowed()).toMatchObject({ expectedPods: 6, disruptionsAllowed: 0 }), true))
  })
})
