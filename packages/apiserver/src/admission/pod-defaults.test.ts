import { type Binding, bindings, nodes, type Pod, pods } from '@k3s/api/types/core/v1'
import { type RuntimeClass, runtimeclasses } from '@k3s/api/types/node/v1'
import { describe, expect, it } from 'vitest'
import { runAdmission } from '../../test/run-admission.ts'
import { stored } from '../../test/strategy-runs.ts'

const podOf = (spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'a' },
  spec: { containers: [{ name: 'main', image: 'i' }], ...spec },
})

describe('RuntimeClass', () => {
  const gvisor: RuntimeClass = {
    metadata: { name: 'gvisor' },
    handler: 'runsc',
    overhead: { podFixed: { cpu: '250m', memory: '64Mi' } },
    scheduling: {
      nodeSelector: { runtime: 'gvisor' },
      tolerations: [{ key: 'gvisor', operator: 'Exists', effect: 'NoSchedule' }],
    },
  }
  const admit = (pod: Pod, classes: readonly RuntimeClass[] = [gvisor]) =>
    runAdmission(pods, pod, { only: ['RuntimeClass'], stored: classes.map((each) => stored(runtimeclasses, each)) })
  const plain: RuntimeClass = { metadata: { name: 'gvisor' }, handler: 'runsc' }

  it('adds the overhead and the nodes of the class', async () => {
    const pod = podOf({ runtimeClassName: 'gvisor', nodeSelector: { disk: 'ssd' } })
    await admit(pod)
    expect(pod.spec).toMatchObject({
      overhead: { cpu: '250m', memory: '64Mi' },
      nodeSelector: { disk: 'ssd', runtime: 'gvisor' },
      tolerations: [{ key: 'gvisor', operator: 'Exists', effect: 'NoSchedule' }],
    })
  })

  it('adds nothing twice and takes an equal overhead in other words', async () => {
    const overhead = { cpu: '0.25', memory: '65536Ki' }
    const tolerations = [{ key: 'gvisor', operator: 'Exists', effect: 'NoSchedule' }]
    const pod = podOf({ runtimeClassName: 'gvisor', overhead, tolerations })
    await admit(pod)
    expect(pod.spec.tolerations).toEqual(tolerations)
  })

  it.each([
    [podOf({ runtimeClassName: 'none' }), [gvisor], 'pod rejected: RuntimeClass "none" not found'],
    [
      podOf({ runtimeClassName: 'gvisor', overhead: { cpu: '1' } }),
      [gvisor],
      "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    ],
    [
      podOf({ runtimeClassName: 'gvisor', overhead: { cpu: '1' } }),
      [plain],
      'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
    ],
    [podOf({ overhead: { cpu: '1' } }), [gvisor], 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead'],
    [
      podOf({ runtimeClassName: 'gvisor', nodeSelector: { runtime: 'kata' } }),
      [gvisor],
      'conflict: runtimeClass.scheduling.nodeSelector[runtime] = gvisor; pod.spec.nodeSelector[runtime] = kata',
    ],
  ])('refuses what contradicts the class: %#', async (pod, classes, message) => {
    await expect(admit(pod, classes)).rejects.toMatchObject({ code: 403, message: `pods "web" is forbidden: ${message}` })
  })
})

describe('PodTopologyLabels', () => {
  const zone = 'topology.kubernetes.io/zone'
  const region = 'topology.kubernetes.io/region'
  const only = ['PodTopologyLabels']
  const node = stored(nodes, { metadata: { name: 'n1', labels: { [zone]: 'z1', [region]: 'r1', other: 'x' } }, spec: {} })
  const bindingTo = (name: string): Binding => ({ metadata: { name: 'web', namespace: 'a' }, target: { kind: 'Node', name } })

  it('gives a pod that is made on a node its zone and region', async () => {
    const pod = podOf({ nodeName: 'n1' })
    await runAdmission(pods, pod, { only, stored: [node] })
    expect(pod.metadata.labels).toEqual({ [zone]: 'z1', [region]: 'r1' })
    const waiting = podOf()
    await runAdmission(pods, waiting, { only, stored: [node] })
    expect(waiting.metadata.labels).toBeUndefined()
  })

  it('gives bindings the labels of their node', async () => {
    const binding = bindingTo('n1')
    await runAdmission(bindings, binding, { only, stored: [node] })
    expect(binding.metadata.labels).toEqual({ [zone]: 'z1', [region]: 'r1' })
    const unknown = bindingTo('n2')
    await runAdmission(bindings, unknown, { only, stored: [node] })
    expect(unknown.metadata.labels).toBeUndefined()
  })
})
