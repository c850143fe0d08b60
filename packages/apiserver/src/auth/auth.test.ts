import { generateKeyPairSync } from 'node:crypto'
import type { KubernetesObject, ResourceType } from '@k3s/api'
import { StatusError } from '@k3s/api'
import { nodes, type Pod, pods, secrets, serviceaccounts } from '@k3s/api/types/core/v1'
import { clusterrolebindings, clusterroles, rolebindings, roles } from '@k3s/api/types/rbac/v1'
import { describe, expect, it } from 'vitest'
import { objectsOf, stored, type Stored } from '../../test/strategy-runs.ts'
import type { AccessAttributes, UserInfo } from './auth.ts'
import { mastersAuthorizer, unionAuthorizer } from './authorizers.ts'
import { bootstrapPolicy } from './bootstrap/policy.ts'
import { type PolicyWriter, reconcileBootstrapPolicy } from './bootstrap/reconcile.ts'
import { NodeAuthorizer } from './node/node-authorizer.ts'
import { RbacAuthorizer } from './rbac/rbac-authorizer.ts'
import { bootstrapTokenAuthenticator } from './tokens/bootstrap-tokens.ts'
import { basicAuthenticator, staticTokenAuthenticator } from './tokens/credential-files.ts'
import { issuerDocument } from './tokens/issuer-documents.ts'
import { ServiceAccountTokens } from './tokens/service-account-tokens.ts'
import { SigningKeys } from './tokens/signing-keys.ts'

const signal = new AbortController().signal
const apiGroup = 'rbac.authorization.k8s.io'
const jane: UserInfo = { name: 'jane', groups: ['system:authenticated', 'devs'] }
const asking = (user: UserInfo, verb: string, resource: string, more: Partial<AccessAttributes> = {}): AccessAttributes => ({
  user,
  verb,
  resource,
  isResource: true,
  group: '',
  version: 'v1',
  subresource: '',
  namespace: '',
  name: '',
  path: '',
  ...more,
})

describe('RbacAuthorizer', () => {
  const objects = objectsOf(
    stored(roles, {
      metadata: { name: 'reader', namespace: 'a' },
      rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods', 'pods/log'], resourceNames: ['one'] }],
    }),
    stored(rolebindings, {
      metadata: { name: 'devs', namespace: 'a' },
      roleRef: { apiGroup, kind: 'Role', name: 'reader' },
      subjects: [{ kind: 'Group', name: 'devs', apiGroup }],
    }),
    stored(clusterroles, { metadata: { name: 'health' }, rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/version/*'] }] }),
    stored(clusterroles, {
      metadata: { name: 'all' },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: 'yes' } }] },
      rules: [],
    }),
    stored(clusterroles, {
      metadata: { name: 'part', labels: { part: 'yes' } },
      rules: [{ verbs: ['list'], apiGroups: ['apps'], resources: ['*/scale'] }],
    }),
    ...['health', 'all', 'missing'].map((name) =>
      stored(clusterrolebindings, {
        metadata: { name },
        roleRef: { apiGroup, kind: 'ClusterRole', name },
        subjects: [
          { kind: 'User', name: 'jane', apiGroup },
          { kind: 'ServiceAccount', name: 'robot', namespace: 'a' },
        ],
      }),
    ),
  )
  const authorizer = new RbacAuthorizer(objects)
  const robot: UserInfo = { name: 'system:serviceaccount:a:robot', groups: [] }

  it.each<[string, AccessAttributes, boolean]>([
    ['an object by name', asking(jane, 'get', 'pods', { namespace: 'a', name: 'one' }), true],
    ['another name', asking(jane, 'get', 'pods', { namespace: 'a', name: 'two' }), false],
    ['a subresource', asking(jane, 'get', 'pods', { namespace: 'a', name: 'one', subresource: 'log' }), true],
    ['another subresource', asking(jane, 'get', 'pods', { namespace: 'a', name: 'one', subresource: 'exec' }), false],
    ['another namespace', asking(jane, 'get', 'pods', { namespace: 'b', name: 'one' }), false],
    ['a path', asking(jane, 'get', '', { isResource: false, path: '/healthz' }), true],
    ['a path below', asking(jane, 'get', '', { isResource: false, path: '/version/x' }), true],
    ['another path', asking(jane, 'get', '', { isResource: false, path: '/metrics' }), false],
    ['what is aggregated', asking(jane, 'list', 'deployments', { group: 'apps', subresource: 'scale', namespace: 'x' }), true],
    ['a service account', asking(robot, 'get', '', { isResource: false, path: '/healthz' }), true],
    ['a stranger', asking({ name: 'joe', groups: [] }, 'get', '', { isResource: false, path: '/healthz' }), false],
  ])('decides about %s', (_what, attributes, isAllowed) => {
    expect(authorizer.authorize(attributes).decision).toBe(isAllowed ? 'allow' : 'noOpinion')
  })

  it('tells why', () => {
    expect(authorizer.authorize(asking(jane, 'get', 'pods', { namespace: 'a', name: 'one' })).reason).toBe(
      'RBAC: allowed by RoleBinding "devs/a" of Role "reader" to Group "devs"',
    )
    expect(authorizer.authorize(asking(jane, 'get', 'nodes')).reason).toBe(
      'RBAC: clusterrole.rbac.authorization.k8s.io "missing" not found',
    )
  })

  it('is asked after the masters', async () => {
    const union = unionAuthorizer([mastersAuthorizer, authorizer])
    expect(await union.authorize(asking({ name: 'root', groups: ['system:masters'] }, 'delete', 'nodes'))).toMatchObject({
      decision: 'allow',
    })
    expect(await union.authorize(asking(jane, 'delete', 'nodes'))).toMatchObject({ decision: 'noOpinion' })
  })
})

