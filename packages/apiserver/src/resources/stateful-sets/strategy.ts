import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type StatefulSet, statefulsets } from '@k3s/api/types/apps/v1'
import type { PodTemplateSpec, Volume } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { validateClaimSpec } from '../persistent-volume-claims/claim-spec.ts'
import { defaultClaim } from '../persistent-volume-claims/defaults.ts'
import { templateRules } from '../pods/rules.ts'
import { ageColumn, column, nameColumn, workloadColumns } from '../shared/columns.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { invalids, nonNegative, notMoreThan100Percent, positiveIntOrPercent } from '../../validation/fields.ts'
import { dns1123Label } from '../../validation/names.ts'
import { isNew, keepStatus, statusUpdate } from '../shared/status-rules.ts'
import {
  defaultTemplate,
  validateCounters,
  validateParts,
  validateRunningTemplate,
  validateWorkloadSelector,
} from '../workloads/template.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

const retentions = ['Retain', 'Delete']
const mutable =
  "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'"

function defaults({ spec }: StatefulSet): void {
  spec.podManagementPolicy ||= 'OrderedReady'
  const strategy = (spec.updateStrategy ??= {})
  if (!strategy.type) {
    strategy.type = 'RollingUpdate'
    strategy.rollingUpdate ??= {}
  }
  if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate !== undefined) strategy.rollingUpdate.partition ??= 0
  const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {})
  retention.whenDeleted ||= 'Retain'
  retention.whenScaled ||= 'Retain'
  spec.replicas ??= 1
  spec.revisionHistoryLimit ??= 10
  defaultTemplate(spec.template)
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion ||= 'v1'
    claim.kind ||= 'PersistentVolumeClaim'
    defaultClaim(claim)
  }
}

