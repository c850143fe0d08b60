import { once } from 'node:events'
import { createServer as createHttps } from 'node:https'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { createCa, issueCertificate } from '@k3s/pki'
import { createLoadBalancer, createTunnelClient, createTunnelServer, type TunnelServer } from './index.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean()
})

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A tunnel server behind TLS with one agent connected to it, whose tunnel leads to `allowed` ports of this machine. */
async function connectedPair(
  allowed: (address: string) => boolean,
): Promise<{ readonly tunnel: TunnelServer; readonly states: boolean[]; readonly stop: () => Promise<void> }> {
  const ca = await createCa('ca')
  const serving = await issueCertificate(ca, { commonName: 'k3s', sans: ['127.0.0.1'], usages: ['server'] })
  const client = await issueCertificate(ca, { commonName: 'system:node:a', usages: ['client'] })
  const tunnel = createTunnelServer()
  const https = createHttps({ ...serving, ca: ca.cert, requestCert: true })
  https.on('upgrade', (request, socket, head) => tunnel.handleUpgrade(request, socket, head, 'a'))
  const port = await listen(https)
  const stopping = new AbortController()
  const states: boolean[] = []
  const agent = createTunnelClient({
    url: `wss://127.0.0.1:${port}/v1-k3s/connect`,
    tls: () => ({ ca: ca.cert, ...client }),
    authorize: (protocol, address) => protocol === 'tcp' && allowed(address),
    onStateChange: (isConnected) => states.push(isConnected),
  })
  const running = agent.run({ signal: stopping.signal, ready() {} })
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  cleanups.push(async () => {
    await stop()
    await tunnel[Symbol.asyncDispose]()
  })
  await expect.poll(() => tunnel.hasSession('a'), { timeout: 10_000 }).toBe(true)
  return { tunnel, states, stop }
}

describe('a tunnel', () => {
  it('carries a request and its answer, each side ending by itself', async () => {
    const port = await listen(
      createServer({ allowHalfOpen: true }, (socket) => {
        void text(socket).then((asked) => socket.end(`you said ${asked}`)) // never rejects in this test
      }),
    )
    const { tunnel } = await connectedPair(() => true)
    const stream = tunnel.dial('a', `127.0.0.1:${port}`)
    stream.end('hello')
    expect(await text(stream)).toBe('you said hello')
  })

  it('holds back a fast writer while the reader pauses', async () => {
    const total = 16 * 1024 * 1024
    let sent = 0
    const port = await listen(
      createServer((socket) => {
        const chunk = Buffer.alloc(64 * 1024, 1)
        const write = (): void => {
          while (sent < total) {
            sent += chunk.length
            if (!socket.write(chunk)) return void socket.once('drain', write)
          }
          socket.end()
        }
        write()
      }),
    )
    const { tunnel } = await connectedPair(() => true)
    const stream = tunnel.dial('a', `127.0.0.1:${port}`)
    await once(stream, 'readable')
    // The kernel's own buffers take a few MiB; without back-pressure all 16 would be taken.
    let last = -1
    await expect.poll(() => sent === last || ((last = sent), false), { interval: 300, timeout: 20_000 }).toBe(true)
    expect(sent).toBeLessThan(total)
    let received = 0
    for await (const chunk of stream) received += (chunk as Buffer).length
    expect(received).toBe(total)
  })

  it('tells why a connection could not be made', async () => {
    const { tunnel } = await connectedPair(() => true)
    const stream = tunnel.dial('a', '127.0.0.1:1')
    const [error] = (await once(stream, 'error')) as [Error]
    expect(error.message).toMatch(/ECONNREFUSED/)
    expect(tunnel.hasSession('a')).toBe(true)
  })

  it('ends the session when the server asks for what is not allowed, and connects again', async () => {
    const { tunnel, states } = await connectedPair((address) => address.endsWith(':10250'))
    const stream = tunnel.dial('a', '127.0.0.1:22')
    await once(stream, 'error')
    await expect.poll(() => states, { timeout: 10_000 }).toEqual([true, false, true])
  })

  it('destroys its streams when the agent goes', async () => {
    const port = await listen(createServer(() => {}))
    const { tunnel, stop } = await connectedPair(() => true)
    const stream = tunnel.dial('a', `127.0.0.1:${port}`)
    stream.write('x')
    const failed = once(stream, 'error')
    await stop()
    await failed
    expect(() => tunnel.dial('a', `127.0.0.1:${port}`)).toThrow('failed to find Session for client a')
  })
})

describe('createLoadBalancer()', () => {
  const hello = async (name: string): Promise<number> => listen(createServer((socket) => socket.end(name)))
  const ask = async (port: number): Promise<string> => text(connect(port, '127.0.0.1'))

  async function start(defaultServer: string, stateFile?: string) {
    const balancer = createLoadBalancer({ host: '127.0.0.1', port: 0, defaultServer, stateFile })
    const stop = new AbortController()
    const ready = Promise.withResolvers<void>()
    const running = balancer.run({ signal: stop.signal, ready: ready.resolve })
    await Promise.race([ready.promise, running])
    cleanups.push(async () => {
      stop.abort()
      await running
    })
    return balancer
  }

  it('goes to another server when one is away or unhealthy', async () => {
    const [a, b] = [await hello('a'), await hello('b')]
    const balancer = await start(`127.0.0.1:${a}`)
    expect(await ask(balancer.port)).toBe('a')
    await balancer.setServers([`127.0.0.1:${a}`, `127.0.0.1:${b}`])
    balancer.setHealth(`127.0.0.1:${a}`, false)
    expect(await ask(balancer.port)).toBe('b')
    await balancer.setServers(['127.0.0.1:1', `127.0.0.1:${b}`])
    expect(await ask(balancer.port)).toBe('b')
  })

  it('closes what goes to a server that became unhealthy', async () => {
    const held: Socket[] = []
    const port = await listen(createServer((socket) => held.push(socket.on('error', () => {}))))
    const balancer = await start(`127.0.0.1:${port}`)
    const client = connect(balancer.port, '127.0.0.1')
    await expect.poll(() => held.length, { timeout: 10_000 }).toBe(1)
    const closed = once(client, 'close')
    client.on('error', () => {})
    balancer.setHealth(`127.0.0.1:${port}`, false)
    await closed
  })

  it('remembers the servers across restarts, but not those of another cluster', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lb-'))
    cleanups.push(() => rm(folder, { recursive: true }))
    const file = join(folder, 'state.json')
    const b = await hello('b')
    const first = await start('127.0.0.1:1', file)
    await first.setServers([`127.0.0.1:${b}`])
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ ServerURL: 'https://127.0.0.1:1', ServerAddresses: [`127.0.0.1:${b}`] })
    const second = await start('127.0.0.1:1', file)
    expect(await ask(second.port)).toBe('b')
    expect((await start('127.0.0.1:2', file)).servers).toEqual(['127.0.0.1:2'])
  })
})
