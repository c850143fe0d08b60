import { createServer as createHttpServer, request as httpRequest, type Server } from 'node:http'
import { createServer as createEchoServer, type AddressInfo, type Server as NetServer } from 'node:net'
import { Readable, type Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openPortForward, openStreams, upgrade } from '@k3s/cri-client'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { servePortForward } from '../src/streaming/port-forward.ts'
import { serveRemoteCommand, type CommandStreams } from '../src/streaming/remote-command.ts'
import { busyboxArchive, createHost, type ContainerdHost, type Pod, type RunningService } from './containerd-host.ts'

let host: ContainerdHost
let service: RunningService
let kubelet: Server
let echo: NetServer
let base: string
let pod: Pod
const stop = new AbortController()
/** Connections that are being served. */
let open = 0

interface Query extends CommandStreams {
  readonly cmd: readonly string[]
  readonly containerId: string
}

beforeAll(async () => {
  host = await createHost()
  await mkdir(join(host.directory, 'images'))
  await writeFile(join(host.directory, 'images/busybox.tar'), await busyboxArchive())
  service = await host.start()
  pod = await host.runPod('main', ['/bin/sleep', '1000000'])
  echo = createEchoServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket))
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  kubelet = createHttpServer()
  kubelet.on('upgrade', (request, socket, head) => {
    open++
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const connection = { request, socket, head, signal: stop.signal }
    const serve = async (): Promise<void> => {
      if (pathname === '/portforward') {
        const { url } = await host.client.portForward({ podSandboxId: pod.podSandboxId, port: searchParams.getAll('port').map(Number) })
        return servePortForward({ ...connection, url })
      }
      const { cmd, containerId, ...streams } = JSON.parse(searchParams.get('query') ?? '') as Query
      const wanted = { containerId, ...streams, stderr: streams.stderr && !streams.tty }
      const { url } = pathname === '/attach' ? await host.client.attach(wanted) : await host.client.exec({ ...wanted, cmd })
      return serveRemoteCommand({ ...connection, url, streams })
    }
    void serve().finally(() => open--) // neither rejects
  })
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve))
  base = `127.0.0.1:${(kubelet.address() as AddressInfo).port}`
})
afterAll(async () => {
  echo?.close()
  kubelet?.close()
  await service?.stop()
  await host[Symbol.asyncDispose]()
})

const allEnded = (): Promise<void> => vi.waitFor(() => expect(open).toBe(0), 10_000)

function commandPath(cmd: readonly string[], streams: Partial<Query>, action = 'exec'): string {
  const query = { stdin: false, stdout: true, stderr: true, tty: false, containerId: pod.containerId, cmd, ...streams }
  return `/${action}?query=${encodeURIComponent(JSON.stringify(query))}`
}

/** What arrives on each channel until the server closes. */
async function talk(
  path: string,
  protocol: string,
  onOpen: (socket: WebSocket) => void = () => {},
): Promise<{ readonly channels: readonly string[]; readonly code: number; readonly first: Buffer | undefined }> {
  const socket = new WebSocket(`ws://${base}${path}`, protocol)
  const channels: Buffer[][] = [[], [], [], [], []]
  let first: Buffer | undefined
  socket.on('message', (data: Buffer) => {
    first ??= data
    channels[data[0] ?? 0]?.push(data.subarray(1))
  })
  socket.on('open', () => onOpen(socket))
  const code = await new Promise<number>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', resolve)
  })
  return { channels: channels.map((parts) => Buffer.concat(parts).toString()), code, first }
}

const stdin = (content: string | Buffer): Buffer => Buffer.concat([Buffer.from([0]), Buffer.from(content)])
const endOfStdin = Buffer.from([255, 0])

test('v5: input ends by itself, output and status come back', async () => {
  const path = commandPath(['sh', '-c', 'cat; echo problem >&2'], { stdin: true })
  const { channels, code, first } = await talk(path, 'v5.channel.k8s.io', (socket) => {
    socket.send(stdin('hello '))
    socket.send(stdin('world'))
    socket.send(endOfStdin)
  })
  expect(first).toEqual(Buffer.from([1]))
  expect(channels.slice(0, 3)).toEqual(['', 'hello world', 'problem\n'])
  expect(JSON.parse(channels[3] ?? '')).toMatchObject({ status: 'Success' })
  expect(code).toBe(1000)
  await allEnded()
})

test('v5: an exit code is in the status', async () => {
  const { channels } = await talk(commandPath(['sh', '-c', 'exit 42'], {}), 'v5.channel.k8s.io')
  expect(JSON.parse(channels[3] ?? '')).toMatchObject({
    status: 'Failure',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '42' }] },
  })
})

