import { connect } from 'node:net'
import { configmaps, namespaces, pods, services, type ConfigMap } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import { deployments } from '@k3s/api/types/apps/v1'
import {
  mutatingwebhookconfigurations,
  validatingwebhookconfigurations,
  type MutatingWebhook,
  type ValidatingWebhook,
} from '@k3s/api/types/admissionregistration/v1'
import { describe, expect, it, vi } from 'vitest'
import { send, startBuiltIn, startCluster } from './start-cluster.ts'
import type { TestServer } from './start-server.ts'
import { configMapRule, patchOf, startWebhooks, type Answer } from './webhook-server.ts'

const validate = ({ client }: TestServer, name: string, ...webhooks: ValidatingWebhook[]) =>
  client.resource(validatingwebhookconfigurations).create({ metadata: { name }, webhooks })
const mutate = ({ client }: TestServer, name: string, ...webhooks: MutatingWebhook[]) =>
  client.resource(mutatingwebhookconfigurations).create({ metadata: { name }, webhooks })

const configMap = (name: string, data: Record<string, string> = {}, labels?: Record<string, string>): ConfigMap => ({
  metadata: { name, namespace: 'default', ...(labels === undefined ? {} : { labels }) },
  data,
})
const create = ({ client }: TestServer, object: ConfigMap) => client.resource(configmaps).create(object)
const deny: Answer = () => ({ allowed: false, status: { message: 'not today' } })
const add =
  (key: string, value: string): Answer =>
  () =>
    patchOf({ op: 'add', path: `/data/${key}`, value })

