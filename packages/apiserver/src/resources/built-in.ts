import type { KubernetesObject } from '@k3s/api'
import type { Authorizer } from '../auth/auth.ts'
import type { RuleLister } from '../auth/authorizer-chain.ts'
import type { ServiceAccountTokens } from '../auth/tokens/service-account-tokens.ts'
import type { TokenAuthenticator } from '../auth/tokens/token-authenticator.ts'
import type { ResourceOperations, ResourceStrategy } from '../registry/strategy.ts'
import {
  mutatingPolicyBindingStrategy,
  mutatingPolicyStrategy,
  validatingPolicyBindingStrategy,
  validatingPolicyStrategy,
} from './admission-registration/policies.ts'
import { mutatingWebhookStrategy, validatingWebhookStrategy } from './admission-registration/webhooks.ts'
import { horizontalPodAutoscalerStrategy } from './autoscaling/strategy.ts'
import { bindingStrategy } from './bindings/strategy.ts'
import { certificateSigningRequestStrategy } from './certificate-signing-requests/strategy.ts'
import { componentStatusStrategy } from './components/strategy.ts'
import { configMapStrategy } from './config-maps/strategy.ts'
import { controllerRevisionStrategy } from './controller-revisions/strategy.ts'
import { cronJobStrategy } from './cron-jobs/strategy.ts'
import { daemonSetStrategy } from './daemon-sets/strategy.ts'
import { deploymentStrategy } from './deployments/strategy.ts'
import {
  deviceClassStrategy,
  resourceClaimStrategy,
  resourceClaimTemplateStrategy,
  resourceSliceStrategy,
} from './dynamic-resources/strategy.ts'
import { endpointSliceStrategy } from './endpoint-slices/strategy.ts'
import { endpointsStrategy } from './endpoints/strategy.ts'
import { eventStrategy } from './events/strategy.ts'
import { flowSchemaStrategy, priorityLevelStrategy } from './flow-control/strategy.ts'
import { jobStrategy } from './jobs/strategy.ts'
import { leaseStrategy } from './leases/strategy.ts'
import { limitRangeStrategy } from './limit-ranges/strategy.ts'
import { namespaceStrategy } from './namespaces/strategy.ts'
import { ingressStrategy } from './networking/ingress.ts'
import { ingressClassStrategy, ipAddressStrategy, networkPolicyStrategy, serviceCidrStrategy } from './networking/strategy.ts'
import { nodeStrategy } from './nodes/strategy.ts'
import { persistentVolumeClaimStrategy } from './persistent-volume-claims/strategy.ts'
import { persistentVolumeStrategy } from './persistent-volumes/strategy.ts'
import { podDisruptionBudgetStrategy } from './pod-disruption-budgets/strategy.ts'
import { podTemplateStrategy } from './pod-templates/strategy.ts'
import { podStrategy } from './pods/strategy.ts'
import { clusterRoleBindingStrategy, clusterRoleStrategy, roleBindingStrategy, roleStrategy } from './rbac/strategy.ts'
import { replicaSetStrategy } from './replica-sets/strategy.ts'
import { replicationControllerStrategy } from './replication-controllers/strategy.ts'
import { resourceQuotaStrategy } from './resource-quotas/strategy.ts'
import { selfSubjectReviewStrategy, tokenReviewStrategy } from './reviews/authentication.ts'
import { accessReviewStrategies, rulesReviewStrategy } from './reviews/authorization.ts'
import { priorityClassStrategy, runtimeClassStrategy } from './scheduling/strategy.ts'
import { secretStrategy } from './secrets/strategy.ts'
import { serviceAccountStrategy } from './service-accounts/strategy.ts'
import { tokenSubresource } from './service-accounts/token.ts'
import { ServiceAllocators } from './services/allocators.ts'
import { serviceStrategy } from './services/strategy.ts'
import { statefulSetStrategy } from './stateful-sets/strategy.ts'
import {
  csiDriverStrategy,
  csiNodeStrategy,
  csiStorageCapacityStrategy,
  storageClassStrategy,
  volumeAttachmentStrategy,
  volumeAttributesClassStrategy,
} from './storage/strategy.ts'