test('v5: the size of the terminal is set', async () => {
  const wait = 'while [ "$(stty size 2>/dev/null)" != "24 99" ]; do sleep 0.05; done; stty size'
  const { channels } = await talk(commandPath(['sh', '-c', wait], { stdin: true, tty: true }), 'v5.channel.k8s.io', (socket) =>
    socket.send(Buffer.from('\x04{"Width":99,"Height":24}')),
  )
  expect(channels[1]?.trim()).toBe('24 99')
})

test('v5: 20 MB go through both ways, with a client that reads slowly', async () => {
  const socket = new WebSocket(`ws://${base}${commandPath(['cat'], { stdin: true })}`, 'v5.channel.k8s.io')
  const size = 20_000_000
  let received = 0
  let pauses = 0
  socket.on('message', (data: Buffer) => {
    if (data[0] === 1) received += data.length - 1
    if (pauses++ % 50 === 0) {
      socket.pause()
      setImmediate(() => socket.resume())
    }
  })
  await new Promise((resolve) => socket.once('open', resolve))
  const piece = stdin(Buffer.alloc(32_768, 'x'))
  const sent = async (): Promise<void> => {
    for (let left = size; left > 0; left -= 32_768)
      await new Promise((resolve) => socket.send(piece.subarray(0, Math.min(left, 32_768) + 1), resolve))
    socket.send(endOfStdin)
  }
  await Promise.all([sent(), new Promise((resolve) => socket.once('close', resolve))])
  expect(received).toBe(size)
  await allEnded()
})

test('channel.k8s.io: success is silent and failure is a text', async () => {
  const good = await talk(commandPath(['echo', 'hi'], {}), 'channel.k8s.io')
  expect(good.channels).toEqual(['', 'hi\n', '', '', ''])
  const bad = await talk(commandPath(['sh', '-c', 'exit 3'], {}), 'channel.k8s.io')
  expect(bad.channels[3]).toMatch(/exit code 3/)
})

test('v4 passes through', async () => {
  const { channels } = await talk(commandPath(['sh', '-c', 'echo hi; exit 2'], {}), 'v4.channel.k8s.io')
  expect(channels[1]).toBe('hi\n')
  expect(JSON.parse(channels[3] ?? '')).toMatchObject({ reason: 'NonZeroExitCode' })
  await allEnded()
})

test('of several protocols the first that is known is taken', async () => {
  const socket = new WebSocket(`ws://${base}${commandPath(['true'], {})}`, ['v9.channel.k8s.io', 'v5.channel.k8s.io', 'v4.channel.k8s.io'])
  await new Promise((resolve) => socket.once('close', resolve))
  expect(socket.protocol).toBe('v5.channel.k8s.io')
  await expect(talk(commandPath(['true'], {}), 'v9.channel.k8s.io')).rejects.toThrow(/403/)
})

test('SPDY passes through with its half-close', async () => {
  const streams = { stdin: true, stdout: true, stderr: true }
  const opened = await openStreams(`http://${base}${commandPath(['sh', '-c', 'wc -c; exit 7'], streams)}`, streams)
  opened.stdin?.end('12345')
  opened.stderr?.resume()
  expect((await text(opened.stdout ?? Readable.from([]))).trim()).toBe('5')
  expect((await opened.status).exitCode).toBe(7)
  await opened[Symbol.asyncDispose]()
  await allEnded()
})

test('attach reaches the main process', async () => {
  const attached = await host.runPod('attached', ['sh', '-c', 'while read line; do echo "got $line"; done'], { stdin: true })
  const socket = new WebSocket(
    `ws://${base}${commandPath([], { stdin: true, containerId: attached.containerId }, 'attach')}`,
    'v5.channel.k8s.io',
  )
  let output = ''
  socket.on('message', (data: Buffer) => {
    if (data[0] === 1) output += data.subarray(1).toString()
  })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.send(stdin('one\n'))
  await vi.waitFor(() => expect(output).toBe('got one\n'), 10_000)
  socket.close()
  await allEnded()
})

test('a client that vanishes leaves nothing open', async () => {
  for (const protocol of ['v5.channel.k8s.io', 'v4.channel.k8s.io']) {
    const socket = new WebSocket(`ws://${base}${commandPath(['cat'], { stdin: true })}`, protocol)
    await new Promise((resolve) => socket.once('message', resolve))
    expect(open).toBe(1)
    socket.terminate()
    await allEnded()
  }
})

test('a container that is killed ends the session with a status', async () => {
  const victim = await host.runPod('victim', ['/bin/sleep', '1000000'])
  const path = commandPath(['sleep', '1000000'], { containerId: victim.containerId })
  const ended = talk(path, 'v5.channel.k8s.io', () => void host.client.stopContainer({ containerId: victim.containerId, timeout: 0 }))
  const { channels } = await ended
  expect(JSON.parse(channels[3] ?? '')).toMatchObject({ status: 'Failure' })
})

