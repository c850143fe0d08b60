import { groupResourceOf, invalid } from '@k3s/api'
import { type Container, type Namespace, namespaces, type Pod, pods, type PodTemplateSpec } from '@k3s/api/types/core/v1'
import type { FieldError } from '../../registry/strategy.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { invalidValue } from '../../validation/field-error.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../admission.ts'
import { objectOf, oldObjectOf, refusal } from '../requests.ts'
import { violations, violationText } from './checks.ts'
import {
  compareLevels,
  defaultPodSecurity,
  isFullyPrivileged,
  isVersion,
  labelPrefix,
  levelNames,
  levelText,
  policyOf,
  type LevelVersion,
  type PodSecurityConfiguration,
  type PodSecurityPolicy,
} from './configuration.ts'
import { warningsOfExisting } from './existing-pods.ts'

/** Workloads whose templates are warned about: their pods will be refused later. */
const workloads = new Set([
  'podtemplates',
  'replicationcontrollers',
  'daemonsets.apps',
  'deployments.apps',
  'replicasets.apps',
  'statefulsets.apps',
  'jobs.batch',
  'cronjobs.batch',
])

/** The pod that a workload makes. */
function templateOf(request: AdmissionRequest): PodTemplateSpec | undefined {
  if (!workloads.has(groupResourceOf(request.type)) || request.subresource !== '' || !['CREATE', 'UPDATE'].includes(request.operation))
    return undefined
  // Each of these kinds keeps its template in one of these places.
  const object = request.object as
    | {
        readonly template?: PodTemplateSpec
        readonly spec?: {
          readonly template?: PodTemplateSpec
          readonly jobTemplate?: { readonly spec?: { readonly template?: PodTemplateSpec } }
        }
      }
    | undefined
  return object?.spec?.jobTemplate?.spec?.template ?? object?.spec?.template ?? object?.template
}

/** Only what changes an image or adds a container needs judgement again: upstream lets no other change of a pod break a rule. */
function isInsignificant(pod: Pod, previous: Pod | undefined): boolean {
  if (previous === undefined) return false
  const isSame = (left: readonly Container[] = [], right: readonly Container[] = []): boolean =>
    left.length === right.length && left.every(({ image }, at) => image === right[at]?.image)
  const { spec } = pod
  const before = new Map(previous.spec.ephemeralContainers?.map(({ name, image }) => [name, image]))
  return (
    isSame(spec.containers, previous.spec.containers) &&
    isSame(spec.initContainers, previous.spec.initContainers) &&
    (spec.ephemeralContainers ?? []).every(({ name, image }) => before.has(name) && before.get(name) === image)
  )
}

function labelErrors(namespace: Namespace | undefined): FieldError[] {
  return Object.entries(namespace?.metadata.labels ?? {}).flatMap(([label, value]) => {
    if (!label.startsWith(labelPrefix)) return []
    const field = `metadata.labels[${label}]`
    if (/^(enforce|audit|warn)$/.test(label.slice(labelPrefix.length)))
      return levelNames.some((name) => name === value) ? [] : [invalidValue(field, value, `must be one of ${levelNames.join(', ')}`)]
    if (!/^(enforce|audit|warn)-version$/.test(label.slice(labelPrefix.length)) || isVersion(value)) return []
    return [invalidValue(field, value, 'must be "latest" or "v1.x"')]
  })
}

