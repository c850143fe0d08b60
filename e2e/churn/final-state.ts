import { setTimeout as sleep } from 'node:timers/promises'
import type { Side } from './side.ts'

interface Stored {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly deletionTimestamp?: string
    readonly generation?: number
    readonly ownerReferences?: readonly { readonly kind: string }[]
  }
  readonly spec?: Readonly<Record<string, unknown>>
  readonly status?: Readonly<Record<string, unknown>>
}

// What depends on the moment is not there: Events and Leases; old ReplicaSets and ControllerRevisions, of which two quick changes make one or two.
const collections: Readonly<Record<string, string>> = {
  Namespace: '/api/v1/namespaces',
  Node: '/api/v1/nodes',
  Pod: '/api/v1/pods',
  Service: '/api/v1/services',
  Endpoints: '/api/v1/endpoints',
  EndpointSlice: '/apis/discovery.k8s.io/v1/endpointslices',
  ConfigMap: '/api/v1/configmaps',
  Secret: '/api/v1/secrets',
  ServiceAccount: '/api/v1/serviceaccounts',
  ResourceQuota: '/api/v1/resourcequotas',
  LimitRange: '/api/v1/limitranges',
  PersistentVolume: '/api/v1/persistentvolumes',
  PersistentVolumeClaim: '/api/v1/persistentvolumeclaims',
  ReplicationController: '/api/v1/replicationcontrollers',
  Deployment: '/apis/apps/v1/deployments',
  ReplicaSet: '/apis/apps/v1/replicasets',
  StatefulSet: '/apis/apps/v1/statefulsets',
  DaemonSet: '/apis/apps/v1/daemonsets',
  Job: '/apis/batch/v1/jobs',
  CronJob: '/apis/batch/v1/cronjobs',
  HorizontalPodAutoscaler: '/apis/autoscaling/v2/horizontalpodautoscalers',
  PodDisruptionBudget: '/apis/policy/v1/poddisruptionbudgets',
  Ingress: '/apis/networking.k8s.io/v1/ingresses',
  PriorityClass: '/apis/scheduling.k8s.io/v1/priorityclasses',
  CertificateSigningRequest: '/apis/certificates.k8s.io/v1/certificatesigningrequests',
  CustomResourceDefinition: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
}

const settleMs = 180_000

/** What is there, as numbers by namespace, kind and condition: `ns-3 Pod Running`. And what is not as it should be once nothing is done any more. */
export interface State {
  readonly counts: ReadonlyMap<string, number>
  readonly unsettled: readonly string[]
}

/** Waits until a side has settled, at most three minutes, and gives its state then. */
export async function settledState(side: Side, signal: AbortSignal): Promise<State> {
  const deadline = performance.now() + settleMs
  for (;;) {
    const state = await stateOf(side)
    if (state.unsettled.length === 0 || performance.now() > deadline || signal.aborted) return state
    await sleep(1000)
  }
}

async function stateOf(side: Side): Promise<State> {
  const counts = new Map<string, number>()
  const unsettled: string[] = []
  for (const [kind, path] of Object.entries(collections)) {
    const { items } = await side.ask('GET', path)
    for (const object of items as readonly Stored[]) {
      // every list has items
      const { name, namespace = '', deletionTimestamp } = object.metadata
      if (kind === 'ReplicaSet' && object.spec?.['replicas'] === 0) continue
      const where = namespace === '' ? 'cluster' : namespace
      const condition = deletionTimestamp === undefined ? conditionOf(kind, object) : 'is being deleted'
      if (!isFinal(condition)) unsettled.push(`${kind} ${where}/${name} ${condition}`)
      const key = `${where} ${kind} ${condition}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  }
  return { counts, unsettled }
}

const goals = [
  '',
  'Active',
  'Ready',
  'Running',
  'Succeeded',
  'Failed',
  'available',
  'Bound',
  'Available',
  'Released',
  'Complete',
  'Established',
]
const isFinal = (condition: string): boolean => goals.includes(condition)

/** One word for how an object is. */
function conditionOf(kind: string, { metadata, spec = {}, status = {} }: Stored): string {
  const conditions = (status['conditions'] ?? []) as readonly { readonly type: string; readonly status: string }[] // of these kinds
  const has = (type: string): boolean => conditions.some((condition) => condition.type === type && condition.status === 'True')
  const number = (value: unknown): number => (typeof value === 'number' ? value : 0)
  const observed = status['observedGeneration'] === metadata.generation
  switch (kind) {
    case 'Namespace':
    case 'PersistentVolume':
      return String(status['phase'])
    case 'PersistentVolumeClaim':
      return String(status['phase'])
    case 'Pod':
      return status['phase'] === 'Running' && !has('Ready') ? 'not ready' : String(status['phase'])
    case 'Node':
      return has('Ready') && spec['unschedulable'] !== true ? 'Ready' : 'not ready'
    case 'Deployment':
    case 'StatefulSet':
    case 'ReplicaSet':
    case 'ReplicationController': {
      const wanted = number(spec['replicas'])
      const isThere = number(status['replicas']) === wanted && number(status['readyReplicas']) === wanted
      return observed && isThere && number(status['availableReplicas']) === wanted ? 'available' : 'not available'
    }
    case 'DaemonSet':
      return observed && number(status['numberAvailable']) === number(status['desiredNumberScheduled']) ? 'available' : 'not available'
    case 'Job':
      return has('Complete') ? 'Complete' : has('Failed') ? 'Failed' : 'not finished'
    case 'CustomResourceDefinition':
      return has('Established') ? 'Established' : 'not established'
    case 'CertificateSigningRequest':
      return conditions.map(({ type }) => type).join('+') === 'Denied'
        ? ''
        : status['certificate'] === undefined
          ? 'without certificate'
          : ''
    default:
      return ''
  }
}

/** What one side has and the other has not, or in another number. */
export function differencesOf(ours: State, original: State): readonly string[] {
  const keys = new Set([...ours.counts.keys(), ...original.counts.keys()])
  return [...keys]
    .filter((key) => (ours.counts.get(key) ?? 0) !== (original.counts.get(key) ?? 0))
    .toSorted()
    .map((key) => `${key}: ours ${ours.counts.get(key) ?? 0}, original ${original.counts.get(key) ?? 0}`)
}
