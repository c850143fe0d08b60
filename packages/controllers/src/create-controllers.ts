import type { Client, InformerFactory } from '@k3s/client'
import { noLogger, systemClock, type Clock, type Logger, type MetricsRegistry, type Service } from '@k3s/lifecycle'
import { createCertificateApprovingController } from './certificates/approving-controller.ts'
import { createCertificateCleanerController } from './certificates/cleaner-controller.ts'
import { createCertificateSigningController, type CertificateSigningOptions } from './certificates/signing-controller.ts'
import { createCloudNodeController } from './cloud-node/cloud-node-controller.ts'
import { createClusterRoleAggregationController } from './clusterrole-aggregation/clusterrole-aggregation-controller.ts'
import { createCronJobController } from './cronjob/cronjob-controller.ts'
import { createDaemonSetController } from './daemonset/daemonset-controller.ts'
import { createDeploymentController } from './deployment/deployment-controller.ts'
import { createDisruptionController, type DisruptionControllerOptions } from './disruption/disruption-controller.ts'
import { createEndpointsController } from './endpoints/endpoints-controller.ts'
import { createEndpointSliceController, type EndpointSliceOptions } from './endpoints/endpointslice-controller.ts'
import { createEndpointSliceMirroringController } from './endpoints/endpointslice-mirroring-controller.ts'
import { createGarbageCollector, type GarbageCollectorOptions } from './garbage-collector/garbage-collector.ts'
import { createJobController } from './job/job-controller.ts'
import type { ControllerContext } from './kit/context.ts'
import type { EventRecorder } from './kit/events.ts'
import { createNamespaceController, type NamespaceControllerOptions } from './namespace/namespace-controller.ts'
import { createNodeIpamController, type NodeIpamOptions } from './node-ipam/node-ipam-controller.ts'
import { createNodeLifecycleController, type NodeLifecycleOptions } from './node-lifecycle/node-lifecycle-controller.ts'
import { createPodGcController, type PodGcOptions } from './pod-gc/pod-gc-controller.ts'
import { createReplicaSetController } from './replicaset/replicaset-controller.ts'
import { createReplicationControllerController } from './replicaset/replication-controller-controller.ts'
import { createResourceQuotaController, type ResourceQuotaOptions } from './resource-quota/resource-quota-controller.ts'
import { createBootstrapTokenCleaner } from './serviceaccount/bootstrap-token-cleaner.ts'
import { createRootCaPublisher } from './serviceaccount/root-ca-publisher.ts'
import { createServiceAccountController } from './serviceaccount/serviceaccount-controller.ts'
import { createTokenSecretController, type TokenSecretOptions } from './serviceaccount/token-secret-controller.ts'
import { createStatefulSetController } from './statefulset/statefulset-controller.ts'
import {
  createAttributesClassProtectionController,
  createClaimProtectionController,
  createVolumeProtectionController,
} from './storage-protection/storage-protection-controllers.ts'
import { createTaintEvictionController } from './taint-eviction/taint-eviction-controller.ts'
import { createTtlAfterFinishedController } from './ttl-after-finished/ttl-after-finished-controller.ts'

/** Names by which controllers are turned off: upstream's, of `--controllers`. */
export type ControllerName = (typeof controllerNames)[number]

