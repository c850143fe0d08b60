import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { createTunnelClient, createTunnelServer } from '@k3s/tunnel'

const folder = mkdtempSync(join(tmpdir(), 'remotedialer-'))
const binary = join(folder, 'remotedialer')
/** Builds the original from its Go module; what keeps that from happening is said, and the tests count as skipped. */
const built = spawnSync('go', ['build', '-o', binary, '.'], { cwd: join(import.meta.dirname, 'remotedialer'), encoding: 'utf8' })
const hasOriginal = built.status === 0
if (!hasOriginal) console.warn(`SKIPPED: the original remotedialer cannot be built (${built.error?.message ?? built.stderr.trim()})`)

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean()
})
afterAll(() => rmSync(folder, { recursive: true }))

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function start(...args: readonly string[]): ChildProcess {
  const child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  cleanups.push(async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  return child
}

async function readBytes(stream: Duplex, bytes: number): Promise<string> {
  let received = ''
  for await (const chunk of stream) if ((received += (chunk as Buffer).toString()).length >= bytes) break
  return received
}

/** Answers each line with itself. */
const echo = (): Server => createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket).on('error', () => socket.destroy()))

describe.skipIf(!hasOriginal)('with the original remotedialer', () => {
  it('serves its client', async () => {
    const port = await listen(echo())
    const tunnel = createTunnelServer()
    cleanups.push(() => tunnel[Symbol.asyncDispose]())
    const http = createHttp().on('upgrade', (request, socket, head) => tunnel.handleUpgrade(request, socket, head, 'a'))
    start('client', `ws://127.0.0.1:${await listen(http)}/v1-k3s/connect`)
    await expect.poll(() => tunnel.hasSession('a'), { timeout: 20_000 }).toBe(true)
    const streams = Array.from({ length: 20 }, (_, at) => {
      const stream = tunnel.dial('a', `127.0.0.1:${port}`)
      // Not ended before the answer is here: the original closes both directions when one ends.
      stream.write(Buffer.alloc(300_000, 65 + at))
      return readBytes(stream, 300_000)
    })
    for (const [at, answer] of (await Promise.all(streams)).entries())
      expect(answer === String.fromCodePoint(65 + at).repeat(300_000)).toBe(true)
  })

  it('is a client of its server', async () => {
    const port = await listen(echo())
    const server = start('server')
    const lines = createInterface({ input: server.stdout! })[Symbol.asyncIterator]()
    const { value: tunnelPort } = await lines.next()
    const stop = new AbortController()
    const connected = Promise.withResolvers<void>()
    const client = createTunnelClient({
      url: `ws://127.0.0.1:${tunnelPort}/`,
      tls: () => ({ ca: '', cert: '', key: '' }),
      authorize: (_, address) => address.startsWith('127.0.0.1:'),
      onStateChange: (isConnected) => isConnected && connected.resolve(),
    })
    const running = client.run({ signal: stop.signal, ready() {} })
    cleanups.push(async () => {
      stop.abort()
      await running
    })
    await connected.promise
    const ask = async (address: string): Promise<string> => {
      server.stdin!.write(`${address}\n`)
      return String((await lines.next()).value)
    }
    // The original knows a client a moment after it has answered its handshake.
    await expect.poll(() => ask(`127.0.0.1:${port}`), { timeout: 20_000 }).toBe('hello')
    expect(await ask('127.0.0.1:1')).toMatch(/^error: .*ECONNREFUSED/)
  })
})
