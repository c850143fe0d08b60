import type { JobSpec, PodFailurePolicyRule, SuccessPolicyRule } from '@k3s/api/types/batch/v1'
import type { PodSpec } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, invalidValue, notSupported, required, tooLong, tooMany } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { templateRules } from '../pods/rules.ts'
import { validatePodTemplate } from '../pods/validation.ts'
import { immutable, invalids, nonNegative } from '../../validation/fields.ts'
import { dns1123Subdomain, isHttpPath, qualifiedName, regexError } from '../../validation/names.ts'

/** Above this many completions the limits of jobs with a backoff limit per index are lower. */
const softLimit = 100_000
const highCompletionsLimit = 10_000
const maxManagedByLength = 63
const maxIndexesLength = 64 * 1024

/** A problem of a value that the message does not show. */
export const invalidUnshown: (field: string, detail: string) => FieldError = (field, detail) => ({
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${detail}`,
  field,
})
const quotedList = (values: readonly string[]): string => `valid values: [${values.map((value) => JSON.stringify(value)).join(' ')}]`

/** The problem of a name like `example.com/controller`, if any. */
function validateManagedBy(name: string, field: string): FieldError[] {
  const slash = name.indexOf('/')
  const [host, path] = [name.slice(0, Math.max(slash, 0)), name.slice(slash + 1)]
  const errors: FieldError[] = []
  if (name === '') errors.push(required(field))
  else if (host === '' || path === '') errors.push(invalidValue(field, name, 'must be a domain-prefixed path (such as "acme.io/foo")'))
  else {
    append(errors, invalids(field, host, dns1123Subdomain(host)))
    if (!isHttpPath(path)) errors.push(invalidValue(field, path, regexError('Invalid path', "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+")))
  }
  if (name.length > maxManagedByLength) errors.push(tooLong(field, maxManagedByLength))
  return errors
}

function validateIndexed(spec: JobSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  const { completions, parallelism, maxFailedIndexes, backoffLimitPerIndex } = spec
  if (completions === undefined) errors.push(required(`${field}.completions`, 'when completion mode is Indexed'))
  if (parallelism !== undefined && parallelism > softLimit) {
    errors.push(
      invalidValue(`${field}.parallelism`, parallelism, `must be less than or equal to ${softLimit} when completion mode is Indexed`),
    )
  }
  if (completions !== undefined && maxFailedIndexes !== undefined && maxFailedIndexes > completions) {
    errors.push(invalidValue(`${field}.maxFailedIndexes`, maxFailedIndexes, 'must be less than or equal to completions'))
  }
  if (maxFailedIndexes !== undefined && maxFailedIndexes > softLimit) {
    errors.push(invalidValue(`${field}.maxFailedIndexes`, maxFailedIndexes, `must be less than or equal to ${softLimit}`))
  }
  if (completions === undefined || completions <= softLimit || backoffLimitPerIndex === undefined) return errors
  const high = `must be less than or equal to ${highCompletionsLimit} when completions are above ${softLimit} and used with backoff limit per index`
  if (maxFailedIndexes === undefined)
    errors.push(required(`${field}.maxFailedIndexes`, `must be specified when completions is above ${softLimit}`))
  if (parallelism !== undefined && parallelism > highCompletionsLimit) errors.push(invalidValue(`${field}.parallelism`, parallelism, high))
  if (maxFailedIndexes !== undefined && maxFailedIndexes > highCompletionsLimit)
    errors.push(invalidValue(`${field}.maxFailedIndexes`, maxFailedIndexes, high))
  return errors
}

function validateExitCodes(rule: PodFailurePolicyRule, pod: PodSpec | undefined, field: string): FieldError[] {
  const { onExitCodes } = rule
  if (onExitCodes === undefined) return []
  const errors: FieldError[] = []
  const { operator, containerName, values = [] } = onExitCodes
  if (!operator) errors.push(required(`${field}.operator`, quotedList(['In', 'NotIn'])))
  else if (!['In', 'NotIn'].includes(operator)) errors.push(notSupported(`${field}.operator`, operator, ['In', 'NotIn']))
  const names = [...(pod?.containers ?? []), ...(pod?.initContainers ?? [])].map(({ name }) => name)
  if (containerName !== undefined && !names.includes(containerName)) {
    errors.push(
      invalidValue(`${field}.containerName`, containerName, 'must be one of the container or initContainer names in the pod template'),
    )
  }
  if (values.length === 0) errors.push(invalidValue(`${field}.values`, values, 'at least one value is required'))
  else if (values.length > 255) errors.push(tooMany(`${field}.values`, values.length, 255))
  for (const [index, value] of values.entries()) {
    if (operator === 'In' && value === 0) errors.push(invalidValue(`${field}.values[${index}]`, value, 'must not be 0 for the In operator'))
    if (values.indexOf(value) < index) errors.push(duplicate(`${field}.values[${index}]`, value))
  }
  if (values.some((value, index) => (values[index - 1] ?? value) > value))
    errors.push(invalidValue(`${field}.values`, values, 'must be ordered'))
  return errors
}

function validateFailureRule(rule: PodFailurePolicyRule, spec: JobSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore']
  if (!rule.action) errors.push(required(`${field}.action`, quotedList(actions)))
  else if (rule.action === 'FailIndex') {
    if (spec.backoffLimitPerIndex === undefined)
      errors.push(invalidValue(`${field}.action`, rule.action, 'requires the backoffLimitPerIndex to be set'))
  } else if (!actions.includes(rule.action)) errors.push(notSupported(`${field}.action`, rule.action, actions))
  append(errors, validateExitCodes(rule, spec.template.spec, `${field}.onExitCodes`))
  const conditions = rule.onPodConditions ?? []
  if (conditions.length > 20) errors.push(tooMany(`${field}.onPodConditions`, conditions.length, 20))
  const statuses = ['False', 'True', 'Unknown']
  for (const [index, { type, status }] of conditions.entries()) {
    const at = `${field}.onPodConditions[${index}]`
    append(errors, invalids(`${at}.type`, type, qualifiedName(type)))
    if (!status) errors.push(required(`${at}.status`, quotedList(statuses)))
    else if (!statuses.includes(status)) errors.push(notSupported(`${at}.status`, status, statuses))
  }
  if (rule.onExitCodes !== undefined && conditions.length > 0)
    errors.push(invalidUnshown(field, 'specifying both OnExitCodes and OnPodConditions is not supported'))
  if (rule.onExitCodes === undefined && conditions.length === 0)
    errors.push(invalidUnshown(field, 'specifying one of OnExitCodes and OnPodConditions is required'))
  return errors
}

/** How many indexes a text like `1,3-5` names; a string says why it is none. */
function countIndexes(text: string, completions: number): number | string {
  let last = -1
  let total = 0
  for (const interval of text === '' ? [] : text.split(',')) {
    const parts = interval.split('-')
    if (parts.length > 2)
      return `the fragment ${JSON.stringify(interval)} violates the requirement that an index interval can have at most two parts separated by '-'`
    const bad = parts.find((part) => !/^[+-]?\d+$/.test(part))
    if (bad !== undefined) return `cannot convert string to integer for index: ${JSON.stringify(bad)}`
    const large = parts.find((part) => Number(part) >= completions)
    if (large !== undefined) return `too large index: ${JSON.stringify(large)}`
    const [first = 0, end = first] = parts.map(Number)
    if (parts.length === 2 && first >= end) return `non-increasing order, previous: ${first}, current: ${end}`
    if (last >= first) return `non-increasing order, previous: ${last}, current: ${first}`
    total += end - first + 1
    last = end
  }
  return total
}

function validateSuccessRule(rule: SuccessPolicyRule, completions: number, field: string): FieldError[] {
  const { succeededCount, succeededIndexes } = rule
  const errors: FieldError[] = []
  if (succeededCount === undefined && succeededIndexes === undefined)
    errors.push(required(field, 'at least one of succeededCount or succeededIndexes must be specified'))
  let total = 0
  if (succeededIndexes !== undefined) {
    if (succeededIndexes.length > maxIndexesLength) errors.push(tooLong(`${field}.succeededIndexes`, maxIndexesLength))
    const count = countIndexes(succeededIndexes, completions)
    if (typeof count === 'string')
      errors.push(invalidValue(`${field}.succeededIndexes`, succeededIndexes, `error parsing succeededIndexes: ${count}`))
    else total = count
  }
  if (succeededCount === undefined) return errors
  const at = `${field}.succeededCount`
  append(errors, nonNegative(at, succeededCount))
  if (succeededCount > completions)
    errors.push(invalidValue(at, succeededCount, `must be less than or equal to ${completions} (the number of specified completions)`))
  if (succeededIndexes !== undefined && succeededCount > total) {
    errors.push(
      invalidValue(
        at,
        succeededCount,
        `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`,
      ),
    )
  }
  return errors
}

function validatePolicies(spec: JobSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  const rules = spec.podFailurePolicy?.rules ?? []
  if (rules.length > 20) errors.push(tooMany(`${field}.podFailurePolicy.rules`, rules.length, 20))
  for (const [index, rule] of rules.entries()) append(errors, validateFailureRule(rule, spec, `${field}.podFailurePolicy.rules[${index}]`))
  if (spec.successPolicy !== undefined) {
    const at = `${field}.successPolicy`
    const successes = spec.successPolicy.rules ?? []
    if (spec.completionMode !== 'Indexed') errors.push(invalidValue(at, spec.successPolicy, 'requires indexed completion mode'))
    else {
      if (successes.length === 0)
        errors.push(required(`${at}.rules`, 'at least one rules must be specified when the successPolicy is specified'))
      if (successes.length > 20) errors.push(tooMany(`${at}.rules`, successes.length, 20))
      for (const [index, rule] of successes.entries())
        append(errors, validateSuccessRule(rule, spec.completions ?? 0, `${at}.rules[${index}]`))
    }
  }
  const replacement = spec.podReplacementPolicy
  const allowed = spec.podFailurePolicy === undefined ? ['Failed', 'TerminatingOrFailed'] : ['Failed']
  if (replacement !== undefined && !allowed.includes(replacement))
    errors.push(notSupported(`${field}.podReplacementPolicy`, replacement, allowed))
  return errors
}

/** Problems of a job's spec but for its selector, in jobs and in templates of jobs. */
export function validateJobSpec(spec: JobSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  for (const name of [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const) {
    append(errors, nonNegative(`${field}.${name}`, spec[name]))
  }
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    errors.push(required(`${field}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'))
  if (spec.managedBy !== undefined) append(errors, validateManagedBy(spec.managedBy, `${field}.managedBy`))
  const mode = spec.completionMode ?? 'NonIndexed'
  if (!['NonIndexed', 'Indexed'].includes(mode)) errors.push(notSupported(`${field}.completionMode`, mode, ['NonIndexed', 'Indexed']))
  if (mode === 'Indexed') append(errors, validateIndexed(spec, field))
  if (mode === 'NonIndexed') {
    for (const name of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
      if (spec[name] !== undefined) errors.push(invalidValue(`${field}.${name}`, spec[name], 'requires indexed completion mode'))
    }
  }
  append(errors, validatePolicies(spec, field), validatePodTemplate(spec.template, `${field}.template`, templateRules))
  const restart = spec.template.spec?.restartPolicy ?? ''
  const at = `${field}.template.spec.restartPolicy`
  if (restart === '' || restart === 'Always') errors.push(required(at, 'valid values: "OnFailure", "Never"'))
  else if (!['OnFailure', 'Never'].includes(restart)) errors.push(notSupported(at, restart, ['OnFailure', 'Never']))
  else if (spec.podFailurePolicy !== undefined && restart !== 'Never')
    errors.push(invalidValue(at, restart, 'only "Never" is supported when podFailurePolicy is specified'))
  return errors
}

/** Refuses what a running or finished job may not change. `isTemplateMutable` is true for suspended jobs that run no pods. */
export function validateJobSpecUpdate(spec: JobSpec, previous: JobSpec, isTemplateMutable: boolean): FieldError[] {
  const errors: FieldError[] = []
  if (spec.completionMode !== 'Indexed') append(errors, immutable('spec.completions', spec.completions, previous.completions))
  else if (spec.completions !== undefined && spec.completions !== previous.completions && spec.completions !== spec.parallelism) {
    errors.push(invalidValue('spec.completions', spec.completions, 'can only be modified in tandem with spec.parallelism'))
  }
  append(errors, immutable('spec.selector', spec.selector, previous.selector))
  const template = isTemplateMutable ? withSchedulingOf(spec, previous) : previous.template
  append(errors, immutable('spec.template', spec.template, template))
  for (const name of ['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const) {
    append(errors, immutable(`spec.${name}`, spec[name], previous[name]))
  }
  return errors
}

/** The old template with what says where pods may run, and how much they get, taken from the new one. */
function withSchedulingOf(spec: JobSpec, previous: JobSpec): JobSpec['template'] {
  const [now, then] = [spec.template, previous.template]
  if (now.spec === undefined || then.spec === undefined) return then
  const resourcesOf = <C extends { name: string; resources?: unknown }>(
    old: readonly C[] | undefined,
    given: readonly C[] | undefined,
  ): C[] | undefined =>
    old?.map((container, index) =>
      given?.[index]?.name === container.name ? { ...container, resources: given[index]?.resources } : container,
    )
  const nodeAffinity = now.spec.affinity?.nodeAffinity
  const affinity = then.spec.affinity === undefined && nodeAffinity === undefined ? undefined : { ...then.spec.affinity, nodeAffinity }
  return {
    ...then,
    metadata: { ...then.metadata, annotations: now.metadata?.annotations, labels: now.metadata?.labels },
    spec: {
      ...then.spec,
      affinity,
      nodeSelector: now.spec.nodeSelector,
      tolerations: now.spec.tolerations,
      schedulingGates: now.spec.schedulingGates,
      containers: resourcesOf(then.spec.containers, now.spec.containers) ?? [],
      initContainers: resourcesOf(then.spec.initContainers, now.spec.initContainers),
    },
  }
}

/** A job template gets its selector by itself. */
export function validateJobTemplate(spec: JobSpec, field: string): FieldError[] {
  return [
    ...validateJobSpec(spec, `${field}.spec`),
    ...(spec.selector === undefined ? [] : [invalidValue(`${field}.spec.selector`, spec.selector, '`selector` will be auto-generated')]),
    ...(spec.manualSelector === true ? [notSupported(`${field}.spec.manualSelector`, true, ['nil', 'false'])] : []),
  ]
}