/** The ServiceAccount in `kube-system` that upstream's RBAC roles are bound to, for each controller; `undefined`: the manager's own user. */
const users = {
  'namespace-controller': 'namespace-controller',
  'serviceaccount-controller': 'service-account-controller',
  'root-ca-certificate-publisher-controller': 'root-ca-cert-publisher',
  // Upstream's tokens controller has no account of its own: it is what accounts get their tokens from.
  'serviceaccount-token-controller': undefined,
  'deployment-controller': 'deployment-controller',
  'replicaset-controller': 'replicaset-controller',
  'replicationcontroller-controller': 'replication-controller',
  'daemonset-controller': 'daemon-set-controller',
  'statefulset-controller': 'statefulset-controller',
  'job-controller': 'job-controller',
  'cronjob-controller': 'cronjob-controller',
  'ttl-after-finished-controller': 'ttl-after-finished-controller',
  'disruption-controller': 'disruption-controller',
  'resourcequota-controller': 'resourcequota-controller',
  'persistentvolumeclaim-protection-controller': 'pvc-protection-controller',
  'persistentvolume-protection-controller': 'pv-protection-controller',
  'volumeattributesclass-protection-controller': 'volumeattributesclass-protection-controller',
  'endpoints-controller': 'endpoint-controller',
  'endpointslice-controller': 'endpointslice-controller',
  'endpointslice-mirroring-controller': 'endpointslicemirroring-controller',
  'token-cleaner-controller': 'token-cleaner',
  'certificatesigningrequest-signing-controller': 'certificate-controller',
  'certificatesigningrequest-approving-controller': 'certificate-controller',
  'certificatesigningrequest-cleaner-controller': 'certificate-controller',
  'clusterrole-aggregation-controller': 'clusterrole-aggregation-controller',
  'garbage-collector-controller': 'generic-garbage-collector',
  'node-ipam-controller': 'node-controller',
  'node-lifecycle-controller': 'node-controller',
  'taint-eviction-controller': 'node-controller',
  'pod-garbage-collector-controller': 'pod-garbage-collector',
  // Not one of Kubernetes' own: K3s gives it a user with a role of its own, see `cloudClient`.
  'cloud-node-controller': undefined,
} as const
const controllerNames = Object.keys(users) as readonly (keyof typeof users)[] // the object's own keys

/** Settings of single controllers; those without a needed setting do not run. */
export interface ControllersOptions {
  /** Needed by the CA publisher and, with `signToken`, by the controller of token Secrets. */
  readonly rootCa?: string | undefined
  readonly signToken?: TokenSecretOptions['signToken'] | undefined
  /** Needed by the controller that gives nodes their pod addresses. */
  readonly nodeIpam?: NodeIpamOptions | undefined
  /** Needed by the controller that signs certificate requests. */
  readonly certificateSigning?: CertificateSigningOptions | undefined
  /** True runs the cloud controller of K3s; default false. */
  readonly cloudNode?: boolean | undefined
  readonly namespace?: NamespaceControllerOptions | undefined
  readonly garbageCollector?: GarbageCollectorOptions | undefined
  readonly disruption?: DisruptionControllerOptions | undefined
  readonly resourceQuota?: ResourceQuotaOptions | undefined
  readonly endpointSlice?: EndpointSliceOptions | undefined
  readonly nodeLifecycle?: NodeLifecycleOptions | undefined
  readonly podGc?: PodGcOptions | undefined
  /** How long to wait for controllers whose resources the server does not answer for, before the others are called ready; default 15 s. */
  readonly readyTimeoutMs?: number | undefined
  /** Controllers that do not run. */
  readonly disabled?: readonly ControllerName[] | undefined
}

export interface CreateControllers {
  /** Used by all controllers, unless `clientFor` is given; then by those alone that have no ServiceAccount (token Secrets, cloud node). */
  readonly client: Client
  /** The client of one controller, by the name of its ServiceAccount in `kube-system` (`deployment-controller`). */
  readonly clientFor?: ((serviceAccount: string) => Client) | undefined
  /** Must be run by its owner, as a service that starts before the controllers. */
  readonly informers: InformerFactory
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** Default: each controller writes Events with its own client. */
  readonly recorder?: EventRecorder | undefined
  /** The client of the cloud controller, which is a user of its own in K3s (`k3s-cloud-controller-manager`); default: `client`. */
  readonly cloudClient?: Client | undefined
  readonly options?: ControllersOptions | undefined
}

const defaultReadyTimeoutMs = 15_000

/**
 * All controllers as one service. They start side by side, and each works as soon as its own caches are full. The service is ready when all
 * do, or after `readyTimeoutMs`, which is then logged. One that fails stops all others, and its error is thrown.
 */
