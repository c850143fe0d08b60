import { type Pod, pods, secrets } from '@k3s/api/types/core/v1'
import { poddisruptionbudgets } from '@k3s/api/types/policy/v1'
import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import type { KubernetesObject } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import type { UserInfo } from '../src/index.ts'
import { issuer, send, startCluster } from './start-cluster.ts'
import { admin, type TestServer } from './start-server.ts'

const post = <T = KubernetesObject>(cluster: TestServer, path: string, body: unknown, user: UserInfo = admin): Promise<T> =>
  send<T>(cluster, { path, user }, body)

const podOf = (name: string, labels: Record<string, string> = {}): Pod => ({
  metadata: { name, namespace: 'default', labels },
  spec: { containers: [{ name: 'main', image: 'nginx' }] },
})
const podPath = (name: string, subresource: string): string => `/api/v1/namespaces/default/pods/${name}/${subresource}`
const binding = (name: string, node: string) => ({
  apiVersion: 'v1',
  kind: 'Binding',
  metadata: { name },
  target: { kind: 'Node', name: node },
})

describe('bindings', () => {
  it('put a pod on a node, once', async () => {
    const cluster = await startCluster()
    await cluster.client.resource(pods).create(podOf('web'))
    await post(cluster, podPath('web', 'binding'), binding('web', 'n1'))
    expect(await cluster.client.resource(pods).get('web', { namespace: 'default' })).toMatchObject({
      metadata: { generation: 1 },
      spec: { nodeName: 'n1' },
      status: { conditions: [{ type: 'PodScheduled', status: 'True' }] },
    })
    await expect(post(cluster, podPath('web', 'binding'), binding('web', 'n2'))).rejects.toMatchObject({
      code: 409,
      message: expect.stringContaining('pod web is already assigned to node "n1"') as string,
    })
  })

  it('can be posted by themselves', async () => {
    const cluster = await startCluster()
    await cluster.client.resource(pods).create(podOf('web'))
    await post(cluster, '/api/v1/namespaces/default/bindings', binding('web', 'n1'))
    expect(await cluster.client.resource(pods).get('web', { namespace: 'default' })).toMatchObject({ spec: { nodeName: 'n1' } })
  })
})

describe('evictions', () => {
  const eviction = (name: string) => ({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'default' } })

  it('respect disruption budgets', async () => {
    const cluster = await startCluster()
    const { client } = cluster
    for (const name of ['one', 'two']) {
      const pod = await client.resource(pods).create({ ...podOf(name, { app: 'web' }), spec: { ...podOf(name).spec, nodeName: 'n1' } })
      await client
        .resource(pods)
        .update({ ...pod, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }, { subresource: 'status' })
    }
    const budget = await client.resource(poddisruptionbudgets).create({
      metadata: { name: 'web', namespace: 'default' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'web' } } },
    })
    const status = { observedGeneration: 1, disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 }
    await client.resource(poddisruptionbudgets).update({ ...budget, status }, { subresource: 'status' })
    await post(cluster, podPath('one', 'eviction'), eviction('one'))
    expect(await client.resource(pods).get('one', { namespace: 'default' })).toMatchObject({
      metadata: { deletionTimestamp: expect.any(String) as string },
      status: {
        conditions: expect.arrayContaining([
          expect.objectContaining({ type: 'DisruptionTarget', reason: 'EvictionByEvictionAPI' }),
        ]) as unknown,
      },
    })
    expect(await client.resource(poddisruptionbudgets).get('web', { namespace: 'default' })).toMatchObject({
      status: { disruptionsAllowed: 0, disruptedPods: { one: expect.any(String) as string } },
    })
    await expect(post(cluster, podPath('two', 'eviction'), eviction('two'))).rejects.toMatchObject({
      code: 429,
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: { causes: [{ reason: 'DisruptionBudget' }] },
    })
  })
})

describe('ephemeral containers', () => {
  it('are added to running pods and stay', async () => {
    const { client } = await startCluster()
    await client.resource(pods).create(podOf('web'))
    const patch = (ephemeralContainers: readonly object[]) =>
      client
        .resource(pods)
        .patch('web', { spec: { ephemeralContainers } }, { namespace: 'default', subresource: 'ephemeralcontainers', type: 'strategic' })
    const patched = await patch([{ name: 'debug', image: 'busybox' }])
    expect(patched).toMatchObject({
      spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox', terminationMessagePolicy: 'File' }] },
    })
    await expect(patch([{ name: 'debug', image: 'other' }])).rejects.toMatchObject({ code: 422 })
  })
})

