import { configmaps, secrets } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { describe, expect, it, vi } from 'vitest'
import { parseAuditPolicy, type AuditOptions } from '../src/index.ts'
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
})