/** Holds pods to the Pod Security Standard that their namespace's labels name, or else the configuration; warns about workloads. */
export function podSecurity({ defaults, exemptions }: PodSecurityConfiguration = defaultPodSecurity): AdmissionPlugin {
  async function checkNamespace(request: AdmissionRequest, namespace: Namespace): Promise<void> {
    const errors = labelErrors(namespace)
    const previous = request.operation === 'UPDATE' ? oldObjectOf(request, namespaces) : undefined
    if (errors.length > 0 && !semanticEqual(errors, labelErrors(previous))) throw invalid(namespaces, namespace.metadata.name, errors)
    const { scope } = request
    const { name } = namespace.metadata
    const policy = policyOf(namespace, defaults)
    const before = policyOf(previous, defaults)
    const isExempt = exemptions.namespaces.includes(name)
    if (previous !== undefined) {
      const isStricter = compareLevels(policy.enforce.level, before.enforce.level) > 0
      if (policy.enforce.level === 'privileged' || (policy.enforce.version === before.enforce.version && !isStricter)) return
    }
    if (isExempt) {
      const warning = exemptionWarning(namespace, policy, defaults)
      if (warning !== undefined) scope.warn(warning)
    } else if (previous !== undefined)
      for (const warning of await warningsOfExisting(scope.objects, name, policy.enforce, exemptions.runtimeClasses)) scope.warn(warning)
  }

  function checkPod(request: AdmissionRequest, judged: PodTemplateSpec | Pod, pod: Pod | undefined): void {
    const { scope } = request
    const note = (key: string, value: string): void => scope.annotate?.(labelPrefix + key, value)
    if (exemptions.namespaces.includes(request.namespace)) return note('exempt', 'namespace')
    if (exemptions.usernames.includes(scope.user.name)) return note('exempt', 'user')
    const policy = policyOf(scope.objects.get(namespaces, '', request.namespace), defaults)
    if (isFullyPrivileged(policy)) {
      if (pod !== undefined) note('enforce-policy', 'privileged:latest')
      return
    }
    if (pod === undefined && policy.warn.level === 'privileged' && policy.audit.level === 'privileged') return
    if (pod !== undefined && request.operation === 'UPDATE' && isInsignificant(pod, oldObjectOf(request, pods))) return
    const { spec, metadata = {} } = judged
    if (spec === undefined) return
    if (spec.runtimeClassName !== undefined && exemptions.runtimeClasses.includes(spec.runtimeClassName))
      return note('exempt', 'runtimeClass')
    const judge = (wanted: LevelVersion): string => {
      const found = violations(wanted.level, spec, metadata)
      return found.length === 0 ? '' : `PodSecurity "${levelText(wanted)}": ${violationText(found)}`
    }
    const noted = judge(policy.audit)
    if (noted !== '') note('audit-violations', `would violate ${noted}`)
    if (pod !== undefined) {
      note('enforce-policy', levelText(policy.enforce))
      const found = judge(policy.enforce)
      if (found !== '') throw refusal(request, `violates ${found}`)
    }
    const warning = judge(policy.warn)
    if (warning !== '') scope.warn(`would violate ${warning}`)
  }

  return {
    name: 'PodSecurity',
    validate(request): Promise<void> | void {
      const namespace = objectOf(request, namespaces, ['CREATE', 'UPDATE'])
      if (namespace !== undefined) return checkNamespace(request, namespace)
      if (request.namespace === '') return undefined
      const pod = objectOf(request, pods, ['CREATE', 'UPDATE']) ?? objectOf(request, pods, ['UPDATE'], 'ephemeralcontainers')
      const judged = pod ?? templateOf(request)
      return judged === undefined ? undefined : checkPod(request, judged, pod)
    },
  }
}

/** Labels that demand something of a namespace that is let off are told to be ignored. */
function exemptionWarning(namespace: Namespace, policy: PodSecurityPolicy, defaults: PodSecurityPolicy): string | undefined {
  if (isFullyPrivileged(policy) || semanticEqual(policy, defaults)) return undefined
  const labels = namespace.metadata.labels ?? {}
  const said = (['enforce', 'audit', 'warn'] as const).filter(
    (mode) =>
      policy[mode].level !== 'privileged' &&
      (labels[labelPrefix + mode] !== undefined || labels[`${labelPrefix}${mode}-version`] !== undefined),
  )
  const text = said.map((mode) => `${mode}=${levelText(policy[mode])}`).join(', ')
  return `namespace ${JSON.stringify(namespace.metadata.name)} is exempt from Pod Security, and the policy (${text}) will be ignored`
}