describe('NodeAuthorizer', () => {
  const pod: Pod = {
    metadata: { name: 'web', namespace: 'a' },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'robot',
      containers: [{ name: 'c', image: 'i', envFrom: [{ configMapRef: { name: 'settings' } }] }],
      volumes: [{ name: 's', secret: { secretName: 'key' } }],
    },
  }
  const authorizer = new NodeAuthorizer(objectsOf(stored(pods, pod)))
  const node = (name: string): UserInfo => ({ name: `system:node:${name}`, groups: ['system:nodes'] })

  it.each<[string, string, AccessAttributes, boolean]>([
    ['secrets of its pods', 'n1', asking(node('n1'), 'get', 'secrets', { namespace: 'a', name: 'key' }), true],
    ['watching them', 'n1', asking(node('n1'), 'watch', 'secrets', { namespace: 'a', name: 'key' }), true],
    ['all secrets', 'n1', asking(node('n1'), 'list', 'secrets', { namespace: 'a' }), false],
    ['config maps of its pods', 'n1', asking(node('n1'), 'get', 'configmaps', { namespace: 'a', name: 'settings' }), true],
    ['other secrets', 'n1', asking(node('n1'), 'get', 'secrets', { namespace: 'a', name: 'other' }), false],
    ['secrets of other nodes', 'n2', asking(node('n2'), 'get', 'secrets', { namespace: 'a', name: 'key' }), false],
    [
      'tokens of its pods',
      'n1',
      asking(node('n1'), 'create', 'serviceaccounts', { namespace: 'a', name: 'robot', subresource: 'token' }),
      true,
    ],
    ['other tokens', 'n2', asking(node('n2'), 'create', 'serviceaccounts', { namespace: 'a', name: 'robot', subresource: 'token' }), false],
    [
      'its lease',
      'n1',
      asking(node('n1'), 'update', 'leases', { group: 'coordination.k8s.io', namespace: 'kube-node-lease', name: 'n1' }),
      true,
    ],
    [
      'another lease',
      'n1',
      asking(node('n1'), 'update', 'leases', { group: 'coordination.k8s.io', namespace: 'kube-node-lease', name: 'n2' }),
      false,
    ],
    ['services', 'n1', asking(node('n1'), 'list', 'services'), true],
    ['deployments', 'n1', asking(node('n1'), 'list', 'deployments', { group: 'apps' }), false],
  ])('decides about %s of %s', (_what, _node, attributes, isAllowed) => {
    expect(authorizer.authorize(attributes).decision).toBe(isAllowed ? 'allow' : 'noOpinion')
  })
})