function validateStrategy({ spec }: StatefulSet): FieldError[] {
  const field = 'spec.updateStrategy'
  const { type = '', rollingUpdate } = spec.updateStrategy ?? {}
  if (type === '') return [required(field)]
  if (type === 'OnDelete')
    return rollingUpdate === undefined
      ? []
      : [invalidValue(`${field}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'")]
  if (type !== 'RollingUpdate') return [invalidValue(field, spec.updateStrategy, "must be 'RollingUpdate' or 'OnDelete'")]
  const unavailable = rollingUpdate?.maxUnavailable
  const at = `${field}.rollingUpdate.maxUnavailable`
  return [
    ...nonNegative(`${field}.rollingUpdate.partition`, rollingUpdate?.partition),
    ...(unavailable === undefined
      ? []
      : [
          ...positiveIntOrPercent(at, unavailable),
          ...(Number.parseInt(String(unavailable), 10) === 0 ? [invalidValue(at, unavailable, 'cannot be 0')] : []),
          ...notMoreThan100Percent(at, unavailable),
        ]),
  ]
}

/** The template as pods will have it: the controller sets names and adds a volume for each claim. */
function effectiveTemplate({ spec }: StatefulSet): PodTemplateSpec {
  const podSpec = spec.template.spec ?? { containers: [] }
  const claims: Volume[] = (spec.volumeClaimTemplates ?? []).map(({ metadata }) => ({
    name: metadata.name,
    persistentVolumeClaim: { claimName: metadata.name },
  }))
  const names = new Set(claims.map(({ name }) => name))
  const { hostname: _hostname, subdomain: _subdomain, ...others } = podSpec
  return { ...spec.template, spec: { ...others, volumes: [...claims, ...(podSpec.volumes ?? []).filter(({ name }) => !names.has(name))] } }
}

function validate(set: StatefulSet): FieldError[] {
  const { spec } = set
  const errors: FieldError[] = []
  const policy = spec.podManagementPolicy ?? ''
  if (policy === '') errors.push(required('spec.podManagementPolicy'))
  else if (!['OrderedReady', 'Parallel'].includes(policy))
    errors.push(invalidValue('spec.podManagementPolicy', policy, "must be 'OrderedReady' or 'Parallel'"))
  append(errors, validateStrategy(set))
  for (const name of ['whenDeleted', 'whenScaled'] as const) {
    const value = spec.persistentVolumeClaimRetentionPolicy?.[name] ?? ''
    if (!retentions.includes(value)) errors.push(notSupported(`spec.persistentVolumeClaimRetentionPolicy.${name}`, value, retentions))
  }
  if (isNew(set)) {
    for (const [index, claim] of (spec.volumeClaimTemplates ?? []).entries())
      append(errors, validateClaimSpec(claim.spec, `spec.volumeClaimTemplates[${index}].spec`))
  }
  errors.push(
    ...nonNegative('spec.replicas', spec.replicas),
    ...nonNegative('spec.minReadySeconds', spec.minReadySeconds),
    ...nonNegative('spec.ordinals.start', spec.ordinals?.start),
  )
  if (isNew(set) && spec.serviceName) append(errors, invalids('spec.serviceName', spec.serviceName, dns1123Label(spec.serviceName)))
  errors.push(
    ...validateWorkloadSelector(spec.selector, 'spec.selector', 'statefulset'),
    ...validateRunningTemplate(effectiveTemplate(set), spec.selector, {
      field: 'spec.template',
      owner: 'StatefulSet',
      unreadable: '',
      rules: templateRules,
      judgesMetadataAgain: true,
    }),
  )
  return errors
}

function validateUpdate(set: StatefulSet, previous: StatefulSet): FieldError[] {
  const { replicas, template, updateStrategy, minReadySeconds, ordinals, revisionHistoryLimit, persistentVolumeClaimRetentionPolicy } =
    previous.spec
  const munged = {
    ...set.spec,
    replicas,
    template,
    updateStrategy,
    minReadySeconds,
    ordinals,
    revisionHistoryLimit,
    persistentVolumeClaimRetentionPolicy,
  }
  return semanticEqual(munged, previous.spec)
    ? []
    : [forbiddenField('spec', `updates to statefulset spec for fields other than ${mutable} are forbidden`)]
}

function historyWarnings({ spec }: StatefulSet): readonly string[] {
  return (spec.revisionHistoryLimit ?? 0) < 0
    ? ['spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended']
    : []
}

const warnings = templateWarnings<StatefulSet>(({ spec }) => spec.template)

/** Rules for stateful sets. */
export const statefulSetStrategy: ResourceStrategy<StatefulSet> = {
  type: statefulsets,
  hasGeneration: true,
  validateName: dns1123Label,
  defaults,
  prepareForCreate(set) {
    dropAlphaTemplateFields(set.spec.template)
    set.status = { replicas: 0, availableReplicas: 0 }
  },
  validate,
  warningsOnCreate: (set) => [...warnings.onCreate(set), ...historyWarnings(set)],
  update: {
    prepare(set, previous) {
      keepStatus(set, previous)
      dropAlphaTemplateFields(set.spec.template, previous.spec.template)
    },
    validate: validateUpdate,
    warnings: (set, previous) => [...warnings.onUpdate(set, previous), ...historyWarnings(set)],
  },
  status: statusUpdate(({ status }, previous) => [
    ...validateCounters(status, [
      'replicas',
      'readyReplicas',
      'currentReplicas',
      'updatedReplicas',
      'availableReplicas',
      'observedGeneration',
      'collisionCount',
    ]),
    ...validateParts(status ?? { replicas: 0 }, { currentReplicas: status?.currentReplicas, updatedReplicas: status?.updatedReplicas }),
    ...((status?.collisionCount ?? 0) < (previous.status?.collisionCount ?? 0)
      ? [invalidValue('status.collisionCount', status?.collisionCount ?? 0, 'cannot be decremented')]
      : []),
  ]),
  columns: [
    nameColumn(),
    column('Ready', ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`, {
      description: 'Ready pods of those that are wanted',
    }),
    ageColumn(),
    ...workloadColumns<StatefulSet>(({ spec }) => spec.template),
  ],
}
