import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { createInflate } from 'node:zlib'
import { afterEach, expect, test, vi } from 'vitest'
import { FrameWriter } from './spdy-frames.ts'
import { openPortForward } from './port-forward.ts'
import { openStreams, parseStatus } from './remote-command.ts'
import { tryUpgrade } from './upgrade.ts'

interface Frame {
  readonly kind: 'syn' | 'data' | 'reset' | 'other'
  readonly streamId: number
  readonly isFin: boolean
  readonly payload: Buffer
}

/** The other side, just enough: it accepts streams and says what it is told. */
class Peer {
  readonly frames: Frame[] = []
  readonly socket: Duplex
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Duplex, options: { readonly accepts: boolean }) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk])
      for (;;) {
        const length = this.#rest.length < 8 ? Infinity : this.#rest.readUInt32BE(4) & 0xffffff
        if (this.#rest.length < 8 + length) break
        const head = this.#rest.readUInt32BE(0)
        const payload = this.#rest.subarray(8, 8 + length)
        const type = head & 0xffff
        const kind = head < 0x80000000 ? 'data' : type === 1 ? 'syn' : type === 3 ? 'reset' : 'other'
        const streamId = kind === 'data' ? head : payload.readUInt32BE(0) & 0x7fffffff
        this.frames.push({ kind, streamId, isFin: this.#rest[4] === 1, payload })
        if (kind === 'syn') this.control(options.accepts ? 2 : 3, streamId, options.accepts ? [] : [0, 0, 0, 3])
        this.#rest = this.#rest.subarray(8 + length)
      }
    })
  }

  control(type: number, streamId: number, rest: readonly number[] = []): void {
    const frame = Buffer.alloc(12 + rest.length)
    frame.writeUInt32BE(0x80030000 + type, 0)
    frame.writeUInt32BE(4 + rest.length, 4)
    frame.writeUInt32BE(streamId, 8)
    frame.set(rest, 12)
    this.socket.write(frame)
  }

  data(streamId: number, content: string | Buffer, isFin = false): void {
    const payload = Buffer.from(content)
    const head = Buffer.alloc(8)
    head.writeUInt32BE(streamId, 0)
    head.writeUInt32BE(payload.length, 4)
    head[4] = isFin ? 1 : 0
    this.socket.write(Buffer.concat([head, payload]))
  }

  received(streamId: number): string {
    return Buffer.concat(
      this.frames.filter((frame) => frame.kind === 'data' && frame.streamId === streamId).map(({ payload }) => payload),
    ).toString()
  }
}

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

