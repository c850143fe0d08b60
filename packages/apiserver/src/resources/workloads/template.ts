import type { PodTemplateSpec } from '@k3s/api/types/core/v1'
import type { LabelSelector } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { defaultPodSpec } from '../pods/defaults.ts'
import type { PodRules } from '../pods/rules.ts'
import { validatePodTemplate, validateTemplateMetadata } from '../pods/validation.ts'
import { nonNegative } from '../../validation/fields.ts'
import { isEmptySelector, selectorMatches, validateLabelSelector } from '../shared/label-selector.ts'

/** Defaults of the template of a workload, in place. */
export function defaultTemplate(template: PodTemplateSpec | undefined): void {
  if (template === undefined) return
  template.metadata ??= {}
  if (template.spec !== undefined) defaultPodSpec(template.spec)
}

/** What the selectors of all workloads are asked. `kind` is the word in upstream's message. */
export function validateWorkloadSelector(selector: LabelSelector | undefined, field: string, kind: string): FieldError[] {
  if (selector === undefined) return [required(field)]
  return [
    ...validateLabelSelector(selector, field),
    ...(isEmptySelector(selector) ? [invalidValue(field, selector, `empty selector is invalid for ${kind}`)] : []),
  ]
}

/** Problems of the template of a workload whose pods run on: it must carry the labels that the selector looks for. `owner` is the kind in upstream's message. */
export function validateRunningTemplate(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  options: {
    readonly field: string
    readonly owner: string
    readonly rules: PodRules
    /** What is said of a selector that cannot be read, besides why; absent: nothing. */
    readonly unreadable?: string | undefined
    /** The selector is a plain map of labels, which need not be right to be compared. */
    readonly isPlain?: boolean | undefined
    /** As upstream for stateful sets: what is wrong with labels and annotations is told twice. */
    readonly judgesMetadataAgain?: boolean | undefined
  },
): FieldError[] {
  const { field, owner, rules } = options
  if (template === undefined) return [required(field)]
  const errors: FieldError[] = []
  const labels = template.metadata?.labels
  const isReadable = options.isPlain === true || validateLabelSelector(selector, '').length === 0
  if (!isReadable && options.unreadable !== undefined) errors.push(invalidValue('spec.selector', selector, options.unreadable))
  // Without a selector nothing matches.
  if (isReadable && (selector === undefined || !isEmptySelector(selector)) && !selectorMatches(selector, labels)) {
    errors.push(invalidValue(`${field}.metadata.labels`, labels, '`selector` does not match template `labels`'))
  }
  append(errors, validatePodTemplate(template, field, rules))
  if (options.judgesMetadataAgain === true) append(errors, validateTemplateMetadata(template, field))
  const { restartPolicy, activeDeadlineSeconds } = template.spec ?? {}
  if (restartPolicy !== 'Always') errors.push(notSupported(`${field}.spec.restartPolicy`, restartPolicy ?? '', ['Always']))
  if (activeDeadlineSeconds !== undefined)
    errors.push(forbiddenField(`${field}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${owner} is not Supported`))
  return errors
}

/** None of the named counters of a status is negative. */
export function validateCounters<T extends object>(status: T | undefined, names: readonly (keyof T & string)[]): FieldError[] {
  return names.flatMap((name) => {
    const value = status?.[name]
    return typeof value === 'number' ? nonNegative(`status.${name}`, value) : []
  })
}

/** Counters of a status that are part of another one. */
export function validateParts(
  status: {
    readonly replicas?: number | undefined
    readonly readyReplicas?: number | undefined
    readonly availableReplicas?: number | undefined
  },
  others: Readonly<Record<string, number | undefined>> = {},
): FieldError[] {
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0 } = status
  const parts = { ...others, readyReplicas, availableReplicas }
  const errors = Object.entries(parts).flatMap(([name, value = 0]) =>
    value > replicas ? [invalidValue(`status.${name}`, value, 'cannot be greater than status.replicas')] : [],
  )
  if (availableReplicas > readyReplicas)
    errors.push(invalidValue('status.availableReplicas', availableReplicas, 'cannot be greater than readyReplicas'))
  return errors
}
