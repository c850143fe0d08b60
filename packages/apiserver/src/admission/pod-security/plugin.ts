import { groupResourceOf, invalid } from '@k3s/api'
import { type Namespace, namespaces, type Pod, pods, type PodTemplateSpec } from '@k3s/api/types/core/v1'
import { notSupported } from '../../validation/field-error.ts'
import { semanticEqual } from '../../validation/equality.ts'
import type { AdmissionPlugin, AdmissionRequest } from '../admission.ts'
import { objectOf, oldObjectOf, refusal } from '../requests.ts'
import { type PodSecurityLevel, violations, violationText } from './checks.ts'

const prefix = 'pod-security.kubernetes.io/'
const levelNames = ['privileged', 'baseline', 'restricted']
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

type Mode = 'enforce' | 'audit' | 'warn'

interface Policy {
  readonly level: PodSecurityLevel
  /** `latest` or `v1.N`; all are judged by the newest rules. */
  readonly version: string
}

/** What a namespace demands. A level that is none counts as the strictest, as upstream has it. */
function policyOf(namespace: Namespace | undefined, mode: Mode): Policy {
  const labels = namespace?.metadata.labels ?? {}
  const level = labels[`${prefix}${mode}`]
  const known = level === undefined ? 'privileged' : levelNames.includes(level) ? level : 'restricted'
  // One of the three names now.
  return { level: known as PodSecurityLevel, version: labels[`${prefix}${mode}-version`] ?? 'latest' }
}

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

function judge(policy: Policy, pod: PodTemplateSpec): string {
  const { spec, metadata = {} } = pod
  if (spec === undefined) return ''
  const found = violations(policy.level, spec, metadata)
  return found.length === 0 ? '' : `PodSecurity "${policy.level}:${policy.version}": ${violationText(found)}`
}

/** Changes that no rule looks at need no judgement again. */
function isInsignificant(pod: Pod, previous: Pod | undefined): boolean {
  if (previous === undefined) return false
  const bare = ({ metadata, spec }: Pod): unknown => ({
    annotations: metadata.annotations,
    spec: {
      ...spec,
      activeDeadlineSeconds: undefined,
      tolerations: undefined,
      containers: spec.containers.map((container) => ({ ...container, image: '' })),
    },
  })
  return semanticEqual(bare(pod), bare(previous))
}

function checkLabels(request: AdmissionRequest, namespace: Namespace): void {
  const errors = Object.entries(namespace.metadata.labels ?? {}).flatMap(([label, value]) => {
    if (!label.startsWith(prefix)) return []
    const field = `metadata.labels[${label}]`
    if (/^(enforce|audit|warn)$/.test(label.slice(prefix.length)))
      return levelNames.includes(value) ? [] : [notSupported(field, value, levelNames)]
    if (!/^(enforce|audit|warn)-version$/.test(label.slice(prefix.length))) return []
    if (value === 'latest' || /^v1\.\d+$/.test(value)) return []
    return [{ reason: 'FieldValueInvalid', message: `Invalid value: ${JSON.stringify(value)}: must be "latest" or "v1.x"`, field }]
  })
  const before = oldObjectOf(request, namespaces)?.metadata.labels ?? {}
  const isChanged = Object.entries(namespace.metadata.labels ?? {}).some(
    ([label, value]) => label.startsWith(prefix) && before[label] !== value,
  )
  if (errors.length > 0 && isChanged) throw invalid(namespaces, namespace.metadata.name, errors)
}

/** Holds pods to the Pod Security Standard that their namespace's labels name; warns about workloads. */
export const podSecurity: AdmissionPlugin = {
  name: 'PodSecurity',
  validate(request): void {
    const namespace = objectOf(request, namespaces, ['CREATE', 'UPDATE'])
    if (namespace !== undefined) return checkLabels(request, namespace)
    if (request.namespace === '') return undefined
    const pod = objectOf(request, pods, ['CREATE', 'UPDATE']) ?? objectOf(request, pods, ['UPDATE'], 'ephemeralcontainers')
    const judged = pod ?? templateOf(request)
    if (judged === undefined) return undefined
    const home = request.scope.objects.get(namespaces, '', request.namespace)
    if (pod !== undefined) {
      if (request.subresource === '' && isInsignificant(pod, oldObjectOf(request, pods))) return undefined
      const found = judge(policyOf(home, 'enforce'), pod)
      if (found !== '') throw refusal(request, `violates ${found}`)
    }
    const warning = judge(policyOf(home, 'warn'), judged)
    if (warning !== '') request.scope.warn(`would violate ${warning}`)
    return undefined
  },
}
