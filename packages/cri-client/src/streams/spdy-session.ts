import { Duplex } from 'node:stream'
import { CriError } from '../errors.ts'
import { dataHeader, flagFin, frameHeaderBytes, frameType, FrameWriter, goAway, ping, rstStream, statusCancel } from './spdy-frames.ts'

// Small enough that streams of one connection take turns.
const maxDataBytes = 32 * 1024
const maxControlBytes = 64 * 1024

/** Thrown into streams whose connection ended before they did. */
const broken = (cause?: unknown): CriError =>
  new CriError('UNAVAILABLE', 'Connection to the runtime ended before its streams did', { cause })

/**
 * The client's side of a SPDY/3.1 connection. Kubernetes' peers do no flow control of single streams: when a reader of
 * one stream is slow the whole connection waits, so every readable stream must be read.
 */
export class SpdySession implements AsyncDisposable {
  readonly #socket: Duplex
  readonly #writer = new FrameWriter()
  readonly #streams = new Map<number, SpdyStream>()
  readonly #blocked = new Set<SpdyStream>()
  readonly #closed = Promise.withResolvers<void>()
  #nextId = 1
  #pending: Buffer = Buffer.alloc(0)
  /** The data frame that is being read. */
  #data: { readonly streamId: number; readonly isFin: boolean; left: number } | undefined

  /** Takes over `socket`; `head` are bytes that were read from it already. */
  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#end(error))
    socket.on('end', () => this.#end())
    socket.on('close', () => {
      this.#end()
      this.#closed.resolve()
    })
    if (head.length > 0) this.#receive(head)
  }