describe('validating webhooks', () => {
  it('are asked with what upstream sends, and refuse in its words', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({ '/deny': deny })
    await validate(cluster, 'deny', hooks.webhook('deny', '/deny'))
    await expect(create(cluster, configMap('a', { x: 'y' }))).rejects.toMatchObject({
      code: 400,
      message: 'admission webhook "deny.example.com" denied the request: not today',
    })
    const [call] = hooks.calls
    expect(call).toMatchObject({
      query: '?timeout=10s',
      review: {
        apiVersion: 'admission.k8s.io/v1',
        request: {
          kind: { group: '', version: 'v1', kind: 'ConfigMap' },
          requestResource: { group: '', version: 'v1', resource: 'configmaps' },
          name: 'a',
          namespace: 'default',
          operation: 'CREATE',
          userInfo: { username: 'admin', groups: ['system:masters'] },
          object: { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a' }, data: { x: 'y' } },
          oldObject: null,
          dryRun: false,
          options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
        },
      },
    })
  })

  it('pass on code, reason and details of a refusal', async () => {
    const cluster = await startBuiltIn()
    const status = { code: 409, reason: 'Conflict', details: { name: 'x' } }
    const hooks = await startWebhooks({ '/deny': () => ({ allowed: false, status }), '/silent': () => ({ allowed: false }) })
    await validate(cluster, 'deny', hooks.webhook('deny', '/deny', { objectSelector: { matchLabels: { a: 'a' } } }))
    await validate(cluster, 'silent', hooks.webhook('silent', '/silent', { objectSelector: { matchLabels: { b: 'b' } } }))
    await expect(create(cluster, configMap('a', {}, { a: 'a' }))).rejects.toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: 'admission webhook "deny.example.com" denied the request: Conflict',
      details: { name: 'x' },
    })
    await expect(create(cluster, configMap('a', {}, { b: 'b' }))).rejects.toMatchObject({
      code: 400,
      message: 'admission webhook "silent.example.com" denied the request without explanation',
    })
  })

  it('are asked about updates, deletions and their collections', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({ '/no-delete': ({ operation }) => ({ allowed: operation !== 'DELETE' }) })
    await validate(cluster, 'a', hooks.webhook('a', '/no-delete', { rules: [{ ...configMapRule, operations: ['*'] }] }))
    await create(cluster, configMap('a', { x: '1' }))
    await cluster.client.resource(configmaps).patch('a', { data: { x: '2' } }, { namespace: 'default', type: 'merge' })
    await expect(cluster.client.resource(configmaps).delete('a', { namespace: 'default' })).rejects.toMatchObject({ code: 400 })
    const path = '/api/v1/namespaces/default/configmaps'
    await expect(cluster.client.transport.request({ method: 'DELETE', path })).rejects.toMatchObject({ code: 400 })
    const seen = hooks.calls.map(({ review: { request } }) => [request.operation, request.oldObject === null, request.object === null])
    expect(seen).toEqual([
      ['CREATE', true, false],
      ['UPDATE', false, false],
      ['DELETE', false, true],
      ['DELETE', false, true],
    ])
    expect(hooks.calls[2]?.review.request.options).toEqual({ kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1' })
  })

  it('are asked at once; the first in their order that refuses decides', async () => {
    const cluster = await startBuiltIn()
    let waiting = 0
    const both = Promise.withResolvers<void>()
    const meet: Answer = ({ uid }, { request, response }) => {
      if (++waiting === 2) both.resolve()
      const message = request.url?.startsWith('/first') === true ? 'first' : 'second'
      void both.promise.then(() =>
        response.end(
          JSON.stringify({
            kind: 'AdmissionReview',
            apiVersion: 'admission.k8s.io/v1',
            response: { uid, allowed: false, status: { message } },
          }),
        ),
      )
      return undefined
    }
    const hooks = await startWebhooks({ '/first': meet, '/second': meet })
    await validate(cluster, 'b', hooks.webhook('second', '/second'))
    await validate(cluster, 'a', hooks.webhook('first', '/first'))
    await expect(create(cluster, configMap('a'))).rejects.toMatchObject({
      message: expect.stringContaining('denied the request: first') as string,
    })
  })

  it('choose requests by scope, namespace, object and conditions', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks()
    await cluster.client.resource(namespaces).create({ metadata: { name: 'watched', labels: { watch: 'yes' } }, spec: {} })
    const everything = { ...configMapRule, resources: ['*/*'], apiGroups: ['*'], operations: ['CREATE'] }
    const rules = [everything]
    await validate(
      cluster,
      'a',
      hooks.webhook('by-namespace', '/namespace', { rules, namespaceSelector: { matchLabels: { watch: 'yes' } } }),
      hooks.webhook('by-object', '/object', { objectSelector: { matchExpressions: [{ key: 'app', operator: 'Exists' }] } }),
      hooks.webhook('by-condition', '/condition', {
        matchConditions: [
          { name: 'a', expression: "object.data['x'] == 'yes'" },
          { name: 'b', expression: "authorizer.group('').resource('pods').namespace('default').check('list').allowed()" },
          { name: 'c', expression: "request.userInfo.username == 'admin' && oldObject == null" },
        ],
        failurePolicy: 'Ignore',
      }),
      hooks.webhook('by-scope', '/scope', { rules: [{ ...everything, scope: 'Cluster', resources: ['namespaces'] }] }),
    )
    const paths = async (work: () => Promise<unknown>): Promise<string[]> => {
      const before = hooks.calls.length
      await work()
      return hooks.calls.slice(before).map(({ path }) => path)
    }
    expect(await paths(() => create(cluster, configMap('a')))).toEqual([])
    expect(await paths(() => create(cluster, configMap('b', {}, { app: 'x' })))).toEqual(['/object'])
    expect(await paths(() => create(cluster, configMap('c', { x: 'yes' })))).toEqual(['/condition'])
    const other = { ...configMap('d'), metadata: { name: 'd', namespace: 'watched' } }
    expect(await paths(() => create(cluster, other))).toEqual(['/namespace'])
    const namespace = { metadata: { name: 'n', labels: { watch: 'yes' } }, spec: {} }
    expect((await paths(() => cluster.client.resource(namespaces).create(namespace))).toSorted()).toEqual(['/namespace', '/scope'])
  })

  it('whose conditions fail refuse as upstream does', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks()
    await validate(cluster, 'a', hooks.webhook('a', '/a', { matchConditions: [{ name: 'a', expression: 'object.data.missing == "x"' }] }))
    await expect(create(cluster, configMap('a', { x: 'y' }))).rejects.toMatchObject({
      code: 403,
      message: `configmaps "a" is forbidden: expression 'object.data.missing == "x"' resulted in error: no such key: missing`,
    })
    expect(hooks.calls).toEqual([])
  })

  it('are asked in the version that they know', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks()
    const rule = { operations: ['CREATE'], apiGroups: ['autoscaling'], apiVersions: ['v1'], resources: ['horizontalpodautoscalers'] }
    await validate(
      cluster,
      'a',
      hooks.webhook('equivalent', '/equivalent', { rules: [rule] }),
      hooks.webhook('exact', '/exact', { rules: [rule], matchPolicy: 'Exact' }),
    )
    const spec = { scaleTargetRef: { kind: 'Deployment', name: 'web', apiVersion: 'apps/v1' }, minReplicas: 1, maxReplicas: 3 }
    const path = '/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers'
    await send(cluster, { path }, { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata: { name: 'a' }, spec })
    expect(hooks.calls.map((call) => call.path)).toEqual(['/equivalent'])
    expect(hooks.calls[0]?.review.request).toMatchObject({
      kind: { version: 'v1' },
      requestKind: { version: 'v2' },
      object: { apiVersion: 'autoscaling/v1', spec: { maxReplicas: 3 } },
    })
  })

  it('are never asked about what configures admission', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({ '/deny': deny })
    const rules = [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }]
    await validate(cluster, 'a', hooks.webhook('a', '/deny', { rules }))
    await validate(cluster, 'b', hooks.webhook('b', '/deny', { rules }))
    await expect(create(cluster, configMap('a'))).rejects.toMatchObject({ code: 400 })
    for (const name of ['a', 'b']) await cluster.client.resource(validatingwebhookconfigurations).delete(name, {})
    await create(cluster, configMap('a'))
  })

  it('are asked about subresources', async () => {
    const cluster = await startCluster()
    const hooks = await startWebhooks({ '/deny': deny })
    const spec = { containers: [{ name: 'main', image: 'i' }] }
    const template = { metadata: { labels: { app: 'x' } }, spec }
    await cluster.client.resource(pods).create({ metadata: { name: 'web', namespace: 'default' }, spec })
    await cluster.client
      .resource(deployments)
      .create({ metadata: { name: 'web', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'x' } }, template } })
    const rule = (apiGroups: string[], ...resources: string[]) => ({ operations: ['*'], apiGroups, apiVersions: ['*'], resources })
    const rules = [rule([''], 'pods/attach', 'pods/eviction', 'pods/binding', 'pods/status'), rule(['apps'], 'deployments/scale')]
    await validate(cluster, 'a', hooks.webhook('a', '/deny', { rules }))
    const pod = '/api/v1/namespaces/default/pods/web'
    const scale = '/apis/apps/v1/namespaces/default/deployments/web/scale'
    const metadata = { name: 'web', namespace: 'default' }
    const refused = { code: 400, message: expect.stringContaining('denied the request: not today') as string }
    await expect(send(cluster, { path: `${pod}/eviction` }, { apiVersion: 'policy/v1', kind: 'Eviction', metadata })).rejects.toMatchObject(
      refused,
    )
    await expect(
      send(cluster, { path: `${pod}/binding` }, { apiVersion: 'v1', kind: 'Binding', metadata, target: { kind: 'Node', name: 'n' } }),
    ).rejects.toMatchObject(refused)
    await expect(
      send(cluster, { method: 'PUT', path: scale }, { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata, spec: { replicas: 3 } }),
    ).rejects.toMatchObject(refused)
    await expect(
      cluster.client
        .resource(pods)
        .patch('web', { status: { phase: 'Running' } }, { namespace: 'default', type: 'merge', subresource: 'status' }),
    ).rejects.toMatchObject(refused)
    const seen = hooks.calls.map(({ review: { request } }) => [request.operation, request.subResource, request.object?.kind])
    expect(seen).toEqual([
      ['CREATE', 'eviction', 'Eviction'],
      ['CREATE', 'binding', 'Binding'],
      ['UPDATE', 'scale', 'Scale'],
      ['UPDATE', 'status', 'Pod'],
    ])
    expect(hooks.calls[2]?.review.request).toMatchObject({
      kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
      resource: { group: 'apps', resource: 'deployments' },
      object: { spec: { replicas: 3 } },
      oldObject: { kind: 'Scale', spec: { replicas: 1 } },
    })
  })
})

