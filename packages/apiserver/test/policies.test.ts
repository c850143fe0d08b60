import {
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
} from '@k3s/api/types/admissionregistration/v1'
import { deployments, type Deployment } from '@k3s/api/types/apps/v1'
import { configmaps, namespaces, pods, type ConfigMap } from '@k3s/api/types/core/v1'
import { clusterrolebindings, clusterroles } from '@k3s/api/types/rbac/v1'
import { createClient } from '@k3s/client'
import { generateKey } from '@k3s/pki'
import { describe, expect, it, vi } from 'vitest'
import { builtInParts, SigningKeys } from '../src/index.ts'
import { start } from './custom-api.ts'
import { issuer, send, startBuiltIn, startCluster } from './start-cluster.ts'
import type { TestServer } from './start-server.ts'

const rule = (resources: string[], apiGroups = [''], operations = ['CREATE', 'UPDATE']) => ({
  operations,
  apiGroups,
  apiVersions: ['*'],
  resources,
})
const configMapRules = { resourceRules: [rule(['configmaps'])] }

async function validate(
  { client }: TestServer,
  name: string,
  spec: Partial<ValidatingAdmissionPolicy['spec']>,
  binding: Partial<ValidatingAdmissionPolicyBinding['spec']> = {},
): Promise<void> {
  await client.resource(validatingadmissionpolicies).create({ metadata: { name }, spec: { matchConstraints: configMapRules, ...spec } })
  await client
    .resource(validatingadmissionpolicybindings)
    .create({ metadata: { name: `${name}-binding` }, spec: { policyName: name, validationActions: ['Deny'], ...binding } })
}

async function mutate(
  { client }: TestServer,
  name: string,
  spec: Partial<MutatingAdmissionPolicy['spec']>,
  binding: Partial<MutatingAdmissionPolicyBinding['spec']> = {},
): Promise<void> {
  await client
    .resource(mutatingadmissionpolicies)
    .create({ metadata: { name }, spec: { matchConstraints: configMapRules, reinvocationPolicy: 'Never', ...spec } })
  await client
    .resource(mutatingadmissionpolicybindings)
    .create({ metadata: { name: `${name}-binding` }, spec: { policyName: name, ...binding } })
}

const configMap = (name: string, data: Record<string, string> = { x: 'y' }, namespace = 'default'): ConfigMap => ({
  metadata: { name, namespace },
  data,
})
const create = ({ client }: TestServer, object: ConfigMap) => client.resource(configmaps).create(object)
const message = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => '',
    (error: Error) => error.message,
  )
const json = (expression: string) => ({ patchType: 'JSONPatch', jsonPatch: { expression } })
const apply = (expression: string) => ({ patchType: 'ApplyConfiguration', applyConfiguration: { expression } })

const deployment = (name: string, replicas: number): Deployment => ({
  metadata: { name, namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'x' } },
    template: { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'main', image: 'i' }] } },
  },
})