describe('tokens of service accounts', () => {
  it('are issued, bound, reviewed and good for requests', async () => {
    const cluster = await startCluster()
    const { client } = cluster
    await client.resource(secrets).create({ metadata: { name: 's', namespace: 'default' } })
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 600, boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: 's' } },
    }
    const { status, metadata } = await post<TokenRequest>(cluster, '/api/v1/namespaces/default/serviceaccounts/default/token', request)
    expect(metadata.managedFields).toMatchObject([{ subresource: 'token', fieldsV1: { 'f:spec': { 'f:expirationSeconds': {} } } }])
    const review = () =>
      post(cluster, '/apis/authentication.k8s.io/v1/tokenreviews', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token: status?.token },
      })
    expect(await review()).toMatchObject({
      status: {
        authenticated: true,
        audiences: [issuer],
        user: { username: 'system:serviceaccount:default:default', groups: expect.arrayContaining(['system:serviceaccounts']) as unknown },
      },
    })
    await client.resource(secrets).delete('s', { namespace: 'default' })
    expect(((await review()) as { status?: object }).status).not.toMatchObject({ authenticated: true })
    const spec = { token: 'nonsense' }
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec }
    const unknown = await post<{ status?: object }>(cluster, '/apis/authentication.k8s.io/v1/tokenreviews', body)
    expect(unknown.status).toEqual({ error: 'invalid bearer token', user: {} })
  })

  it('do not live too shortly', async () => {
    const cluster = await startCluster()
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 10 } }
    await expect(post(cluster, '/api/v1/namespaces/default/serviceaccounts/default/token', request)).rejects.toMatchObject({
      code: 422,
      details: {
        causes: [{ field: 'spec.expirationSeconds', message: 'Invalid value: 10: may not specify a duration less than 10 minutes' }],
      },
    })
  })
})

describe('reviews', () => {
  const group = 'authorization.k8s.io'
  const kind = (name: string, spec: object) => ({ apiVersion: `${group}/v1`, kind: name, spec })
  const jane: UserInfo = { name: 'jane', groups: ['system:authenticated'] }

  it('say who may do what', async () => {
    const cluster = await startCluster()
    const asked = { resourceAttributes: { namespace: 'default', verb: 'get', resource: 'pods' } }
    const subject = (groups: readonly string[]) =>
      post(cluster, `/apis/${group}/v1/subjectaccessreviews`, kind('SubjectAccessReview', { ...asked, user: 'jane', groups }))
    expect(await subject(['system:masters'])).toMatchObject({ status: { allowed: true } })
    expect(await subject([])).toMatchObject({ status: { allowed: false } })
    expect(await post(cluster, `/apis/${group}/v1/selfsubjectaccessreviews`, kind('SelfSubjectAccessReview', asked), jane)).toMatchObject({
      status: { allowed: false },
    })
    expect(
      await post(cluster, `/apis/${group}/v1/namespaces/default/localsubjectaccessreviews`, {
        ...kind('LocalSubjectAccessReview', { ...asked, user: 'jane' }),
        metadata: { namespace: 'default' },
      }),
    ).toMatchObject({ status: { allowed: false } })
  })

  it('list what one may do', async () => {
    const cluster = await startCluster()
    expect(
      await post(cluster, `/apis/${group}/v1/selfsubjectrulesreviews`, kind('SelfSubjectRulesReview', { namespace: 'default' }), jane),
    ).toMatchObject({
      status: {
        incomplete: false,
        resourceRules: expect.arrayContaining([
          { verbs: ['create'], apiGroups: [group], resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'] },
        ]) as unknown,
        nonResourceRules: expect.arrayContaining([expect.objectContaining({ verbs: ['get'] })]) as unknown,
      },
    })
  })

  it('say who one is', async () => {
    const cluster = await startCluster()
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }
    expect(await post(cluster, '/apis/authentication.k8s.io/v1/selfsubjectreviews', review, jane)).toMatchObject({
      status: { userInfo: { username: 'jane', groups: ['system:authenticated'] } },
    })
  })
})
