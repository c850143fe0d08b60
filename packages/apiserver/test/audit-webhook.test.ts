import { configmaps } from '@k3s/api/types/core/v1'
import { describe, expect, it, onTestFinished } from 'vitest'
import { BlockingAuditWebhook, openRemoteHook, parseAuditPolicy } from '../src/index.ts'
import { startHookServer, type HookServer } from './remote-hook-server.ts'
import { ask, startHttps, type HttpsServer } from './start-https.ts'

const policy = '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata, resources: [{resources: [configmaps]}]}]}'

async function start({ kubeconfig }: HookServer, isStrict: boolean): Promise<{ readonly server: HttpsServer; readonly counted: string[] }> {
  const sink = new BlockingAuditWebhook({ hook: await openRemoteHook(kubeconfig), isStrict, initialBackoffMs: 1 })
  onTestFinished(() => sink[Symbol.asyncDispose]())
  const counted: string[] = []
  const metrics = {
    counter: ({ name }: { readonly name: string }) => ({
      inc: (labels = {}) => void (name.startsWith('apiserver_audit_') && counted.push(`${name} ${JSON.stringify(labels)}`)),
    }),
    gauge: () => ({ set() {} }),
    histogram: () => ({ observe() {} }),
  }
  return { server: await startHttps({ audit: { policy: parseAuditPolicy(policy), sinks: [sink] }, metrics }), counted }
}

const maps = '/api/v1/namespaces/default/configmaps'
const create = (server: HttpsServer, name: string) =>
  ask(server, maps, {
    ...server.adminCertificate,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
  })
const stagesOf = (hook: HookServer) => hook.posted.flatMap(({ items }) => items.map(({ stage }) => stage))

describe('an audit webhook that requests wait for', () => {
  it('knows of a request before its client has the answer', async () => {
    const hook = await startHookServer(() => ({}))
    const { server } = await start(hook, false)
    expect((await create(server, 'a')).status).toBe(201)
    expect(stagesOf(hook)).toEqual(['RequestReceived', 'ResponseComplete'])
    expect(hook.posted[0]).toMatchObject({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1' })
    expect((await ask(server, maps, { headers: { authorization: 'Bearer x' } })).status).toBe(401)
    expect(stagesOf(hook).slice(2)).toEqual(['ResponseStarted'])
    expect((await ask(server, `${maps}?watch=1&timeoutSeconds=1`, server.adminCertificate)).status).toBe(200)
    expect(stagesOf(hook).slice(3, 5)).toEqual(['RequestReceived', 'ResponseStarted'])
  })

  it('is tried again, and passed over when it fails', async () => {
    let failures = 2
    const hook = await startHookServer((_posted, response) => {
      if (failures-- <= 0) return {}
      response.writeHead(503).end()
      return undefined
    })
    const { server, counted } = await start(hook, false)
    expect((await create(server, 'a')).status).toBe(201)
    expect(stagesOf(hook)).toEqual(['RequestReceived', 'RequestReceived', 'RequestReceived', 'ResponseComplete'])
    failures = Infinity
    expect((await create(server, 'b')).status).toBe(201)
    expect(counted).toEqual([
      'apiserver_audit_event_total {}',
      'apiserver_audit_event_total {}',
      'apiserver_audit_event_total {}',
      'apiserver_audit_error_total {"plugin":"webhook"}',
      'apiserver_audit_event_total {}',
      'apiserver_audit_error_total {"plugin":"webhook"}',
    ])
  })

  it('turns requests away that it cannot be told of, when it is strict', async () => {
    const hook = await startHookServer((_posted, response) => void response.writeHead(503).end())
    const { server, counted } = await start(hook, true)
    const answer = await create(server, 'a')
    expect([answer.status, answer.headers['content-type']]).toEqual([500, 'text/plain; charset=utf-8'])
    expect(answer.text).toBe(`Internal Server Error: "${maps}": failed to store audit event\n`)
    expect(stagesOf(hook)).toEqual(Array.from({ length: 5 }, () => 'RequestReceived'))
    expect(counted.at(-1)).toBe('apiserver_audit_requests_rejected_total {}')
    // What is not audited is served.
    expect((await ask(server, '/api/v1/namespaces/default', server.adminCertificate)).status).toBe(200)
    expect(server.server.objects.get(configmaps, 'default', 'a')).toBeUndefined()
  })
})
