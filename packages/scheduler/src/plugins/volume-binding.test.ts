import type { PersistentVolume, PersistentVolumeClaim } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPod } from '../../test/cluster.ts'
import { planVolumes } from './volume-binding.ts'

const storageclasses = [
  { metadata: { name: 'immediate' }, provisioner: 'x', volumeBindingMode: 'Immediate' },
  { metadata: { name: 'wait' }, provisioner: 'x', volumeBindingMode: 'WaitForFirstConsumer' },
  { metadata: { name: 'static' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' },
  {
    metadata: { name: 'zonal' },
    provisioner: 'x',
    volumeBindingMode: 'WaitForFirstConsumer',
    allowedTopologies: [{ matchLabelExpressions: [{ key: 'zone', values: ['b'] }] }],
  },
]
const claim = (storageClassName: string, rest: Partial<PersistentVolumeClaim> = {}): PersistentVolumeClaim => ({
  metadata: { name: 'data', namespace: 'default' },
  spec: { storageClassName, accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  ...rest,
})
const bound: PersistentVolumeClaim = {
  metadata: { name: 'data', namespace: 'default', annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } },
  spec: { volumeName: 'pv' },
}
const volume = (name: string, storage: string, rest: Partial<PersistentVolume['spec']> = {}): PersistentVolume => ({
  metadata: { name },
  spec: { storageClassName: 'static', accessModes: ['ReadWriteOnce'], capacity: { storage }, ...rest },
  status: { phase: 'Available' },
})
const onNode = (name: string) => ({
  nodeAffinity: {
    required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [name] }] }] },
  },
})

function plan(claims: readonly PersistentVolumeClaim[], volumes: readonly PersistentVolume[] = []) {
  const node = testNode('n', { zone: 'a' })
  const cluster = testCluster([node], [], { persistentvolumeclaims: claims, persistentvolumes: volumes, storageclasses })
  const pod = testPod({ volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] })
  const result = planVolumes(pod, cluster.node('n')!, cluster)
  if (result === undefined) return 'nothing'
  if ('reasons' in result) return result.reasons.join()
  return [
    ...result.matches.map(({ volume }) => `takes ${volume.metadata.name}`),
    ...result.provisions.map(({ metadata }) => `asks for ${metadata.name}`),
  ].join()
}

describe('planVolumes()', () => {
  it.each<[string, PersistentVolumeClaim[], PersistentVolume[], string]>([
    ['no claim', [], [], 'persistentvolumeclaim "data" not found'],
    ['a bound claim', [bound], [volume('pv', '1Gi')], ''],
    ['a bound claim without its volume', [bound], [], 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)'],
    ['a volume of another node', [bound], [volume('pv', '1Gi', onNode('other'))], "node(s) didn't match PersistentVolume's node affinity"],
    ['an unbound claim', [claim('immediate')], [], 'pod has unbound immediate PersistentVolumeClaims'],
    ['an unbound claim of an unknown class', [claim('none')], [], 'pod has unbound immediate PersistentVolumeClaims'],
    [
      'a lost claim',
      [claim('wait', { status: { phase: 'Lost' } })],
      [],
      'persistentvolumeclaim "data" bound to non-existent persistentvolume ""',
    ],
    ['a claim that waits', [claim('wait')], [], 'asks for data'],
    ['a claim that waits for another zone', [claim('zonal')], [], "node(s) didn't find available persistent volumes to bind"],
    [
      'the smallest volume that is large enough',
      [claim('static')],
      [volume('a', '5Gi'), volume('b', '2Gi'), volume('c', '1Mi')],
      'takes b',
    ],
    ['only volumes of the node', [claim('static')], [volume('a', '2Gi', onNode('other')), volume('b', '5Gi', onNode('n'))], 'takes b'],
    ['no volume and no provisioner', [claim('static')], [], "node(s) didn't find available persistent volumes to bind"],
    [
      'a volume of another class',
      [claim('static')],
      [volume('a', '2Gi', { storageClassName: 'x' })],
      "node(s) didn't find available persistent volumes to bind",
    ],
  ])('with %s', (_case, claims, volumes, expected) => {
    expect(plan(claims, volumes)).toBe(expected)
  })

  it('holds a claim to the node that was selected for it', () => {
    const selected = (node: string) => {
      const annotations = { 'volume.kubernetes.io/selected-node': node }
      return claim('wait', { metadata: { name: 'data', namespace: 'default', annotations } })
    }
    expect(plan([selected('n')])).toBe('asks for data')
    expect(plan([selected('other')])).toBe("node(s) didn't find available persistent volumes to bind")
  })

  it('does not promise one volume to two claims', () => {
    const claims = ['one', 'two'].map((name) => claim('static', { metadata: { name, namespace: 'default' } }))
    const cluster = testCluster([testNode('n')], [], {
      persistentvolumeclaims: claims,
      persistentvolumes: [volume('a', '2Gi')],
      storageclasses,
    })
    const podOf = (claimName: string) => testPod({ volumes: [{ name: 'v', persistentVolumeClaim: { claimName } }] })
    const first = planVolumes(podOf('one'), cluster.node('n')!, cluster)
    expect(first).toMatchObject({ matches: [{ volume: { metadata: { name: 'a' } } }] })
    cluster.assumeVolumes(first as Exclude<typeof first, undefined | { reasons: unknown }>)
    expect(planVolumes(podOf('two'), cluster.node('n')!, cluster)).toMatchObject({
      reasons: ["node(s) didn't find available persistent volumes to bind"],
    })
  })
})
