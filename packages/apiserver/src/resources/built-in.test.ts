import type { KubernetesObject } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { createProblems, defaulted, rowOf, updateProblems } from '../../test/strategy-runs.ts'
import type { ResourceStrategy } from '../registry/strategy.ts'
import { builtInStrategies } from './built-in.ts'

const strategies = new Map(builtInStrategies({ serviceCidrs: ['10.43.0.0/16'] }).map((strategy) => [strategy.type.resource, strategy]))
const strategyOf = (resource: string): ResourceStrategy => {
  const strategy = strategies.get(resource)
  if (strategy === undefined) throw new Error(`no strategy for ${resource}`)
  return strategy
}
/** An object with these fields beside its metadata. */
const objectOf = (resource: string, fields: object, metadata: object = {}): KubernetesObject => ({
  metadata: {
    name: 'x',
    ...(strategyOf(resource).type.namespaced ? { namespace: 'default' } : {}),
    creationTimestamp: '2024-05-01T11:00:00Z',
    ...metadata,
  },
  ...fields,
})

describe('built-in strategies', () => {
  it('are one for each resource', () => {
    expect(strategies.size).toBe(builtInStrategies({ serviceCidrs: ['10.43.0.0/16'] }).length)
    for (const { columns } of strategies.values()) expect(new Set(columns?.map(({ name }) => name)).size).toBe(columns?.length ?? 0)
  })

  it('need ranges that are CIDRs', () => {
    expect(() => builtInStrategies({ serviceCidrs: ['10.43.0.0'] })).toThrow(TypeError)
  })
})

const selector = { matchLabels: { app: 'web' } }
const backend = { service: { name: 'web', port: { number: 80 } } }
const webhook = {
  name: 'a.example.com',
  clientConfig: { service: { name: 's', namespace: 'n' } },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
}

describe('defaults', () => {
  it.each<[string, object, object]>([
    ['secrets', {}, { type: 'Opaque' }],
    ['namespaces', {}, { metadata: { labels: { 'kubernetes.io/metadata.name': 'x' } } }],
    ['persistentvolumeclaims', { spec: {} }, { spec: { volumeMode: 'Filesystem' } }],
    [
      'persistentvolumes',
      { spec: { hostPath: { path: '/a' } } },
      { spec: { persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem', hostPath: { type: '' } } },
    ],
    ['storageclasses', { provisioner: 'p' }, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }],
    ['networkpolicies', { spec: { podSelector: {}, egress: [{}] } }, { spec: { policyTypes: ['Ingress', 'Egress'] } }],
    ['networkpolicies', { spec: { podSelector: {} } }, { spec: { policyTypes: ['Ingress'] } }],
    [
      'rolebindings',
      { roleRef: { kind: 'Role', name: 'r' }, subjects: [{ kind: 'User', name: 'u' }] },
      {
        roleRef: { apiGroup: 'rbac.authorization.k8s.io' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io' }],
      },
    ],
    ['priorityclasses', { value: 1 }, { preemptionPolicy: 'PreemptLowerPriority' }],
    ['endpointslices', { addressType: 'IPv4', endpoints: [], ports: [{ port: 80 }] }, { ports: [{ name: '', protocol: 'TCP' }] }],
    [
      'horizontalpodautoscalers',
      { spec: { maxReplicas: 3, scaleTargetRef: { kind: 'Deployment', name: 'd' }, behavior: {} } },
      {
        spec: {
          minReplicas: 1,
          metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }],
          behavior: {
            scaleUp: {
              stabilizationWindowSeconds: 0,
              selectPolicy: 'Max',
              policies: [
                { type: 'Pods', value: 4, periodSeconds: 15 },
                { type: 'Percent', value: 100, periodSeconds: 15 },
              ],
            },
            scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
          },
        },
      },
    ],
    [
      'mutatingwebhookconfigurations',
      { webhooks: [{ ...webhook, rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }] }] },
      {
        webhooks: [
          {
            failurePolicy: 'Fail',
            matchPolicy: 'Equivalent',
            namespaceSelector: {},
            objectSelector: {},
            timeoutSeconds: 10,
            reinvocationPolicy: 'Never',
            rules: [{ scope: '*' }],
            clientConfig: { service: { port: 443 } },
          },
        ],
      },
    ],
    ['flowschemas', { spec: { priorityLevelConfiguration: { name: 'p' } } }, { spec: { matchingPrecedence: 1000 } }],
    [
      'prioritylevelconfigurations',
      { spec: { type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: {} } } } },
      {
        spec: {
          limited: {
            nominalConcurrencyShares: 30,
            lendablePercent: 0,
            limitResponse: { queuing: { handSize: 8, queues: 64, queueLengthLimit: 50 } },
          },
        },
      },
    ],
    [
      'resourceclaims',
      { spec: { devices: { requests: [{ name: 'a', exactly: { deviceClassName: 'gpu' } }] } } },
      {
        spec: { devices: { requests: [{ exactly: { allocationMode: 'ExactCount', count: 1 } }] } },
      },
    ],
    [
      'limitranges',
      { spec: { limits: [{ type: 'Container', max: { cpu: '1' } }] } },
      { spec: { limits: [{ default: { cpu: '1' }, defaultRequest: { cpu: '1' } }] } },
    ],
  ])('of %s: %o', (resource, fields, expected) => {
    const strategy = strategyOf(resource)
    const object = defaulted(strategy, objectOf(resource, fields))
    expect(object).toMatchObject(expected)
  })
})

