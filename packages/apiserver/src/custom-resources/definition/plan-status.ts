import type { CustomResourceDefinition, CustomResourceDefinitionNames } from '@k3s/api/types/apiextensions/v1'
import { append } from '@k3s/lifecycle'
import { copyJson, equalJson } from '../../json.ts'
import { unstructuralReason, validateStructural } from '../schema/structural.ts'
import { approvalState } from './approval.ts'
import {
  findCondition,
  isConditionTrue,
  isSameCondition,
  removeCondition,
  setCondition,
  statusOf,
  type WantedCondition,
} from './conditions.ts'
import { caBundleProblem } from './validation.ts'

/**
 * The definition with the status that it should have next; undefined when it has it. Follows upstream's controllers of names, establishing, structural
 * schemas and API approval. Names are accepted in one step and the resource is established in the next: whoever watches sees both.
 */
export function planStatus(
  definition: CustomResourceDefinition,
  others: readonly CustomResourceDefinition[],
  now: string,
): CustomResourceDefinition | undefined {
  // Nothing else is changed, and schemas are long.
  const next = { ...definition, status: copyJson(definition.status) }
  planApproval(next, now)
  planStructure(next, now)
  if (!planNames(next, others, now)) planEstablished(next, now)
  return equalJson(next.status, definition.status) ? undefined : next
}

/** True when it changed something: then establishing waits for the next round. */
function planNames(definition: CustomResourceDefinition, others: readonly CustomResourceDefinition[], now: string): boolean {
  const status = statusOf(definition)
  const wanted = definition.spec.names
  const accepted: CustomResourceDefinitionNames = status.acceptedNames ?? { plural: '', kind: '' }
  if (equalJson(wanted, accepted)) return false
  const { names, condition } = acceptNames(wanted, accepted, others)
  if (equalJson(names, accepted) && isSameCondition(findCondition(definition, 'NamesAccepted'), condition)) return false
  status.acceptedNames = names
  setCondition(definition, condition, now)
  const established = findCondition(definition, 'Established')
  if (established?.status !== 'True' && condition.status === 'True')
    setCondition(
      definition,
      { type: 'Established', status: 'False', reason: 'Installing', message: 'the initial names have been accepted' },
      now,
    )
  else if (established === undefined)
    setCondition(definition, { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' }, now)
  return true
}

/** Takes over every wanted name that nobody else in the group has; the last conflict is reported. */
function acceptNames(
  wanted: CustomResourceDefinitionNames,
  accepted: CustomResourceDefinitionNames,
  others: readonly CustomResourceDefinition[],
): { readonly names: CustomResourceDefinitionNames; readonly condition: WantedCondition } {
  // The definition's own accepted names count as taken, as upstream has it: a name may not move from one use to another in one step.
  const taken = [...others.map(({ status }) => status?.acceptedNames), accepted].filter((names) => names !== undefined)
  const resources = new Set(taken.flatMap(({ plural, singular = '', shortNames = [] }) => [plural, singular, ...shortNames]))
  const kinds = new Set(taken.flatMap(({ kind, listKind = '' }) => [kind, listKind]))
  const names: CustomResourceDefinitionNames = copyJson(accepted)
  let conflict: { readonly reason: string; readonly message: string } | undefined
  const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`
  const take = (field: 'plural' | 'singular' | 'kind' | 'listKind', used: ReadonlySet<string>, reason: string): void => {
    const name = wanted[field] ?? ''
    if (name !== (accepted[field] ?? '') && used.has(name)) conflict = { reason, message: inUse(name) }
    else names[field] = name
  }
  take('plural', resources, 'PluralConflict')
  take('singular', resources, 'SingularConflict')
  if (!equalJson(wanted.shortNames, accepted.shortNames)) {
    const clashes = (wanted.shortNames ?? []).filter((name) => !(accepted.shortNames ?? []).includes(name) && resources.has(name))
    if (clashes.length > 0) {
      const list = clashes.map(inUse)
      conflict = { reason: 'ShortNamesConflict', message: list.length === 1 ? list.join() : `[${list.join(', ')}]` }
    } else names.shortNames = wanted.shortNames
  }
  take('kind', kinds, 'KindConflict')
  take('listKind', kinds, 'ListKindConflict')
  names.categories = wanted.categories
  const condition: WantedCondition =
    conflict === undefined
      ? { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' }
      : { type: 'NamesAccepted', status: 'False', ...conflict }
  return { names, condition }
}

function planEstablished(definition: CustomResourceDefinition, now: string): void {
  if (!isConditionTrue(definition, 'NamesAccepted') || isConditionTrue(definition, 'Established')) return
  const { caBundle } = definition.spec.conversion?.webhook?.clientConfig ?? {}
  const isBad = caBundle !== undefined && caBundle !== '' && caBundleProblem(caBundle) !== undefined
  setCondition(
    definition,
    isBad
      ? { type: 'Established', status: 'False', reason: 'InvalidCABundle', message: 'The conversion webhook CABundle is invalid' }
      : { type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: 'the initial names have been accepted' },
    now,
  )
}

function planApproval(definition: CustomResourceDefinition, now: string): void {
  const state = approvalState(definition)
  if (state === undefined) return
  const reasons = {
    missing: 'MissingAnnotation',
    invalid: 'InvalidAnnotation',
    bypassed: 'UnapprovedAnnotation',
    approved: 'ApprovedAnnotation',
  }
  const wanted: WantedCondition = {
    type: 'KubernetesAPIApprovalPolicyConformant',
    status: state.kind === 'approved' ? 'True' : 'False',
    reason: reasons[state.kind],
    message: state.reason,
  }
  if (!isSameCondition(findCondition(definition, wanted.type), wanted)) setCondition(definition, wanted, now)
}

function planStructure(definition: CustomResourceDefinition, now: string): void {
  const problems: string[] =
    definition.spec.preserveUnknownFields === true ? ['spec.preserveUnknownFields: Invalid value: true: must be false'] : []
  let wanted: WantedCondition | undefined
  for (const [index, { name, schema }] of definition.spec.versions.entries()) {
    const root = schema?.openAPIV3Schema
    if (root === undefined) continue
    const unreadable = unstructuralReason(root)
    if (unreadable !== undefined) {
      const message = `failed to check validation schema for version ${name}: ${unreadable}`
      wanted = { type: 'NonStructuralSchema', status: 'Unknown', reason: 'StructuralError', message }
      break
    }
    const at = `spec.versions[${index}].schema.openAPIV3Schema`
    append(
      problems,
      validateStructural(root, at).map(({ field = '', message = '' }) => `${field}: ${message}`),
    )
  }
  if (problems.length > 0)
    wanted ??= {
      type: 'NonStructuralSchema',
      status: 'True',
      reason: 'Violations',
      message: problems.length === 1 ? problems.join() : `[${problems.join(', ')}]`,
    }
  const present = findCondition(definition, 'NonStructuralSchema')
  if (wanted === undefined) {
    if (present !== undefined) removeCondition(definition, 'NonStructuralSchema')
  } else if (!isSameCondition(present, wanted)) setCondition(definition, wanted, now)
}
