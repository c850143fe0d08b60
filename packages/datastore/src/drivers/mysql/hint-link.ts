import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { backoffDelay } from '@k3s/lifecycle'
import { connectionKey, decodeGreeting, encodeHello, encodeHint, greetingBytes } from './hint-frames.ts'
import type { MemberId } from './hint-frames.ts'

/** For the other member to greet. */
const greetingTimeoutMs = 2000
/** Between two tries: what a member that comes back costs in polling. */
const maxRetryMs = 5000
/** A connection that lived this long was a good one: the next try comes soon. */
const settledMs = 5000

export interface HintLinkOptions {
  readonly host: string
  readonly port: number
  readonly from: MemberId
  readonly to: MemberId
  readonly secret: Uint8Array
}

/** The connection on which this member tells one other member of its writes. It is made anew, with growing delays, until it is closed. */
export class HintLink {
  readonly #options: HintLinkOptions
  #socket: Socket | undefined
  #key: Buffer | undefined
  #sequence = 0
  /** The newest revision, 0 for none, and whether it is still to be sent. */
  #revision: number
  #isPending = false
  #isWriting = false
  #attempt = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /** `revision` is told as soon as it is connected; 0: nothing. */
  constructor(options: HintLinkOptions, revision: number) {
    this.#options = options
    this.#revision = revision
    this.#connect()
  }

  announce(revision: number): void {
    this.#revision = revision
    this.#isPending = true
    this.#flush()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  #connect(): void {
    const { host, port, from, to, secret } = this.#options
    const begin = performance.now()
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 })
    this.#socket = socket
    this.#sequence = 0
    this.#isWriting = false
    socket.unref()
    this.#timer = setTimeout(() => socket.destroy(), greetingTimeoutMs).unref()
    socket.on('error', () => {}) // a close follows
    socket.once('close', () => {
      clearTimeout(this.#timer)
      this.#key = undefined
      if (this.#closed) return
      this.#attempt = performance.now() - begin > settledMs ? 0 : this.#attempt + 1
      this.#timer = setTimeout(() => this.#connect(), backoffDelay(this.#attempt, { maxMs: maxRetryMs })).unref()
    })
    readFrames(socket, greetingBytes, (frame) => {
      const challenge = this.#key === undefined ? decodeGreeting(frame) : undefined
      if (challenge === undefined) return 0
      clearTimeout(this.#timer)
      this.#key = connectionKey({ secret, challenge, from, to })
      socket.write(encodeHello(this.#key, from))
      // What was sent on an earlier connection may be lost.
      this.#isPending = this.#revision > 0
      this.#flush()
      return greetingBytes // nothing more is due: another frame ends the connection
    })
  }

  /** One hint at a time is on its way; those that come meanwhile are replaced by the newest. */
  #flush(): void {
    const [socket, key] = [this.#socket, this.#key]
    if (this.#isWriting || !this.#isPending || socket === undefined || key === undefined) return
    this.#isPending = false
    this.#isWriting = true
    socket.write(encodeHint(key, this.#sequence++, this.#revision), () => {
      if (socket !== this.#socket) return
      this.#isWriting = false
      this.#flush()
    })
  }
}

/** Reads frames of known sizes: `take` answers the size of the next one, or 0, which ends the connection. Holds one frame at most. */
export function readFrames(socket: Socket, firstBytes: number, take: (frame: Buffer) => number): void {
  let frame = Buffer.alloc(firstBytes)
  let filled = 0
  socket.on('error', () => {}) // a close follows
  socket.on('data', (data: Buffer) => {
    for (let offset = 0; offset < data.length;) {
      const copied = data.copy(frame, filled, offset)
      offset += copied
      filled += copied
      if (filled < frame.length) return
      const next = take(frame)
      if (next === 0) return void socket.destroy()
      frame = Buffer.alloc(next)
      filled = 0
    }
  })
}
