import { badRequest, invalid } from '@k3s/api'
import {
  type LocalSubjectAccessReview,
  localsubjectaccessreviews,
  type NonResourceAttributes,
  type ResourceAttributes,
  type SelfSubjectAccessReview,
  selfsubjectaccessreviews,
  type SelfSubjectRulesReview,
  selfsubjectrulesreviews,
  type SubjectAccessReview,
  subjectaccessreviews,
  type SubjectAccessReviewSpec,
  type SubjectAccessReviewStatus,
} from '@k3s/api/types/authorization/v1'
import type { AccessAttributes, Authorizer, UserInfo } from '../../auth/auth.ts'
import type { RuleLister } from '../../auth/authorizer-chain.ts'
import type { LabelSelectorRequirement, ObjectMeta } from '@k3s/api/types/meta/v1'
import { joinErrors } from '../../errors.ts'
import { equalJson } from '../../json.ts'
import { forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { labelSelectorText, validateRequirement } from '../shared/label-selector.ts'

const group = 'authorization.k8s.io'

interface Asked {
  readonly resourceAttributes?: ResourceAttributes | undefined
  readonly nonResourceAttributes?: NonResourceAttributes | undefined
}

function fieldSelectorOf({ fieldSelector }: ResourceAttributes): string | undefined {
  if (fieldSelector === undefined) return undefined
  if (fieldSelector.rawSelector) return fieldSelector.rawSelector
  const terms = (fieldSelector.requirements ?? []).flatMap(({ key, operator, values = [] }) => {
    // Only single values can be told in a field selector; others narrow nothing here.
    if (values.length !== 1 || !['In', 'NotIn'].includes(operator)) return []
    return [`${key}${operator === 'In' ? '=' : '!='}${values[0]}`]
  })
  return terms.join(',')
}

function labelSelectorOf({ labelSelector }: ResourceAttributes): string | undefined {
  if (labelSelector === undefined) return undefined
  return labelSelector.rawSelector || labelSelectorText({ matchExpressions: labelSelector.requirements })
}

function attributesOf(asked: Asked, user: UserInfo): AccessAttributes {
  const nothing = { group: '', version: '', resource: '', subresource: '', namespace: '', name: '', path: '' }
  const { resourceAttributes: wanted, nonResourceAttributes: path } = asked
  if (wanted === undefined) return { ...nothing, user, isResource: false, verb: path?.verb ?? '', path: path?.path ?? '' }
  return {
    ...nothing,
    user,
    isResource: true,
    verb: wanted.verb ?? '',
    group: wanted.group ?? '',
    version: wanted.version ?? '*',
    resource: wanted.resource ?? '',
    subresource: wanted.subresource ?? '',
    namespace: wanted.namespace ?? '',
    name: wanted.name ?? '',
    fieldSelector: fieldSelectorOf(wanted),
    labelSelector: labelSelectorOf(wanted),
  }
}

/** As upstream prints them: its own type has other names than its clients'. */
const printed = ({ path = '', verb = '' }: NonResourceAttributes): object => ({ Path: path, Verb: verb })

function validateOne({ resourceAttributes, nonResourceAttributes }: Asked): FieldError[] {
  if (resourceAttributes !== undefined && nonResourceAttributes !== undefined) {
    const why = 'cannot be specified in combination with resourceAttributes'
    return [invalidValue('spec.nonResourceAttributes', printed(nonResourceAttributes), why)]
  }
  if (resourceAttributes === undefined && nonResourceAttributes === undefined) {
    return [invalidValue('spec.resourceAttributes', null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified')]
  }
  return []
}

interface Selector {
  readonly rawSelector?: string | undefined
  readonly requirements?: readonly LabelSelectorRequirement[] | undefined
}

function validateSelector(
  selector: Selector | undefined,
  field: string,
  validate: (requirement: LabelSelectorRequirement, field: string) => FieldError[],
): FieldError[] {
  if (selector === undefined) return []
  const { rawSelector = '', requirements = [] } = selector
  const errors: FieldError[] = []
  if (rawSelector !== '' && requirements.length > 0)
    errors.push(invalidValue(`${field}.rawSelector`, rawSelector, 'may not specified at the same time as requirements'))
  if (rawSelector === '' && requirements.length === 0)
    errors.push(required(`${field}.requirements`, `when ${field} is specified, requirements or rawSelector is required`))
  return [...errors, ...requirements.flatMap((requirement, index) => validate(requirement, `${field}.requirements[${index}]`))]
}

/** Fields have no form that could be wrong; an operator that is not known narrows nothing. */
function validateFieldRequirement({ key, operator, values = [] }: LabelSelectorRequirement, field: string): FieldError[] {
  const isOneOf = operator === 'In' || operator === 'NotIn'
  const isThere = operator === 'Exists' || operator === 'DoesNotExist'
  return [
    ...(isOneOf && values.length === 0 ? [required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'")] : []),
    ...(isThere && values.length > 0
      ? [forbiddenField(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")]
      : []),
    ...(key === '' ? [required(`${field}.key`, 'must be specified')] : []),
  ]
}

function validateSelectors({ resourceAttributes: wanted }: Asked): FieldError[] {
  const at = 'spec.resourceAttributes'
  return [
    ...validateSelector(wanted?.fieldSelector, `${at}.fieldSelector`, validateFieldRequirement),
    ...validateSelector(wanted?.labelSelector, `${at}.labelSelector`, (requirement, field) =>
      validateRequirement(requirement, field, { takesAnyOperator: true }),
    ),
  ]
}

/** A review is no object: of its metadata only the owners of its fields may be there, and the namespace where it has one. */
function validateMetadata(metadata: ObjectMeta, isLocal: boolean): FieldError[] {
  const { name, namespace, managedFields: _, ...others } = metadata
  const isEmpty =
    name === '' && (isLocal || !namespace) && Object.values(others).every((value) => value === undefined || equalJson(value, {}))
  if (isEmpty) return []
  const shown = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== ''))
  return [invalidValue('metadata', shown, isLocal ? 'must be empty except for namespace' : 'must be empty')]
}

function validateSubject(spec: SubjectAccessReviewSpec): FieldError[] {
  const isNobody = !spec.user && (spec.groups ?? []).length === 0
  return [
    ...validateOne(spec),
    ...(isNobody ? [invalidValue('spec.user', spec.user ?? '', 'at least one of user or group must be specified')] : []),
    ...validateSelectors(spec),
  ]
}

async function decide(authorizer: Authorizer, attributes: AccessAttributes, signal: AbortSignal): Promise<SubjectAccessReviewStatus> {
  const { decision, reason, error } = await authorizer.authorize(attributes, signal)
  return {
    allowed: decision === 'allow',
    ...(decision === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
    ...(error === undefined ? {} : { evaluationError: error }),
  }
}

const subjectOf = (spec: SubjectAccessReviewSpec): UserInfo => ({
  name: spec.user ?? '',
  groups: spec.groups ?? [],
  ...(spec.uid === undefined ? {} : { uid: spec.uid }),
  ...(spec.extra === undefined ? {} : { extra: spec.extra }),
})

/** The three reviews that ask for one permission. */
export interface AccessReviewStrategies {
  readonly subject: ResourceStrategy<SubjectAccessReview>
  readonly local: ResourceStrategy<LocalSubjectAccessReview>
  readonly self: ResourceStrategy<SelfSubjectAccessReview>
}

/** Tells what somebody may do, by asking the server's own authorizer. */
export function accessReviewStrategies(authorizer: Authorizer): AccessReviewStrategies {
  const subject: ResourceStrategy<SubjectAccessReview> = {
    type: subjectaccessreviews,
    async review(review, _scope, signal) {
      const errors = [...validateSubject(review.spec), ...validateMetadata(review.metadata, false)]
      if (errors.length > 0) throw invalid({ group, kind: '' }, '', errors)
      return { ...review, status: await decide(authorizer, attributesOf(review.spec, subjectOf(review.spec)), signal) }
    },
  }
  const local: ResourceStrategy<LocalSubjectAccessReview> = {
    type: localsubjectaccessreviews,
    async review(review, scope, signal) {
      const errors = [...validateSubject(review.spec), ...validateMetadata(review.metadata, true)]
      const namespace = review.spec.resourceAttributes?.namespace ?? ''
      if (review.spec.resourceAttributes !== undefined && namespace !== scope.namespace) {
        errors.push(invalidValue('spec.resourceAttributes.namespace', namespace, 'must match metadata.namespace'))
      }
      if (review.spec.nonResourceAttributes !== undefined) {
        errors.push(
          invalidValue('spec.nonResourceAttributes', printed(review.spec.nonResourceAttributes), 'disallowed on this kind of request'),
        )
      }
      if (errors.length > 0) throw invalid({ group, kind: '' }, '', errors)
      return { ...review, status: await decide(authorizer, attributesOf(review.spec, subjectOf(review.spec)), signal) }
    },
  }
  const self: ResourceStrategy<SelfSubjectAccessReview> = {
    type: selfsubjectaccessreviews,
    async review(review, scope, signal) {
      const errors = [...validateOne(review.spec), ...validateSelectors(review.spec), ...validateMetadata(review.metadata, false)]
      if (errors.length > 0) throw invalid({ group, kind: '' }, '', errors)
      return { ...review, status: await decide(authorizer, attributesOf(review.spec, scope.user), signal) }
    },
  }
  return { subject, local, self }
}

/** Lists what the asker may do in a namespace. */
export function rulesReviewStrategy(lister: RuleLister): ResourceStrategy<SelfSubjectRulesReview> {
  return {
    type: selfsubjectrulesreviews,
    async review(review, scope) {
      const namespace = review.spec.namespace ?? ''
      if (namespace === '') throw badRequest('no namespace on request')
      const { rules, errors, isIncomplete } = lister.rulesFor(scope.user, namespace)
      // As upstream: the answer does not repeat the question.
      return {
        ...review,
        spec: {},
        status: {
          resourceRules: rules
            .filter(({ resources }) => (resources ?? []).length > 0)
            .map(({ verbs, apiGroups, resources, resourceNames }) => ({
              verbs,
              apiGroups,
              resources,
              ...(resourceNames === undefined ? {} : { resourceNames }),
            })),
          nonResourceRules: rules
            .filter(({ nonResourceURLs }) => (nonResourceURLs ?? []).length > 0)
            .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
          incomplete: isIncomplete,
          ...(errors.length === 0 ? {} : { evaluationError: joinErrors(errors) }),
        },
      }
    },
  }
}
