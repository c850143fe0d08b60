import { configmaps, serviceaccounts } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { generateKey } from '@k3s/pki'
import { connect } from 'node:http2'
import { describe, expect, it, onTestFinished } from 'vitest'
import { builtInParts, SigningKeys } from '../src/index.ts'
import { issuer, send } from './start-cluster.ts'
import { ask, startHttps } from './start-https.ts'
import { admin, startServer, take } from './start-server.ts'

describe('limits that are set', () => {
  it('end a request that takes too long', async () => {
    const server = await startHttps({ requestTimeoutMs: 200 })
    const { cert, key } = server.adminCertificate
    // The body that is announced never comes.
    const answer = await ask(server, '/api/v1/namespaces/default/configmaps', {
      method: 'POST',
      cert,
      key,
      headers: { 'content-type': 'application/json', 'content-length': '100' },
      body: '{',
    })
    expect(answer.status).toBe(504)
  }, 20_000)

  it('make clients open another connection now and then', async () => {
    const server = await startHttps({ goawayChance: 0.5, random: () => 0 })
    const { cert, key } = server.adminCertificate
    const session = connect(server.listening.url, { ca: server.ca.cert, cert, key })
    onTestFinished(() => session.destroy())
    const gone = new Promise<void>((resolve) => session.once('close', () => resolve()))
    const stream = session.request({ ':path': '/version' })
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array)) // a stream of bytes
    expect(Buffer.concat(chunks).toString()).toContain('gitVersion')
    await gone
  }, 20_000)

  it('end a watch that names no end', async () => {
    const { client } = await startServer({ minWatchTimeoutMs: 50, random: () => 0 })
    const { metadata } = await client.resource(configmaps).list()
    const watching = client.resource(configmaps).watch({ resourceVersion: metadata.resourceVersion })
    await expect(take(watching, 1000)).resolves.toBeDefined()
  }, 20_000)

  it('turn requests away one by one where there is no fairness', async () => {
    const slow = Promise.withResolvers<{ readonly decision: 'allow'; readonly reason: string }>()
    const joe = { name: 'joe', groups: [] }
    const { server } = await startServer({
      fairness: false,
      inFlight: { maxReads: 1, maxWrites: 1 },
      authorizers: [{ name: 'slow', authorize: () => slow.promise }],
    })
    const client = createClient(server.transport(joe))
    const first = client.resource(configmaps).list()
    await expect(client.resource(configmaps).list()).rejects.toMatchObject({ code: 429, details: { retryAfterSeconds: 1 } })
    await expect(createClient(server.transport(admin)).resource(configmaps).list()).resolves.toBeDefined()
    slow.resolve({ decision: 'allow', reason: '' })
    await expect(first).resolves.toBeDefined()
    await expect
      .poll(() =>
        client
          .resource(configmaps)
          .list()
          .then(
            () => true,
            () => false,
          ),
      )
      .toBe(true)
    expect((await server.inject({ method: 'GET', url: '/readyz/poststarthook/max-in-flight-filter' })).statusCode).toBe(200)
  })

  it('shorten tokens that are asked for', async () => {
    const keys = new SigningKeys([await generateKey()])
    const parts = builtInParts({
      serviceCidrs: ['10.43.0.0/16'],
      serviceAccounts: { keys, issuers: [issuer], baseUrl: 'https://127.0.0.1:6443', maxExpirationSeconds: 3600 },
    })
    const cluster = await startServer(parts)
    await cluster.client.resource(serviceaccounts).create({ metadata: { name: 'robot', namespace: 'default' } })
    const request = await send<{ readonly spec: object }>(
      cluster,
      { path: '/api/v1/namespaces/default/serviceaccounts/robot/token' },
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 7200 } },
    )
    expect(request.spec).toMatchObject({ expirationSeconds: 3600 })
  })
})