test('a refusal of the runtime reaches the client as an HTTP answer', async () => {
  const answer = await new Promise<{ readonly status: number | undefined; readonly body: string }>((resolve, reject) => {
    const request = httpRequest(`http://${base}${commandPath(['true'], {})}`, {
      method: 'POST',
      headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v99' },
    })
    request.on('error', reject)
    request.on('response', (response) => void text(response).then((body) => resolve({ status: response.statusCode, body }), reject))
    request.end()
  })
  expect(answer.status).toBe(403)
  await allEnded()
})

test('port-forward by SPDY passes through', async () => {
  const { port } = echo.address() as AddressInfo
  const forwarder = await openPortForward(`http://${base}/portforward`)
  const { data } = await forwarder.connect(port)
  data.end('through spdy')
  expect(await text(data)).toBe('through spdy')
  await forwarder[Symbol.asyncDispose]()
  await allEnded()
})

/** kubectl's subprotocol has a slash, which WebSocket libraries refuse: frames by hand. */
async function openTunnel(): Promise<{
  readonly socket: Duplex
  readonly send: (bytes: Buffer) => void
  readonly read: () => AsyncIterable<Buffer>
}> {
  const { socket, head } = await upgrade(`http://${base}/portforward`, {
    method: 'GET',
    headers: {
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-protocol': 'SPDY/3.1+portforward.k8s.io',
    },
  })
  socket.on('error', () => {})
  return {
    socket,
    send(bytes) {
      // Final, binary, a 64-bit length, masked with zeros.
      const header = Buffer.from([0x82, 0xff, ...Array<number>(12).fill(0)])
      header.writeBigUInt64BE(BigInt(bytes.length), 2)
      socket.write(Buffer.concat([header, bytes]))
    },
    async *read() {
      let rest: Buffer = head
      for await (const chunk of socket) {
        rest = Buffer.concat([rest, chunk as Buffer])
        for (;;) {
          const short = (rest[1] ?? 0) & 127
          const size = short === 126 ? 4 : short === 127 ? 10 : 2
          if (rest.length < size) break
          const length = short === 126 ? rest.readUInt16BE(2) : short === 127 ? Number(rest.readBigUInt64BE(2)) : short
          if (rest.length < size + length) break
          if (rest[0] === 0x88) return
          if (rest[0] === 0x82) yield rest.subarray(size, size + length)
          rest = rest.subarray(size + length)
        }
      }
    },
  }
}

test('port-forward by SPDY in a WebSocket is unwrapped', async () => {
  // Our SPDY client connects to a bridge, which puts its bytes into the tunnel.
  const bridge = createHttpServer()
  bridge.on('upgrade', (_request, socket, head) => {
    const serve = async (): Promise<void> => {
      const tunnel = await openTunnel()
      socket.on('error', () => {})
      socket.on('close', () => tunnel.socket.destroy())
      socket.on('data', (chunk: Buffer) => tunnel.send(chunk))
      if (head.length > 0) tunnel.send(head)
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n',
      )
      for await (const bytes of tunnel.read()) socket.write(bytes)
      socket.destroy()
    }
    serve().catch(() => socket.destroy())
  })
  await new Promise<void>((resolve) => bridge.listen(0, '127.0.0.1', resolve))
  const { port } = echo.address() as AddressInfo
  const forwarder = await openPortForward(`http://127.0.0.1:${(bridge.address() as AddressInfo).port}/`)
  const big = 'y'.repeat(5_000_000)
  const answers = await Promise.all(
    ['one', big].map(async (content) => {
      const { data } = await forwarder.connect(port)
      data.end(content)
      return (await text(data)) === content
    }),
  )
  expect(answers).toEqual([true, true])
  await forwarder[Symbol.asyncDispose]()
  bridge.close()
  await allEnded()
})

test('port-forward by WebSocket v4 passes through', async () => {
  const { port } = echo.address() as AddressInfo
  const socket = new WebSocket(`ws://${base}/portforward?port=${port}`, 'v4.channel.k8s.io')
  const messages: Buffer[] = []
  socket.on('message', (data: Buffer) => messages.push(data))
  await vi.waitFor(() => expect(messages.length).toBe(2), 10_000)
  const first = Buffer.alloc(3)
  first.writeUInt16LE(port, 1)
  expect(messages[0]).toEqual(first)
  socket.send(stdin('ping'))
  await vi.waitFor(() => expect(messages[2]).toEqual(stdin('ping')), 10_000)
  socket.close()
  await allEnded()
})

test('an abort ends every connection', async () => {
  const socket = new WebSocket(`ws://${base}${commandPath(['cat'], { stdin: true })}`, 'v5.channel.k8s.io')
  await new Promise((resolve) => socket.once('message', resolve))
  const tunnel = await openTunnel()
  const closed = new Promise((resolve) => tunnel.socket.resume().once('close', resolve))
  expect(open).toBe(2)
  stop.abort()
  await Promise.all([closed, allEnded()])
})
