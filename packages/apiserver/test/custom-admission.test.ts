import { generateKey } from '@k3s/pki'
import { describe, expect, it, vi } from 'vitest'
import { builtInParts, SigningKeys } from '../src/index.ts'
import { start, widgets, type Api } from './custom-api.ts'
import { issuer } from './start-cluster.ts'
import type { Answer } from './start-https.ts'
import { patchOf, startWebhooks } from './webhook-server.ts'

const group = '/apis/admissionregistration.k8s.io/v1'
const path = (version: string, plural = 'widgets'): string => `/apis/example.com/${version}/namespaces/default/${plural}`
const widget = (version: string, name: string, spec: object): object => ({
  apiVersion: `example.com/${version}`,
  kind: 'Widget',
  metadata: { name },
  spec,
})

/** A server that knows Widgets in two versions. */
async function startWidgets(): Promise<Api> {
  const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: [issuer], baseUrl: 'https://127.0.0.1:6443' }
  const api = await start(builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }))
  const spec = { type: 'object', properties: { size: { type: 'integer' }, color: { type: 'string', default: 'red' } } }
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec } } }
  const versions = ['v1', 'v2'].map((name) => ({ name, served: true, storage: name === 'v1', schema }))
  await api.define(widgets({ spec: { versions } }))
  return api
}

async function configure(api: Api, kind: string, name: string, rest: object): Promise<void> {
  const plural = `${kind.replace(/y$/, 'ie')}s`.toLowerCase()
  const body = { apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name }, ...rest }
  const answer = await api.send('POST', `${group}/${plural}`, body)
  expect(answer.status, answer.text).toBe(201)
}

const rule = (...versions: string[]) => ({
  operations: ['CREATE', 'UPDATE'],
  apiGroups: ['example.com'],
  apiVersions: versions,
  resources: ['widgets'],
})
const messageOf = (answer: Answer): unknown => answer.json()['message']

describe('admission of custom resources', () => {
  it('asks webhooks in the version that they know, and takes their patch back', async () => {
    const api = await startWidgets()
    const hooks = await startWebhooks({
      '/patch': () => patchOf({ op: 'replace', path: '/spec/size', value: 7 }, { op: 'add', path: '/spec/none', value: 1 }),
    })
    await configure(api, 'MutatingWebhookConfiguration', 'a', { webhooks: [hooks.webhook('a', '/patch', { rules: [rule('v1')] })] })
    const made = await api.send('POST', path('v2'), widget('v2', 'a', { size: 1 }))
    expect(made.json()).toMatchObject({ apiVersion: 'example.com/v2', spec: { size: 7, color: 'red' } })
    expect(made.json()['spec']).not.toHaveProperty('none')
    expect(hooks.calls[0]?.review.request).toMatchObject({
      kind: { group: 'example.com', version: 'v1', kind: 'Widget' },
      requestKind: { version: 'v2' },
      object: { apiVersion: 'example.com/v1', spec: { size: 1, color: 'red' } },
    })
  })

  it('judges them by policies, with parameters of custom kinds', async () => {
    const api = await startWidgets()
    await api.send('POST', path('v1'), widget('v1', 'limits', { size: 3 }))
    await configure(api, 'ValidatingAdmissionPolicy', 'p', {
      spec: {
        paramKind: { apiVersion: 'example.com/v2', kind: 'Widget' },
        matchConstraints: { resourceRules: [rule('v1')] },
        validations: [
          {
            expression: 'object.spec.size <= params.spec.size',
            messageExpression: "'at most ' + string(params.spec.size) + ' by ' + params.apiVersion + ', not ' + object.apiVersion",
          },
        ],
      },
    })
    const paramRef = { name: 'limits', namespace: 'default', parameterNotFoundAction: 'Deny' }
    await configure(api, 'ValidatingAdmissionPolicyBinding', 'b', { spec: { policyName: 'p', validationActions: ['Deny'], paramRef } })
    expect((await api.send('POST', path('v2'), widget('v2', 'small', { size: 2 }))).status).toBe(201)
    const refused = await api.send('POST', path('v2'), widget('v2', 'large', { size: 4 }))
    expect(refused.status).toBe(422)
    expect(messageOf(refused)).toBe(
      `widgets.example.com "large" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: at most 3 by example.com/v2, not example.com/v1`,
    )
  })

  it('changes them by policies, by their schema', async () => {
    const api = await startWidgets()
    const apply = (expression: string) => ({ patchType: 'ApplyConfiguration', applyConfiguration: { expression } })
    const spec = { matchConstraints: { resourceRules: [rule('v1', 'v2')] }, reinvocationPolicy: 'Never' }
    await configure(api, 'MutatingAdmissionPolicy', 'p', {
      spec: { ...spec, mutations: [apply('Object{spec: Object.spec{color: "blue"}}')] },
    })
    await configure(api, 'MutatingAdmissionPolicyBinding', 'p', { spec: { policyName: 'p' } })
    const made = await api.send('POST', path('v2'), widget('v2', 'a', { size: 1 }))
    expect(made.json()['spec']).toEqual({ size: 1, color: 'blue' })
    const mutations = [apply('Object{spec: Object.spec{none: 1}}')]
    await configure(api, 'MutatingAdmissionPolicy', 'q', { spec: { ...spec, mutations } })
    await configure(api, 'MutatingAdmissionPolicyBinding', 'q', { spec: { policyName: 'q' } })
    expect(messageOf(await api.send('POST', path('v1'), widget('v1', 'b', { size: 1 })))).toBe(
      `policy 'q' with binding 'q' denied request: error applying patch: failed to convert patch object to typed object: .spec.none: field not declared in schema`,
    )
  })

  it('checks expressions by their schema', async () => {
    const api = await startWidgets()
    const validations = [
      { expression: "object.spec.size > '1'" },
      { expression: 'object.spec.none < 10' },
      { expression: "object.metadata.name != ''" },
    ]
    await configure(api, 'ValidatingAdmissionPolicy', 'p', { spec: { matchConstraints: { resourceRules: [rule('v1')] }, validations } })
    const warnings = await vi.waitUntil(
      async () => {
        const { status } = (await api.send('GET', `${group}/validatingadmissionpolicies/p`)).json() as {
          readonly status?: {
            readonly typeChecking?: { readonly expressionWarnings?: readonly { readonly fieldRef: string; readonly warning: string }[] }
          }
        } // it is a policy
        return status?.typeChecking?.expressionWarnings
      },
      { timeout: 10_000 },
    )
    expect(warnings.map(({ fieldRef }) => fieldRef)).toEqual(['spec.validations[0].expression', 'spec.validations[1].expression'])
    expect(warnings[0]?.warning).toContain("found no matching overload for '_>_' applied to '(int, string)'")
    expect(warnings[1]?.warning).toContain("undefined field 'none'")
  })
})