describe('validating admission policies', () => {
  it('refuse as upstream does', async () => {
    const cluster = await startBuiltIn()
    await validate(cluster, 'p', {
      validations: [{ expression: "object.data.x != 'bad'", messageExpression: "'x is ' + object.data.x" }],
    })
    await create(cluster, configMap('good'))
    const why = "ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: x is bad"
    await expect(create(cluster, configMap('a', { x: 'bad' }))).rejects.toMatchObject({
      code: 422,
      reason: 'Invalid',
      message: `configmaps "a" is forbidden: ${why}`,
      details: { name: 'a', kind: 'configmaps', causes: [{ message: why }] },
    })
    await expect(
      cluster.client.resource(configmaps).patch('good', { data: { x: 'bad' } }, { namespace: 'default', type: 'merge' }),
    ).rejects.toMatchObject({ code: 422 })
  })

  it('give reasons, messages and expressions', async () => {
    const cluster = await startBuiltIn()
    await validate(cluster, 'a', { validations: [{ expression: "!('a' in object.data)", reason: 'Forbidden', message: 'no a' }] })
    await validate(cluster, 'b', {
      validations: [{ expression: "!('b' in object.data)", messageExpression: "'no ' + object.data['none']" }],
    })
    await expect(create(cluster, configMap('x', { a: '' }))).rejects.toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message: expect.stringContaining('denied request: no a') as string,
    })
    expect(await message(create(cluster, configMap('x', { b: '' })))).toContain("denied request: failed expression: !('b' in object.data)")
  })

  it('warn where that is all that is wanted', async () => {
    const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: [issuer], baseUrl: 'https://127.0.0.1:6443' }
    const api = await start(builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }))
    const group = { apiVersion: 'admissionregistration.k8s.io/v1' }
    const matchConstraints = configMapRules
    const spec = { matchConstraints, validations: [{ expression: 'false', message: 'never' }] }
    const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic'
    await api.send('POST', `${path}ies`, { ...group, kind: 'ValidatingAdmissionPolicy', metadata: { name: 'p' }, spec })
    const binding = { policyName: 'p', validationActions: ['Warn', 'Audit'] }
    await api.send('POST', `${path}ybindings`, {
      ...group,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: 'b' },
      spec: binding,
    })
    const answer = await api.send('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'a' } })
    expect(answer.status).toBe(201)
    expect(answer.headers['warning']).toBe(`299 - "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': never"`)
  })

  it('use variables, the namespace, the request and the authorizer', async () => {
    const cluster = await startBuiltIn()
    await cluster.client.resource(namespaces).create({ metadata: { name: 'team', labels: { kind: 'team' } }, spec: {} })
    await validate(cluster, 'p', {
      matchConditions: [
        { name: 'teams', expression: "has(namespaceObject.metadata.labels.kind) && namespaceObject.metadata.labels.kind == 'team'" },
      ],
      variables: [
        { name: 'size', expression: 'object.data.size()' },
        { name: 'odd', expression: 'variables.size % 2 == 1' },
      ],
      validations: [
        { expression: 'variables.odd', messageExpression: "'even: ' + string(variables.size)" },
        { expression: "request.operation == 'CREATE' && request.userInfo.username == 'admin'" },
        { expression: "authorizer.requestResource.check('secretly-write').allowed()", message: 'not for you' },
      ],
    })
    await create(cluster, configMap('elsewhere', { a: '', b: '' }))
    await create(cluster, configMap('a', { a: '' }, 'team'))
    expect(await message(create(cluster, configMap('b', { a: '', b: '' }, 'team')))).toContain('denied request: even: 2')
    const jane = { name: 'jane', groups: [] }
    await cluster.client
      .resource(clusterroles)
      .create({ metadata: { name: 'writer' }, rules: [{ verbs: ['create'], apiGroups: [''], resources: ['configmaps'] }] })
    await cluster.client.resource(clusterrolebindings).create({
      metadata: { name: 'jane' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'writer' },
      subjects: [{ kind: 'User', name: 'jane', apiGroup: 'rbac.authorization.k8s.io' }],
    })
    const asJane = createClient(cluster.server.transport(jane))
    await expect(asJane.resource(configmaps).create(configMap('c', { a: '' }, 'team'))).rejects.toMatchObject({
      details: { causes: [{ message: expect.stringContaining('denied request: failed expression: request.operation') as string }] },
    })
  })

  it('take parameters by name and by selector, of built-in and of custom kinds', async () => {
    const cluster = await startBuiltIn()
    const params = (name: string, max: string, labels: Record<string, string> = {}): ConfigMap => ({
      metadata: { name, namespace: 'default', labels },
      data: { max },
    })
    await create(cluster, params('limit', '2'))
    await create(cluster, params('other', '1', { use: 'me' }))
    const spec = {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints: { resourceRules: [rule(['deployments'], ['apps'])] },
      validations: [{ expression: 'object.spec.replicas <= int(params.data.max)', messageExpression: "'at most ' + params.data.max" }],
    }
    await validate(cluster, 'p', spec, { paramRef: { name: 'limit', parameterNotFoundAction: 'Deny' } })
    const make = (name: string, replicas: number) => cluster.client.resource(deployments).create(deployment(name, replicas))
    await make('two', 2)
    expect(await message(make('three', 3))).toContain('denied request: at most 2')
    await validate(cluster, 'q', spec, { paramRef: { selector: { matchLabels: { use: 'me' } }, parameterNotFoundAction: 'Deny' } })
    expect(await message(make('three', 2))).toContain('denied request: at most 1')
    for (const action of ['Deny', 'Allow'])
      await validate(cluster, action.toLowerCase(), spec, { paramRef: { name: 'none', parameterNotFoundAction: action } })
    expect(await message(make('one', 1))).toContain(
      "ValidatingAdmissionPolicy 'deny' with binding 'deny-binding' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
    )
  })

  it('treat errors as their failure policy says', async () => {
    const cluster = await startBuiltIn()
    const validations = [{ expression: "object.data.none == 'x'" }]
    await validate(cluster, 'ignored', { failurePolicy: 'Ignore', validations })
    await create(cluster, configMap('a'))
    await validate(cluster, 'kind', { failurePolicy: 'Ignore', validations, paramKind: { apiVersion: 'example.com/v1', kind: 'None' } })
    await create(cluster, configMap('b'))
    await validate(cluster, 'failing', { validations })
    expect(await message(create(cluster, configMap('c')))).toContain(
      "denied request: expression 'object.data.none == 'x'' resulted in error: no such key: none",
    )
  })

  it('stop at their budget', async () => {
    const cluster = await startBuiltIn()
    const list = '[0,1,2,3,4,5,6,7,8,9]'
    const loop = Array.from({ length: 6 }).reduce<string>((inner, _, index) => `${list}.all(i${index}, ${inner})`, 'true')
    await validate(cluster, 'p', { validations: [{ expression: loop }] })
    expect(await message(create(cluster, configMap('a')))).toContain('operation cancelled: actual cost limit exceeded')
  })

  it('judge deletions, subresources and what binding and exclusions leave', async () => {
    const cluster = await startCluster()
    await create(cluster, configMap('kept'))
    await create(cluster, configMap('free'))
    await validate(
      cluster,
      'p',
      {
        matchConstraints: {
          resourceRules: [rule(['configmaps', 'deployments/scale'], ['', 'apps'], ['DELETE', 'UPDATE'])],
          excludeResourceRules: [{ ...rule(['configmaps'], [''], ['*']), resourceNames: ['free'] }],
        },
        validations: [{ expression: "object != null && object.kind == 'Scale' && object.spec.replicas < 5" }],
      },
      { matchResources: { resourceRules: [rule(['*/*'], ['*'], ['*'])] } },
    )
    await cluster.client.resource(configmaps).delete('free', { namespace: 'default' })
    await expect(cluster.client.resource(configmaps).delete('kept', { namespace: 'default' })).rejects.toMatchObject({ code: 422 })
    await cluster.client.resource(deployments).create(deployment('web', 1))
    const scale = (replicas: number) =>
      send(
        cluster,
        { method: 'PUT', path: '/apis/apps/v1/namespaces/default/deployments/web/scale' },
        { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'web', namespace: 'default' }, spec: { replicas } },
      )
    await scale(3)
    await expect(scale(6)).rejects.toMatchObject({ code: 422 })
  })

  it('are not asked about themselves, nor about reviews', async () => {
    const cluster = await startBuiltIn()
    const everything = { resourceRules: [rule(['*/*'], ['*'], ['*'])] }
    await validate(cluster, 'p', { matchConstraints: everything, validations: [{ expression: 'false' }] })
    await send(
      cluster,
      { path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews' },
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb: 'get', resource: 'pods' } },
      },
    )
    await cluster.client.resource(validatingadmissionpolicybindings).delete('p-binding', {})
    await create(cluster, configMap('a'))
  })
})

