import type { Readable } from 'node:stream'
import { openStreams, type RuntimeStreams, type StreamStatus } from '@k3s/cri-client'
import type { RawData, WebSocket } from 'ws'
import { proxyUpgrade, refuse, type UpgradeRequest } from './proxy-upgrade.ts'
import { acceptWebSocket, offeredProtocols, send, whenClosed } from './web-socket.ts'

/** What the client asked for, and so what the runtime was asked for when it gave the URL. */
export interface CommandStreams {
  readonly stdin: boolean
  readonly stdout: boolean
  /** Ignored with `tty`. */
  readonly stderr: boolean
  readonly tty: boolean
}

export interface RemoteCommandOptions extends UpgradeRequest {
  /** From `CriClient.exec` or `.attach`. */
  readonly url: string
  readonly streams: CommandStreams
}

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const

// What the runtime does not speak, or not well enough: v5 can say that the input ended, and v4's predecessor's error
// channel stays silent on success.
const translated = new Set(['v5.channel.k8s.io', 'channel.k8s.io'])
const passed = new Set(['v4.channel.k8s.io', 'v4.base64.channel.k8s.io', 'base64.channel.k8s.io'])

/**
 * Serves `exec` and `attach` on a client's upgraded connection. SPDY and WebSocket protocols that the runtime has pass
 * through as bytes; `v5.channel.k8s.io` and `channel.k8s.io` are translated to SPDY. Resolves when the connection is
 * over, everything closed; never rejects.
 */
export async function serveRemoteCommand(options: RemoteCommandOptions): Promise<void> {
  const offered = offeredProtocols(options.request)
  const protocol = offered?.find((name) => translated.has(name) || passed.has(name))
  if (offered !== undefined && offered.length > 0 && protocol === undefined)
    return refuse(options.socket, 403, `unable to upgrade: unsupported protocol "${offered.join(', ')}"`)
  if (protocol === undefined || passed.has(protocol)) return proxyUpgrade(options, options.url)
  return translate(options, protocol)
}

async function translate(options: RemoteCommandOptions, protocol: string): Promise<void> {
  const { socket, url, signal } = options
  const gone = new AbortController()
  const onClose = (): void => gone.abort()
  const onError = (): void => {} // a close follows
  socket.on('error', onError)
  socket.once('close', onClose)
  let opened: RuntimeStreams
  try {
    // Before the client is accepted, so that a refusal is still an HTTP answer.
    opened = await openStreams(url, {
      ...options.streams,
      signal: signal === undefined ? gone.signal : AbortSignal.any([gone.signal, signal]),
    })
  } catch (error) {
    return refuse(socket, 500, error instanceof Error ? error.message : String(error))
  } finally {
    socket.off('close', onClose)
  }
  await using streams = opened
  const client = await Promise.race([acceptWebSocket(options, protocol), socketClosed(options)])
  if (client === undefined) return
  const closed = whenClosed(client)
  const onAbort = (): void => client.terminate()
  if (signal?.aborted === true) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    receive(client, streams)
    await Promise.race([closed, deliver(client, streams, options.streams, protocol)])
    await closed
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/** From the client to the runtime; the client is not read while the process does not read its input. */
function receive(client: WebSocket, streams: RuntimeStreams): void {
  const { stdin } = streams
  stdin?.on('error', () => {}) // the process closed its input, or the connection broke: the output tells
  stdin?.on('drain', () => client.resume())
  stdin?.on('close', () => client.resume())
  client.on('message', (data: RawData) => {
    const message = data as Buffer // the default binaryType
    const content = message.subarray(1)
    switch (message[0]) {
      case channel.stdin:
        if (stdin?.writable === true && content.length > 0 && !stdin.write(content)) client.pause()
        break
      case channel.resize: {
        const size = parseSize(content)
        if (size !== undefined) streams.resize(size.width, size.height)
        break
      }
      case channel.close:
        if (content[0] === channel.stdin) stdin?.end()
        break
      default: // upstream ignores what clients send on other channels
    }
  })
}

/** From the runtime to the client; the runtime is not read while the client does not read. */
async function deliver(client: WebSocket, streams: RuntimeStreams, wanted: CommandStreams, protocol: string): Promise<void> {
  // Clients wait for a first message to know that the streams are open.
  await send(client, Buffer.from([wanted.stdout ? channel.stdout : wanted.stderr ? channel.stderr : channel.error]))
  await Promise.all([copy(streams.stdout, client, channel.stdout), copy(streams.stderr, client, channel.stderr)])
  const status = await streams.status.catch((error: unknown) => failure(error instanceof Error ? error.message : String(error)))
  const text = protocol === 'channel.k8s.io' ? Buffer.from(status.isSuccess ? '' : status.message) : status.json
  if (text.length > 0) await send(client, Buffer.from([channel.error]), text)
  client.resume() // to read its answer
  client.close(1000)
}

async function copy(source: Readable | undefined, client: WebSocket, number: number): Promise<void> {
  const prefix = Buffer.from([number])
  try {
    for await (const chunk of source ?? []) await send(client, prefix, chunk as Buffer) // no encoding is set
  } catch {
    // The connection to the runtime broke: the status says so.
  }
}

function failure(message: string): StreamStatus {
  const status = { metadata: {}, status: 'Failure', message: `Internal error occurred: ${message}`, reason: 'InternalError', code: 500 }
  return { json: Buffer.from(JSON.stringify(status)), isSuccess: false, exitCode: undefined, message: status.message }
}

function parseSize(json: Buffer): { readonly width: number; readonly height: number } | undefined {
  try {
    const { Width: width, Height: height } = JSON.parse(json.toString()) as { readonly Width?: unknown; readonly Height?: unknown } // checked below
    return typeof width === 'number' && typeof height === 'number' ? { width, height } : undefined
  } catch {
    return undefined // a size that cannot be read is not worth the session
  }
}

function socketClosed({ socket }: UpgradeRequest): Promise<undefined> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve(undefined)
    else socket.once('close', () => resolve(undefined))
  })
}
