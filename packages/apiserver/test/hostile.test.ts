import { configmaps } from '@k3s/api/types/core/v1'
import { isStatusError } from '@k3s/api'
import { request } from 'node:http'
import { noLogger, type Logger } from '@k3s/lifecycle'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hostileInputs, hostileTargets, seeded, type HostileInput } from './hostile-inputs.ts'
import { startBuiltIn } from './start-cluster.ts'
import { admin } from './start-server.ts'

// What the largest body may be is refused before it is read; what takes time in it takes as much in a hundredth.
const size = 30_000

interface Answer {
  readonly status: number
  readonly text: string
}

async function startOpen(): Promise<{
  readonly send: (input: HostileInput) => Promise<Answer>
  readonly read: () => Promise<unknown>
  /** What was not meant to be an error. */
  readonly bugs: readonly unknown[]
}> {
  const bugs: unknown[] = []
  const logger: Logger = { ...noLogger, error: ({ err }) => void (isStatusError(err) || bugs.push(err)), child: () => logger }
  const { server, client } = await startBuiltIn({
    logger,
    authenticators: [{ name: 'test', authenticate: () => Promise.resolve({ user: admin }) }],
  })
  await client.resource(configmaps).create({ metadata: { name: 'target', namespace: 'default' }, data: { a: 'b' } })
  const { url } = await server.listen({ port: 0 })
  const send = ({ method, path, contentType, headers: more, body }: HostileInput): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const bytes = body?.()
      const headers = {
        ...more,
        ...(contentType === undefined ? {} : { 'content-type': contentType }),
        'content-length': bytes?.length ?? 0,
      }
      const sent = request(url, { method, path, headers, agent: false }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }))
      })
      sent.on('error', reject)
      sent.end(bytes)
    })
  return { send, read: () => client.resource(configmaps).get('target', { namespace: 'default' }), bugs }
}

/** What fails is a Status that says so, and never a bug. */
function expectAnswer({ status, text }: Answer, what: string): void {
  expect(status, `${what}: ${text.slice(0, 300)}`).toBeGreaterThanOrEqual(200)
  if (status < 400 || text === '404 page not found\n') return
  // Below nothing that is served upstream has no Status.
  if (text !== '404 page not found\n') expect(JSON.parse(text), what).toMatchObject({ kind: 'Status', status: 'Failure', code: status })
  expect(text, what).not.toContain('RangeError')
  expect(text, what).not.toContain('TypeError')
}

describe('a server under hostile input', () => {
  it('answers each with a Status, and goes on', { timeout: 120_000 }, async () => {
    const { send, read, bugs } = await startOpen()
    for (const input of hostileInputs(size)) expectAnswer(await send(input), input.name)
    expect(await read()).toMatchObject({ metadata: { name: 'target' } })
    expect(bugs).toEqual([])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('answers bodies whose bytes were changed at random', { timeout: 120_000 }, async () => {
    const { send, read, bugs } = await startOpen()
    const random = seeded(20_261_123)
    const whole = hostileInputs(2000).filter(({ body }) => body !== undefined)
    for (let round = 0; round < 400; round++) {
      const input = whole[Math.floor(random() * whole.length)]
      if (input?.body === undefined) continue
      const bytes = Buffer.from(input.body())
      for (let change = 0; change < 4; change++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
      const end = random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length
      expectAnswer(await send({ ...input, body: () => bytes.subarray(0, end) }), `${input.name}, round ${round}`)
    }
    expect(await read()).toMatchObject({ metadata: { name: 'target' } })
    expect(bugs).toEqual([])
  })

  it('answers targets that were put together at random', { timeout: 120_000 }, async () => {
    const { send, read, bugs } = await startOpen()
    const parts = hostileTargets().flatMap((target) => target.slice(0, 200).split(/(?=[/?&=])/))
    const target = fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 8 }).map((chosen) => `/${chosen.join('')}`)
    const property = fc.asyncProperty(target, async (path) => {
      if (path.includes('watch')) return
      expectAnswer(await send({ name: path, method: 'GET', path }), path)
    })
    await fc.assert(property, { seed: 5, numRuns: 300 })
    expect(await read()).toMatchObject({ metadata: { name: 'target' } })
    expect(bugs).toEqual([])
  })

  it('keeps prototypes apart from data', async () => {
    const { send, read } = await startOpen()
    const patch = (contentType: string, text: string): Promise<Answer> =>
      send({
        name: contentType,
        method: 'PATCH',
        path: `/api/v1/namespaces/default/configmaps/target?fieldManager=m${contentType.startsWith('application/apply') ? '&force=true' : ''}`,
        contentType,
        body: () => Buffer.from(text),
      })
    const data = '{"data":{"__proto__":"x","constructor":"y","hasOwnProperty":"z"}}'
    const merged = await patch('application/merge-patch+json', data)
    expect(merged.status, merged.text).toBe(200)
    expect((await patch('application/strategic-merge-patch+json', data)).status).toBe(200)
    expect((await patch('application/apply-patch+yaml', `{"apiVersion":"v1","kind":"ConfigMap",${data.slice(1)}`)).status).toBe(200)
    expect(JSON.stringify(await read())).toContain('"__proto__":"x"')
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })

  it('reads long YAML beside other requests, and says what is wrong with it', async () => {
    const { send } = await startOpen()
    const post = (name: string, text: string): Promise<Answer> =>
      send({
        name,
        method: 'POST',
        path: '/api/v1/namespaces/default/configmaps?fieldValidation=Strict',
        contentType: 'application/yaml',
        body: () => Buffer.from(text),
      })
    const lines = (count: number): string => Array.from({ length: count }, (_, at) => `  k${at}: v`).join('\n')
    expect((await post('long', `metadata:\n  name: long\ndata:\n${lines(2000)}\n`)).status).toBe(201)
    const twice = await post('twice', `metadata:\n  name: twice\ndata:\n${lines(2000)}\n  k0: w\n`)
    expect(twice.status).toBe(400)
    expect(twice.text).toContain('line 2004: key \\"k0\\" already set in map')
    const unknown = await post('unknown', `metadata:\n  name: unknown\nnone: 1\ndata:\n${lines(2000)}\n`)
    expect(unknown.text).toContain('unknown field \\"none\\"')
    const broken = await post('broken', `metadata:\n  name: broken\n${lines(2000)}\n x: [`)
    expect(broken.status).toBe(400)
    expect(broken.text).toContain('error converting YAML to JSON: yaml: line')
  })
})
