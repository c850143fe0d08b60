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
import type { RuleResolver } from '../../auth/rbac/rbac-authorizer.ts'
import { invalidValue } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { labelSelectorText } from '../shared/label-selector.ts'

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

function validateAsked({ resourceAttributes, nonResourceAttributes }: Asked): FieldError[] {
  if (resourceAttributes !== undefined && nonResourceAttributes !== undefined) {
    return [invalidValue('spec.nonResourceAttributes', nonResourceAttributes, 'cannot be specified in combination with resourceAttributes')]
  }
  if (resourceAttributes === undefined && nonResourceAttributes === undefined) {
    return [invalidValue('spec.resourceAttributes', null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified')]
  }
  return []
}

function validateSubject(spec: SubjectAccessReviewSpec): FieldError[] {
  const isNobody = !spec.user && (spec.groups ?? []).length === 0
  return [
    ...validateAsked(spec),
    ...(isNobody ? [invalidValue('spec.user', spec.user ?? '', 'at least one of user or group must be specified')] : []),
  ]
}

async function decide(authorizer: Authorizer, attributes: AccessAttributes): Promise<SubjectAccessReviewStatus> {
  const { decision, reason } = await authorizer.authorize(attributes)
  return {
    allowed: decision === 'allow',
    ...(decision === 'deny' ? { denied: true } : {}),
    ...(reason === '' ? {} : { reason }),
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
    async review(review) {
      const errors = validateSubject(review.spec)
      if (errors.length > 0) throw invalid({ group, kind: '' }, '', errors)
      return { ...review, status: await decide(authorizer, attributesOf(review.spec, subjectOf(review.spec))) }
    },
  }
  const local: ResourceStrategy<LocalSubjectAccessReview> = {
    type: localsubjectaccessreviews,
    async review(review, scope) {
      const errors = validateSubject(review.spec)
      const namespace = review.spec.resourceAttributes?.namespace ?? ''
      if (review.spec.resourceAttributes !== undefined && namespace !== scope.namespace) {
        errors.push(invalidValue('spec.resourceAttributes.namespace', namespace, 'must match metadata.namespace'))
      }
      if (review.spec.nonResourceAttributes !== undefined) {
        errors.push(invalidValue('spec.nonResourceAttributes', review.spec.nonResourceAttributes, 'disallowed on this kind of request'))
      }
      if (errors.length > 0) throw invalid({ group, kind: '' }, '', errors)
      return { ...review, status: await decide(authorizer, attributesOf(review.spec, subjectOf(review.spec))) }
    },
  }
  const self: ResourceStrategy<SelfSubjectAccessReview> = {
    type: selfsubjectaccessreviews,
    async review(review, scope) {
      const errors = validateAsked(review.spec)
      if (errors.length > 0) throw invalid({ group, kind: '' }, '', errors)
      return { ...review, status: await decide(authorizer, attributesOf(review.spec, scope.user)) }
    },
  }
  return { subject, local, self }
}

/** Lists what the asker may do in a namespace. */
export function rulesReviewStrategy(resolver: RuleResolver): ResourceStrategy<SelfSubjectRulesReview> {
  return {
    type: selfsubjectrulesreviews,
    async review(review, scope) {
      const namespace = review.spec.namespace ?? ''
      if (namespace === '') throw badRequest('no namespace on request')
      const { rules, errors } = resolver.rulesFor(scope.user, namespace)
      const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }
      const isMaster = scope.user.groups.includes('system:masters')
      return {
        ...review,
        status: {
          resourceRules: [
            ...(isMaster ? [everything] : []),
            ...rules
              .filter(({ resources }) => (resources ?? []).length > 0)
              .map(({ verbs, apiGroups, resources, resourceNames }) => ({
                verbs,
                apiGroups,
                resources,
                ...(resourceNames === undefined ? {} : { resourceNames }),
              })),
          ],
          nonResourceRules: [
            ...(isMaster ? [{ verbs: ['*'], nonResourceURLs: ['*'] }] : []),
            ...rules
              .filter(({ nonResourceURLs }) => (nonResourceURLs ?? []).length > 0)
              .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
          ],
          incomplete: errors.length > 0,
          ...(errors.length === 0 ? {} : { evaluationError: errors.join(', ') }),
        },
      }
    },
  }
}