describe('bootstrap policy', () => {
  it('has all of upstream’s and K3s’s', () => {
    const { clusterRoles, clusterRoleBindings, roles: local, roleBindings } = bootstrapPolicy()
    const names = clusterRoles.map(({ metadata }) => metadata.name)
    expect(names).toEqual(
      expect.arrayContaining([
        'cluster-admin',
        'admin',
        'edit',
        'view',
        'system:node',
        'system:controller:job-controller',
        'system:k3s-controller',
      ]),
    )
    expect(new Set(names).size).toBe(names.length)
    expect(local.length + roleBindings.length + clusterRoleBindings.length).toBeGreaterThan(60)
    for (const { roleRef } of clusterRoleBindings)
      expect([...names, 'system:kubelet-api-admin', 'system:auth-delegator']).toContain(roleRef.name)
  })

  it('is brought once, repaired later, and left alone where asked', async () => {
    const kept = new Map<string, KubernetesObject>()
    const writes: string[] = []
    const key = (type: ResourceType<never>, at: { namespace?: string | undefined; name: string }): string =>
      `${type.resource}/${at.namespace ?? ''}/${at.name}`
    const write = async (kind: string, type: ResourceType<never>, object: KubernetesObject): Promise<void> => {
      writes.push(`${kind} ${object.metadata.name}`)
      kept.set(key(type, object.metadata), structuredClone(object))
    }
    const writer: PolicyWriter = {
      async get(type, at) {
        const found = kept.get(key(type as ResourceType<never>, { ...at, namespace: at.namespace === '' ? undefined : at.namespace }))
        if (found === undefined) throw new StatusError('NotFound', 'not found')
        // Stored under its type.
        return structuredClone(found) as never
      },
      create: (type, object) => write('create', type as ResourceType<never>, object),
      update: (type, object) => write('update', type as ResourceType<never>, object),
      async delete(type, { name, namespace }) {
        writes.push(`delete ${name}`)
        kept.delete(key(type as ResourceType<never>, { name, namespace: namespace === '' ? undefined : namespace }))
      },
    }
    await reconcileBootstrapPolicy(writer, bootstrapPolicy(), signal)
    expect(writes.every((text) => text.startsWith('create'))).toBe(true)
    writes.length = 0
    await reconcileBootstrapPolicy(writer, bootstrapPolicy(), signal)
    expect(writes).toEqual([])
    Object.assign(kept.get('clusterroles//system:node') ?? {}, { rules: [] })
    Object.assign(kept.get('clusterroles//system:kube-scheduler') ?? {}, {
      rules: [],
      metadata: { name: 'system:kube-scheduler', annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' } },
    })
    await reconcileBootstrapPolicy(writer, bootstrapPolicy(), signal)
    expect(writes).toEqual(['update system:node'])
    writes.length = 0
    Object.assign(kept.get('clusterrolebindings//system:basic-user') ?? {}, {
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'cluster-admin' },
    })
    await reconcileBootstrapPolicy(writer, bootstrapPolicy(), signal)
    expect(writes).toEqual(['delete system:basic-user', 'create system:basic-user'])
    expect(kept.get('clusterrolebindings//system:basic-user')).toMatchObject({ roleRef: { name: 'system:basic-user' } })
  })
})

