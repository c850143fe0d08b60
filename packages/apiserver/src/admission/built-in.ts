import type { Authorizer } from '../auth/auth.ts'
import type { RuleResolver } from '../auth/rbac/rbac-authorizer.ts'
import type { ResourceOperations } from '../registry/strategy.ts'
import type { AdmissionPlugin } from './admission.ts'
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { nodeRestriction } from './node-restriction.ts'
import {
  defaultTolerationSeconds,
  type LostNodeSeconds,
  podTopologyLabels,
  priority,
  runtimeClass,
  taintNodesByCondition,
} from './pod-defaults.ts'
import { optionalAdmission } from './optional.ts'
import type { PodSecurityConfiguration } from './pod-security/configuration.ts'
import { podSecurity } from './pod-security/plugin.ts'
import { rbacEscalation } from './rbac-escalation.ts'
import { resourceQuotaPlugin } from './resource-quota/plugin.ts'
import { serviceAccountPlugin } from './service-account.ts'
import { defaultIngressClass, defaultStorageClass, persistentVolumeClaimResize, storageObjectInUseProtection } from './storage.ts'

export interface BuiltInAdmissionOptions {
  /** The server's whole authorizer, the one that requests are judged by. */
  readonly authorizer: Authorizer
  /** Says what a user holds, for the checks against giving more than one has. */
  readonly rules: RuleResolver
  readonly operations: Pick<ResourceOperations, 'guaranteedUpdate'>
  /** 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined
  /** Policies and webhooks: they come after all that is built in but the quota. */
  readonly extensions?: readonly AdmissionPlugin[] | undefined
  /** Names of plugins that are left out, policies and webhooks included. */
  readonly disabled?: readonly string[] | undefined
  /** Plugins that are off unless they are named. */
  readonly enabled?: readonly string[] | undefined
  /** What counts for namespaces without labels; default: nothing is demanded. */
  readonly podSecurity?: PodSecurityConfiguration | undefined
  /** How long pods stay on a node that is not ready or cannot be reached, unless they say otherwise; default five minutes. */
  readonly tolerationSeconds?: LostNodeSeconds | undefined
}

/** The admission plugins that upstream has on by default, those that are asked for, in its order; and the check against escalation of rights. */
export function builtInAdmission(options: BuiltInAdmissionOptions): readonly AdmissionPlugin[] {
  const { authorizer, rules, operations, random = Math.random, disabled = [], enabled = [], extensions = [] } = options
  const optional = (name: string): AdmissionPlugin[] => (enabled.includes(name) ? optionalAdmission.filter((one) => one.name === name) : [])
  const plugins: readonly AdmissionPlugin[] = [
    namespaceLifecycle,
    ...optional('LimitPodHardAntiAffinityTopology'),
    limitRanger,
    serviceAccountPlugin(random),
    nodeRestriction(authorizer),
    taintNodesByCondition,
    ...optional('AlwaysPullImages'),
    podSecurity(options.podSecurity),
    priority,
    defaultTolerationSeconds(options.tolerationSeconds),
    ...optional('ExtendedResourceToleration'),
    defaultStorageClass,
    storageObjectInUseProtection,
    persistentVolumeClaimResize,
    runtimeClass,
    certificateApproval(authorizer),
    certificateSigning(authorizer),
    certificateSubjectRestriction,
    defaultIngressClass,
    ...optional('DenyServiceExternalIPs'),
    podTopologyLabels,
    rbacEscalation(authorizer, rules),
    ...extensions,
    resourceQuotaPlugin(operations),
  ]
  return plugins.filter(({ name }) => !disabled.includes(name))
}

/** Names that `disabled` and `enabled` know: plugins that are on unless they are disabled, and those that are off unless they are enabled. */
export const admissionPluginNames: { readonly on: readonly string[]; readonly off: readonly string[] } = {
  on: [
    'NamespaceLifecycle',
    'LimitRanger',
    'ServiceAccount',
    'NodeRestriction',
    'TaintNodesByCondition',
    'PodSecurity',
    'Priority',
    'DefaultTolerationSeconds',
    'DefaultStorageClass',
    'StorageObjectInUseProtection',
    'PersistentVolumeClaimResize',
    'RuntimeClass',
    'CertificateApproval',
    'CertificateSigning',
    'CertificateSubjectRestriction',
    'DefaultIngressClass',
    'PodTopologyLabels',
    'MutatingAdmissionPolicy',
    'MutatingAdmissionWebhook',
    'ValidatingAdmissionPolicy',
    'ValidatingAdmissionWebhook',
    'ResourceQuota',
  ],
  off: optionalAdmission.map(({ name }) => name),
}
