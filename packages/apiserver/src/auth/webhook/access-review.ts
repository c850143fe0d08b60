import { isStatusError, parseFieldSelector, parseLabelSelector, type Requirement } from '@k3s/api'
import type { AccessAttributes } from '../auth.ts'

interface SelectorRequirement {
  readonly key: string
  readonly operator: string
  readonly values?: readonly string[] | undefined
}

/** The spec of a SubjectAccessReview. What is empty is left out. */
export interface AccessReviewSpec {
  readonly resourceAttributes?: Readonly<Record<string, unknown>> | undefined
  readonly nonResourceAttributes?: Readonly<Record<string, unknown>> | undefined
  readonly user?: string | undefined
  readonly groups?: readonly string[] | undefined
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined
  readonly uid?: string | undefined
}

/** What a request wants to do, as a SubjectAccessReview asks it. */
export function accessReviewSpec(attributes: AccessAttributes): AccessReviewSpec {
  const { user, verb, path } = attributes
  const { group, version, resource, subresource, namespace, name } = attributes
  return {
    ...(attributes.isResource
      ? {
          resourceAttributes: {
            ...filled({ namespace, verb, group, version, resource, subresource, name }),
            ...selector('fieldSelector', fieldRequirements(attributes.fieldSelector)),
            ...selector('labelSelector', labelRequirements(attributes.labelSelector)),
          },
        }
      : { nonResourceAttributes: filled({ path, verb }) }),
    ...filled({ user: user.name }),
    ...(user.groups.length === 0 ? {} : { groups: user.groups }),
    ...(Object.keys(user.extra ?? {}).length === 0 ? {} : { extra: user.extra }),
    ...filled({ uid: user.uid ?? '' }),
  }
}

const filled = (texts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''))

const selector = (field: string, requirements: readonly SelectorRequirement[]): Record<string, unknown> =>
  requirements.length === 0 ? {} : { [field]: { requirements } }

function fieldRequirements(text: string | undefined): readonly SelectorRequirement[] {
  return parsed(parseFieldSelector, text).map(({ field, isEqual, value }) => ({
    key: field,
    operator: isEqual ? 'In' : 'NotIn',
    values: [value],
  }))
}

const labelOperators: Readonly<Partial<Record<Requirement['operator'], string>>> = {
  in: 'In',
  notin: 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
}

/** As upstream, comparisons are left out: without them more is asked for, never less. */
function labelRequirements(text: string | undefined): readonly SelectorRequirement[] {
  return parsed(parseLabelSelector, text).flatMap(({ key, operator, values }) => {
    const name = labelOperators[operator]
    return name === undefined ? [] : [{ key, operator: name, ...(values.length === 0 ? {} : { values }) }]
  })
}

/** Nothing for a selector that cannot be read: who may do it without one may. */
function parsed<T>(parse: (text: string) => readonly T[], text: string | undefined): readonly T[] {
  if (text === undefined || text === '') return []
  try {
    return parse(text)
  } catch (error) {
    if (isStatusError(error)) return []
    throw error
  }
}
