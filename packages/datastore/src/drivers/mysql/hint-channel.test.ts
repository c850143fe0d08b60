import { randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { noLogger } from '@k3s/lifecycle'
import { describe, expect, it, vi } from 'vitest'
import { HintChannel, parseHostPort } from './hint-channel.ts'
import { connectionKey, encodeGreeting, encodeHello, encodeHint, greetingBytes, helloBytes, hintBytes } from './hint-frames.ts'
import { readFrames } from './hint-link.ts'

const secret = randomBytes(32)
const newId = (): string => randomBytes(16).toString('hex')

interface Heard {
  readonly channel: HintChannel
  readonly id: string
  readonly revisions: number[]
  readonly secret: Uint8Array
  newcomers: number
  [Symbol.asyncDispose](): Promise<void>
}

async function member(key: Uint8Array = secret): Promise<Heard> {
  const id = newId()
  const revisions: number[] = []
  const channel = await HintChannel.open({
    id,
    listen: '127.0.0.1:0',
    onHint: (revision) => void revisions.push(revision),
    onNewcomer: () => void heard.newcomers++,
    logger: noLogger,
  })
  channel.start(key, [])
  const heard: Heard = { channel, id, revisions, secret: key, newcomers: 0, [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose]() }
  return heard
}

const asMember = ({ id, channel }: Heard): { readonly id: string; readonly address: string } => ({ id, address: channel.address })
const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 2 })

/** Connects as anybody can, and gives the greeting. */
async function dial(
  channel: HintChannel,
): Promise<{ readonly socket: Socket; readonly challenge: Buffer; readonly closed: Promise<void> }> {
  const { host, port } = parseHostPort(channel.address)
  const socket = connect(port, host)
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const challenge = await new Promise<Buffer>((resolve) =>
    readFrames(socket, greetingBytes, (frame) => {
      resolve(frame.subarray(4))
      return 1
    }),
  )
  return { socket, challenge, closed }
}