describe('mutating webhooks', () => {
  it('change objects one after the other, in the order of their names', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({ '/one': add('one', '1'), '/two': add('two', '2'), '/nothing': () => patchOf() })
    await mutate(cluster, 'b', hooks.webhook('two', '/two'))
    await mutate(cluster, 'a', hooks.webhook('one', '/one'), hooks.webhook('nothing', '/nothing'))
    const created = await create(cluster, configMap('a', { zero: '0' }))
    expect(created.data).toEqual({ zero: '0', one: '1', two: '2' })
    expect(hooks.calls.map(({ path }) => path)).toEqual(['/one', '/nothing', '/two'])
    expect(hooks.calls[2]?.review.request.object).toMatchObject({ data: { zero: '0', one: '1' } })
  })

  it('make defaults and validation speak again', async () => {
    const cluster = await startCluster()
    const container = { name: 'added', image: 'i' }
    const hooks = await startWebhooks({
      '/add': () => patchOf({ op: 'add', path: '/spec/initContainers', value: [container] }),
      '/bad': () => patchOf({ op: 'add', path: '/metadata/labels', value: { 'not valid': 'x' } }),
      '/mistyped': () => patchOf({ op: 'add', path: '/data', value: 'text' }),
      '/gone': () => patchOf({ op: 'remove', path: '/data/none' }),
    })
    const rules = [{ ...configMapRule, resources: ['pods'] }]
    await mutate(cluster, 'pods', hooks.webhook('add', '/add', { rules }))
    const pod = await cluster.client
      .resource(pods)
      .create({ metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'main', image: 'i' }] } })
    expect(pod.spec.initContainers?.[0]).toMatchObject({
      name: 'added',
      imagePullPolicy: 'Always',
      terminationMessagePath: '/dev/termination-log',
    })
    const by = (name: string) => ({ objectSelector: { matchLabels: { by: name } } })
    await mutate(cluster, 'maps', ...['bad', 'mistyped', 'gone'].map((name) => hooks.webhook(name, `/${name}`, by(name))))
    await expect(create(cluster, configMap('a', { x: 'y' }, { by: 'bad' }))).rejects.toMatchObject({ code: 422 })
    await expect(create(cluster, configMap('a', { x: 'y' }, { by: 'mistyped' }))).rejects.toMatchObject({
      code: 500,
      reason: 'InternalError',
    })
    await expect(create(cluster, configMap('a', { x: 'y' }, { by: 'gone' }))).rejects.toMatchObject({ code: 500, reason: 'InternalError' })
  })

  it('see the changes of later ones when they want to, once', async () => {
    const cluster = await startBuiltIn()
    const count: Answer = ({ object }) => {
      const { data = {} } = object as ConfigMap
      return patchOf({ op: 'add', path: '/data/count', value: String(Number(data['count'] ?? 0) + 1) })
    }
    const hooks = await startWebhooks({ '/again': count, '/once': count, '/last': add('last', 'x') })
    await mutate(
      cluster,
      'a',
      { ...hooks.webhook('again', '/again'), reinvocationPolicy: 'IfNeeded' },
      hooks.webhook('once', '/once'),
      hooks.webhook('last', '/last'),
    )
    expect((await create(cluster, configMap('a', { x: 'y' }))).data).toEqual({ x: 'y', count: '3', last: 'x' })
    expect(hooks.calls.map(({ path }) => path)).toEqual(['/again', '/once', '/last', '/again'])
  })

  it('change scales and deletions no more than upstream lets them', async () => {
    const cluster = await startCluster()
    const hooks = await startWebhooks({
      '/scale': () => patchOf({ op: 'replace', path: '/spec/replicas', value: 7 }),
      '/add': add('x', 'y'),
    })
    const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'main', image: 'i' }] } }
    await cluster.client
      .resource(deployments)
      .create({ metadata: { name: 'web', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'x' } }, template } })
    await create(cluster, configMap('a'))
    const scaleRule = { operations: ['UPDATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments/scale'] }
    await mutate(
      cluster,
      'a',
      hooks.webhook('scale', '/scale', { rules: [scaleRule] }),
      hooks.webhook('delete', '/add', { rules: [{ ...configMapRule, operations: ['DELETE'] }] }),
    )
    const path = '/apis/apps/v1/namespaces/default/deployments/web/scale'
    const scale = { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'web', namespace: 'default' }, spec: { replicas: 3 } }
    expect(await send(cluster, { method: 'PUT', path }, scale)).toMatchObject({ spec: { replicas: 7 } })
    expect((await cluster.client.resource(deployments).get('web', { namespace: 'default' })).spec.replicas).toBe(7)
    await expect(cluster.client.resource(configmaps).delete('a', { namespace: 'default' })).rejects.toMatchObject({
      code: 500,
      message:
        'Internal error occurred: admission webhook "delete.example.com" attempted to modify the object, which is not supported for this operation',
    })
  })
})