async function startPeer(options = { accepts: true }): Promise<{ readonly url: string; readonly peer: Promise<Peer> }> {
  const { promise, resolve } = Promise.withResolvers<Peer>()
  server = createServer()
  server.on('upgrade', (request, socket) => {
    if (request.url === '/gone') {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\ngone\n')
      return
    }
    const protocol = String(request.headers['x-stream-protocol-version'])
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
    )
    resolve(new Peer(socket, options))
  })
  await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/exec/x`, peer: promise }
}

// Streams are opened in this order and get odd numbers.
const ids = { error: 1, stdin: 3, stdout: 5, stderr: 7 }
const all = { stdin: true, stdout: true, stderr: true }

test('header blocks are one zlib stream that starts with the name of the dictionary', async () => {
  const writer = new FrameWriter()
  const frames = [writer.synStream(1, { streamtype: 'error' }, true), writer.synStream(3, { port: '80', requestid: '0' }, false)]
  const blocks = frames.map((frame) => frame.subarray(18))
  expect(blocks[0]?.subarray(0, 6).toString('hex')).toBe('78bbe3c6a7c2')
  // Without the dictionary's name it is a plain zlib stream.
  const inflate = createInflate()
  const parts: Buffer[] = []
  inflate.on('data', (part: Buffer) => parts.push(part))
  inflate.write(Buffer.concat([Buffer.from([0x78, 0x9c]), ...blocks.map((block, index) => (index === 0 ? block.subarray(6) : block))]))
  const name = (value: string): string => `${String.fromCharCode(0, 0, 0, value.length)}${value}`
  const wanted = `\0\0\0\x01${name('streamtype')}${name('error')}\0\0\0\x02${name('port')}${name('80')}${name('requestid')}${name('0')}`
  await vi.waitFor(() => expect(Buffer.concat(parts).toString()).toBe(wanted))
  inflate.destroy()
  expect([frames[0]?.[4], frames[1]?.[4]]).toEqual([1, 0])
})

test('bytes reach their streams, in pieces of any size, and a reset is an end', async () => {
  const { url, peer: accepted } = await startPeer()
  await using streams = await openStreams(url, all)
  const peer = await accepted
  const output = Promise.all([text(streams.stdout ?? Readable.from([])), text(streams.stderr ?? Readable.from([]))])
  peer.data(ids.stdout, 'out')
  peer.data(ids.stderr, 'err', true)
  peer.data(ids.stdout, 'put')
  peer.control(3, ids.stdout, [0, 0, 0, 5])
  for (const byte of Buffer.from('8003000600000004000000020000000100000005', 'hex')) peer.socket.write(Buffer.from([byte]))
  peer.socket.write(Buffer.from([0x7b, 0x7d, 0x20, 0x20, 0x20]))
  peer.data(ids.error, '', true)
  expect(await output).toEqual(['output', 'err'])
  expect((await streams.status).json.toString()).toBe('{}   ')
  await vi.waitFor(() => expect(peer.frames.find(({ kind }) => kind === 'other')?.streamId).toBe(2)) // the answer to the ping
})

test('input is cut into frames and its end is a final one', async () => {
  const { url, peer: accepted } = await startPeer()
  await using streams = await openStreams(url, all)
  const peer = await accepted
  streams.stdin?.end('x'.repeat(100_000))
  await vi.waitFor(() => expect(peer.frames.some(({ kind, isFin }) => kind === 'data' && isFin)).toBe(true))
  expect(peer.received(ids.stdin) === 'x'.repeat(100_000)).toBe(true)
  expect(Math.max(...peer.frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(32 * 1024)
})

test('streams that have ended stay whole when the connection breaks, the others fail', async () => {
  const { url, peer: accepted } = await startPeer()
  await using streams = await openStreams(url, all)
  const peer = await accepted
  const failed = text(streams.stdout ?? Readable.from([])).catch((error: unknown) => error)
  const whole = text(streams.stderr ?? Readable.from([]))
  peer.data(ids.stderr, 'whole', true)
  peer.data(ids.stdout, 'half')
  peer.socket.end()
  expect(await whole).toBe('whole')
  expect(await failed).toMatchObject({ code: 'UNAVAILABLE' })
  await expect(streams.status).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

test('a reader that is behind holds the peer back', async () => {
  const { url, peer: accepted } = await startPeer()
  await using streams = await openStreams(url, all)
  const peer = await accepted
  streams.stderr?.resume()
  for (let n = 0; n < 400; n++) peer.data(ids.stdout, Buffer.alloc(100_000))
  await vi.waitFor(() => expect(streams.stdout?.readableLength).toBeGreaterThan(0))
  expect(streams.stdout?.readableLength).toBeLessThan(1_000_000)
  expect(peer.socket.writableLength).toBeGreaterThan(10_000_000)
  let size = 0
  for await (const chunk of streams.stdout ?? []) if ((size += (chunk as Buffer).length) === 40_000_000) break
  expect(size).toBe(40_000_000)
})

test('a refused stream, a refused upgrade and an unreachable server are told apart', async () => {
  const refusing = await startPeer({ accepts: false })
  await expect(openStreams(refusing.url, all)).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'Runtime refused a stream' })
  expect(await tryUpgrade(new URL('/gone', refusing.url), { headers: { upgrade: 'SPDY/3.1' } })).toMatchObject({
    status: 404,
    body: Buffer.from('gone\n'),
  })
  server?.closeAllConnections()
  await new Promise((resolve) => server?.close(resolve))
  await expect(openStreams(refusing.url, all)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('ECONNREFUSED'),
  })
})

test('an abort while streams are opened closes the connection', async () => {
  const { url, peer: accepted } = await startPeer()
  const stop = new AbortController()
  const opening = openStreams(url, { ...all, signal: stop.signal })
  const peer = await accepted
  stop.abort(new Error('enough'))
  await expect(opening).rejects.toThrow('enough')
  await vi.waitFor(() => expect(peer.socket.readableEnded || peer.socket.destroyed).toBe(true))
})

test('a connection of a port-forward is a pair of streams with one request id', async () => {
  const { url, peer: accepted } = await startPeer()
  await using forwarder = await openPortForward(url)
  const peer = await accepted
  const first = await forwarder.connect(80)
  await forwarder.connect(81)
  const headers = peer.frames.map(({ payload }) => payload.toString('latin1').replaceAll(/[^\x20-\x7e]+/g, ' '))
  expect(headers[0]).toMatch(/port 80 requestid 0 streamtype error/)
  expect(headers[1]).toMatch(/port 80 requestid 0 streamtype data/)
  expect(headers[3]).toMatch(/port 81 requestid 1 streamtype data/)
  peer.data(3, 'hi', true)
  peer.data(1, 'refused', true)
  expect([await text(first.data), await first.error]).toEqual(['hi', 'refused'])
})

test.each([
  ['{"status":"Success"}', { isSuccess: true, exitCode: 0 }],
  [
    '{"status":"Failure","message":"m","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}',
    { isSuccess: false, exitCode: 7, message: 'm' },
  ],
  ['{"status":"Failure","message":"m","reason":"InternalError"}', { isSuccess: false, exitCode: undefined, message: 'm' }],
  ['plain text', { isSuccess: false, exitCode: undefined, message: 'plain text' }],
  ['null', { isSuccess: false }],
])('status %s', (json, wanted) => {
  expect(parseStatus(Buffer.from(json))).toMatchObject(wanted)
})
