import type {
  Affinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinityTerm,
  PodSpec,
  Toleration,
  TopologySpreadConstraint,
} from '@k3s/api/types/core/v1'
import type { LabelSelector } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids, optionalOneOf } from '../../validation/fields.ts'
import { validateLabelSelector, validateRequirement } from '../shared/label-selector.ts'
import { dns1123Label, dns1123Subdomain, labelValue, qualifiedName } from '../../validation/names.ts'

/** Effects of taints. */
export const taintEffects: readonly string[] = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

function validateFieldRequirement(requirement: NodeSelectorRequirement, field: string): FieldError[] {
  const errors: FieldError[] = []
  const values = requirement.values ?? []
  if (requirement.operator !== 'In' && requirement.operator !== 'NotIn') {
    errors.push(invalidValue(`${field}.operator`, requirement.operator, 'not a valid selector operator'))
  } else if (values.length !== 1) {
    errors.push(required(`${field}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
  }
  if (requirement.key !== 'metadata.name') errors.push(invalidValue(`${field}.key`, requirement.key, 'not a valid field selector key'))
  else for (const [index, value] of values.entries()) append(errors, invalids(`${field}.values[${index}]`, value, dns1123Subdomain(value)))
  return errors
}

function validateTerm(term: NodeSelectorTerm, field: string, checkValues: boolean): FieldError[] {
  return [
    ...(term.matchExpressions ?? []).flatMap((item, index) =>
      validateRequirement(item, `${field}.matchExpressions[${index}]`, { comparesNumbers: true, checksValues: checkValues }),
    ),
    ...(term.matchFields ?? []).flatMap((item, index) => validateFieldRequirement(item, `${field}.matchFields[${index}]`)),
  ]
}

/** Problems of a choice of nodes: at least one term. */
export function validateNodeSelector(selector: NodeSelector, field: string): FieldError[] {
  const terms = selector.nodeSelectorTerms ?? []
  if (terms.length === 0) return [required(`${field}.nodeSelectorTerms`, 'must have at least one node selector term')]
  return terms.flatMap((term, index) => validateTerm(term, `${field}.nodeSelectorTerms[${index}]`, true))
}

function validateLabelKeys(keys: readonly string[] | undefined, selector: LabelSelector | undefined, field: string): FieldError[] {
  if (keys === undefined || keys.length === 0) return []
  if (selector === undefined) return [forbiddenField(field, 'must not be specified when labelSelector is not set')]
  return keys.flatMap((key, index) => invalids(`${field}[${index}]`, key, qualifiedName(key)))
}

function validateMatchKeys(
  term: {
    readonly matchLabelKeys?: readonly string[] | undefined
    readonly mismatchLabelKeys?: readonly string[] | undefined
    readonly labelSelector?: LabelSelector | undefined
  },
  field: string,
): FieldError[] {
  const { matchLabelKeys = [], mismatchLabelKeys = [], labelSelector } = term
  const errors = [
    ...validateLabelKeys(matchLabelKeys, labelSelector, `${field}.matchLabelKeys`),
    ...validateLabelKeys(mismatchLabelKeys, labelSelector, `${field}.mismatchLabelKeys`),
  ]
  const seen = new Set(Object.keys(labelSelector?.matchLabels ?? {}))
  for (const { key } of labelSelector?.matchExpressions ?? []) {
    const index = matchLabelKeys.indexOf(key)
    if (index >= 0 && seen.has(key)) errors.push(invalidValue(`${field}[${index}]`, key, 'exists in both matchLabelKeys and labelSelector'))
    seen.add(key)
  }
  for (const [index, key] of matchLabelKeys.entries()) {
    if (mismatchLabelKeys.includes(key))
      errors.push(invalidValue(`${field}.matchLabelKeys[${index}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys'))
  }
  return errors
}

function validateAffinityTerm(term: PodAffinityTerm, field: string): FieldError[] {
  return [
    ...validateLabelSelector(term.labelSelector, `${field}.labelSelector`),
    ...validateLabelSelector(term.namespaceSelector, `${field}.namespaceSelector`),
    ...(term.namespaces ?? []).flatMap((name) => invalids(`${field}.namespace`, name, dns1123Label(name))),
    ...validateMatchKeys(term, field),
    ...(term.topologyKey ? [] : [required(`${field}.topologyKey`, 'can not be empty')]),
    ...invalids(`${field}.topologyKey`, term.topologyKey ?? '', qualifiedName(term.topologyKey ?? '')),
  ]
}

const weightErrors = (weight: number, field: string): FieldError[] =>
  weight <= 0 || weight > 100 ? [invalidValue(`${field}.weight`, weight, 'must be in the range 1-100')] : []

/** Problems of affinities to nodes and pods. */
export function validateAffinity(affinity: Affinity | undefined, field: string): FieldError[] {
  if (affinity === undefined) return []
  const errors: FieldError[] = []
  const { nodeAffinity } = affinity
  if (nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution !== undefined) {
    errors.push(
      ...validateNodeSelector(
        nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution,
        `${field}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`,
      ),
    )
  }
  for (const [index, term] of (nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    const at = `${field}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[${index}]`
    append(errors, weightErrors(term.weight, at), validateTerm(term.preference, `${at}.preference`, false))
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    for (const [index, term] of (affinity[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
      append(errors, validateAffinityTerm(term, `${field}.${kind}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`))
    }
    for (const [index, term] of (affinity[kind]?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
      const at = `${field}.${kind}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`
      append(errors, weightErrors(term.weight, at), validateAffinityTerm(term.podAffinityTerm, `${at}.podAffinityTerm`))
    }
  }
  return errors
}

const aboveZero = (field: string, value: number): FieldError[] =>
  value > 0 ? [] : [invalidValue(field, value, 'must be greater than zero')]

/** Problems of constraints on the spread of pods. */
export function validateSpreadConstraints(constraints: readonly TopologySpreadConstraint[] | undefined, field: string): FieldError[] {
  return (constraints ?? []).flatMap((constraint, index) => {
    const at = `${field}[${index}]`
    const errors = aboveZero(`${at}.maxSkew`, constraint.maxSkew)
    if (!constraint.topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'))
    const actions = ['DoNotSchedule', 'ScheduleAnyway']
    if (!actions.includes(constraint.whenUnsatisfiable))
      errors.push(notSupported(`${at}.whenUnsatisfiable`, constraint.whenUnsatisfiable, actions))
    const { topologyKey, whenUnsatisfiable, minDomains } = constraint
    if (
      constraints?.slice(index + 1).some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable) ===
      true
    ) {
      errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`))
    }
    if (minDomains !== undefined) {
      append(errors, aboveZero(`${at}.minDomains`, minDomains))
      if (whenUnsatisfiable !== 'DoNotSchedule') {
        errors.push(
          invalidValue(
            `${at}.minDomains`,
            minDomains,
            `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`,
          ),
        )
      }
    }
    errors.push(
      ...optionalOneOf(`${at}.nodeAffinityPolicy`, constraint.nodeAffinityPolicy, ['Honor', 'Ignore']),
      ...optionalOneOf(`${at}.nodeTaintsPolicy`, constraint.nodeTaintsPolicy, ['Honor', 'Ignore']),
      ...validateMatchKeys(constraint, at),
      ...validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`),
    )
    return errors
  })
}

/** Problems of tolerations. */
export function validateTolerations(tolerations: readonly Toleration[] | undefined, field: string): FieldError[] {
  return (tolerations ?? []).flatMap((toleration, index) => {
    const at = `${field}[${index}]`
    const { key = '', operator = '', value = '', effect = '' } = toleration
    const errors: FieldError[] = key === '' ? [] : invalids(`${at}.key`, key, qualifiedName(key))
    if (key === '' && operator !== 'Exists') {
      errors.push(
        invalidValue(
          `${at}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      )
    }
    if (toleration.tolerationSeconds !== undefined && effect !== 'NoExecute') {
      errors.push(invalidValue(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    }
    if (operator === '' || operator === 'Equal') {
      const problems = labelValue(value)
      if (problems.length > 0) errors.push(invalidValue(`${at}.operator`, value, problems.join(';')))
    } else if (operator === 'Exists') {
      if (value !== '') errors.push(invalidValue(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"))
    } else
      errors.push(
        notSupported(
          `${at}.operator`,
          operator,
          operator === 'Lt' || operator === 'Gt' ? ['Equal', 'Exists', 'Lt', 'Gt'] : ['Equal', 'Exists'],
        ),
      )
    if (effect !== '' && !taintEffects.includes(effect)) errors.push(notSupported(`${at}.effect`, effect, taintEffects))
    return errors
  })
}

/** Turns `matchLabelKeys` and `mismatchLabelKeys` into requirements on the labels that this pod has, as upstream does when a pod is created. */
export function applyMatchLabelKeys(spec: PodSpec, labels: Readonly<Record<string, string>> | undefined): void {
  const apply = (selector: LabelSelector | undefined, keys: readonly string[] | undefined, operator: 'In' | 'NotIn'): void => {
    for (const key of keys ?? []) {
      const value = labels?.[key]
      if (selector === undefined || value === undefined) continue
      selector.matchExpressions = [...(selector.matchExpressions ?? []), { key, operator, values: [value] }]
    }
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const group = spec.affinity?.[kind]
    const terms = [
      ...(group?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
      ...(group?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ]
    for (const term of terms) {
      apply(term.labelSelector, term.matchLabelKeys, 'In')
      apply(term.labelSelector, term.mismatchLabelKeys, 'NotIn')
    }
  }
  for (const constraint of spec.topologySpreadConstraints ?? []) apply(constraint.labelSelector, constraint.matchLabelKeys, 'In')
}