describe('validation', () => {
  it.each<[string, object, string[]]>([
    [
      'configmaps',
      { data: { 'a b': '' } },
      [expect.stringMatching(/^data\[a b\]: Invalid value: "a b": a valid config key must consist of/)],
    ],
    ['configmaps', { data: { a: '' }, binaryData: { a: '' } }, ['data[a]: Invalid value: "a": duplicate of key present in binaryData']],
    ['configmaps', { data: { a: 'x'.repeat(1048577) } }, ['[]: Too long: may not be more than 1048576 bytes']],
    ['secrets', { type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }, ['data[tls.key]: Required value']],
    ['secrets', { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': 'e30' } }, []],
    ['namespaces', { spec: { finalizers: ['plain'] } }, [expect.stringMatching(/^spec\.finalizers\[0\]|^spec\.finalizers/)]],
    [
      'roles',
      { rules: [{ verbs: [], apiGroups: [''], resources: ['pods'] }] },
      ['rules[0].verbs: Required value: verbs must contain at least one value'],
    ],
    [
      'roles',
      { rules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }] },
      ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
    ],
    ['rolebindings', { roleRef: { kind: 'Role', name: '' }, subjects: [] }, ['roleRef.name: Required value']],
    [
      'rolebindings',
      { roleRef: { kind: 'Thing', name: 'r' }, subjects: [] },
      ['roleRef.kind: Unsupported value: "Thing": supported values: "Role", "ClusterRole"'],
    ],
    ['storageclasses', {}, ['provisioner: Required value']],
    ['priorityclasses', { value: 2000000000 }, ['value: Forbidden: maximum allowed value of a user defined priority is 1000000000']],
    ['ingresses', { spec: {} }, ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified']],
    [
      'ingresses',
      { spec: { rules: [{ host: 'example.com', http: { paths: [{ path: 'x', pathType: 'Prefix', backend }] } }] } },
      ['spec.rules[0].http.paths[0].path: Invalid value: "x": must be an absolute path'],
    ],
    [
      'networkpolicies',
      { spec: { podSelector: {}, ingress: [{ from: [{}] }] } },
      ['spec.ingress[0].from[0]: Required value: must specify a peer'],
    ],
    [
      'poddisruptionbudgets',
      { spec: { selector, minAvailable: 1, maxUnavailable: 1 } },
      [expect.stringMatching(/^spec: Invalid value: .*: minAvailable and maxUnavailable cannot be both set$/)],
    ],
    [
      'persistentvolumeclaims',
      { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: {} } } },
      ['spec.resources[storage]: Required value'],
    ],
    [
      'persistentvolumes',
      { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'] } },
      ['spec: Required value: must specify a volume type'],
    ],
    [
      'endpointslices',
      { addressType: 'IPv4', endpoints: [{ addresses: ['fd00::1'] }] },
      [expect.stringMatching(/^endpoints\[0\]\.addresses: Invalid value: "fd00::1": must be an IPv4 address/)],
    ],
    ['resourcequotas', { spec: { hard: { pods: '1.5' } } }, ['spec.hard[pods]: Invalid value: "1500m": must be an integer']],
    [
      'horizontalpodautoscalers',
      { spec: { maxReplicas: 0, scaleTargetRef: { kind: '', name: 'd' } } },
      [
        'spec.maxReplicas: Required value: must be set and greater than 0',
        'spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`',
        'spec.scaleTargetRef.kind: Required value',
      ],
    ],
    [
      'validatingwebhookconfigurations',
      { webhooks: [{ ...webhook, name: 'a', sideEffects: 'Some', clientConfig: { url: 'http://x/?a' } }] },
      [
        'webhooks[0].name: Invalid value: "a": should be a domain with at least three segments separated by dots',
        'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
        'webhooks[0].clientConfig.url: Invalid value: "http": \'https\' is the only allowed URL scheme; desired format: https://host[/path]',
        'webhooks[0].clientConfig.url: Invalid value: "a": query parameters are not permitted in the URL',
      ],
    ],
    [
      'validatingadmissionpolicybindings',
      { spec: { policyName: 'p', validationActions: ['Deny', 'Warn'] } },
      [expect.stringMatching(/^spec\.validationActions: Invalid value: \["Deny","Warn"\]: must not contain both Deny and Warn/)],
    ],
    [
      'flowschemas',
      { spec: { matchingPrecedence: 1, priorityLevelConfiguration: { name: '' } } },
      [
        "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
        'spec.priorityLevelConfiguration.name: Required value: must reference a priority level',
      ],
    ],
    ['leases', { spec: { leaseDurationSeconds: 0 } }, ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0']],
    [
      'limitranges',
      { spec: { limits: [{ type: 'Container', min: { cpu: '2' }, max: { cpu: '1' } }] } },
      [expect.stringMatching(/^spec\.limits\[0\]\.min\[cpu\]: Invalid value: "2": min value 2 is greater than max value 1/)],
    ],
  ])('of %s: %o', (resource, fields, expected) => {
    const problems = createProblems(strategyOf(resource), objectOf(resource, fields))
    expect(problems.slice(0, Math.max(expected.length, 1))).toEqual(expected)
  })
})

describe('updates', () => {
  const set =
    (fields: object) =>
    (object: KubernetesObject): void =>
      void Object.assign(object, fields)

  it.each<[string, object, object, string[]]>([
    [
      'configmaps',
      { data: { a: '1' }, immutable: true },
      { data: { a: '2' } },
      ['data: Forbidden: field is immutable when `immutable` is set'],
    ],
    ['configmaps', { immutable: true }, { immutable: false }, ['immutable: Forbidden: field is immutable when `immutable` is set']],
    ['secrets', { type: 'Opaque' }, { type: 'other' }, ['type: Invalid value: "other": field is immutable']],
    ['secrets', { data: { a: '' }, immutable: true }, { data: {} }, ['data: Forbidden: field is immutable when `immutable` is set']],
    ['storageclasses', { provisioner: 'p' }, { provisioner: 'q' }, ['provisioner: Invalid value: "q": field is immutable']],
    ['priorityclasses', { value: 1 }, { value: 2 }, ['value: Forbidden: may not be changed in an update.']],
    [
      'clusterrolebindings',
      { roleRef: { kind: 'ClusterRole', name: 'a' } },
      { roleRef: { kind: 'ClusterRole', name: 'b' } },
      ['roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"b"}: cannot change roleRef'],
    ],
    [
      'endpointslices',
      { addressType: 'IPv4', endpoints: [] },
      { addressType: 'IPv6' },
      ['addressType: Invalid value: "IPv6": field is immutable'],
    ],
    ['runtimeclasses', { handler: 'a' }, { handler: 'b' }, ['handler: Invalid value: "b": field is immutable']],
  ])('of %s from %o by %o', (resource, fields, change, expected) => {
    expect(updateProblems(strategyOf(resource), objectOf(resource, fields), set(change))).toEqual(expected)
  })
})

describe('columns', () => {
  it.each<[string, object, Record<string, unknown>]>([
    ['configmaps', { data: { a: '1' }, binaryData: { b: '' } }, { Name: 'x', Data: 2, Age: '60m' }],
    ['secrets', { type: 'Opaque', data: { a: '' } }, { Name: 'x', Type: 'Opaque', Data: 1, Age: '60m' }],
    ['namespaces', { status: { phase: 'Active' } }, { Name: 'x', Status: 'Active', Age: '60m' }],
    [
      'nodes',
      {
        metadata: {
          name: 'n',
          labels: { 'node-role.kubernetes.io/control-plane': 'true', 'node-role.kubernetes.io/etcd': 'true' },
          creationTimestamp: '2024-05-01T11:00:00Z',
        },
        spec: { unschedulable: true },
        status: {
          conditions: [{ type: 'Ready', status: 'True' }],
          nodeInfo: { kubeletVersion: 'v1.36.3+k3s1', osImage: 'Linux', kernelVersion: '6.1' },
          addresses: [{ type: 'InternalIP', address: '192.0.2.1' }],
        },
      },
      {
        Name: 'n',
        Status: 'Ready,SchedulingDisabled',
        Roles: 'control-plane,etcd',
        Age: '60m',
        Version: 'v1.36.3+k3s1',
        'Internal-IP': '192.0.2.1',
        'External-IP': '<none>',
        'OS-Image': 'Linux',
        'Kernel-Version': '6.1',
        'Container-Runtime': '<unknown>',
      },
    ],
    ['serviceaccounts', { secrets: [{ name: 'a' }] }, { Name: 'x', Age: '60m' }],
    [
      'persistentvolumeclaims',
      {
        spec: { volumeName: 'pv', storageClassName: 'fast', volumeMode: 'Filesystem' },
        status: { phase: 'Bound', accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' } },
      },
      {
        Name: 'x',
        Status: 'Bound',
        Volume: 'pv',
        Capacity: '1Gi',
        'Access Modes': 'RWO',
        StorageClass: 'fast',
        VolumeAttributesClass: '<unset>',
        Age: '60m',
        VolumeMode: 'Filesystem',
      },
    ],
    [
      'ingresses',
      {
        spec: { ingressClassName: 'traefik', rules: [{ host: 'a.example' }], tls: [{}] },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
      },
      {
        Name: 'x',
        Class: 'traefik',
        Hosts: 'a.example',
        Address: '192.0.2.1',
        Ports: '80, 443',
        Age: '60m',
      },
    ],
    [
      'rolebindings',
      {
        roleRef: { kind: 'Role', name: 'r' },
        subjects: [
          { kind: 'User', name: 'u' },
          { kind: 'ServiceAccount', namespace: 'a', name: 's' },
        ],
      },
      { Name: 'x', Role: 'Role/r', Age: '60m', Users: 'u', Groups: '', ServiceAccounts: 'a/s' },
    ],
    [
      'poddisruptionbudgets',
      { spec: { maxUnavailable: '10%' }, status: { disruptionsAllowed: 1 } },
      { 'Min Available': 'N/A', 'Max Unavailable': '10%', 'Allowed Disruptions': 1 },
    ],
    [
      'horizontalpodautoscalers',
      {
        spec: {
          scaleTargetRef: { kind: 'Deployment', name: 'd' },
          minReplicas: 1,
          maxReplicas: 5,
          metrics: [
            { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
            { type: 'Pods', pods: { metric: { name: 'm' }, target: { type: 'AverageValue', averageValue: '10' } } },
            { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } } },
          ],
        },
        status: {
          currentReplicas: 2,
          currentMetrics: [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 20 } } }],
        },
      },
      { Reference: 'Deployment/d', Targets: 'cpu: 20%/80%, <unknown>/10 + 1 more...', MinPods: '1', MaxPods: 5, Replicas: 2 },
    ],
    ['leases', { spec: { holderIdentity: 'me' } }, { Name: 'x', Holder: 'me', Age: '60m' }],
    [
      'storageclasses',
      { provisioner: 'p', metadata: { name: 'x', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } } },
      {
        Name: 'x (default)',
        Provisioner: 'p',
        ReclaimPolicy: 'Delete',
        VolumeBindingMode: 'Immediate',
        AllowVolumeExpansion: false,
        Age: '<unknown>',
      },
    ],
    [
      'prioritylevelconfigurations',
      { spec: { type: 'Exempt' } },
      { Name: 'x', Type: 'Exempt', NominalConcurrencyShares: '<none>', Queues: '<none>' },
    ],
    ['mutatingwebhookconfigurations', { webhooks: [webhook] }, { Name: 'x', Webhooks: 1, Age: '60m' }],
    [
      'resourceclaims',
      { spec: {}, status: { allocation: {}, reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] } },
      { State: 'allocated,reserved' },
    ],
    [
      'componentstatuses',
      { conditions: [{ type: 'Healthy', status: 'True', message: 'ok' }] },
      { Name: 'x', Status: 'Healthy', Message: 'ok', Error: '' },
    ],
  ])('of %s: %o', (resource, fields, cells) => {
    expect(rowOf(strategyOf(resource), objectOf(resource, fields))).toMatchObject(cells)
  })
})
