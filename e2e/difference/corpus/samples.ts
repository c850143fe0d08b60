/**
 * One valid object of every resource that is served.
 * Longer than files here are: it is a table, one entry a resource, which nobody reads from end to end.
 */
import type { JsonObject } from '../case.ts'

/** A valid object of one resource, as small as is interesting. Its metadata is filled in by who uses it. */
export interface Sample {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  readonly object: JsonObject
  /** A merge patch that the kind accepts. */
  readonly change: JsonObject
  /** A status that a controller might write. */
  readonly status?: JsonObject
  readonly hasScale?: boolean
  /** The server's own controllers write to it when it exists: only dry runs give the same answer each time. */
  readonly isWatched?: boolean
  /** Names that differ from the usual ones of the corpus; `%` stands for it. */
  readonly nameAs?: string
}

type Facts = Pick<Sample, 'status' | 'hasScale' | 'nameAs' | 'isWatched'>

const namespaced = (at: string, kind: string, object: JsonObject, change: JsonObject, facts: Facts = {}): Sample =>
  sample(at, kind, true, object, change, facts)
const cluster = (at: string, kind: string, object: JsonObject, change: JsonObject, facts: Facts = {}): Sample =>
  sample(at, kind, false, object, change, facts)

function sample(at: string, kind: string, isNamespaced: boolean, object: JsonObject, change: JsonObject, facts: Facts): Sample {
  const parts = at.split('/')
  const [group = '', version = '', resource = ''] = parts.length === 2 ? ['', ...parts] : parts
  return { group, version, resource, kind, namespaced: isNamespaced, object, change, ...facts }
}

