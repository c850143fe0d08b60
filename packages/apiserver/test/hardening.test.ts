import { configmaps, namespaces, nodes, persistentvolumes } from '@k3s/api/types/core/v1'
import { issueCertificate } from '@k3s/pki'
import { connect } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { AccessAttributes, Authorizer } from '../src/index.ts'
import { ResourceWatch } from '../src/watch-cache/resource-watch.ts'
import { ask, openSession, startHttps, type HttpsServer } from './start-https.ts'

/** A server on which everybody may do what `may` says. */
async function startWith(
  may: (attributes: AccessAttributes) => boolean,
): Promise<HttpsServer & { readonly jane: { cert: string; key: string } }> {
  const authorizer: Authorizer = {
    name: 'test',
    authorize: (attributes) => ({ decision: may(attributes) ? 'allow' : 'noOpinion', reason: '' }),
  }
  const server = await startHttps({ authorizers: [authorizer] })
  return { ...server, jane: await issueCertificate(server.ca, { commonName: 'jane', usages: ['client'] }) }
}

describe('a user who may do everything in one namespace', () => {
  const inA = ({ isResource, namespace }: AccessAttributes): boolean => isResource && namespace === 'a'

  it('does not reach what is in no namespace', async () => {
    const { client, jane, ...server } = await startWith(inA)
    await client.resource(nodes).create({ metadata: { name: 'n' }, spec: {} })
    await client.resource(persistentvolumes).create({ metadata: { name: 'v' }, spec: {} })
    for (const path of [
      'nodes',
      'nodes/n',
      'nodes/n/status',
      'nodes/n/proxy/',
      'persistentvolumes/v/status',
      'namespaces',
      'namespaces/default',
      'namespaces/default/status',
    ])
      expect((await ask({ ...server, client }, `/api/v1/namespaces/a/${path}`, jane)).status, path).toBe(404)
    const removed = await ask({ ...server, client }, '/api/v1/namespaces/a/namespaces/default', { ...jane, method: 'DELETE' })
    expect(removed.status).toBe(404)
    expect(await client.resource(namespaces).get('default')).toMatchObject({ status: { phase: 'Active' } })
  })

  it('does not reach other namespaces by names with slashes', async () => {
    const { client, jane, ...server } = await startWith(
      ({ isResource, namespace }) => isResource && (namespace === 'a' || namespace === ''),
    )
    await client.resource(configmaps).create({ metadata: { name: 'x', namespace: 'default' } })
    for (const path of [
      '/api/v1/configmaps/default%2Fx',
      '/api/v1/namespaces/a/configmaps/..%2Fdefault%2Fx',
      '/api/v1/pods/default%2Fx/log',
      '/api/v1/pods/default%2Fx/status',
    ])
      expect((await ask({ ...server, client }, path, jane)).status, path).toBe(404)
  })
})

describe('a user who may watch one object', () => {
  it('sees no other, whatever it selects', async () => {
    const server = await startWith(({ verb, name }) => (verb === 'watch' || verb === 'list') && name === 'mine')
    for (const name of ['mine', 'other']) await server.client.resource(configmaps).create({ metadata: { name, namespace: 'default' } })
    const watch = async (target: string): Promise<string> => {
      const answer = await ask(server, target, server.jane)
      return `${answer.status} ${[...answer.text.matchAll(/"name":"(\w+)"/g)].map(([, name]) => name).join(' ')}`.trim()
    }
    const byPath = '/api/v1/watch/namespaces/default/configmaps/mine?timeoutSeconds=1'
    const all = '/api/v1/namespaces/default/configmaps?timeoutSeconds=1'
    expect(await watch(byPath)).toBe('200 mine')
    expect(await watch(`${byPath}&fieldSelector=metadata.name!=x`)).toBe('200 mine')
    expect(await watch(`${byPath}&fieldSelector=metadata.name%3Dother`)).toBe('400')
    expect(await watch(`${all}&watch=1&fieldSelector=metadata.name%3Dmine`)).toBe('200 mine')
    expect(await watch(`${all}&fieldSelector=metadata.name%3Dmine,metadata.name%3Dother`)).toBe('400')
    expect(await watch(`${all}&fieldSelector=metadata.name!=x`)).toBe('403')
  })
})

describe('a request line that is made to hurt', () => {
  it('is answered at once', async () => {
    const server = await startHttps()
    const session = openSession(server)
    const get = async (headers: Record<string, string>): Promise<string> => {
      const stream = session.request(headers)
      let text = ''
      for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString()
      return text
    }
    const started = performance.now()
    await get({ ':path': `/a${'/'.repeat(60_000)}x` })
    await get({ ':path': `/healthz?timeout=${'1'.repeat(60_000)}x` })
    // Each took seconds when patterns went over them in quadratic time.
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('gets a Status for methods that there are not', async () => {
    const server = await startHttps()
    const session = openSession(server)
    for (const method of ['TRACE', 'constructor', '__proto__', 'FOO']) {
      const stream = session.request({ ':method': method, ':path': '/api/v1/namespaces' })
      let text = ''
      for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString()
      expect(JSON.parse(text), method).toMatchObject({ kind: 'Status', code: 405 })
    }
  })
})

describe('a watch over a WebSocket that does not come about', () => {
  it.each([
    ['another protocol', 'Upgrade: x'],
    ['no key', 'Upgrade: websocket'],
  ])('is closed: %s', async (_what, header) => {
    const close = vi.spyOn(ResourceWatch.prototype, 'close')
    onTestFinished(() => close.mockRestore())
    const server = await startHttps()
    const { port } = server.listening
    const socket = connect({ port, host: '127.0.0.1', ca: server.ca.cert, ...server.adminCertificate })
    const answered = new Promise<string>((resolve) => socket.once('data', (data: Buffer) => resolve(data.toString())))
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.write(`GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n${header}\r\n\r\n`)
    expect(await answered).toMatch(/^HTTP\/1.1 4/)
    await ended
    await expect.poll(() => close.mock.calls.length).toBeGreaterThan(0)
  })
})

describe('a watch without an end', () => {
  it('goes on for as long as a timer can', async () => {
    const server = await startHttps()
    const stream = openSession(server).request({ ':path': '/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=999999999999' })
    const first = new Promise<string>((resolve) => stream.once('data', (data: Buffer) => resolve(data.toString())))
    await new Promise((resolve) => stream.once('response', resolve))
    await server.client.resource(configmaps).create({ metadata: { name: 'late', namespace: 'default' } })
    expect(await first).toContain('late')
  })
})

describe('a long answer in YAML', () => {
  it('is JSON, which is YAML, so that it is written at once', async () => {
    const server = await startHttps()
    const maps = '/api/v1/namespaces/default/configmaps'
    for (const [name, length] of [
      ['short', 10],
      ['long', 300_000],
    ] as const)
      await server.client.resource(configmaps).create({ metadata: { name, namespace: 'default' }, data: { a: 'x'.repeat(length) } })
    const get = (name: string): ReturnType<typeof ask> =>
      ask(server, `${maps}/${name}`, { ...server.adminCertificate, headers: { accept: 'application/yaml' } })
    const [short, long] = [await get('short'), await get('long')]
    expect([short.headers['content-type'], long.headers['content-type']]).toEqual(['application/yaml', 'application/yaml'])
    expect(short.text).toContain('data:\n  a: xxxxxxxxxx\n')
    expect(long.json()).toMatchObject({ metadata: { name: 'long' } })
  })
})