  /**
   * Opens a stream and waits until the peer accepts it. `isReadOnly`: we shall write nothing.
   * Rejects with `UNAVAILABLE` when it is refused or the connection ends; with the signal's reason on abort.
   */
  async open(headers: Readonly<Record<string, string>>, isReadOnly: boolean, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted()
    if (this.#socket.destroyed) throw broken()
    const id = this.#nextId
    this.#nextId += 2
    const stream = new SpdyStream(id, isReadOnly, {
      send: (frames, done) => this.#send(frames, done),
      resume: (stream) => this.#resume(stream),
      forget: (stream) => {
        this.#streams.delete(id)
        this.#resume(stream)
      },
    })
    this.#streams.set(id, stream)
    this.#send([this.#writer.synStream(id, headers, isReadOnly)], () => {})
    const onAbort = (): void => {
      stream.destroy()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await stream.accepted
      return stream
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Resolves when the connection is gone. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Streams that have not ended are broken. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#socket.destroyed) {
      if (this.#socket.writable) this.#socket.write(goAway())
      this.#socket.destroy()
    }
    await this.#closed.promise
  }

  #send(frames: readonly Buffer[], done: (error?: Error | null) => void): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return done(broken())
    this.#socket.cork()
    frames.forEach((frame, index) => this.#socket.write(frame, index === frames.length - 1 ? done : undefined))
    this.#socket.uncork()
  }

  #resume(stream: SpdyStream): void {
    if (this.#blocked.delete(stream) && this.#blocked.size === 0) this.#socket.resume()
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    for (;;) {
      if (this.#data !== undefined) {
        const part = bytes.subarray(0, this.#data.left)
        bytes = bytes.subarray(part.length)
        this.#deliver(this.#data, part)
        if (this.#data.left > 0) break
        this.#data = undefined
      }
      if (bytes.length < frameHeaderBytes) break
      const length = bytes.readUInt32BE(4) & 0xffffff
      const flags = bytes[4] ?? 0
      const first = bytes.readUInt32BE(0)
      if (first < 0x80000000) {
        this.#data = { streamId: first, isFin: (flags & flagFin) !== 0, left: length }
        bytes = bytes.subarray(frameHeaderBytes)
        continue
      }
      if (length > maxControlBytes) {
        this.#socket.destroy(new CriError('INTERNAL', `SPDY control frame of ${length} bytes is above the limit of ${maxControlBytes}`))
        return
      }
      if (bytes.length < frameHeaderBytes + length) break
      this.#control(first & 0xffff, flags, bytes.subarray(frameHeaderBytes, frameHeaderBytes + length))
      bytes = bytes.subarray(frameHeaderBytes + length)
    }
    this.#pending = bytes
  }

  #deliver(data: { readonly streamId: number; readonly isFin: boolean; left: number }, part: Buffer): void {
    data.left -= part.length
    const stream = this.#streams.get(data.streamId)
    if (stream === undefined) return // we reset it, and the peer had not heard of it yet
    if (part.length > 0 && !stream.receive(part)) {
      this.#blocked.add(stream)
      this.#socket.pause()
    }
    if (data.left === 0 && data.isFin) stream.receiveEnd()
  }

  #control(type: number, flags: number, payload: Buffer): void {
    if (type === frameType.ping) {
      this.#send([ping(payload)], () => {}) // all pings are the peer's: we send none
      return
    }
    const stream = payload.length >= 4 ? this.#streams.get(payload.readUInt32BE(0)) : undefined
    if (stream === undefined) return
    if (type === frameType.synReply) stream.receiveReply()
    else if (type === frameType.rstStream) stream.receiveReset()
    if ((type === frameType.synReply || type === frameType.headers) && (flags & flagFin) !== 0) stream.receiveEnd()
  }

  #end(cause?: unknown): void {
    for (const stream of this.#streams.values()) stream.receiveBreak(broken(cause))
    this.#streams.clear()
    this.#socket.destroy()
  }
}

interface StreamOwner {
  send(frames: readonly Buffer[], done: (error?: Error | null) => void): void
  resume(stream: SpdyStream): void
  forget(stream: SpdyStream): void
}

class SpdyStream extends Duplex {
  readonly #id: number
  readonly #owner: StreamOwner
  readonly #isReadOnly: boolean
  readonly #accepted = Promise.withResolvers<void>()
  #isRemoteEnded = false
  #isReset = false

  constructor(id: number, isReadOnly: boolean, owner: StreamOwner) {
    super({ allowHalfOpen: true })
    this.#id = id
    this.#owner = owner
    this.#isReadOnly = isReadOnly
    if (isReadOnly) this.end()
    this.#accepted.promise.catch(() => {}) // the opener gets it too
    // Who never listens for errors still learns of them: reads and the session's other users see the end.
    this.on('error', () => {})
  }

  get accepted(): Promise<void> {
    return this.#accepted.promise
  }

  /** False: the reader is behind; do not deliver until it asks. */
  receive(bytes: Buffer): boolean {
    return this.#isRemoteEnded || this.push(bytes)
  }

  receiveReply(): void {
    this.#accepted.resolve()
  }

  receiveEnd(): void {
    if (this.#isRemoteEnded) return
    this.#isRemoteEnded = true
    this.push(null)
  }

  /** A reset is how the peer's library closes streams at the end of a session: what came before it counts. */
  receiveReset(): void {
    this.#isReset = true
    this.#accepted.reject(new CriError('UNAVAILABLE', 'Runtime refused a stream'))
    this.receiveEnd()
    this.end()
  }

  receiveBreak(error: CriError): void {
    this.#accepted.reject(error)
    if (this.#isRemoteEnded) {
      this.#isReset = true
      this.end()
    } else this.destroy(error)
  }

  override _read(): void {
    this.#owner.resume(this)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#isReset) return done() // nobody reads it any more: like writing to a process that has closed its input
    const frames: Buffer[] = []
    for (let at = 0; at < chunk.length; at += maxDataBytes) {
      const part = chunk.subarray(at, at + maxDataBytes)
      frames.push(dataHeader(this.#id, part.length, false), part)
    }
    if (frames.length === 0) done()
    else this.#owner.send(frames, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#isReset || this.#isReadOnly) done()
    else this.#owner.send([dataHeader(this.#id, 0, true)], done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#accepted.reject(error ?? broken())
    if (!this.#isReset && !(this.#isRemoteEnded && this.writableFinished)) this.#owner.send([rstStream(this.#id, statusCancel)], () => {})
    this.#owner.forget(this)
    done(error)
  }
}
