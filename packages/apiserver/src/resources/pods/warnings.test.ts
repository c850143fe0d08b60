import type { Container, PodSpec } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { podWarnings } from './warnings.ts'

const specOf = (spec: Partial<PodSpec>, container: Partial<Container> = {}): PodSpec => ({
  containers: [{ name: 'c', image: 'i', ...container }],
  ...spec,
})
const nullSelector = 'a null labelSelector results in matching no pod'

describe('podWarnings()', () => {
  it.each<[string, Partial<PodSpec>, Partial<Container>, readonly string[]]>([
    ['nothing', {}, {}, []],
    ['secrets without a name', { imagePullSecrets: [{}] }, {}, ['spec.imagePullSecrets[0].name: invalid empty name ""']],
    [
      'secrets that stand twice',
      { imagePullSecrets: [{ name: 'a' }, { name: 'a' }] },
      {},
      ['spec.imagePullSecrets[1].name: duplicate name "a"'],
    ],
    [
      'labels that are gone',
      { nodeSelector: { 'beta.kubernetes.io/os': 'linux' } },
      {},
      ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'],
    ],
    [
      'spreading of nothing',
      { topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }] },
      {},
      [`spec.topologySpreadConstraints[0].labelSelector: ${nullSelector}`],
    ],
    [
      'affinity to nothing',
      {
        affinity: {
          podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: 'z' } }] },
        },
      },
      {},
      [`spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: ${nullSelector}`],
    ],
    [
      'volumes that nobody mounts',
      { volumes: [{ name: 'v', storageos: {} }] },
      {},
      ['spec.volumes[0].storageOS: deprecated in v1.22, non-functional in v1.25+'],
    ],
    [
      'parts of bytes',
      {},
      { resources: { limits: { memory: '1500m' } } },
      ['spec.containers[0].resources.limits[memory]: fractional byte value "1500m" is invalid, must be an integer'],
    ],
    [
      'variables that hide others',
      {},
      {
        env: [
          { name: 'A', value: 'a' },
          { name: 'A', value: '$(A)b' },
          { name: 'A', value: 'c' },
        ],
      },
      ['spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply'],
    ],
    [
      'ports that overlap',
      {},
      { ports: [{ containerPort: 80 }, { containerPort: 80, hostPort: 8080 }] },
      ['spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]'],
    ],
    [
      'ports of a name',
      { initContainers: [{ name: 'i', image: 'i', ports: [{ name: 'web', containerPort: 80 }] }] },
      { ports: [{ name: 'web', containerPort: 81 }] },
      [
        'spec.containers[0].ports[0]: duplicate port name "web" with spec.initContainers[0].ports[0], services and probes that select ports by name will use spec.initContainers[0].ports[0]',
      ],
    ],
  ])('tells of %s', (_what, spec, container, expected) => {
    expect(podWarnings(specOf(spec, container), {})).toEqual(expected)
  })

  it('tells of annotations, and where a template is', () => {
    const annotations = { 'container.seccomp.security.alpha.kubernetes.io/c': 'x', 'security.alpha.kubernetes.io/sysctls': 'y' }
    expect(podWarnings(specOf({}), { annotations }, 'spec.template')).toEqual([
      'spec.template.metadata.annotations[security.alpha.kubernetes.io/sysctls]: non-functional in v1.11+; use the "sysctls" field instead',
      'spec.template.metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+; use the "seccompProfile" field instead',
    ])
  })
})
