import { Duplex } from 'node:stream'
import type { Message } from './message.ts'

// remotedialer's read buffer: the other side is asked to pause above the first and to go on below the second.
const pauseBytes = 2 * 1024 * 1024
const resumeBytes = 256 * 1024
// A data message larger than this delays others of the same websocket.
const chunkBytes = 32 * 1024

/** The text of an Error message that means a half-close. */
export const endOfFile = 'EOF'

/** What a connection needs of its session. */
export interface ConnectionLink {
  /** Resolves when the websocket has taken it. */
  send(message: Message): Promise<void>
  /** The connection is over in both directions. */
  closed(connectionId: number): void
}

/**
 * One stream in a session. Ending it sends EOF and leaves the other direction open; destroying it with an error sends the error's text.
 * Reading slowly makes the other side pause.
 */
export class TunnelConnection extends Duplex {
  readonly connectionId: number
  readonly #link: ConnectionLink
  #buffered: Buffer[] = []
  #bufferedBytes = 0
  #wantsMore = false
  #isPausing = false
  #isEnded = false
  #isPaused = false
  #resumed: (() => void) | undefined

  constructor(connectionId: number, link: ConnectionLink) {
    super({ allowHalfOpen: true, emitClose: true })
    this.connectionId = connectionId
    this.#link = link
  }

  /** A message of the other side for this connection. */
  receive(message: Message): void {
    switch (message.type) {
      case 'data':
        this.#buffered.push(message.payload)
        this.#bufferedBytes += message.payload.length
        if (this.#bufferedBytes > pauseBytes && !this.#isPausing) {
          this.#isPausing = true
          this.#tell('pause')
        }
        this.#flush()
        break
      case 'pause':
        this.#isPaused = true
        break
      case 'resume':
        this.#isPaused = false
        this.#resumed?.()
        break
      case 'error': {
        const text = message.payload.toString()
        if (text === endOfFile) {
          this.#isEnded = true
          this.#flush()
        } else {
          this.destroy(new Error(text))
        }
      }
    }
  }

  override _read(): void {
    this.#wantsMore = true
    this.#flush()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#sendAll(chunk).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#link.send({ type: 'error', connectionId: this.connectionId, payload: Buffer.from(endOfFile) }).then(() => done(), done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#resumed?.()
    this.#buffered = []
    // Both directions were ended: the other side knows already.
    if (error !== null || !this.writableFinished || !this.readableEnded) {
      const text = (error?.message ?? 'closed').slice(0, 100)
      this.#link.send({ type: 'error', connectionId: this.connectionId, payload: Buffer.from(text) }).catch(() => {}) // the session is gone, and with it the connection
    }
    this.#link.closed(this.connectionId)
    done(error)
  }

  async #sendAll(chunk: Buffer): Promise<void> {
    for (let from = 0; from < chunk.length; from += chunkBytes) {
      while (this.#isPaused && !this.destroyed) {
        await new Promise<void>((resolve) => (this.#resumed = resolve))
        this.#resumed = undefined
      }
      if (this.destroyed) return
      await this.#link.send({ type: 'data', connectionId: this.connectionId, payload: chunk.subarray(from, from + chunkBytes) })
    }
  }

  #flush(): void {
    while (this.#wantsMore && this.#buffered.length > 0) {
      const chunk = this.#buffered.shift()
      if (chunk === undefined) break
      this.#bufferedBytes -= chunk.length
      this.#wantsMore = this.push(chunk)
    }
    if (this.#isPausing && this.#bufferedBytes < resumeBytes) {
      this.#isPausing = false
      this.#tell('resume')
    }
    if (this.#isEnded && this.#buffered.length === 0) {
      this.#isEnded = false
      this.push(null)
    }
  }

  #tell(type: 'pause' | 'resume'): void {
    this.#link.send({ type, connectionId: this.connectionId, payload: Buffer.alloc(0) }).catch(() => {}) // as above
  }
}
