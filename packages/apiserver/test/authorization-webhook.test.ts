import type { TokenReview } from '@k3s/api/types/authentication/v1'
import { generateKey, issueCertificate } from '@k3s/pki'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  builtInParts,
  openRemoteHook,
  parseAuditPolicy,
  SigningKeys,
  WebhookAuthorizer,
  type AuditSink,
  type ChosenAuthorizers,
} from '../src/index.ts'
import { startHookServer, type HookServer, type Posted } from './remote-hook-server.ts'
import { issuer } from './start-cluster.ts'
import { ask, startHttps, type HttpsServer } from './start-https.ts'

const webhookOf = async ({ kubeconfig }: HookServer, failurePolicy: 'NoOpinion' | 'Deny' = 'NoOpinion'): Promise<WebhookAuthorizer> => {
  const hook = await openRemoteHook(kubeconfig, { timeoutMs: 30_000 })
  onTestFinished(() => hook[Symbol.asyncDispose]())
  return new WebhookAuthorizer({ name: 'w', hook, version: 'v1', authorizedTtlMs: 60_000, unauthorizedTtlMs: 60_000, failurePolicy })
}

const policy = '{apiVersion: audit.k8s.io/v1, kind: Policy, omitStages: [RequestReceived], rules: [{level: Metadata, users: [jane]}]}'

/** A server where these decide, and a way to ask it something as jane. */
async function start(authorizers: ChosenAuthorizers) {
  const events: Record<string, unknown>[] = []
  const sink: AuditSink = { write: (event) => events.push(JSON.parse(event) as Record<string, unknown>) > 0 }
  const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: [issuer], baseUrl: 'https://127.0.0.1:6443' }
  const server = await startHttps({
    ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts, authorizers }),
    audit: { policy: parseAuditPolicy(policy), sinks: [sink] },
  })
  const jane = await issueCertificate(server.ca, { commonName: 'jane', organizations: ['dev'], usages: ['client'] })
  return { server, events, asJane: (path: string, options: object = {}) => ask(server, path, { ...jane, ...options }) }
}

/** What the administrator hears when it asks whether jane may list pods. */
async function review(server: HttpsServer): Promise<unknown> {
  const spec = { user: 'jane', groups: ['dev'], resourceAttributes: { namespace: 'b', verb: 'list', resource: 'pods' } }
  const answer = await ask(server, '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    ...server.adminCertificate,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }),
  })
  return answer.json()['status']
}

const namespaceOf = ({ spec }: Posted): unknown => (spec['resourceAttributes'] as { namespace?: string } | undefined)?.namespace

describe('an authorization webhook', () => {
  it('allows, refuses, or leaves it to those after it', async () => {
    const hook = await startHookServer((posted) => ({
      kind: 'SubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      status:
        namespaceOf(posted) === 'a'
          ? { allowed: true }
          : { allowed: false, denied: namespaceOf(posted) === 'b', reason: 'the hook says no' },
    }))
    const { server, events, asJane } = await start(['Node', await webhookOf(hook), 'RBAC'])
    expect((await asJane('/api/v1/namespaces/a/pods')).status).toBe(200)
    expect((await asJane('/api/v1/namespaces/a/pods')).status).toBe(200)
    expect(hook.posted).toHaveLength(1)
    expect((await asJane('/api/v1/namespaces/b/pods')).json()).toMatchObject({
      code: 403,
      message: 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "b": the hook says no',
    })
    // Who is authenticated may see the version, by a role.
    expect((await asJane('/version')).status).toBe(200)
    expect(events.map(({ annotations }) => annotations)).toMatchObject([
      { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': '' },
      { 'authorization.k8s.io/decision': 'allow' },
      { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': 'the hook says no' },
      { 'authorization.k8s.io/decision': 'allow' },
    ])
    expect(await review(server)).toEqual({ allowed: false, denied: true, reason: 'the hook says no' })
    expect(hook.posted[0]?.spec).toMatchObject({ user: 'jane', groups: ['dev', 'system:authenticated'] })
    // The server's own components are asked about, the administrator is not.
    expect(hook.posted.filter(({ spec }) => spec['user'] === 'admin')).toEqual([])
  })

  it('that fails leaves the request undecided, unless others allow it', async () => {
    const hook = await startHookServer((_posted, response) => void response.writeHead(400).end('what?'))
    const { server, events, asJane } = await start([await webhookOf(hook), 'RBAC'])
    const answer = await asJane('/api/v1/namespaces/b/pods?limit=1&x=%3Cy%3E')
    expect([answer.status, answer.headers['content-type']]).toEqual([500, 'text/plain; charset=utf-8'])
    expect(answer.text).toBe('Internal Server Error: "/api/v1/namespaces/b/pods?limit=1&amp;x=%3Cy%3E": what?\n')
    expect(events.at(-1)?.['annotations']).toEqual({ 'authorization.k8s.io/reason': 'internal error' })
    expect((await asJane('/version')).status).toBe(200)
    expect(await review(server)).toEqual({ allowed: false, evaluationError: 'what?' })
    const rules = await asJane('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace: 'b' } }),
    })
    expect(rules.json()['status']).toMatchObject({
      incomplete: true,
      evaluationError: 'webhook authorizer does not support user rule resolution',
      resourceRules: expect.arrayContaining([expect.objectContaining({ resources: ['selfsubjectreviews'] })]),
    })
  })

  it('that fails may refuse everything', async () => {
    const hook = await startHookServer(() => ({ kind: 'Other', apiVersion: 'v1' }))
    const { server, asJane } = await start([await webhookOf(hook, 'Deny'), 'RBAC'])
    expect((await asJane('/version')).status).toBe(500)
    expect(await review(server)).toMatchObject({
      allowed: false,
      denied: true,
      evaluationError: expect.stringContaining('no kind "Other" is registered'),
    })
  })
})

it('modes allow and refuse everything', async () => {
  const open = await start(['AlwaysAllow'])
  expect((await open.asJane('/api/v1/secrets')).status).toBe(200)
  const closed = await start(['AlwaysDeny'])
  expect((await closed.asJane('/version')).json()).toMatchObject({
    message: 'forbidden: User "jane" cannot get path "/version": Everything is forbidden.',
  })
  expect((await closed.asJane('/nothing/%3Ca%3E')).json()).toMatchObject({
    message: 'forbidden: User "jane" cannot get path "/nothing/&lt;a&gt;": Everything is forbidden.',
  })
})

it('a review of a token has owners of what its asker says of the status', async () => {
  const { asJane } = await start(['AlwaysAllow'])
  const ownersOf = async (status?: object): Promise<unknown> => {
    const answer = await asJane('/apis/authentication.k8s.io/v1/tokenreviews', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: 'x' }, status }),
    })
    return (answer.json() as unknown as TokenReview).metadata.managedFields?.[0]?.fieldsV1 // what is answered
  }
  const asked = { 'f:spec': { 'f:token': {} } }
  expect(await ownersOf()).toEqual(asked)
  expect(await ownersOf({ user: {} })).toEqual(asked)
  expect(await ownersOf({ authenticated: true })).toEqual({ ...asked, 'f:status': { 'f:authenticated': {} } })
  expect(await ownersOf({ user: { username: 'x' } })).toEqual({ ...asked, 'f:status': { 'f:user': { 'f:username': {} } } })
})