describe('HintChannel', () => {
  it('tells every other member of the newest revision', async () => {
    await using a = await member()
    await using b = await member()
    await using c = await member()
    for (const { channel } of [a, b, c]) channel.start(secret, [a, b, c].map(asMember))
    await eventually(() => expect([a, b, c].every(({ channel }) => channel.hearsAll)).toBe(true))
    a.channel.announce(7)
    await eventually(() => expect([b.revisions, c.revisions]).toEqual([[7], [7]]))
    expect(a.revisions).toEqual([])
    expect([a, b, c].map(({ newcomers }) => newcomers)).toEqual([0, 0, 0])
  })

  it('tells a member that connects what was written before', async () => {
    await using a = await member()
    await using b = await member()
    a.channel.announce(9)
    a.channel.start(secret, [asMember(b)])
    await eventually(() => expect(b.revisions).toEqual([9]))
    expect(b.newcomers).toBe(1)
    expect(b.channel.hearsAll).toBe(true)
    expect(b.channel.hasStrangers).toBe(true)
    b.channel.start(secret, [asMember(a)])
    expect(b.channel.hasStrangers).toBe(false)
  })

  it('connects anew when a member comes back at its address', async () => {
    await using a = await member()
    const b = await member()
    a.channel.start(secret, [asMember(b)])
    await eventually(() => expect(b.newcomers).toBe(1))
    const { port } = parseHostPort(b.channel.address)
    await b[Symbol.asyncDispose]()
    a.channel.announce(3)
    const heard: number[] = []
    await using again = await HintChannel.open({
      id: b.id,
      listen: `127.0.0.1:${port}`,
      onHint: (revision) => void heard.push(revision),
      onNewcomer: () => {},
      logger: noLogger,
    })
    again.start(secret, [])
    expect(again.address).toBe(`127.0.0.1:${port}`)
    a.channel.announce(4)
    await eventually(() => expect(heard.at(-1)).toBe(4))
  })

  it('takes no hint from one who does not know the secret', async () => {
    await using a = await member()
    await using stranger = await member(randomBytes(32))
    stranger.channel.announce(5)
    stranger.channel.start(stranger.secret, [asMember(a)])
    const { socket, challenge, closed } = await dial(a.channel)
    const key = connectionKey({ secret: randomBytes(32), challenge, from: newId(), to: a.id })
    socket.write(encodeHello(key, newId()))
    socket.write(encodeHint(key, 0, 5))
    await closed
    expect(a.revisions).toEqual([])
    expect(a.newcomers).toBe(0)
  })

  it('takes no proof that was made for another member', async () => {
    await using a = await member()
    const { socket, challenge, closed } = await dial(a.channel)
    const from = newId()
    socket.write(encodeHello(connectionKey({ secret, challenge, from, to: newId() }), from))
    await closed
    expect(a.newcomers).toBe(0)
  })

  it.each([
    ['an HTTP request', Buffer.from(`GET / HTTP/1.1\r\nHost: x\r\n\r\n${' '.repeat(helloBytes)}`)],
    ['zeros', Buffer.alloc(helloBytes)],
    ['a megabyte of noise', randomBytes(2 ** 20)],
  ])('ends a connection that sends %s', async (_, data) => {
    await using a = await member()
    const { socket, closed } = await dial(a.channel)
    socket.write(data)
    await closed
    expect(a.revisions).toEqual([])
  })

  it('ends a connection whose hint was changed or repeated', async () => {
    await using a = await member()
    const { socket, challenge, closed } = await dial(a.channel)
    const from = newId()
    const key = connectionKey({ secret, challenge, from, to: a.id })
    const hint = encodeHint(key, 0, 5)
    socket.write(Buffer.concat([encodeHello(key, from), hint, hint]))
    await closed
    expect(a.revisions).toEqual([5])
  })

  it('ends a connection that says nothing', async () => {
    await using a = await member()
    const { closed } = await dial(a.channel)
    await closed
  })

  it('replaces what a slow member has not taken by the newest', async () => {
    const id = newId()
    const received: Buffer[] = []
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {}) // a close follows
      socket.write(encodeGreeting(randomBytes(32)))
      socket.once('data', () => socket.pause())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // it listens on TCP
    try {
      await using a = await member()
      a.channel.start(secret, [{ id, address: `127.0.0.1:${port}` }])
      await eventually(() => expect(sockets[0]?.isPaused()).toBe(true))
      const before = process.memoryUsage().arrayBuffers
      for (let revision = 1; revision <= 200_000; revision++) {
        a.channel.announce(revision)
        if (revision % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 2 ** 20)
      sockets[0]?.on('data', (data: Buffer) => received.push(data))
      sockets[0]?.resume()
      await eventually(() => expect(Buffer.concat(received).subarray(-hintBytes).readBigUInt64BE()).toBe(200_000n))
      expect(Buffer.concat(received).length).toBeLessThan(200_000 * hintBytes)
    } finally {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  })

  it('takes nobody before it knows the secret', async () => {
    await using a = await member()
    await using early = await HintChannel.open({
      id: newId(),
      listen: '127.0.0.1:0',
      onHint: () => {},
      onNewcomer: () => {},
      logger: noLogger,
    })
    expect(early.hearsAll).toBe(false)
    const { host, port } = parseHostPort(early.address)
    const socket = connect(port, host)
    const received: Buffer[] = []
    socket.on('data', (data: Buffer) => received.push(data))
    await new Promise((resolve) => socket.once('close', resolve))
    expect(received).toEqual([])
    expect(a.revisions).toEqual([])
  })

  it('fails with InvalidArgument where it cannot listen', async () => {
    const options = { id: newId(), onHint: () => {}, onNewcomer: () => {}, logger: noLogger }
    await using taken = await member()
    for (const listen of ['nothing', '127.0.0.1:70000', taken.channel.address])
      await expect(HintChannel.open({ ...options, listen })).rejects.toMatchObject({ code: 'InvalidArgument' })
  })
})