describe('service account tokens', () => {
  const pem = (): string =>
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'sec1', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey
  const account = { metadata: { name: 'robot', namespace: 'a', uid: 'u1' } }
  const pod: Pod = {
    metadata: { name: 'web', namespace: 'a', uid: 'p1' },
    spec: { containers: [], nodeName: 'n1', serviceAccountName: 'robot' },
  }
  const node = { metadata: { name: 'n1', uid: 'n' }, spec: {} }
  const present = [stored(serviceaccounts, account), stored(pods, pod), stored(nodes, node)]

  function start(
    options: { readonly keys?: SigningKeys; readonly present?: readonly Stored[]; readonly audiences?: readonly string[] } = {},
  ) {
    const time = { now: Date.parse('2024-05-01T12:00:00Z') }
    const keys = options.keys ?? new SigningKeys([pem()])
    const tokens = new ServiceAccountTokens({
      keys,
      issuers: ['https://issuer.example'],
      audiences: options.audiences,
      objects: objectsOf(...(options.present ?? present)),
      clock: { now: () => time.now },
    })
    return { tokens, keys, time }
  }
  const audiences = ['https://issuer.example']

  it('say who their bearer is', async () => {
    const { tokens } = start()
    const token = await tokens.issue({ account, audiences, expirationSeconds: 600, pod, node })
    expect(await tokens.authenticateToken(token, undefined)).toEqual({
      audiences,
      user: {
        name: 'system:serviceaccount:a:robot',
        uid: 'u1',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:a'],
        extra: {
          'authentication.kubernetes.io/credential-id': [expect.stringMatching(/^JTI=/)],
          'authentication.kubernetes.io/node-name': ['n1'],
          'authentication.kubernetes.io/node-uid': ['n'],
          'authentication.kubernetes.io/pod-name': ['web'],
          'authentication.kubernetes.io/pod-uid': ['p1'],
        },
      },
    })
  })

  it('expire', async () => {
    const { tokens, time } = start()
    const token = await tokens.issue({ account, audiences, expirationSeconds: 600 })
    time.now += 599_000
    await expect(tokens.authenticateToken(token, undefined)).resolves.toBeDefined()
    time.now += 120_000
    await expect(tokens.authenticateToken(token, undefined)).rejects.toMatchObject({ code: 401 })
  })

  it('are only for their audiences', async () => {
    const { tokens } = start()
    const token = await tokens.issue({ account, audiences: ['vault'], expirationSeconds: 600 })
    await expect(tokens.authenticateToken(token, undefined)).rejects.toMatchObject({ code: 401 })
    expect(await tokens.authenticateToken(token, ['vault', 'other'])).toMatchObject({ audiences: ['vault'] })
  })

  it('die with what they are bound to', async () => {
    const keys = new SigningKeys([pem()])
    const token = await start({ keys }).tokens.issue({ account, audiences, expirationSeconds: 600, pod })
    const without = (gone: number) =>
      start({ keys, present: present.filter((_, index) => index !== gone) }).tokens.authenticateToken(token, undefined)
    await expect(without(0)).rejects.toMatchObject({ code: 401 })
    await expect(without(1)).rejects.toMatchObject({ code: 401 })
    await expect(without(2)).resolves.toBeDefined()
    const again = stored(pods, { ...pod, metadata: { ...pod.metadata, uid: 'p2' } })
    await expect(
      start({ keys, present: [stored(serviceaccounts, account), again] }).tokens.authenticateToken(token, undefined),
    ).rejects.toMatchObject({ code: 401 })
  })

  it('outlive a change of keys', async () => {
    const [old, fresh] = [pem(), pem()]
    const { tokens, keys } = start({ keys: new SigningKeys([old]) })
    const token = await tokens.issue({ account, audiences, expirationSeconds: 600 })
    keys.replace([fresh, old])
    await expect(tokens.authenticateToken(token, undefined)).resolves.toBeDefined()
    keys.replace([fresh])
    await expect(tokens.authenticateToken(token, undefined)).rejects.toMatchObject({ code: 401 })
    expect(() => keys.replace(['nothing'])).toThrow(TypeError)
  })

  it('are not read when they are of others', async () => {
    const { tokens } = start()
    expect(await tokens.authenticateToken('abc', undefined)).toBeUndefined()
    expect(await tokens.authenticateToken('a.b.c', undefined)).toBeUndefined()
  })

  it('come with documents about their issuer', () => {
    const { tokens } = start()
    const options = { baseUrl: 'https://10.0.0.1:6443' }
    expect(JSON.parse(issuerDocument(tokens, '/.well-known/openid-configuration', options)?.body ?? '')).toEqual({
      issuer: 'https://issuer.example',
      jwks_uri: 'https://10.0.0.1:6443/openid/v1/jwks',
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    })
    const { keys } = JSON.parse(issuerDocument(tokens, '/openid/v1/jwks', options)?.body ?? '') as { keys: object[] }
    expect(keys).toEqual([expect.objectContaining({ use: 'sig', alg: 'ES256', kty: 'EC', crv: 'P-256' })])
    expect(keys[0]).not.toHaveProperty('d')
  })
})