const container: JsonObject = { name: 'main', image: 'registry.example/app:1' }
const labels: JsonObject = { app: 'web' }
const selector: JsonObject = { matchLabels: labels }
const podSpec: JsonObject = { containers: [container] }
const template: JsonObject = { metadata: { labels }, spec: podSpec }
const jobTemplate: JsonObject = { spec: { template: { spec: { ...podSpec, restartPolicy: 'Never' } } } }
const claimSpec: JsonObject = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
const request64 =
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIZ01JR0dBZ0VBTUNReEVEQU9CZ05WQkFvTUIyVjRZVzF3YkdVeEVEQU9CZ05WQkFNTUIzTnZiV1Z2Ym1VdwpXVEFUQmdjcWhrak9QUUlCQmdncWhrak9QUU1CQndOQ0FBVHc5N1NsZE9PZEpuVG5FNWdSYTdEbWRYZFl5Y1gvCnRPOHNra05zTERkeXZVVkRmczhkK0pybGtBQ1JlaHdOb3MxU2NNcGd6R1BrYyt4WXhQK3JJaC9ab0FBd0NnWUkKS29aSXpqMEVBd0lEU1FBd1JnSWhBS3JlMU5qTmp0RnBUYUxlakZ5WXRRUzQ0RmxvdkkwMDA1VGx2bzZnKzhLOQpBaUVBcHRPUHZQd2FOR0JhcVpXNkk2YnJTaTJiRWJFYXNaSkNpQTRQbVhWUkpzdz0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=='
const webhook: JsonObject = {
  name: 'check.example.com',
  clientConfig: { url: 'https://hooks.example.com/check' },
  rules: [{ operations: ['CREATE'], apiGroups: ['example.com'], apiVersions: ['v1'], resources: ['things'] }],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
}
const matchConstraints: JsonObject = {
  resourceRules: [{ apiGroups: ['example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['things'] }],
}
const condition = { type: 'Ready', status: 'True', reason: 'Good', message: 'all is well', lastTransitionTime: '2020-01-02T03:04:05Z' }

/** Every kind that is stored, in the order of discovery. */
export const samples: readonly Sample[] = [
  namespaced(
    'v1/configmaps',
    'ConfigMap',
    { data: { key: 'value' }, binaryData: { bytes: 'AAEC' } },
    { data: { key: 'other', more: 'x' } },
  ),
  namespaced(
    'v1/endpoints',
    'Endpoints',
    { subsets: [{ addresses: [{ ip: '10.1.2.3' }], ports: [{ name: 'http', port: 80 }] }] },
    { subsets: [{ addresses: [{ ip: '10.1.2.4' }], ports: [{ port: 81 }] }] },
  ),
  namespaced(
    'v1/events',
    'Event',
    {
      involvedObject: { kind: 'Pod', namespace: '$ns', name: 'p' },
      reason: 'Started',
      message: 'hello',
      type: 'Normal',
      source: { component: 'test' },
      firstTimestamp: '2020-01-02T03:04:05Z',
      lastTimestamp: '2020-01-02T03:04:05Z',
      count: 1,
    },
    { count: 2 },
  ),
  namespaced(
    'v1/limitranges',
    'LimitRange',
    { spec: { limits: [{ type: 'Container', default: { cpu: '1' }, defaultRequest: { cpu: '500m' }, max: { cpu: '2' } }] } },
    { spec: { limits: [{ type: 'Pod', max: { memory: '1Gi' } }] } },
  ),
  cluster(
    'v1/namespaces',
    'Namespace',
    {},
    { metadata: { labels: { team: 'a' } } },
    { status: { phase: 'Active', conditions: [condition] } },
  ),
  cluster(
    'v1/nodes',
    'Node',
    { spec: { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24'] } },
    { spec: { unschedulable: true } },
    {
      status: { capacity: { cpu: '4', memory: '8Gi' }, conditions: [condition], addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
    },
  ),
  namespaced(
    'v1/persistentvolumeclaims',
    'PersistentVolumeClaim',
    { spec: { ...claimSpec, storageClassName: 'none' } },
    { metadata: { annotations: { note: 'x' } } },
    { status: { phase: 'Lost' } },
  ),
  cluster(
    'v1/persistentvolumes',
    'PersistentVolume',
    { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' } } },
    { spec: { persistentVolumeReclaimPolicy: 'Delete' } },
    { status: { phase: 'Available' } },
  ),
  namespaced(
    'v1/pods',
    'Pod',
    { spec: { ...podSpec, nodeSelector: { disk: 'fast' } } },
    { spec: { activeDeadlineSeconds: 60 } },
    { status: { phase: 'Running', podIP: '10.42.0.5', podIPs: [{ ip: '10.42.0.5' }], conditions: [{ type: 'Ready', status: 'True' }] } },
  ),
  namespaced('v1/podtemplates', 'PodTemplate', { template }, { template: { metadata: { labels: { app: 'api' } } } }),
  namespaced(
    'v1/replicationcontrollers',
    'ReplicationController',
    { spec: { replicas: 1, selector: labels, template } },
    { spec: { replicas: 2 } },
    { status: { replicas: 1 }, hasScale: true },
  ),
  namespaced(
    'v1/resourcequotas',
    'ResourceQuota',
    { spec: { hard: { pods: '10', 'requests.cpu': '4' } } },
    { spec: { hard: { pods: '20' } } },
    { status: { hard: { pods: '10' }, used: { pods: '1' } } },
  ),
  namespaced('v1/secrets', 'Secret', { data: { key: 'dmFsdWU=' }, type: 'Opaque' }, { stringData: { plain: 'text' } }),
  namespaced('v1/serviceaccounts', 'ServiceAccount', { imagePullSecrets: [{ name: 'pull' }] }, { automountServiceAccountToken: false }),
  namespaced(
    'v1/services',
    'Service',
    { spec: { selector: labels, ports: [{ name: 'http', port: 80 }] } },
    { spec: { sessionAffinity: 'ClientIP' } },
    { status: { conditions: [condition] }, nameAs: 's%' },
  ),
  cluster(
    'apiregistration.k8s.io/v1/apiservices',
    'APIService',
    {
      spec: {
        group: 'x$run.example.com',
        version: 'v1',
        groupPriorityMinimum: 1000,
        versionPriority: 15,
        insecureSkipTLSVerify: true,
        service: { namespace: 'default', name: 'none' },
      },
    },
    { spec: { versionPriority: 16 } },
    { status: { conditions: [condition] }, nameAs: 'v1.x$run.example.com', isWatched: true },
  ),
  namespaced('apps/v1/controllerrevisions', 'ControllerRevision', { data: { any: ['thing'] }, revision: 1 }, { revision: 2 }),
  namespaced(
    'apps/v1/daemonsets',
    'DaemonSet',
    { spec: { selector, template } },
    { spec: { minReadySeconds: 5 } },
    { status: { currentNumberScheduled: 1, numberMisscheduled: 0, desiredNumberScheduled: 1, numberReady: 1 } },
  ),
  namespaced(
    'apps/v1/deployments',
    'Deployment',
    { spec: { selector, template } },
    { spec: { replicas: 3 } },
    { status: { replicas: 1, observedGeneration: 1 }, hasScale: true },
  ),
  namespaced(
    'apps/v1/replicasets',
    'ReplicaSet',
    { spec: { selector, template } },
    { spec: { replicas: 3 } },
    { status: { replicas: 1 }, hasScale: true },
  ),
  namespaced(
    'apps/v1/statefulsets',
    'StatefulSet',
    { spec: { selector, serviceName: 'web', template, volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claimSpec }] } },
    { spec: { replicas: 3 } },
    { status: { replicas: 1 }, hasScale: true },
  ),
  namespaced(
    'events.k8s.io/v1/events',
    'Event',
    {
      eventTime: '2020-01-02T03:04:05.000000Z',
      reportingController: 'example.com/test',
      reportingInstance: 'test-1',
      action: 'Start',
      reason: 'Started',
      note: 'hello',
      type: 'Normal',
      regarding: { kind: 'Pod', namespace: '$ns', name: 'p' },
    },
    { series: { count: 2, lastObservedTime: '2020-01-02T03:05:05.000000Z' } },
  ),
  namespaced(
    'autoscaling/v2/horizontalpodautoscalers',
    'HorizontalPodAutoscaler',
    {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        minReplicas: 1,
        maxReplicas: 5,
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }],
      },
    },
    { spec: { maxReplicas: 6 } },
    { status: { currentReplicas: 1, desiredReplicas: 2, currentMetrics: null } },
  ),
  namespaced(
    'autoscaling/v1/horizontalpodautoscalers',
    'HorizontalPodAutoscaler',
    {
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        minReplicas: 1,
        maxReplicas: 5,
        targetCPUUtilizationPercentage: 70,
      },
    },
    { spec: { maxReplicas: 6 } },
    { status: { currentReplicas: 1, desiredReplicas: 2 } },
  ),
  namespaced(
    'batch/v1/cronjobs',
    'CronJob',
    { spec: { schedule: '*/5 * * * *', jobTemplate } },
    { spec: { suspend: true } },
    { status: { lastScheduleTime: '2020-01-02T03:04:05Z' } },
  ),
  namespaced(
    'batch/v1/jobs',
    'Job',
    { spec: jobTemplate['spec'] },
    { spec: { parallelism: 2 } },
    { status: { active: 1, startTime: '2020-01-02T03:04:05Z' } },
  ),
  cluster(
    'certificates.k8s.io/v1/certificatesigningrequests',
    'CertificateSigningRequest',
    { spec: { request: request64, signerName: 'example.com/signer', usages: ['client auth'] } },
    { metadata: { labels: { a: 'b' } } },
    { status: { conditions: [{ type: 'Failed', status: 'True', reason: 'Bad' }] } },
  ),
  cluster(
    'networking.k8s.io/v1/ingressclasses',
    'IngressClass',
    { spec: { controller: 'example.com/ingress' } },
    { spec: { parameters: { kind: 'Config', name: 'c' } } },
  ),
  namespaced(
    'networking.k8s.io/v1/ingresses',
    'Ingress',
    {
      spec: {
        ingressClassName: 'none',
        rules: [
          {
            host: 'web.example.com',
            http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] },
          },
        ],
      },
    },
    { spec: { tls: [{ hosts: ['web.example.com'], secretName: 'tls' }] } },
    { status: { loadBalancer: { ingress: [{ ip: '192.0.2.7' }] } } },
  ),
  cluster(
    'networking.k8s.io/v1/ipaddresses',
    'IPAddress',
    { spec: { parentRef: { group: '', resource: 'services', namespace: 'default', name: 'x' } } },
    { metadata: { labels: { a: 'b' } } },
    { nameAs: '203.0.113.7' },
  ),
  namespaced(
    'networking.k8s.io/v1/networkpolicies',
    'NetworkPolicy',
    {
      spec: {
        podSelector: selector,
        ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }], ports: [{ port: 80 }] }],
      },
    },
    { spec: { policyTypes: ['Ingress', 'Egress'] } },
  ),
  cluster(
    'networking.k8s.io/v1/servicecidrs',
    'ServiceCIDR',
    { spec: { cidrs: ['203.0.113.0/24'] } },
    { metadata: { labels: { a: 'b' } } },
    { status: { conditions: [condition] }, isWatched: true },
  ),
  namespaced(
    'policy/v1/poddisruptionbudgets',
    'PodDisruptionBudget',
    { spec: { selector, minAvailable: 1 } },
    { spec: { minAvailable: '50%' } },
    { status: { currentHealthy: 1, desiredHealthy: 1, disruptionsAllowed: 0, expectedPods: 1 } },
  ),
  cluster(
    'rbac.authorization.k8s.io/v1/clusterrolebindings',
    'ClusterRoleBinding',
    { subjects: [{ kind: 'User', name: 'jane' }], roleRef: { kind: 'ClusterRole', name: 'view' } },
    { subjects: [{ kind: 'ServiceAccount', name: 'a', namespace: 'b' }] },
  ),
  cluster(
    'rbac.authorization.k8s.io/v1/clusterroles',
    'ClusterRole',
    { rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
    { rules: [{ nonResourceURLs: ['/metrics'], verbs: ['get'] }] },
  ),
  namespaced(
    'rbac.authorization.k8s.io/v1/rolebindings',
    'RoleBinding',
    { subjects: [{ kind: 'Group', name: 'devs' }], roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' } },
    { subjects: [{ kind: 'ServiceAccount', name: 'a', namespace: 'b' }] },
  ),
  namespaced(
    'rbac.authorization.k8s.io/v1/roles',
    'Role',
    { rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
    { rules: [] },
  ),
  cluster('storage.k8s.io/v1/csidrivers', 'CSIDriver', { spec: { attachRequired: false } }, { spec: { requiresRepublish: true } }),
  cluster(
    'storage.k8s.io/v1/csinodes',
    'CSINode',
    { spec: { drivers: [{ name: 'csi.example.com', nodeID: 'n1', topologyKeys: ['zone'] }] } },
    { spec: { drivers: [] } },
  ),
  namespaced(
    'storage.k8s.io/v1/csistoragecapacities',
    'CSIStorageCapacity',
    { storageClassName: 'fast', capacity: '10Gi', nodeTopology: { matchLabels: { zone: 'a' } } },
    { capacity: '5Gi' },
  ),
  cluster(
    'storage.k8s.io/v1/storageclasses',
    'StorageClass',
    { provisioner: 'example.com/disk', parameters: { type: 'ssd' } },
    { allowVolumeExpansion: true },
  ),
  cluster(
    'storage.k8s.io/v1/volumeattachments',
    'VolumeAttachment',
    { spec: { attacher: 'example.com', nodeName: 'n', source: { persistentVolumeName: 'pv' } } },
    { metadata: { labels: { a: 'b' } } },
    { status: { attached: true } },
  ),
  cluster(
    'storage.k8s.io/v1/volumeattributesclasses',
    'VolumeAttributesClass',
    { driverName: 'csi.example.com', parameters: { iops: '100' } },
    { metadata: { labels: { a: 'b' } } },
  ),
  cluster(
    'admissionregistration.k8s.io/v1/mutatingadmissionpolicies',
    'MutatingAdmissionPolicy',
    {
      spec: {
        matchConstraints,
        reinvocationPolicy: 'Never',
        mutations: [
          { patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: {"a": "b"}}}' } },
        ],
      },
    },
    { spec: { failurePolicy: 'Ignore' } },
  ),
  cluster(
    'admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings',
    'MutatingAdmissionPolicyBinding',
    { spec: { policyName: 'none.example.com' } },
    { spec: { matchResources: { namespaceSelector: { matchLabels: { a: 'b' } } } } },
  ),
  cluster(
    'admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
    'MutatingWebhookConfiguration',
    { webhooks: [webhook] },
    { webhooks: [{ ...webhook, failurePolicy: 'Ignore' }] },
  ),
  cluster(
    'admissionregistration.k8s.io/v1/validatingadmissionpolicies',
    'ValidatingAdmissionPolicy',
    { spec: { matchConstraints, validations: [{ expression: 'object.spec.replicas <= 5', message: 'too many' }] } },
    { spec: { failurePolicy: 'Ignore' } },
    { status: { observedGeneration: 1 }, isWatched: true },
  ),
  cluster(
    'admissionregistration.k8s.io/v1/validatingadmissionpolicybindings',
    'ValidatingAdmissionPolicyBinding',
    { spec: { policyName: 'none.example.com', validationActions: ['Deny'] } },
    { spec: { validationActions: ['Warn', 'Audit'] } },
  ),
  cluster(
    'admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
    'ValidatingWebhookConfiguration',
    { webhooks: [webhook] },
    { webhooks: [{ ...webhook, timeoutSeconds: 5 }] },
  ),
  cluster(
    'apiextensions.k8s.io/v1/customresourcedefinitions',
    'CustomResourceDefinition',
    {
      spec: {
        group: 'g$run.example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [
          {
            name: 'v1',
            served: false,
            storage: true,
            schema: {
              openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } } },
            },
          },
        ],
      },
    },
    { metadata: { labels: { a: 'b' } } },
    { nameAs: 'things.g$run.example.com', isWatched: true },
  ),
  cluster('scheduling.k8s.io/v1/priorityclasses', 'PriorityClass', { value: 100 }, { description: 'text' }),
  namespaced(
    'coordination.k8s.io/v1/leases',
    'Lease',
    { spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: '2020-01-02T03:04:05.000006Z' } },
    { spec: { leaseTransitions: 1 } },
  ),
  cluster('node.k8s.io/v1/runtimeclasses', 'RuntimeClass', { handler: 'runc' }, { scheduling: { nodeSelector: { a: 'b' } } }),
  namespaced(
    'discovery.k8s.io/v1/endpointslices',
    'EndpointSlice',
    { addressType: 'IPv4', endpoints: [{ addresses: ['10.1.2.3'], conditions: { ready: true } }], ports: [{ name: 'http', port: 80 }] },
    { endpoints: [] },
  ),
  cluster(
    'resource.k8s.io/v1/deviceclasses',
    'DeviceClass',
    { spec: { selectors: [{ cel: { expression: 'device.driver == "gpu.example.com"' } }] } },
    { metadata: { labels: { a: 'b' } } },
  ),
  namespaced(
    'resource.k8s.io/v1/resourceclaims',
    'ResourceClaim',
    { spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } } },
    { metadata: { labels: { a: 'b' } } },
    { status: {} },
  ),
  namespaced(
    'resource.k8s.io/v1/resourceclaimtemplates',
    'ResourceClaimTemplate',
    { spec: { spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } } } },
    { metadata: { labels: { a: 'b' } } },
  ),
  cluster(
    'resource.k8s.io/v1/resourceslices',
    'ResourceSlice',
    {
      spec: {
        driver: 'gpu.example.com',
        nodeName: 'n',
        pool: { name: 'p', generation: 1, resourceSliceCount: 1 },
        devices: [{ name: 'gpu-0', attributes: { model: { string: 'x' } }, capacity: { memory: { value: '8Gi' } } }],
      },
    },
    { spec: { pool: { generation: 2 } } },
  ),
  cluster(
    'flowcontrol.apiserver.k8s.io/v1/flowschemas',
    'FlowSchema',
    {
      spec: {
        priorityLevelConfiguration: { name: 'global-default' },
        matchingPrecedence: 9000,
        rules: [
          {
            subjects: [{ kind: 'User', user: { name: 'nobody-$run' } }],
            resourceRules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], namespaces: ['x'] }],
          },
        ],
      },
    },
    { spec: { matchingPrecedence: 9001 } },
    { status: { conditions: [condition] }, isWatched: true },
  ),
  cluster(
    'flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations',
    'PriorityLevelConfiguration',
    { spec: { type: 'Limited', limited: { nominalConcurrencyShares: 5, limitResponse: { type: 'Reject' } } } },
    { spec: { limited: { nominalConcurrencyShares: 6 } } },
    { status: { conditions: [condition] } },
  ),
]

/** The collection of a sample's kind. */
export function collectionOf({ group, version, resource, namespaced: isNamespaced }: Sample): string {
  return `${group === '' ? `/api/${version}` : `/apis/${group}/${version}`}${isNamespaced ? '/namespaces/$ns' : ''}/${resource}`
}

/** Name of the sample's kind in names of cases. */
export function slugOf({ group, version, resource }: Sample): string {
  return `${resource.slice(0, 28)}-${version}${group === 'events.k8s.io' ? 'e' : ''}`
}

/** The sample's object in full, under a name. Names of cluster-scoped objects belong to the run. */
export function objectOf(of: Sample, name: string, metadata: JsonObject = {}): JsonObject {
  const { group, version, kind, object } = of
  return {
    apiVersion: group === '' ? version : `${group}/${version}`,
    kind,
    metadata: { name, ...metadata },
    ...object,
  }
}

/** A name that the kind allows, for the object that a case calls `name`. */
export function nameOf(of: Sample, name: string): string {
  if (of.nameAs !== undefined) return of.nameAs.replace('%', name)
  return of.namespaced ? name : `$run-${name}`
}
