import { configmaps, secrets } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { describe, expect, it, vi } from 'vitest'
import { unauthorized } from '../src/authentication/authenticate.ts'
import { parseAuditPolicy, type AuditOptions, type Authenticator } from '../src/index.ts'
import { startServer, take } from './start-server.ts'

interface LoggedEvent {
  readonly stage: string
  readonly verb: string
  readonly [name: string]: unknown
}

function logged(policy: string): { readonly audit: AuditOptions; readonly events: LoggedEvent[] } {
  const events: LoggedEvent[] = []
  const write = (event: string): boolean => {
    events.push(JSON.parse(event) as LoggedEvent) // an event is an object
    return true
  }
  return { audit: { policy: parseAuditPolicy(policy), sinks: [{ write }] }, events }
}

const everything = (level: string): string => `{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: ${level}, users: [jane]}]}`
const jane = { name: 'jane', groups: ['system:authenticated'] }
const authenticators = [{ name: 'jane', authenticate: () => Promise.resolve({ user: jane }) }]
const authorizers = [
  {
    name: 'most',
    authorize: ({ resource }: { readonly resource: string }) =>
      resource === 'secrets'
        ? ({ decision: 'noOpinion', reason: 'not yours' } as const)
        : ({ decision: 'allow', reason: 'by test' } as const),
  },
]