describe('mutating admission policies', () => {
  it('merge what they want into objects', async () => {
    const cluster = await startCluster()
    await mutate(cluster, 'p', {
      matchConstraints: { resourceRules: [rule(['deployments'], ['apps'])] },
      mutations: [
        apply('Object{spec: Object.spec{replicas: 1337}}'),
        apply(`Object{
          metadata: Object.metadata{annotations: {"my-foo-annotation": "my value"}},
          spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
            containers: [Object.spec.template.spec.containers{name: "sidecar", image: "s"}]}}}
        }`),
      ],
    })
    const made = await cluster.client.resource(deployments).create(deployment('web', 1))
    expect(made.spec.replicas).toBe(1337)
    expect(made.metadata.annotations).toMatchObject({ 'my-foo-annotation': 'my value' })
    expect(made.spec.template.spec?.containers).toMatchObject([{ name: 'main' }, { name: 'sidecar', imagePullPolicy: 'Always' }])
  })

  it('patch objects, with variables, parameters and conditions', async () => {
    const cluster = await startBuiltIn()
    await create(cluster, configMap('params', { value: '7' }))
    await mutate(
      cluster,
      'p',
      {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        matchConditions: [{ name: 'new', expression: '!has(object.metadata.labels)' }],
        variables: [{ name: 'key', expression: "'example.com/a.b'" }],
        mutations: [
          json(`[
            JSONPatch{op: "test", path: "/data/x", value: "y"},
            JSONPatch{op: "add", path: "/metadata/labels", value: {"a": "b"}},
            JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey(variables.key), value: params.data.value}
          ]`),
          json(
            'object.data.size() > 1 ? [JSONPatch{op: "remove", path: "/data/x"}] : [JSONPatch{op: "test", path: "/data/x", value: "never"}]',
          ),
        ],
      },
      { paramRef: { name: 'params', parameterNotFoundAction: 'Deny' } },
    )
    const made = await create(cluster, configMap('a', { x: 'y', z: '1' }))
    expect(made).toMatchObject({ metadata: { labels: { a: 'b', 'example.com/a.b': '7' } }, data: { z: '1' } })
    expect((await create(cluster, configMap('b', { x: 'y' }))).data).toEqual({ x: 'y' })
    const labelled = { ...configMap('c'), metadata: { name: 'c', namespace: 'default', labels: { own: 'yes' } } }
    expect((await create(cluster, labelled)).metadata.labels).toEqual({ own: 'yes' })
  })

  it('refuse when something is wrong, unless told to ignore it', async () => {
    const cluster = await startBuiltIn()
    const bad = (name: string, expression: string, failurePolicy = 'Fail') =>
      mutate(cluster, name, {
        failurePolicy,
        matchConditions: [{ name: 'mine', expression: `object.metadata.name == '${name}'` }],
        mutations: [apply(expression)],
      })
    await bad('unknown', 'Object{what: 1}')
    await bad('mistyped', 'Object{metadata: Object.spec{}}')
    await bad('failing', 'Object{data: {"a": object.data.none}}')
    await bad('ignored', 'Object{what: 1}', 'Ignore')
    await create(cluster, configMap('ignored'))
    const said = async (name: string) => {
      const error = await create(cluster, configMap(name)).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 403, reason: 'Invalid' })
      return (error as Error).message.replace(`policy '${name}' with binding '${name}-binding' denied request: `, '')
    }
    expect(await said('unknown')).toBe(
      'error applying patch: failed to convert patch object to typed object: .what: field not declared in schema',
    )
    expect(await said('mistyped')).toBe(
      'type mismatch: unexpected type name "Object.spec", expected "Object.metadata", which matches field name path from root Object type',
    )
    expect(await said('failing')).toBe(`expression 'Object{data: {"a": object.data.none}}' resulted in error: no such key: none`)
  })

  it('see later changes when they want to', async () => {
    const cluster = await startBuiltIn()
    const count = json('[JSONPatch{op: "add", path: "/data/count", value: string(int(object.data.?count.orValue("0")) + 1)}]')
    await mutate(cluster, 'a', { reinvocationPolicy: 'IfNeeded', mutations: [count] })
    await mutate(cluster, 'b', { mutations: [json('[JSONPatch{op: "add", path: "/data/b", value: "x"}]')] })
    expect((await create(cluster, configMap('a'))).data).toEqual({ x: 'y', count: '2', b: 'x' })
  })

  it('come before validating ones, and leave pods to the rules of pods', async () => {
    const cluster = await startCluster()
    await mutate(cluster, 'p', {
      matchConstraints: { resourceRules: [rule(['pods'])] },
      mutations: [apply('Object{metadata: Object.metadata{labels: {"disk": "ssd"}}}')],
    })
    const matchConstraints = { resourceRules: [rule(['pods'])] }
    await validate(cluster, 'v', {
      matchConstraints,
      validations: [{ expression: "object.metadata.labels.disk == 'hdd'", message: 'hdd only' }],
    })
    const pod = { metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'main', image: 'i' }] } }
    expect(await message(cluster.client.resource(pods).create(pod))).toContain('hdd only')
  })
})

