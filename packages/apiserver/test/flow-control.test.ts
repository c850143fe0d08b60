import { configmaps } from '@k3s/api/types/core/v1'
import { flowschemas, prioritylevelconfigurations, type FlowSchema } from '@k3s/api/types/flowcontrol/v1'
import { createClient } from '@k3s/client'
import { describe, expect, it, vi } from 'vitest'
import type { AdmissionPlugin, UserInfo } from '../src/index.ts'
import { startServer } from './start-server.ts'

const jane: UserInfo = { name: 'jane', groups: ['system:authenticated'] }
const flooder: UserInfo = { name: 'flooder', groups: ['system:authenticated'] }
const node: UserInfo = { name: 'system:node:a', groups: ['system:nodes', 'system:authenticated'] }
const allowAll = [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) as const }]
const configMap = (name: string) => ({ metadata: { name, namespace: 'default' } })

const schemaOf = (name: string, level: string): FlowSchema => ({
  metadata: { name },
  spec: {
    priorityLevelConfiguration: { name: level },
    matchingPrecedence: 50,
    rules: [
      {
        subjects: [{ kind: 'User', user: { name: 'jane' } }],
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true }],
      },
    ],
  },
})

describe('flow control', () => {
  it('keeps the objects that every cluster has, and says whether their levels exist', async () => {
    const { client } = await startServer()
    const schemas = client.resource(flowschemas)
    expect((await client.resource(prioritylevelconfigurations).list()).items.map(({ metadata }) => metadata.name).toSorted()).toEqual([
      'catch-all',
      'exempt',
      'global-default',
      'leader-election',
      'node-high',
      'system',
      'workload-high',
      'workload-low',
    ])
    await vi.waitFor(async () => {
      const { items } = await schemas.list()
      expect(items).toHaveLength(11)
      for (const { status } of items)
        expect(status?.conditions).toMatchObject([
          { type: 'Dangling', status: 'False', reason: 'Found', lastTransitionTime: expect.any(String) },
        ])
    })
    await schemas.create(schemaOf('lost', 'no-such-level'))
    await vi.waitFor(async () =>
      expect((await schemas.get('lost')).status?.conditions).toMatchObject([
        {
          type: 'Dangling',
          status: 'True',
          reason: 'NotFound',
          message: 'This FlowSchema references the PriorityLevelConfiguration object named "no-such-level" but there is no such object',
        },
      ]),
    )
  })

  it('names the flow schema and the priority level in every answer, errors included', async () => {
    const { server, client } = await startServer({ authorizers: allowAll })
    const schemas = client.resource(flowschemas)
    const levels = client.resource(prioritylevelconfigurations)
    const [schema, level] = [await schemas.get('global-default'), await levels.get('global-default')]
    for (const url of ['/api/v1/pods', '/api/v1/namespaces/default/pods/none']) {
      // Anonymous.
      const { headers } = await server.inject({ method: 'GET', url })
      expect(headers['x-kubernetes-pf-flowschema-uid']).toBe(schema.metadata.uid)
      expect(headers['x-kubernetes-pf-prioritylevel-uid']).toBe(level.metadata.uid)
    }
  })

  it('acts by new objects at once, and not any more when they are gone', async () => {
    const gate = Promise.withResolvers<void>()
    const slow: AdmissionPlugin = { name: 'slow', admit: ({ name }) => (name.startsWith('slow') ? gate.promise : undefined) }
    const { server, client } = await startServer({ authorizers: allowAll, admission: [slow] })
    const levels = client.resource(prioritylevelconfigurations)
    await levels.create({
      metadata: { name: 'narrow' },
      spec: { type: 'Limited', limited: { nominalConcurrencyShares: 1, borrowingLimitPercent: 0, limitResponse: { type: 'Reject' } } },
    })
    const schema = await client.resource(flowschemas).create(schemaOf('narrow', 'narrow'))
    const janes = createClient(server.transport(jane)).resource(configmaps)
    // 600 × 1 / 246 seats: 3.
    await vi.waitFor(async () => {
      const { items } = await client.resource(flowschemas).list()
      expect(items.find(({ metadata }) => metadata.uid === schema.metadata.uid)?.status?.conditions).toMatchObject([{ status: 'False' }])
    })
    const held = [1, 2, 3].map((index) => janes.create(configMap(`slow-${index}`)))
    await expect(janes.create(configMap('more'))).rejects.toMatchObject({
      code: 429,
      message: 'Too many requests, please try again later.',
      details: { retryAfterSeconds: 1 },
    })
    // Others are not concerned.
    await createClient(server.transport(node)).resource(configmaps).create(configMap('node'))
    await client.resource(flowschemas).delete('narrow')
    await vi.waitFor(() => janes.create(configMap('again')))
    gate.resolve()
    await Promise.all(held)
  })

  it('keeps the requests of other users and of nodes short while one user floods', async () => {
    const { server } = await startServer({ authorizers: allowAll, inFlight: { maxReads: 40, maxWrites: 20 } })
    const clientOf = (user: UserInfo) => createClient(server.transport(user)).resource(configmaps)
    const stop = new AbortController()
    let floods = 0
    let refused = 0
    const flood = async (index: number): Promise<void> => {
      const mine = clientOf(flooder)
      for (let count = 0; !stop.signal.aborted; count++)
        await mine.create(configMap(`flood-${index}-${count}`)).then(
          () => floods++,
          () => refused++,
        )
    }
    const flooding = Array.from({ length: 600 }, (_, index) => flood(index))
    const longest = { jane: 0, node: 0 }
    const others = async (user: UserInfo, who: 'jane' | 'node'): Promise<void> => {
      const mine = clientOf(user)
      for (let count = 0; count < 40; count++) {
        const started = performance.now()
        await mine.create(configMap(`${who}-${count}`))
        longest[who] = Math.max(longest[who], performance.now() - started)
      }
    }
    try {
      await Promise.all([others(jane, 'jane'), others(node, 'node')])
    } finally {
      stop.abort()
      await Promise.all(flooding)
    }
    expect(floods).toBeGreaterThan(100)
    // The flood fills its queues and is turned away beyond them.
    expect(refused).toBeGreaterThan(0)
    expect(longest.jane).toBeLessThan(15_000)
    expect(longest.node).toBeLessThan(15_000)
  })

  it('serves tables for debugging only when it is told to', async () => {
    const url = '/debug/api_priority_and_fairness/dump_priority_levels'
    const plain = await startServer({ authorizers: allowAll })
    expect((await plain.server.inject({ method: 'GET', url })).statusCode).toBe(404)
    const { server } = await startServer({ authorizers: allowAll, debugPaths: true })
    const { statusCode, body } = await server.inject({ method: 'GET', url })
    expect(statusCode).toBe(200)
    expect(body.split('\n')[0]).toMatch(/^PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests/)
    expect(body).toMatch(/^global-default, 0, false, false, 0, 1, /m)
  })
})
