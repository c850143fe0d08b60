import { connect as connectTcp, isIP } from 'node:net'
import { pipeline } from 'node:stream'
import type { Duplex } from 'node:stream'
import { noLogger, type Logger } from '@k3s/lifecycle'
import type { RawData, WebSocket } from 'ws'
import { TunnelConnection, type ConnectionLink } from './connection.ts'
import { TunnelError } from './errors.ts'
import { decodeConnectionIds, decodeMessage, encodeConnectionIds, encodeMessage, type Message } from './message.ts'

/** Says whether the other side may reach this address. */
export type Authorize = (protocol: string, address: string) => boolean
/** Opens what the other side asked for. */
export type LocalDialer = (protocol: string, address: string, signal: AbortSignal) => Promise<Duplex>

export interface SessionOptions {
  /** The side that opened the websocket pings and lists its live connections. */
  readonly role: 'client' | 'server'
  readonly authorize: Authorize
  readonly dial?: LocalDialer | undefined
  readonly logger?: Logger | undefined
  readonly timing?: Partial<typeof defaultTiming> | undefined
}

// remotedialer's own: PingWriteInterval, PingWaitDuration, and the dial deadline of its server.
const defaultTiming = { pingMs: 5000, silenceMs: 60_000, dialMs: 60_000, syncMs: 60_000 }
// More than this waiting in the websocket makes writers wait.
const highWaterBytes = 1024 * 1024
// A flood of connections ends the session rather than the process.
const maxConnections = 10_000

/** Connects to `host:port` on this machine. */
export const dialTcp: LocalDialer = (protocol, address, signal) =>
  new Promise((resolve, reject) => {
    const colon = address.lastIndexOf(':')
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
    const port = Number(address.slice(colon + 1))
    if (protocol !== 'tcp' || colon <= 0 || !Number.isInteger(port) || port <= 0 || port > 65_535)
      return reject(new TunnelError('DialFailed', `Cannot dial "${protocol}/${address}": it is no TCP address`))
    const socket = connectTcp({ host, port, allowHalfOpen: true, noDelay: true, ...(isIP(host) === 0 ? { autoSelectFamily: true } : {}) })
    const onAbort = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('error', reject)
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', reject)
      resolve(socket)
    })
    return undefined
  })

/** One websocket that carries many connections, in both directions. Follows remotedialer's Session. */
export class TunnelSession {
  readonly #socket: WebSocket
  readonly #options: SessionOptions
  readonly #logger: Logger
  readonly #timing: typeof defaultTiming
  readonly #connections = new Map<number, TunnelConnection>()
  readonly #stop = new AbortController()
  readonly #link: ConnectionLink
  #lastConnectionId = 0
  #lastMessageId = 0
  #silence: NodeJS.Timeout | undefined

  /** Resolves when the websocket is closed and all connections are destroyed; never rejects. */
  readonly closed: Promise<void>

