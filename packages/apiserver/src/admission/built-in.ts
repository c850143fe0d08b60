import type { Authorizer } from '../auth/auth.ts'
import type { RuleResolver } from '../auth/rbac/rbac-authorizer.ts'
import type { ResourceOperations } from '../registry/strategy.ts'
import type { AdmissionPlugin } from './admission.ts'
import { certificateApproval, certificateSigning, certificateSubjectRestriction } from './certificates.ts'
import { limitRanger } from './limit-ranger.ts'
import { namespaceLifecycle } from './namespace-lifecycle.ts'
import { nodeRestriction } from './node-restriction.ts'
import { defaultTolerationSeconds, podTopologyLabels, priority, runtimeClass, taintNodesByCondition } from './pod-defaults.ts'
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
  /** Names of plugins that are left out. */
  readonly disabled?: readonly string[] | undefined
}

/** The admission plugins that upstream has on by default, in its order; and the check against escalation of rights. */
export function builtInAdmission(options: BuiltInAdmissionOptions): readonly AdmissionPlugin[] {
  const { authorizer, rules, operations, random = Math.random, disabled = [], extensions = [] } = options
  const plugins: readonly AdmissionPlugin[] = [
    namespaceLifecycle,
    limitRanger,
    serviceAccountPlugin(random),
    nodeRestriction(authorizer),
    taintNodesByCondition,
    podSecurity,
    priority,
    defaultTolerationSeconds,
    defaultStorageClass,
    storageObjectInUseProtection,
    persistentVolumeClaimResize,
    runtimeClass,
    certificateApproval(authorizer),
    certificateSigning(authorizer),
    certificateSubjectRestriction,
    defaultIngressClass,
    podTopologyLabels,
    rbacEscalation(authorizer, rules),
    ...extensions,
    resourceQuotaPlugin(operations),
  ]
  return plugins.filter(({ name }) => !disabled.includes(name))
}
