import {
  type MatchResources,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  type ParamKind,
  type ParamRef,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  type Variable,
} from '@k3s/api/types/admissionregistration/v1'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, oneOf, optionalOneOf, requiredString } from '../../validation/fields.ts'
import { formatLabelSelector, validateLabelSelector } from '../shared/label-selector.ts'
import { cIdentifier, dns1035Label, dns1123Subdomain, pathSegment, qualifiedName } from '../../validation/names.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { defaultMatch, failurePolicies, reinvocationPolicies, validateConditions, validateMatch } from './rules.ts'

const maxAuditAnnotations = 20
const mutatingOperations = ['*', 'CONNECT', 'CREATE', 'UPDATE']
const actions = ['Audit', 'Deny', 'Warn']
const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized']

function validateParamKind({ apiVersion = '', kind = '' }: ParamKind, field: string): FieldError[] {
  const errors: FieldError[] = []
  const at = `${field}.apiVersion`
  const parts = apiVersion.split('/')
  if (apiVersion === '') errors.push(required(at))
  else if (parts.length > 2) errors.push(invalidValue(at, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  else {
    const [group, version] = parts.length === 2 ? [parts[0] ?? '', parts[1] ?? ''] : ['', apiVersion]
    const groupErrors = group === '' ? [] : dns1123Subdomain(group)
    if (groupErrors.length > 0) errors.push(invalidValue(at, group, groupErrors.join(',')))
    const versionErrors = version === '' ? [] : dns1035Label(version)
    if (version === '') errors.push(invalidValue(at, apiVersion, 'version must be specified'))
    else if (versionErrors.length > 0) errors.push(invalidValue(at, version, versionErrors.join(',')))
  }
  const kindErrors = kind === '' ? [] : dns1035Label(kind.toLowerCase())
  if (kind === '') errors.push(required(`${field}.kind`))
  else if (kindErrors.length > 0) {
    errors.push(invalidValue(`${field}.kind`, kind, `may have mixed case, but should otherwise match: ${kindErrors.join(',')}`))
  }
  return errors
}

function validateVariables(variables: readonly Variable[] | undefined): FieldError[] {
  return (variables ?? []).flatMap(({ name, expression }, index) => {
    const field = `spec.variables[${index}]`
    return [
      ...(name ? invalids(`${field}.name`, name, cIdentifier(name)) : [required(`${field}.name`, 'name is not specified')]),
      ...(expression.trim() === '' ? [required(`${field}.expression`, 'expression is not specified')] : []),
    ]
  })
}

interface PolicyHead {
  readonly failurePolicy?: string | undefined
  readonly paramKind?: ParamKind | undefined
  readonly matchConstraints?: MatchResources | undefined
}

function validateHead({ failurePolicy, paramKind, matchConstraints }: PolicyHead): FieldError[] {
  const at = 'spec.matchConstraints'
  return [
    ...oneOf('spec.failurePolicy', failurePolicy, failurePolicies),
    ...(paramKind === undefined ? [] : validateParamKind(paramKind, 'spec.paramKind')),
    ...(matchConstraints === undefined ? [required(at)] : validateMatch(matchConstraints, at)),
    ...(matchConstraints !== undefined && (matchConstraints.resourceRules ?? []).length === 0 ? [required(`${at}.resourceRules`)] : []),
  ]
}

function validateMutatingOperations(match: MatchResources | undefined, field: string): FieldError[] {
  return (match?.resourceRules ?? []).flatMap(({ operations = [] }) =>
    operations.flatMap((operation) =>
      mutatingOperations.includes(operation) ? [] : [notSupported(`${field}.resourceRules.operations`, operation, mutatingOperations)],
    ),
  )
}

function validateValidating({ spec }: ValidatingAdmissionPolicy): FieldError[] {
  const { validations = [], auditAnnotations = [] } = spec
  const errors = [
    ...validateHead(spec),
    ...validateConditions(spec.matchConditions, 'spec.matchConditions'),
    ...validateVariables(spec.variables),
  ]
  if (validations.length + auditAnnotations.length === 0) {
    const detail = 'validations or auditAnnotations must contain at least one item'
    return [...errors, required('spec.validations', detail), required('spec.auditAnnotations', detail)]
  }
  for (const [index, { expression, message, messageExpression, reason }] of validations.entries()) {
    const field = `spec.validations[${index}]`
    if (expression.trim() === '') errors.push(required(`${field}.expression`, 'expression is not specified'))
    const trimmed = message?.trim() ?? ''
    if (messageExpression !== undefined && messageExpression !== '' && messageExpression.trim() === '') {
      errors.push(invalidValue(`${field}.messageExpression`, messageExpression, 'must be non-empty if specified'))
    }
    if (message && trimmed === '') errors.push(invalidValue(`${field}.message`, message, 'message must be non-empty if specified'))
    else if (trimmed.includes('\n')) errors.push(invalidValue(`${field}.message`, message, 'message must not contain line breaks'))
    else if (expression.includes('\n') && trimmed === '') {
      errors.push(required(`${field}.message`, 'message must be specified if expression contains line breaks'))
    }
    errors.push(...optionalOneOf(`${field}.reason`, reason, reasons))
  }
  if (auditAnnotations.length > maxAuditAnnotations) {
    errors.push(invalidValue('spec.auditAnnotations', auditAnnotations, `must not have more than ${maxAuditAnnotations} auditAnnotations`))
  }
  const keys = auditAnnotations.map(({ key }) => key)
  for (const [index, { key, valueExpression }] of auditAnnotations.entries()) {
    const field = `spec.auditAnnotations[${index}]`
    errors.push(...(key ? invalids(`${field}.key`, key, qualifiedName(key)) : [required(`${field}.key`)]))
    if (valueExpression.trim() === '') errors.push(required(`${field}.valueExpression`, 'valueExpression is not specified'))
    if (keys.indexOf(key) < index) errors.push(duplicate(`${field}.key`, key))
  }
  return errors
}

function validateMutating({ spec }: MutatingAdmissionPolicy): FieldError[] {
  const errors = [
    ...validateHead(spec),
    ...validateMutatingOperations(spec.matchConstraints, 'spec.matchConstraints'),
    ...validateConditions(spec.matchConditions, 'spec.matchConditions'),
    ...validateVariables(spec.variables),
  ]
  if ((spec.mutations ?? []).length === 0) errors.push(required('spec.mutations', 'mutations must contain at least one item'))
  for (const [index, { patchType, applyConfiguration, jsonPatch }] of (spec.mutations ?? []).entries()) {
    const field = `spec.mutations[${index}]`
    errors.push(...oneOf(`${field}.patchType`, patchType, ['ApplyConfiguration', 'JSONPatch']))
    if (patchType === 'ApplyConfiguration' && applyConfiguration === undefined) errors.push(required(`${field}.applyConfiguration`))
    if (patchType === 'JSONPatch' && jsonPatch === undefined) errors.push(required(`${field}.jsonPatch`))
  }
  return [...errors, ...oneOf('spec.reinvocationPolicy', spec.reinvocationPolicy, reinvocationPolicies)]
}

function validateParamRef(reference: ParamRef | undefined): FieldError[] {
  if (reference === undefined) return []
  const { name = '', selector, parameterNotFoundAction } = reference
  const field = 'spec.paramRef'
  const errors: FieldError[] = []
  if (name !== '') errors.push(...invalids(`${field}.name`, name, pathSegment(name)))
  const both = 'name and selector are mutually exclusive'
  if (name !== '' && selector !== undefined) errors.push(forbiddenField(`${field}.name`, both))
  errors.push(...validateLabelSelector(selector, `${field}.selector`))
  if (name !== '' && selector !== undefined) errors.push(forbiddenField(`${field}.selector`, both))
  if (name === '' && selector === undefined) errors.push(required(field, 'one of name or selector must be specified'))
  return [...errors, ...oneOf(`${field}.parameterNotFoundAction`, parameterNotFoundAction, ['Deny', 'Allow'])]
}

interface BindingSpec {
  readonly policyName?: string | undefined
  readonly paramRef?: ParamRef | undefined
  readonly matchResources?: MatchResources | undefined
}

function validateBinding({ policyName, paramRef, matchResources }: BindingSpec): FieldError[] {
  return [
    ...(policyName ? invalids('spec.policyName', policyName, dns1123Subdomain(policyName)) : requiredString('spec.policyName', policyName)),
    ...validateParamRef(paramRef),
    ...validateMatch(matchResources, 'spec.matchResources'),
  ]
}

function validateActions(given: readonly string[]): FieldError[] {
  const field = 'spec.validationActions'
  const errors = given.flatMap((action, index) => [
    ...(actions.includes(action) ? [] : [notSupported(`${field}[${index}]`, action, actions)]),
    ...(given.indexOf(action) < index ? [duplicate(`${field}[${index}]`, action)] : []),
  ])
  if (given.includes('Deny') && given.includes('Warn')) {
    const detail =
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)'
    errors.push(invalidValue(field, given, detail))
  }
  if (given.length === 0) errors.push(required(field, 'at least one validation action is required'))
  return errors
}

const paramKindText = (kind: ParamKind | undefined): string =>
  kind === undefined ? '<unset>' : `${kind.apiVersion ?? ''}/${kind.kind ?? ''}`

function paramRefText(reference: ParamRef | undefined): string {
  if (reference?.name) return `${reference.namespace || '*'}/${reference.name}`
  return reference?.selector === undefined ? '<unset>' : formatLabelSelector(reference.selector)
}

const common = { hasGeneration: true, allowUnconditionalUpdate: false }

/** Rules for validating admission policies; their expressions are not read here. */
export const validatingPolicyStrategy: ResourceStrategy<ValidatingAdmissionPolicy> = {
  ...common,
  type: validatingadmissionpolicies,
  defaults({ spec }) {
    spec.failurePolicy ??= 'Fail'
    defaultMatch(spec.matchConstraints)
  },
  prepareForCreate(policy) {
    delete policy.status
  },
  validate: validateValidating,
  update: { prepare: keepStatus },
  status: statusUpdate(),
  columns: [
    nameColumn(),
    column('Validations', ({ spec }) => spec.validations?.length ?? 0, { type: 'integer' }),
    column('ParamKind', ({ spec }) => paramKindText(spec.paramKind)),
    ageColumn(),
  ],
}

/** Rules for bindings of validating admission policies. */
export const validatingPolicyBindingStrategy: ResourceStrategy<ValidatingAdmissionPolicyBinding> = {
  ...common,
  type: validatingadmissionpolicybindings,
  defaults: ({ spec }) => defaultMatch(spec.matchResources),
  validate: ({ spec }) => [...validateBinding(spec), ...validateActions(spec.validationActions ?? [])],
  columns: [
    nameColumn(),
    column('PolicyName', ({ spec }) => spec.policyName),
    column('ParamRef', ({ spec }) => paramRefText(spec.paramRef)),
    ageColumn(),
  ],
}

/** Rules for mutating admission policies; their expressions are not read here. */
export const mutatingPolicyStrategy: ResourceStrategy<MutatingAdmissionPolicy> = {
  ...common,
  type: mutatingadmissionpolicies,
  defaults({ spec }) {
    spec.failurePolicy ??= 'Fail'
    defaultMatch(spec.matchConstraints)
  },
  validate: validateMutating,
  columns: [
    nameColumn(),
    column('Mutations', ({ spec }) => spec.mutations?.length ?? 0, { type: 'integer' }),
    column('ParamKind', ({ spec }) => paramKindText(spec.paramKind)),
    ageColumn(),
  ],
}

/** Rules for bindings of mutating admission policies. */
export const mutatingPolicyBindingStrategy: ResourceStrategy<MutatingAdmissionPolicyBinding> = {
  ...common,
  type: mutatingadmissionpolicybindings,
  defaults: ({ spec }) => defaultMatch(spec.matchResources),
  validate: ({ spec }) => [...validateBinding(spec), ...validateMutatingOperations(spec.matchResources, 'spec.matchResources')],
  columns: [
    nameColumn(),
    column('PolicyName', ({ spec }) => spec.policyName ?? ''),
    column('ParamRef', ({ spec }) => paramRefText(spec.paramRef)),
    ageColumn(),
  ],
}