  constructor(socket: WebSocket, options: SessionOptions) {
    this.#socket = socket
    this.#options = options
    this.#logger = options.logger ?? noLogger
    this.#timing = { ...defaultTiming, ...options.timing }
    this.#link = { send: (message) => this.#send(message), closed: (id) => this.#connections.delete(id) }
    const timers: NodeJS.Timeout[] = []
    if (options.role === 'client') {
      timers.push(
        setInterval(() => socket.ping(), this.#timing.pingMs).unref(),
        setInterval(() => this.#sync(), this.#timing.syncMs).unref(),
      )
    }
    const heard = (): void => {
      clearTimeout(this.#silence)
      this.#silence = setTimeout(() => socket.terminate(), this.#timing.silenceMs).unref()
    }
    heard()
    socket.on('ping', heard)
    socket.on('pong', heard)
    socket.on('message', (data, isBinary) => {
      heard()
      if (isBinary) this.#receive(toBuffer(data))
    })
    socket.on('error', (err) => this.#logger.debug({ err }, 'Tunnel websocket error'))
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        for (const timer of timers) clearInterval(timer)
        clearTimeout(this.#silence)
        this.#stop.abort(new TunnelError('SessionClosed', 'The tunnel session was closed'))
        for (const connection of this.#connections.values())
          connection.destroy(new TunnelError('SessionClosed', 'The tunnel session was closed'))
        this.#connections.clear()
        resolve()
      })
    })
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Has the other side connect to `address` (`host:port`). Data may be written at once; a refusal destroys the stream with its reason. */
  open(protocol: 'tcp', address: string): Duplex {
    if (this.#socket.readyState !== this.#socket.OPEN) throw new TunnelError('SessionClosed', 'The tunnel session was closed')
    const connection = this.#add(++this.#lastConnectionId)
    this.#send({ type: 'connect', connectionId: connection.connectionId, payload: Buffer.from(`${protocol}/${address}`) }).catch(
      (error: Error) => connection.destroy(error),
    )
    return connection
  }

  close(): void {
    this.#socket.close()
    setTimeout(() => this.#socket.terminate(), 1000).unref()
  }

  #add(id: number): TunnelConnection {
    const connection = new TunnelConnection(id, this.#link)
    connection.on('error', () => {}) // its user listens too, or does not care
    this.#connections.set(id, connection)
    return connection
  }

  async #send(message: Message): Promise<void> {
    if (this.#socket.readyState !== this.#socket.OPEN) throw new TunnelError('SessionClosed', 'The tunnel session was closed')
    const frame = encodeMessage(message, ++this.#lastMessageId)
    // Only a full websocket makes data wait; what steers the connections always goes out at once.
    if (message.type !== 'data' || this.#socket.bufferedAmount < highWaterBytes) {
      this.#socket.send(frame, { binary: true, compress: false })
      return
    }
    await new Promise<void>((resolve, reject) =>
      this.#socket.send(frame, { binary: true, compress: false }, (error) => (error ? reject(error) : resolve())),
    )
  }

  #receive(frame: Buffer): void {
    const message = decodeMessage(frame)
    if (message === undefined) {
      this.#logger.warn({ bytes: frame.length }, 'Received a frame that is none of the tunnel protocol')
      this.#socket.terminate()
      return
    }
    if (message.type === 'connect') return this.#accept(message)
    if (message.type === 'syncConnections') return this.#reconcile(decodeConnectionIds(message.payload))
    if (message.type === 'addClient' || message.type === 'removeClient') return
    const connection = this.#connections.get(message.connectionId)
    if (connection !== undefined) return connection.receive(message)
    if (message.type === 'data') {
      this.#send({ type: 'error', connectionId: message.connectionId, payload: Buffer.from('connection not found') }).catch(() => {}) // the session is ending
    }
  }

  #accept(message: Message): void {
    const target = message.payload.toString()
    const slash = target.indexOf('/')
    const protocol = target.slice(0, slash)
    const address = target.slice(slash + 1)
    if (slash < 0 || !this.#options.authorize(protocol, address) || this.#connections.size >= maxConnections) {
      this.#logger.warn({ target }, 'Refused a connection through the tunnel')
      this.#send({ type: 'error', connectionId: message.connectionId, payload: Buffer.from('connect not allowed') })
        .catch(() => {}) // the session is ending
        .finally(() => this.close())
      return
    }
    const connection = this.#add(message.connectionId)
    const dial = this.#options.dial ?? dialTcp
    const limit = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#timing.dialMs)])
    dial(protocol, address, limit).then(
      (local) => {
        if (connection.destroyed) return local.destroy()
        pipeline(connection, local, () => {})
        pipeline(local, connection, () => {})
        return local
      },
      (error: unknown) => connection.destroy(error instanceof Error ? error : new Error(String(error))),
    )
  }

  /** Tells the other side what is alive here, so that it drops what it alone still has. */
  #sync(): void {
    this.#send({ type: 'syncConnections', connectionId: 0, payload: encodeConnectionIds([...this.#connections.keys()]) }).catch(() => {}) // the session is ending
  }

  #reconcile(alive: readonly number[]): void {
    const ids = new Set(alive)
    for (const [id, connection] of this.#connections) {
      // One that was opened since the list was made is not in it yet.
      if (!ids.has(id) && id + 16 < this.#lastConnectionId)
        connection.destroy(new TunnelError('SessionClosed', 'The other side does not know this connection any more'))
    }
  }
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