describe('webhooks that fail', () => {
  const post = (port: number, path: string) => `Post "https://127.0.0.1:${port}${path}?timeout=10s"`

  it('refuse or are left out, as their policy says', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({
      '/status': (_review, { response }) => void response.writeHead(500).end('boom'),
      '/lost': (_review, { response }) => void response.writeHead(302).end(),
      '/round': (_review, { response }) => void response.writeHead(307, { location: '/round' }).end(),
      '/plain': (_review, { response }) => void response.writeHead(307, { location: 'http://127.0.0.1/' }).end(),
      '/text': (_review, { response }) => void response.end('no json'),
      '/empty': (_review, { response }) => void response.end('{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}'),
      '/uid': () => ({ uid: 'other', allowed: true }),
      '/kind': ({ uid }, { response }) => void response.end(JSON.stringify({ response: { uid, allowed: true } })),
      '/huge': (_review, { response }) => void response.end(Buffer.alloc(9 * 1024 * 1024, ' ')),
      '/patch': () => patchOf({ op: 'add' }),
      '/cut': (_review, { response }) => void response.destroy(),
    })
    const names = ['status', 'lost', 'round', 'plain', 'text', 'empty', 'uid', 'kind', 'huge', 'patch', 'cut']
    const by = (name: string, failurePolicy: string) => ({
      failurePolicy,
      objectSelector: { matchLabels: { by: name, policy: failurePolicy } },
    })
    await validate(
      cluster,
      'all',
      ...names.flatMap((name) =>
        ['Fail', 'Ignore'].map((policy) => hooks.webhook(`${name}.${policy.toLowerCase()}`, `/${name}`, by(name, policy))),
      ),
    )
    const said: Record<string, unknown> = {}
    for (const name of names) {
      said[name] = await create(cluster, configMap('x', {}, { by: name, policy: 'Fail' })).catch(
        (error: { code: number; message: string }) => {
          expect(error).toMatchObject({
            code: 500,
            reason: 'InternalError',
            details: { causes: [{ message: expect.any(String) as string }] },
          })
          return error.message
            .replace(`Internal error occurred: failed calling webhook "${name}.fail.example.com": `, '')
            .replace(/"[0-9a-f-]{36}"/, 'UID')
        },
      )
      await create(cluster, configMap(name, {}, { by: name, policy: 'Ignore' }))
    }
    expect(said).toEqual({
      status: 'failed to call webhook: an error on the server ("boom") has prevented the request from succeeding',
      lost: 'failed to call webhook: the server responded with the status code 302 but did not return more information',
      round: `failed to call webhook: ${post(hooks.port, '/round').replace('?timeout=10s', '')}: stopped after 10 redirects`,
      plain: 'failed to call webhook: Post "http://127.0.0.1/": unsupported protocol scheme "http"',
      text: expect.stringMatching(
        /^failed to call webhook: couldn't get version\/kind; json parse error: json: cannot unmarshal string/,
      ) as string,
      empty: 'received invalid webhook response: webhook response was absent',
      uid: 'received invalid webhook response: expected response.uid=UID, got "other"',
      kind: 'received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=',
      huge: 'failed to call webhook: the answer is longer than 8388608 bytes',
      patch: 'received invalid webhook response: validating webhook may not return response.patch',
      cut: `failed to call webhook: ${post(hooks.port, '/cut')}: EOF`,
    })
  })

  it('of the mutating kind are held to what a patch must be', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({
      '/half': () => ({ allowed: true, patch: 'W10=' }),
      '/other': () => ({ ...patchOf({ op: 'remove', path: '/data' }), patchType: 'Merge' }),
      '/broken': () => ({ allowed: true, patch: Buffer.from('{').toString('base64'), patchType: 'JSONPatch' }),
    })
    const by = (name: string) => ({ objectSelector: { matchLabels: { by: name } } })
    await mutate(cluster, 'all', ...['half', 'other', 'broken'].map((name) => hooks.webhook(name, `/${name}`, by(name))))
    const message = (name: string): Promise<string> =>
      create(cluster, configMap('x', { a: 'b' }, { by: name })).then(
        () => '',
        (error: Error) => error.message,
      )
    expect(await message('half')).toContain('received invalid webhook response: webhook returned response.patch but not response.patchType')
    expect(await message('other')).toContain('unsupported patch type "Merge"')
    expect(await message('broken')).toContain('received undecodable patch in webhook response: ')
  })

  it('do not hold up a request longer than their time', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({
      '/silent': () => undefined,
      '/slow': (_review, { response }) => {
        response.writeHead(200, { 'content-type': 'application/json' })
        response.write('{')
        return undefined
      },
    })
    const by = (name: string) => ({ timeoutSeconds: 1, objectSelector: { matchLabels: { by: name } } })
    await validate(cluster, 'a', hooks.webhook('silent', '/silent', by('silent')), hooks.webhook('slow', '/slow', by('slow')))
    const began = performance.now()
    await Promise.all(
      ['silent', 'slow'].map((name) =>
        expect(create(cluster, configMap('a', {}, { by: name }))).rejects.toMatchObject({
          code: 500,
          message: `Internal error occurred: failed calling webhook "${name}.example.com": failed to call webhook: Post "https://127.0.0.1:${hooks.port}/${name}?timeout=1s": context deadline exceeded`,
        }),
      ),
    )
    expect(performance.now() - began).toBeGreaterThan(900)
  })

  it('that cannot be reached or trusted are told apart', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks()
    const named = await startWebhooks({}, { sans: ['elsewhere.example'] })
    const gone = await startWebhooks()
    const by = (name: string) => ({ objectSelector: { matchLabels: { by: name } } })
    await validate(
      cluster,
      'a',
      hooks.webhook('refused', '/', { ...by('refused'), clientConfig: { url: 'https://127.0.0.1:1/', caBundle: hooks.caBundle } }),
      hooks.webhook('untrusted', '/', {
        ...by('untrusted'),
        clientConfig: { url: `https://127.0.0.1:${hooks.port}/`, caBundle: gone.caBundle },
      }),
      named.webhook('named', '/', by('named')),
      hooks.webhook('missing', '/', {
        ...by('missing'),
        clientConfig: { service: { namespace: 'default', name: 'none' }, caBundle: hooks.caBundle },
      }),
    )
    const message = (name: string): Promise<string> =>
      create(cluster, configMap('x', {}, { by: name })).then(
        () => '',
        (error: Error) => error.message.replace(/^.*failed to call webhook: Post "[^"]*": /, ''),
      )
    expect(await message('refused')).toBe('dial tcp 127.0.0.1:1: connect: connection refused')
    expect(await message('untrusted')).toBe('tls: failed to verify certificate: x509: certificate signed by unknown authority')
    expect(await message('named')).toBe(
      "tls: failed to verify certificate: x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs",
    )
    expect(await message('missing')).toBe('service "none" not found')
  })
})

