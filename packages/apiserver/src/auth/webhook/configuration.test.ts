import { describe, expect, it } from 'vitest'
import { parseAuthorizationConfiguration, type AuthorizationWebhookConfig } from './configuration.ts'

const webhook = {
  timeout: '3s',
  subjectAccessReviewVersion: 'v1',
  matchConditionSubjectAccessReviewVersion: 'v1',
  failurePolicy: 'Deny',
  connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: '/etc/authz.yaml' },
}
const parse = (...authorizers: readonly object[]) =>
  parseAuthorizationConfiguration(
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthorizationConfiguration', authorizers }),
  )
const withWebhook = (more: object) => parse({ type: 'Webhook', name: 'w', webhook: { ...webhook, ...more } })
const conditionsOf = (...expressions: readonly string[]) => {
  const [found] = withWebhook({ matchConditions: expressions.map((expression) => ({ expression })) })
  return (found as AuthorizationWebhookConfig).conditions // it is one
}

describe('parseAuthorizationConfiguration()', () => {
  it('reads who decides, in order, with upstream’s defaults', () => {
    const found = parse({ type: 'Node', name: 'node' }, { type: 'Webhook', name: 'w', webhook }, { type: 'RBAC', name: 'rbac' })
    expect(found).toEqual([
      'Node',
      {
        name: 'w',
        kubeconfigFile: '/etc/authz.yaml',
        timeoutMs: 3000,
        authorizedTtlMs: 300_000,
        unauthorizedTtlMs: 30_000,
        version: 'v1',
        failurePolicy: 'Deny',
      },
      'RBAC',
    ])
    expect(withWebhook({ authorizedTTL: '1h', unauthorizedTTL: '5s', cacheUnauthorizedRequests: false })).toMatchObject([
      { authorizedTtlMs: 3_600_000, unauthorizedTtlMs: 0 },
    ])
  })

  it.each([
    [[], 'authorizers: Required value: at least one authorization mode must be defined'],
    [[{ name: 'x' }], 'authorizers[0].type: Required value'],
    [
      [{ type: 'Other', name: 'x' }],
      'authorizers[0].type: Unsupported value: "Other": supported values: "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"',
    ],
    [
      [
        { type: 'RBAC', name: 'rbac' },
        { type: 'RBAC', name: 'rbac2' },
      ],
      'authorizers[1].type: Duplicate value: "RBAC"',
    ],
    [[{ type: 'RBAC', name: 'roles' }], 'expected name rbac for authorizer RBAC instead of roles'],
    [[{ type: 'Webhook', name: 'w' }], 'authorizers[0].webhook: Required value: required when type=Webhook'],
    [
      [{ type: 'RBAC', name: 'rbac', webhook }],
      'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook',
    ],
    [
      [
        { type: 'Webhook', name: 'w', webhook },
        { type: 'Webhook', name: 'w', webhook },
      ],
      'authorizers[1].name: Duplicate value: "w"',
    ],
    [
      [{ type: 'Webhook', name: 'A_', webhook }],
      'authorizers[0].name: Invalid value: "A_": authorizer name is invalid: a lowercase RFC 1123',
    ],
  ])('refuses %j', (authorizers, message) => {
    expect(() => parse(...authorizers)).toThrow(message)
  })

  it.each([
    [{ timeout: '' }, 'authorizers[0].timeout: Required value'],
    [{ timeout: '31s' }, 'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s'],
    [{ timeout: 'soon' }, 'authorizers[0].webhook.timeout: "soon" is no duration'],
    [{ authorizedTTL: '-1s' }, 'authorizers[0].authorizedTTL: Invalid value: "-1s": must be > 0s'],
    [
      { subjectAccessReviewVersion: 'v2' },
      'authorizers[0].subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"',
    ],
    [{ failurePolicy: '' }, 'authorizers[0].failurePolicy: Required value'],
    [{ connectionInfo: {} }, 'authorizers[0].connectionInfo.type: Required value'],
    [
      { connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: 'a' } },
      'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "a": must be an absolute path',
    ],
    [
      { matchConditionSubjectAccessReviewVersion: '', matchConditions: [{ expression: 'true' }] },
      'authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are specified',
    ],
    [
      { matchConditions: [{ expression: ' ' }, { expression: 'request.user' }, { expression: 'request.none == 1' }] },
      '[authorizers[0].matchConditions[0].expression: Required value, authorizers[0].matchConditions[1].expression: Invalid value: "request.user": must evaluate to bool but got string, authorizers[0].matchConditions[2].expression: Invalid value: "request.none == 1": compilation failed: ERROR: <input>:1:8: undefined field \'none\'',
    ],
    [
      { matchConditions: Array.from({ length: 65 }, () => ({ expression: 'true' })) },
      'authorizers[0].matchConditions: Too many: 65: must have at most 64 items',
    ],
    [{ cache: true }, 'authorizers[0].webhook.cache: unknown field'],
  ])('refuses a webhook with %j', (more, message) => {
    expect(() => withWebhook(more)).toThrow(message)
  })

  it('compiles conditions that see everything that is asked', () => {
    const conditions = conditionsOf(
      "has(request.resourceAttributes) && request.resourceAttributes.namespace == '' && !('dev' in request.groups)",
      "request.resourceAttributes.fieldSelector.requirements.exists(r, r.key == 'metadata.name' && r.operator == 'In')",
    )
    const fieldSelector = { requirements: [{ key: 'metadata.name', operator: 'In', values: ['x'] }] }
    expect(conditions?.hold({ user: 'jane', resourceAttributes: { verb: 'list', fieldSelector } })).toBe(true)
    expect(conditions?.hold({ user: 'jane', groups: ['dev'], resourceAttributes: { fieldSelector } })).toBe(false)
    expect(conditions?.hold({ user: 'jane', nonResourceAttributes: { path: '/' } })).toBe(false)
    expect(conditions?.hold({ user: 'jane', resourceAttributes: {} })).toEqual({
      error: `cel evaluation error: expression 'request.resourceAttributes.fieldSelector.requirements.exists(r, r.key == 'metadata.name' && r.operator == 'In')' resulted in error: no such key: fieldSelector`,
    })
  })
})
