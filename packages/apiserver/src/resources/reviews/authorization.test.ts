import { isStatusError } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { scopeOf } from '../../../test/strategy-runs.ts'
import type { AccessAttributes } from '../../auth/auth.ts'
import { accessReviewStrategies, rulesReviewStrategy } from './authorization.ts'

const asked: AccessAttributes[] = []
const { subject, local, self } = accessReviewStrategies({
  name: 'test',
  authorize: (attributes) => {
    asked.push(attributes)
    return { decision: 'allow', reason: '' }
  },
})
const { signal } = new AbortController()
const strategies = { subject, local, self } as const
const pods = { namespace: 'default', verb: 'list', resource: 'pods' }

async function review(kind: keyof typeof strategies, spec: object, metadata: object = {}): Promise<string> {
  const object = { metadata: { name: '', ...metadata }, spec } // as it comes from the wire
  try {
    const answer = await strategies[kind].review?.(object, scopeOf(), signal)
    return JSON.stringify(answer?.status)
  } catch (error) {
    return isStatusError(error) ? `${error.code} ${error.message}` : String(error)
  }
}

describe('access reviews', () => {
  const selectors = (fieldSelector: object, labelSelector?: object) => ({
    user: 'jane',
    resourceAttributes: { ...pods, fieldSelector, labelSelector },
  })
  const invalid = (text: string): string => `422 .authorization.k8s.io "" is invalid: ${text}`

  it('ask the authorizer', async () => {
    expect(await review('subject', selectors({ requirements: [{ key: 'a', operator: 'In', values: ['b'] }] }))).toBe('{"allowed":true}')
    expect(asked.at(-1)).toMatchObject({ user: { name: 'jane' }, verb: 'list', resource: 'pods', fieldSelector: 'a=b' })
    // Operators of newer clients narrow nothing.
    expect(await review('subject', selectors({ requirements: [{ key: 'a', operator: 'New', values: ['b'] }] }))).toBe('{"allowed":true}')
  })

  it.each([
    [
      selectors({ rawSelector: 'a=b', requirements: [{ key: 'a', operator: 'Exists' }] }),
      'spec.resourceAttributes.fieldSelector.rawSelector: Invalid value: "a=b": may not specified at the same time as requirements',
    ],
    [
      selectors({}, {}),
      '[spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required, spec.resourceAttributes.labelSelector.requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required]',
    ],
    [
      selectors({ requirements: [{ key: 'a', operator: 'In' }] }, { requirements: [{ key: 'a', operator: 'Exists', values: ['b'] }] }),
      "[spec.resourceAttributes.fieldSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn', spec.resourceAttributes.labelSelector.requirements[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist']",
    ],
    [
      { user: 'jane', resourceAttributes: {}, nonResourceAttributes: { path: '/x' } },
      'spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":""}: cannot be specified in combination with resourceAttributes',
    ],
  ])('refuse %j', async (spec, message) => {
    expect(await review('subject', spec)).toBe(invalid(message))
    expect(await review('self', spec)).toBe(invalid(message))
  })

  it('take no metadata of an object', async () => {
    const spec = { user: 'jane', resourceAttributes: pods }
    const managedFields = [{ manager: 'm' }]
    expect(await review('subject', spec, { managedFields })).toBe('{"allowed":true}')
    expect(await review('subject', spec, { name: 'x', managedFields })).toBe(
      invalid('metadata: Invalid value: {"name":"x","managedFields":[{"manager":"m"}]}: must be empty'),
    )
    expect(await review('self', spec, { labels: { a: 'b' } })).toBe(invalid('metadata: Invalid value: {"labels":{"a":"b"}}: must be empty'))
    expect(await review('local', spec, { name: 'x', namespace: 'default' })).toBe(
      invalid('metadata: Invalid value: {"name":"x","namespace":"default"}: must be empty except for namespace'),
    )
    expect(await review('local', spec, { namespace: 'default' })).toBe('{"allowed":true}')
  })
})

it('a rules review answers what roles give, and does not repeat the question', async () => {
  const strategy = rulesReviewStrategy({
    rulesFor: () => ({ rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }], errors: [], isIncomplete: false }),
  })
  const scope = scopeOf({ user: { name: 'root', groups: ['system:masters'] } })
  expect(await strategy.review?.({ metadata: { name: '' }, spec: { namespace: 'a' } }, scope, signal)).toEqual({
    metadata: { name: '' },
    spec: {},
    status: { resourceRules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }], nonResourceRules: [], incomplete: false },
  })
})