describe('the audit log', () => {
  it('tells what was asked, by whom, and what was answered', async () => {
    const { audit, events } = logged(everything('RequestResponse'))
    const { server } = await startServer({ audit, authenticators, authorizers })
    const answer = await server.inject({
      method: 'POST',
      url: '/api/v1/namespaces/default/configmaps?fieldManager=me',
      headers: { 'content-type': 'application/json', 'user-agent': 'kubectl/v1.36.3', 'audit-id': 'abc', 'x-forwarded-for': '192.0.2.7' },
      payload: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { x: 'y' } }),
    })
    expect(answer.headers['audit-id']).toBe('abc')
    const common = {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'RequestResponse',
      auditID: 'abc',
      requestURI: '/api/v1/namespaces/default/configmaps?fieldManager=me',
      verb: 'create',
      user: { username: 'jane', groups: ['system:authenticated'] },
      sourceIPs: ['192.0.2.7', '127.0.0.1'],
      userAgent: 'kubectl/v1.36.3',
      requestReceivedTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    }
    expect(events).toEqual([
      {
        ...common,
        stage: 'RequestReceived',
        objectRef: { resource: 'configmaps', namespace: 'default', apiVersion: 'v1' },
        stageTimestamp: expect.any(String),
      },
      {
        ...common,
        stage: 'ResponseComplete',
        objectRef: { resource: 'configmaps', namespace: 'default', name: 'a', apiVersion: 'v1' },
        responseStatus: { metadata: {}, code: 201 },
        requestObject: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { x: 'y' } },
        responseObject: expect.objectContaining({ kind: 'ConfigMap', data: { x: 'y' } }),
        stageTimestamp: expect.any(String),
        annotations: { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': 'by test' },
      },
    ])
  })

  it('tells of refusals, of nobody but those that its policy names, and of no bodies at level Metadata', async () => {
    const { audit, events } = logged(everything('Metadata'))
    const { server, client } = await startServer({ audit, authorizers })
    await client.resource(secrets).create({ metadata: { name: 'a', namespace: 'default' } })
    await expect(createClient(server.transport(jane)).resource(secrets).get('a', { namespace: 'default' })).rejects.toMatchObject({
      code: 403,
    })
    expect(events.map(({ stage }) => stage)).toEqual(['RequestReceived', 'ResponseComplete'])
    expect(events[1]).toMatchObject({
      responseStatus: { status: 'Failure', reason: 'Forbidden', code: 403 },
      annotations: { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': 'not yours' },
    })
    expect(events[1]).not.toHaveProperty('responseObject')
    expect(events[1]).not.toHaveProperty('requestObject')
  })

  it('tells when a watch starts and when it ends', async () => {
    const { audit, events } = logged(everything('Request'))
    const { server, client } = await startServer({ audit, authorizers })
    await client.resource(configmaps).create({ metadata: { name: 'a', namespace: 'default' } })
    await take(createClient(server.transport(jane)).resource(configmaps).watch({ namespace: 'default' }), 1)
    await vi.waitFor(() =>
      expect(events.map(({ stage, verb }) => `${verb} ${stage}`)).toEqual([
        'watch RequestReceived',
        'watch ResponseStarted',
        'watch ResponseComplete',
      ]),
    )
  })

  it('tells of requests that nobody answers for, by one event without a user', async () => {
    const { audit, events } = logged('{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}')
    const refuse = { name: 'none', authenticate: () => Promise.reject(unauthorized()) }
    const { server } = await startServer({ audit, authenticators: [refuse], authorizers })
    events.length = 0
    await server.inject({ method: 'GET', url: '/api/v1/pods', headers: { authorization: 'Bearer x' } })
    expect(events).toEqual([
      expect.objectContaining({
        stage: 'ResponseStarted',
        verb: 'list',
        user: {},
        objectRef: { resource: 'pods', apiVersion: 'v1' },
        responseStatus: { metadata: {}, status: 'Failure', message: 'Unauthorized', reason: 'Unauthorized', code: 401 },
      }),
    ])
  })

  it('tells who asks and as whom, and of those who may not', async () => {
    const { audit, events } = logged(everything('Metadata'))
    const may = {
      name: 'may',
      authorize: ({ name }: { readonly name: string }) => ({ decision: name === 'eve' ? 'deny' : 'allow', reason: '' }) as const,
    }
    const { server } = await startServer({ audit, authenticators, authorizers: [may] })
    const get = (user: string) =>
      server.inject({
        method: 'GET',
        url: '/api/v1/namespaces/default/configmaps/x',
        headers: { 'impersonate-user': user, 'impersonate-group': 'g' },
      })
    await get('ada')
    expect(events.at(-1)).toMatchObject({
      user: { username: 'jane' },
      impersonatedUser: { username: 'ada', groups: ['g', 'system:authenticated'] },
      authenticationMetadata: { impersonationConstraint: 'impersonate:user-info' },
      responseStatus: { code: 404 },
    })
    await get('eve')
    expect(events.at(-1)).toMatchObject({ stage: 'ResponseComplete', user: { username: 'jane' }, responseStatus: { code: 403 } })
    expect(events.at(-1)).not.toHaveProperty('impersonatedUser')
  })

  it('tells of a failure that no code expects as of a panic', async () => {
    const { audit, events } = logged(everything('Metadata'))
    const broken = { name: 'broken', authorize: () => Promise.reject(new TypeError('x is not a function')) }
    const { server } = await startServer({ audit, authenticators, authorizers: [broken] })
    expect((await server.inject({ method: 'GET', url: '/version' })).statusCode).toBe(500)
    expect(events.map(({ stage }) => stage)).toEqual(['RequestReceived', 'Panic'])
    expect(events.at(-1)).toMatchObject({
      responseStatus: { status: 'Failure', reason: 'InternalError', message: "APIServer panic'd: x is not a function", code: 500 },
    })
  })

  it('has the notes of authentication', async () => {
    const { audit, events } = logged(everything('Metadata'))
    const noting: Authenticator = {
      name: 'jane',
      authenticate: ({ annotate }) => {
        annotate?.('authentication.k8s.io/legacy-token', 'x')
        return Promise.resolve({ user: jane })
      },
    }
    const { server } = await startServer({ audit, authenticators: [noting], authorizers })
    await server.inject({ method: 'GET', url: '/version' })
    expect(events.at(-1)).toMatchObject({ annotations: { 'authentication.k8s.io/legacy-token': 'x' } })
  })
})
