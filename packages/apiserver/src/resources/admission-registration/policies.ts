import {
  type MatchResources,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  type Mutation,
  type ParamKind,
  type ParamRef,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  type Validation,
  type Variable,
} from '@k3s/api/types/admissionregistration/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, oneOf, optionalOneOf, requiredString } from '../../validation/fields.ts'
import { formatLabelSelector, validateLabelSelector } from '../shared/label-selector.ts'
import { dns1035Label, dns1123Subdomain, pathSegment, qualifiedName } from '../../validation/names.ts'
import { celIdentifierProblems, PolicyExpressions } from './expressions.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'
import { defaultMatch, failurePolicies, reinvocationPolicies, validateConditions, validateMatch } from './rules.ts'

const maxAuditAnnotations = 20
const mutatingOperations = ['*', 'CONNECT', 'CREATE', 'UPDATE']
const actions = ['Audit', 'Deny', 'Warn']
const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge']

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

function validateVariables(variables: readonly Variable[] | undefined, expressions: PolicyExpressions): FieldError[] {
  return (variables ?? []).flatMap((variable, index) => {
    const { name, expression } = variable
    const field = `spec.variables[${index}]`
    return [
      ...(name.trim() === '' ? [required(`${field}.name`, 'name is not specified')] : celIdentifierProblems(name, `${field}.name`)),
      ...(expression.trim() === ''
        ? [required(`${field}.expression`, 'expression is not specified')]
        : expressions.variable(variable, field)),
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

const hasLineBreaks = (text: string): boolean => /[\n\r]/.test(text)

function validateValidation(validation: Validation, field: string, expressions: PolicyExpressions): FieldError[] {
  const { expression, message = '', messageExpression = '', reason } = validation
  const { rule, message: messageProblems } = expressions.validation(validation, field)
  const trimmed = message.trim()
  const errors: FieldError[] = [...rule]
  if (expression.trim() === '') errors.push(required(`${field}.expression`, 'expression is not specified'))
  if (messageExpression !== '' && messageExpression.trim() === '')
    errors.push(invalidValue(`${field}.messageExpression`, messageExpression, 'must be non-empty if specified'))
  append(errors, messageProblems)
  if (message !== '' && trimmed === '') errors.push(invalidValue(`${field}.message`, message, 'must be non-empty if specified'))
  else if (hasLineBreaks(trimmed)) errors.push(invalidValue(`${field}.message`, message, 'must not contain line breaks'))
  return [...errors, ...optionalOneOf(`${field}.reason`, reason, reasons)]
}

function validateValidating({ metadata, spec }: ValidatingAdmissionPolicy): FieldError[] {
  const { validations = [], auditAnnotations = [] } = spec
  const expressions = new PolicyExpressions(spec, { knowsVariables: false })
  const errors = [
    ...validateHead(spec),
    ...validateConditions(spec.matchConditions, 'spec.matchConditions', { hasParams: spec.paramKind !== undefined }),
    ...validateVariables(spec.variables, expressions),
  ]
  if (validations.length + auditAnnotations.length === 0) {
    const detail = 'validations or auditAnnotations must contain at least one item'
    return [...errors, required('spec.validations', detail), required('spec.auditAnnotations', detail)]
  }
  for (const [index, validation] of validations.entries())
    append(errors, validateValidation(validation, `spec.validations[${index}]`, expressions))
  if (auditAnnotations.length > maxAuditAnnotations) {
    errors.push(invalidValue('spec.auditAnnotations', auditAnnotations, `must not have more than ${maxAuditAnnotations} auditAnnotations`))
  }
  const keys = auditAnnotations.map(({ key }) => key)
  for (const [index, annotation] of auditAnnotations.entries()) {
    const field = `spec.auditAnnotations[${index}]`
    const { key } = annotation
    const name = `${metadata.name}/${key}`
    if (metadata.name === '') errors.push(invalidValue(`${field}.key`, key, 'requires metadata.name be non-empty'))
    else append(errors, invalids(`${field}.key`, name, qualifiedName(name)))
    append(errors, expressions.annotation(annotation, field))
    if (keys.indexOf(key) < index) errors.push(duplicate(`${field}.key`, key))
  }
  return errors
}

function validateMutation(mutation: Mutation, field: string, expressions: PolicyExpressions): FieldError[] {
  const { patchType = '', applyConfiguration, jsonPatch } = mutation
  if (patchType !== 'JSONPatch' && patchType !== 'ApplyConfiguration')
    return patchType === ''
      ? [required(`${field}.patchType`)]
      : [notSupported(`${field}.patchType`, patchType, ['ApplyConfiguration', 'JSONPatch'])]
  const errors = expressions.mutation(mutation, field)
  const isJson = patchType === 'JSONPatch'
  const [wanted, other] = isJson ? [jsonPatch, applyConfiguration] : [applyConfiguration, jsonPatch]
  const [wantedName, otherName] = isJson ? ['jsonPatch', 'applyConfiguration'] : ['applyConfiguration', 'jsonPatch']
  if (wanted === undefined) errors.push(required(`${field}.${wantedName}`, `must be specified when patchType is ${patchType}`))
  if (other !== undefined)
    errors.push(invalidValue(`${field}.${otherName}`, `{${otherName}}`, `must not be specified when patchType is ${patchType}`))
  return errors
}

function validateMutating({ spec }: MutatingAdmissionPolicy): FieldError[] {
  const expressions = new PolicyExpressions(spec, { knowsVariables: true })
  const errors = [
    ...validateHead(spec),
    ...validateMutatingOperations(spec.matchConstraints, 'spec.matchConstraints'),
    ...validateConditions(spec.matchConditions, 'spec.matchConditions', { hasParams: spec.paramKind !== undefined }),
    ...validateVariables(spec.variables, expressions),
  ]
  if ((spec.mutations ?? []).length === 0) errors.push(required('spec.mutations', 'mutations must contain at least one item'))
  for (const [index, mutation] of (spec.mutations ?? []).entries())
    append(errors, validateMutation(mutation, `spec.mutations[${index}]`, expressions))
  return [...errors, ...oneOf('spec.reinvocationPolicy', spec.reinvocationPolicy, reinvocationPolicies)]
}

function validateParamRef(reference: ParamRef | undefined): FieldError[] {
  if (reference === undefined) return []
  const { name = '', selector, parameterNotFoundAction } = reference
  const field = 'spec.paramRef'
  const errors: FieldError[] = []
  if (name !== '') append(errors, invalids(`${field}.name`, name, pathSegment(name)))
  const both = 'name and selector are mutually exclusive'
  if (name !== '' && selector !== undefined) errors.push(forbiddenField(`${field}.name`, both))
  append(errors, validateLabelSelector(selector, `${field}.selector`))
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

function validateTypeChecking(status: ValidatingAdmissionPolicy['status']): FieldError[] {
  return (status?.typeChecking?.expressionWarnings ?? []).flatMap(({ fieldRef = '', warning = '' }, index) => {
    const field = `status.typeChecking.expressionWarnings[${index}]`
    return [...(warning === '' ? [required(`${field}.warning`)] : []), ...(fieldRef.trim() === '' ? [required(`${field}.fieldRef`)] : [])]
  })
}

/** Rules for validating admission policies. */
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
  status: statusUpdate(({ status }) => validateTypeChecking(status)),
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

/** Rules for mutating admission policies. */
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
