import { exitCodeAnnotation, secondsAnnotation } from './hollow-nodes.ts'

export type Manifest = Readonly<Record<string, unknown>> & {
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string }
}

const image = (version: number): string => `registry.test/churn:${version}`
const resources = { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '100m', memory: '32Mi' } }

function podTemplate(
  labels: object,
  options: { readonly annotations?: object; readonly restartPolicy?: string; readonly version?: number } = {},
): object {
  const { annotations = {}, restartPolicy = 'Always', version = 1 } = options
  return {
    metadata: { labels, annotations },
    spec: {
      restartPolicy,
      terminationGracePeriodSeconds: 5,
      containers: [{ name: 'main', image: image(version), resources, ports: [{ name: 'http', containerPort: 80 }] }],
    },
  }
}

export const deployment = (name: string, replicas: number): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, labels: { app: name } },
  spec: { replicas, revisionHistoryLimit: 2, selector: { matchLabels: { app: name } }, template: podTemplate({ app: name, tier: 'web' }) },
})

export const statefulSet = (name: string, replicas: number): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name },
  spec: { serviceName: name, replicas, selector: { matchLabels: { app: name } }, template: podTemplate({ app: name }) },
})

export const daemonSet = (name: string): Manifest => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name },
  spec: { selector: { matchLabels: { app: name } }, template: podTemplate({ app: name }) },
})

export const replicationController = (name: string, replicas: number): Manifest => ({
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: { name },
  spec: { replicas, selector: { app: name }, template: podTemplate({ app: name }) },
})

/** @param seconds how long each pod runs; a failing job gives up at once. */
function jobSpec(name: string, options: { readonly seconds: number; readonly exitCode: number; readonly parallelism: number }): object {
  const { seconds, exitCode, parallelism } = options
  const annotations = { [secondsAnnotation]: String(seconds), [exitCodeAnnotation]: String(exitCode) }
  return {
    parallelism,
    completions: parallelism,
    backoffLimit: 0,
    template: podTemplate({ run: name }, { annotations, restartPolicy: 'Never' }),
  }
}

export const job = (
  name: string,
  options: { readonly seconds: number; readonly exitCode: number; readonly parallelism: number },
): Manifest => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: jobSpec(name, options),
})

export const cronJob = (name: string): Manifest => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name },
  spec: {
    schedule: '* * * * *',
    concurrencyPolicy: 'Replace',
    successfulJobsHistoryLimit: 1,
    failedJobsHistoryLimit: 1,
    jobTemplate: { spec: jobSpec(name, { seconds: 3, exitCode: 0, parallelism: 1 }) },
  },
})

export const pod = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Pod',
  ...podTemplate({ app: name }),
  metadata: { name, labels: { app: name } },
})

export const service = (name: string, app: string, options: { readonly isHeadless?: boolean } = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: {
    selector: { app },
    ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    ...(options.isHeadless === true ? { clusterIP: 'None' } : {}),
  },
})

/** A Service without selector and the Endpoints that somebody keeps for it: slices mirror them. */
export const endpoints = (name: string, last: number): Manifest => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name },
  subsets: [{ addresses: [{ ip: `192.0.2.${last}` }], ports: [{ name: 'http', port: 80 }] }],
})

export const serviceWithoutSelector = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ name: 'http', port: 80 }] },
})

export const autoscaler = (name: string, target: string): Manifest => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name },
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
    minReplicas: 1,
    maxReplicas: 5,
    metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }],
  },
})

export const disruptionBudget = (name: string, app: string): Manifest => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name },
  spec: { maxUnavailable: 1, selector: { matchLabels: { app } } },
})

export const quota = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name },
  spec: { hard: { pods: '60', services: '30', configmaps: '60', 'requests.cpu': '8', 'count/deployments.apps': '20' } },
})

export const limitRange = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'LimitRange',
  metadata: { name },
  spec: { limits: [{ type: 'Container', default: { cpu: '200m' }, defaultRequest: { cpu: '20m' } }] },
})

export const configMap = (name: string, turn: number): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: { turn: String(turn) },
})

export const volume = (name: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name },
  spec: {
    capacity: { storage: '1Gi' },
    accessModes: ['ReadWriteOnce'],
    persistentVolumeReclaimPolicy: 'Retain',
    storageClassName: name,
    hostPath: { path: `/tmp/${name}` },
  },
})

export const volumeClaim = (name: string, volumeName: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], storageClassName: volumeName, resources: { requests: { storage: '1Gi' } } },
})

export const ingress = (name: string, backend: string): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: { name },
  spec: { defaultBackend: { service: { name: backend, port: { number: 80 } } } },
})

export const group = 'churn.test'

export const customDefinition = (plural: string): Manifest => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural, singular: `${plural}one`, kind: kindOf(plural), listKind: `${kindOf(plural)}List` },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: { type: 'object', properties: { size: { type: 'integer', minimum: 0 } } },
              status: { type: 'object', properties: { size: { type: 'integer' } } },
            },
          },
        },
      },
    ],
  },
})

/** `gadgets3` has the kind `Gadgets3`. */
const kindOf = (plural: string): string => `${plural.charAt(0).toUpperCase()}${plural.slice(1)}`

export const customObject = (plural: string, name: string, size: number): Manifest => ({
  apiVersion: `${group}/v1`,
  kind: kindOf(plural),
  metadata: { name },
  spec: { size },
})