describe('expressions of policies', () => {
  const post = (cluster: TestServer, kind: string, spec: object) => {
    const plural = kind.replace(/y$/, 'ies').toLowerCase()
    const body = { apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name: 'p.example.com' }, spec }
    return send(cluster, { path: `/apis/admissionregistration.k8s.io/v1/${plural}` }, body)
  }
  const causes = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: { readonly details?: { readonly causes?: readonly { readonly field?: string; readonly message?: string }[] } }) =>
        error.details?.causes?.map(({ field = '', message: text = '' }) => `${field}: ${text}`),
    )
  const matchConstraints = configMapRules

  it('are compiled before they are stored', async () => {
    const cluster = await startBuiltIn()
    const spec = {
      matchConstraints,
      variables: [{ name: 'bad', expression: 'nothing' }],
      matchConditions: [{ name: 'a', expression: 'variables.bad' }],
      validations: [{ expression: 'object.x' }, { expression: 'true', messageExpression: '1' }, { expression: 'params.x == 1' }],
      auditAnnotations: [{ key: 'k', valueExpression: '1' }],
    }
    expect(await causes(post(cluster, 'ValidatingAdmissionPolicy', spec))).toEqual([
      `spec.matchConditions[0].expression: Invalid value: "variables.bad": compilation failed: ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.bad\n | ^`,
      `spec.variables[0].expression: Invalid value: "nothing": compilation failed: ERROR: <input>:1:1: undeclared reference to 'nothing' (in container '')\n | nothing\n | ^`,
      'spec.validations[0].expression: Invalid value: "object.x": must evaluate to bool but got dyn',
      'spec.validations[1].messageExpression: Invalid value: "1": must evaluate to string but got int',
      `spec.validations[2].expression: Invalid value: "params.x == 1": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.x == 1\n | ^`,
      'spec.auditAnnotations[0].valueExpression: Invalid value: "1": must evaluate to one of [string null_type] but got int',
    ])
    const mutating = {
      matchConstraints,
      reinvocationPolicy: 'Never',
      mutations: [
        { patchType: 'JSONPatch', jsonPatch: { expression: '[]' } },
        { patchType: 'ApplyConfiguration', applyConfiguration: { expression: '1' }, jsonPatch: { expression: '[]' } },
        { patchType: 'JSONPatch' },
        { patchType: 'Other' },
      ],
    }
    expect(await causes(post(cluster, 'MutatingAdmissionPolicy', mutating))).toEqual([
      'spec.mutations[0].jsonPatch.expression: Invalid value: "[]": must evaluate to list(JSONPatch) but got list(dyn)',
      'spec.mutations[1].applyConfiguration.expression: Invalid value: "1": must evaluate to Object but got int',
      'spec.mutations[1].jsonPatch: Invalid value: "{jsonPatch}": must not be specified when patchType is ApplyConfiguration',
      'spec.mutations[2].jsonPatch: Required value: must be specified when patchType is JSONPatch',
      'spec.mutations[3].patchType: Unsupported value: "Other": supported values: "ApplyConfiguration", "JSONPatch"',
    ])
  })

  it('are checked by the types of what they are about', async () => {
    const cluster = await startBuiltIn()
    const policies = cluster.client.resource(validatingadmissionpolicies)
    const status = async (name: string): Promise<ValidatingAdmissionPolicy['status']> => {
      await vi.waitUntil(async () => (await policies.get(name)).status?.typeChecking !== undefined, { timeout: 10_000 })
      return (await policies.get(name)).status
    }
    const about = { resourceRules: [{ ...rule(['deployments'], ['apps']), apiVersions: ['v1'] }] }
    await policies.create({
      metadata: { name: 'good' },
      spec: { matchConstraints: about, validations: [{ expression: 'object.spec.replicas > 1' }] },
    })
    expect(await status('good')).toEqual({ observedGeneration: 1, typeChecking: {} })
    const validations = [
      { expression: "object.spec.replicas > '1'", messageExpression: "'wants replicas > 1, got ' + object.spec.replicas" },
      { expression: 'object.spec.none == 1' },
    ]
    await policies.create({ metadata: { name: 'bad' }, spec: { matchConstraints: about, validations } })
    const at = (column: number): string => `apps/v1, Kind=Deployment: ERROR: <input>:1:${column}: `
    expect((await status('bad'))?.typeChecking?.expressionWarnings).toEqual([
      {
        fieldRef: 'spec.validations[0].expression',
        warning: expect.stringContaining(`${at(22)}found no matching overload for '_>_' applied to '(int, string)'\n | object`) as string,
      },
      {
        fieldRef: 'spec.validations[0].messageExpression',
        warning: expect.stringContaining(`${at(28)}found no matching overload for '_+_' applied to '(string, int)'`) as string,
      },
      { fieldRef: 'spec.validations[1].expression', warning: expect.stringContaining(`${at(12)}undefined field 'none'`) as string },
    ])
  })
})