describe('other tokens', () => {
  const base64 = (values: Record<string, string>) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]))
  const bootstrap = (more: Record<string, string> = {}) =>
    bootstrapTokenAuthenticator(
      objectsOf(
        stored(secrets, {
          metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' },
          type: 'bootstrap.kubernetes.io/token',
          data: base64({ 'token-id': 'abcdef', 'token-secret': '0123456789abcdef', 'usage-bootstrap-authentication': 'true', ...more }),
        }),
      ),
      { now: () => Date.parse('2024-05-01T12:00:00Z') },
    )

  it('of nodes that join', async () => {
    const token = 'abcdef.0123456789abcdef'
    expect(await bootstrap({ 'auth-extra-groups': 'system:bootstrappers:k3s' }).authenticateToken(token, undefined, signal)).toMatchObject({
      user: { name: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:bootstrappers:k3s'] },
    })
    await expect(bootstrap().authenticateToken('abcdef.0000000000000000', undefined, signal)).rejects.toMatchObject({ code: 401 })
    await expect(bootstrap({ expiration: '2024-05-01T11:59:59Z' }).authenticateToken(token, undefined, signal)).rejects.toMatchObject({
      code: 401,
    })
    expect(await bootstrap({ 'usage-bootstrap-authentication': 'false' }).authenticateToken(token, undefined, signal)).toBeUndefined()
    expect(await bootstrap().authenticateToken('zzzzzz.0123456789abcdef', undefined, signal)).toBeUndefined()
    expect(await bootstrap().authenticateToken('plain', undefined, signal)).toBeUndefined()
  })

  it('of a file', async () => {
    const tokens = staticTokenAuthenticator('# comment\nsecret,jane,1,"devs,ops"\n\n')
    expect(await tokens.authenticateToken('secret', undefined, signal)).toEqual({
      user: { name: 'jane', uid: '1', groups: ['devs', 'ops'] },
    })
    expect(await tokens.authenticateToken('other', undefined, signal)).toBeUndefined()
    expect(() => staticTokenAuthenticator('secret,jane')).toThrow(TypeError)
  })

  it('and passwords', async () => {
    const passwords = basicAuthenticator('pa:ss,jane,1,devs')
    const header = (text: string) => ({ headers: { authorization: `Basic ${Buffer.from(text).toString('base64')}` } })
    expect(await passwords.authenticate(header('jane:pa:ss'), signal)).toEqual({ user: { name: 'jane', uid: '1', groups: ['devs'] } })
    await expect(passwords.authenticate(header('jane:wrong'), signal)).rejects.toMatchObject({ code: 401 })
    expect(await passwords.authenticate({ headers: {} }, signal)).toBeUndefined()
  })
})