export interface BuiltInStrategyOptions {
  /** Ranges of cluster IPs, one or one of each family; the first is the default family. */
  readonly serviceCidrs: readonly string[]
  /** Both included. Default: 30000 to 32767. */
  readonly nodePortRange?: { readonly first: number; readonly last: number } | undefined
  /** Default true, as in K3s. */
  readonly allowPrivileged?: boolean | undefined
  /** 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined
  /** For Bindings that are POSTed by themselves. */
  readonly operations?: ResourceOperations | undefined
  /** Answers access reviews, and says who may approve and sign certificates. */
  readonly authorizer?: Authorizer | undefined
  /** Answers rules reviews. */
  readonly rules?: RuleLister | undefined
  /** Answers token requests. */
  readonly tokens?: ServiceAccountTokens | undefined
  /** Answer token reviews. */
  readonly tokenAuthenticators?: readonly TokenAuthenticator[] | undefined
  /** Audiences of the server itself. */
  readonly audiences?: readonly string[] | undefined
}

// A strategy is only ever given objects of its own type: the registry looks it up by that.
const erase = <T extends KubernetesObject>(strategy: ResourceStrategy<T>): ResourceStrategy => strategy as unknown as ResourceStrategy

/** The strategies that need to ask others. */
function askingStrategies({
  operations,
  authorizer,
  rules,
  tokenAuthenticators,
  audiences = [],
}: BuiltInStrategyOptions): ResourceStrategy[] {
  const strategies = [erase(selfSubjectReviewStrategy)]
  if (operations !== undefined) strategies.push(erase(bindingStrategy(operations)))
  if (authorizer !== undefined) {
    const { subject, local, self } = accessReviewStrategies(authorizer)
    strategies.push(erase(certificateSigningRequestStrategy(authorizer)), erase(subject), erase(local), erase(self))
  }
  if (rules !== undefined) strategies.push(erase(rulesReviewStrategy(rules)))
  if (tokenAuthenticators !== undefined) strategies.push(erase(tokenReviewStrategy(tokenAuthenticators, audiences)))
  return strategies
}

/** The rules of all resources that a server has without CRDs. What an option is missing for is left out. Throws a TypeError when a range is no CIDR. */
export function builtInStrategies(options: BuiltInStrategyOptions): readonly ResourceStrategy[] {
  const { tokens } = options
  return [
    erase(podStrategy({ isPod: true, allowPrivileged: options.allowPrivileged ?? true })),
    erase(nodeStrategy),
    erase(serviceStrategy(new ServiceAllocators(options))),
    erase(serviceAccountStrategy(tokens === undefined ? undefined : tokenSubresource(tokens))),
    erase(namespaceStrategy),
    erase(configMapStrategy),
    erase(secretStrategy),
    erase(eventStrategy),
    erase(leaseStrategy),
    erase(endpointSliceStrategy),
    erase(endpointsStrategy),
    erase(deploymentStrategy),
    erase(replicaSetStrategy),
    erase(statefulSetStrategy),
    erase(daemonSetStrategy),
    erase(controllerRevisionStrategy),
    erase(replicationControllerStrategy),
    erase(podTemplateStrategy),
    erase(jobStrategy),
    erase(cronJobStrategy),
    erase(podDisruptionBudgetStrategy),
    erase(horizontalPodAutoscalerStrategy),
    erase(limitRangeStrategy),
    erase(resourceQuotaStrategy),
    erase(persistentVolumeStrategy),
    erase(persistentVolumeClaimStrategy),
    erase(storageClassStrategy),
    erase(volumeAttributesClassStrategy),
    erase(csiDriverStrategy),
    erase(csiNodeStrategy),
    erase(csiStorageCapacityStrategy),
    erase(volumeAttachmentStrategy),
    erase(ingressStrategy),
    erase(ingressClassStrategy),
    erase(networkPolicyStrategy),
    erase(ipAddressStrategy),
    erase(serviceCidrStrategy),
    erase(priorityClassStrategy),
    erase(runtimeClassStrategy),
    erase(roleStrategy),
    erase(clusterRoleStrategy),
    erase(roleBindingStrategy),
    erase(clusterRoleBindingStrategy),
    erase(validatingWebhookStrategy),
    erase(mutatingWebhookStrategy),
    erase(validatingPolicyStrategy),
    erase(validatingPolicyBindingStrategy),
    erase(mutatingPolicyStrategy),
    erase(mutatingPolicyBindingStrategy),
    erase(flowSchemaStrategy),
    erase(priorityLevelStrategy),
    erase(deviceClassStrategy),
    erase(resourceClaimStrategy),
    erase(resourceClaimTemplateStrategy),
    erase(resourceSliceStrategy),
    erase(componentStatusStrategy),
    ...askingStrategies(options),
  ]
}