describe('webhooks that send elsewhere', () => {
  it('are followed as Go follows them', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks({
      '/moved': (_review, { response }) => void response.writeHead(307, { location: '/deny' }).end(),
      '/found': (_review, { response }) => void response.writeHead(302, { location: '/deny' }).end(),
      '/deny': deny,
    })
    const by = (name: string) => ({ objectSelector: { matchLabels: { by: name } } })
    await validate(cluster, 'a', hooks.webhook('moved', '/moved', by('moved')), hooks.webhook('found', '/found', by('found')))
    await expect(create(cluster, configMap('a', {}, { by: 'moved' }))).rejects.toMatchObject({
      message: 'admission webhook "moved.example.com" denied the request: not today',
    })
    // Asked without a review, it cannot answer.
    await expect(create(cluster, configMap('a', {}, { by: 'found' }))).rejects.toMatchObject({
      code: 500,
      message: expect.stringContaining('the server rejected our request for an unknown reason') as string,
    })
  })
})

describe('webhooks behind services', () => {
  it('are reached through their endpoints, by the name of the service, on connections that are kept', async () => {
    const dialled: string[] = []
    const cluster = await startBuiltIn({
      nodeConnector: {
        dial: () => Promise.reject(new Error('no node is asked')),
        kubeletTls: () => ({ cert: '', key: '' }),
        dialAddress: (host, port) => {
          dialled.push(host)
          return Promise.resolve(connect(port, '127.0.0.1'))
        },
      },
    })
    const hooks = await startWebhooks({}, { sans: ['hook.default.svc'] })
    await cluster.client.resource(services).create({
      metadata: { name: 'hook', namespace: 'default' },
      spec: { ports: [{ port: 443, targetPort: 8443 }], selector: { a: 'b' } },
    })
    await cluster.client.resource(endpointslices).create({
      metadata: { name: 'hook-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'hook' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.1.2.3'], conditions: { ready: true } }],
      ports: [{ name: '', port: hooks.port, protocol: 'TCP' }],
    })
    await vi.waitUntil(() => cluster.server.objects.get(endpointslices, 'default', 'hook-1') !== undefined, { timeout: 10_000 })
    await validate(
      cluster,
      'a',
      hooks.webhook('a', '/', { clientConfig: { service: { namespace: 'default', name: 'hook', path: '/x' }, caBundle: hooks.caBundle } }),
    )
    for (const name of ['a', 'b']) await create(cluster, configMap(name))
    expect(dialled).toEqual(['10.1.2.3'])
    expect(hooks.calls).toMatchObject([{ path: '/x' }, { path: '/x' }])
    expect(hooks.calls[0]?.connection).toBe(hooks.calls[1]?.connection)
  })
})

describe('webhooks and requests of other kinds', () => {
  it('without side effects alone are asked about dry runs', async () => {
    const cluster = await startBuiltIn()
    const hooks = await startWebhooks()
    await validate(cluster, 'a', hooks.webhook('a', '/none'), hooks.webhook('b', '/dry', { sideEffects: 'NoneOnDryRun' }))
    const path = '/api/v1/namespaces/default/configmaps'
    const body = { apiVersion: 'v1', kind: 'ConfigMap', ...configMap('a') }
    await cluster.client.transport.request({ method: 'POST', path, query: { dryRun: 'All', fieldManager: 'me' }, body })
    expect(hooks.calls.map(({ review: { request } }) => request.dryRun)).toEqual([true, true])
    const options = { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', dryRun: ['All'], fieldManager: 'me' }
    expect(hooks.calls[0]?.review.request.options).toEqual(options)
  })
})
