import type { LabelSelector, LabelSelectorRequirement } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids } from '../../validation/fields.ts'
import { labelValue, qualifiedName } from '../../validation/names.ts'
import { validateLabels } from '../../validation/object-meta.ts'

/** Problems of one requirement of a selector. Selectors of nodes also compare numbers, and some of their terms take values of any form. */
export function validateRequirement(
  { key, operator, values = [] }: LabelSelectorRequirement,
  field: string,
  {
    comparesNumbers = false,
    checksValues = true,
    takesAnyOperator = false,
  }: { readonly comparesNumbers?: boolean; readonly checksValues?: boolean; readonly takesAnyOperator?: boolean } = {},
): FieldError[] {
  const errors: FieldError[] = []
  if (operator === 'In' || operator === 'NotIn') {
    if (values.length === 0) errors.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
  } else if (operator === 'Exists' || operator === 'DoesNotExist') {
    if (values.length > 0)
      errors.push(forbiddenField(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
  } else if (comparesNumbers && (operator === 'Gt' || operator === 'Lt')) {
    if (values.length !== 1) errors.push(required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
  } else if (!takesAnyOperator) errors.push(invalidValue(`${field}.operator`, operator, 'not a valid selector operator'))
  append(errors, invalids(`${field}.key`, key, qualifiedName(key)))
  if (checksValues)
    for (const [index, value] of values.entries()) append(errors, invalids(`${field}.values[${index}]`, value, labelValue(value)))
  return errors
}

/** Problems of a label selector; an absent one has none. */
export function validateLabelSelector(selector: LabelSelector | undefined, field: string): FieldError[] {
  if (selector === undefined) return []
  return [
    ...validateLabels(selector.matchLabels, `${field}.matchLabels`),
    ...(selector.matchExpressions ?? []).flatMap((requirement, index) =>
      validateRequirement(requirement, `${field}.matchExpressions[${index}]`),
    ),
  ]
}

/** True when the selector names no labels: it selects everything. */
export function isEmptySelector(selector: LabelSelector): boolean {
  return Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0
}

/** Whether `labels` satisfy a (valid) selector. An absent selector matches nothing, an empty one everything. */
export function selectorMatches(selector: LabelSelector | undefined, labels: Readonly<Record<string, string>> | undefined): boolean {
  if (selector === undefined) return false
  const present = labels ?? {}
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (present[key] !== value) return false
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = present[key]
    if (operator === 'In') return value !== undefined && values.includes(value)
    if (operator === 'NotIn') return value === undefined || !values.includes(value)
    return operator === 'Exists' ? value !== undefined : value === undefined
  })
}

/** A selector as text, as `metav1.FormatLabelSelector`: `<none>` when it is absent or empty. */
export function formatLabelSelector(selector: LabelSelector | undefined): string {
  if (selector === undefined || isEmptySelector(selector)) return '<none>'
  return labelSelectorText(selector)
}

/** A selector in the syntax of `labelSelector=`; requirements sorted by key. */
export function labelSelectorText(selector: LabelSelector): string {
  const parts: { readonly key: string; readonly text: string }[] = []
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) parts.push({ key, text: `${key}=${value}` })
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const list = values.toSorted().join(',')
    if (operator === 'In') parts.push({ key, text: `${key} in (${list})` })
    else if (operator === 'NotIn') parts.push({ key, text: `${key} notin (${list})` })
    else parts.push({ key, text: operator === 'Exists' ? key : `!${key}` })
  }
  return parts
    .toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ text }) => text)
    .join(',')
}

/** A plain map of labels as text, sorted; `<none>` when empty. */
export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const entries = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`)
  return entries.length === 0 ? '<none>' : entries.toSorted().join(',')
}