export function createControllers(given: CreateControllers): Service {
  const { options = {}, clientFor = () => given.client } = given
  const clientOf = (user: string | undefined): Client => (user === undefined ? given.client : clientFor(user))
  const contextOf = (name: ControllerName): ControllerContext => ({
    client: clientOf(users[name]),
    informers: given.informers,
    clock: given.clock,
    logger: given.logger,
    metrics: given.metrics,
    recorder: given.recorder,
  })
  const { rootCa, signToken, nodeIpam, certificateSigning, disabled = [] } = options
  const makers: Readonly<Record<ControllerName, ((context: ControllerContext) => Service) | undefined>> = {
    'namespace-controller': (context) => createNamespaceController(context, options.namespace),
    'serviceaccount-controller': createServiceAccountController,
    'root-ca-certificate-publisher-controller': rootCa === undefined ? undefined : (context) => createRootCaPublisher(context, { rootCa }),
    'serviceaccount-token-controller':
      rootCa === undefined || signToken === undefined
        ? undefined
        : (context) => createTokenSecretController(context, { rootCa, signToken }),
    'deployment-controller': createDeploymentController,
    'replicaset-controller': createReplicaSetController,
    'replicationcontroller-controller': createReplicationControllerController,
    'daemonset-controller': createDaemonSetController,
    'statefulset-controller': createStatefulSetController,
    'job-controller': createJobController,
    'cronjob-controller': createCronJobController,
    'ttl-after-finished-controller': createTtlAfterFinishedController,
    'disruption-controller': (context) => createDisruptionController(context, options.disruption),
    'resourcequota-controller': (context) => createResourceQuotaController(context, options.resourceQuota),
    'persistentvolumeclaim-protection-controller': createClaimProtectionController,
    'persistentvolume-protection-controller': createVolumeProtectionController,
    'volumeattributesclass-protection-controller': createAttributesClassProtectionController,
    'endpoints-controller': createEndpointsController,
    'endpointslice-controller': (context) => createEndpointSliceController(context, options.endpointSlice),
    'endpointslice-mirroring-controller': createEndpointSliceMirroringController,
    'token-cleaner-controller': createBootstrapTokenCleaner,
    'certificatesigningrequest-signing-controller':
      certificateSigning === undefined ? undefined : (context) => createCertificateSigningController(context, certificateSigning),
    'certificatesigningrequest-approving-controller': createCertificateApprovingController,
    'certificatesigningrequest-cleaner-controller': createCertificateCleanerController,
    'clusterrole-aggregation-controller': createClusterRoleAggregationController,
    'garbage-collector-controller': (context) => createGarbageCollector(context, options.garbageCollector),
    'node-ipam-controller': nodeIpam === undefined ? undefined : (context) => createNodeIpamController(context, nodeIpam),
    'node-lifecycle-controller': (context) => createNodeLifecycleController(context, options.nodeLifecycle),
    'taint-eviction-controller': createTaintEvictionController,
    'pod-garbage-collector-controller': (context) => createPodGcController(context, options.podGc),
    'cloud-node-controller':
      options.cloudNode === true
        ? (context) => createCloudNodeController({ ...context, client: given.cloudClient ?? context.client })
        : undefined,
  }
  const services = controllerNames.filter((name) => !disabled.includes(name)).flatMap((name) => makers[name]?.(contextOf(name)) ?? [])
  const late = (names: readonly string[]): void =>
    (given.logger ?? noLogger).warn({ controllers: names }, 'Controllers still wait for their caches')
  const { readyTimeoutMs = defaultReadyTimeoutMs } = options
  return {
    name: 'controllers',
    run: ({ signal, ready }) => runTogether(services, { signal, ready, late, clock: given.clock ?? systemClock, readyTimeoutMs }),
  }
}

interface RunTogether {
  readonly signal: AbortSignal
  readonly ready: () => void
  readonly late: (names: readonly string[]) => void
  readonly clock: Clock
  readonly readyTimeoutMs: number
}

async function runTogether(services: readonly Service[], { signal, ready, late, clock, readyTimeoutMs }: RunTogether): Promise<void> {
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  const starting = new Set(services.map(({ name }) => name))
  let isReady = false
  const beReady = (): void => {
    if (!isReady) ready()
    isReady = true
  }
  const failures: unknown[] = []
  const watchdog = clock.sleep(readyTimeoutMs, stop.signal).then(
    () => {
      if (starting.size > 0) late([...starting])
      beReady()
    },
    () => {}, // stopped before
  )
  try {
    await Promise.all(
      services.map(async (service) => {
        try {
          const onReady = (): void => {
            starting.delete(service.name)
            if (starting.size === 0) beReady()
          }
          await service.run({ signal: stop.signal, ready: onReady })
          if (!stop.signal.aborted) throw new Error('It ended by itself')
        } catch (cause) {
          failures.push(new Error(`Controller "${service.name}" failed`, { cause }))
          stop.abort(cause)
        }
      }),
    )
    await watchdog
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
  if (failures.length > 0) throw failures[0]
}
