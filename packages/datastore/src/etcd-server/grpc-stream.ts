import type { ServerHttp2Stream } from 'node:http2'
import { etcdErrors, GrpcError } from './grpc-error.ts'

/** The bytes before a message: whether it is compressed, and its length. */
export const framePrefixBytes = 5

/** Fills the prefix of a frame whose message was encoded after {@link framePrefixBytes} bytes of headroom. */
export function finishFrame(frame: Buffer): Buffer {
  frame[0] = 0
  frame.writeUInt32BE(frame.length - framePrefixBytes, 1)
  return frame
}

/** Throws unless a frame's prefix is one that we take. */
export function readFrameLength(prefix: Buffer, maxBytes: number): number {
  if (prefix[0] !== 0) throw new GrpcError('unimplemented', 'grpc: Decompressor is not installed for the message')
  const length = prefix.readUInt32BE(1)
  if (length > maxBytes) throw new GrpcError('resourceExhausted', `grpc: received message larger than max (${length} vs. ${maxBytes})`)
  return length
}

/** A call of which one side or both are streams. */
export interface GrpcStream {
  /** Aborts when the stream is closed, whoever closes it, and when the server stops. */
  readonly signal: AbortSignal
  /** What the client sends, until it has finished. Reads no further than it is consumed. Each has memory of its own. Throws a {@link GrpcError} for a broken frame. */
  readonly messages: () => AsyncIterable<Buffer>
  /** Sends a finished frame and resolves when there is room for more, or the stream is closed. Frames keep the order of the calls. */
  readonly send: (frame: Buffer) => Promise<void>
}

export function openGrpcStream(stream: ServerHttp2Stream, signal: AbortSignal, maxBytes: number): GrpcStream {
  let room: Promise<void> | undefined
  const waitForRoom = (): Promise<void> => {
    room ??= new Promise((resolve) => {
      const done = (): void => {
        room = undefined
        stream.off('drain', done).off('close', done)
        resolve()
      }
      stream.on('drain', done).on('close', done)
    })
    return room
  }
  return {
    signal,
    messages: () => readMessages(stream, maxBytes),
    send: (frame) => {
      if (stream.closed || stream.destroyed || stream.writableEnded) return Promise.reject(etcdErrors.stopped())
      return stream.write(frame) ? ready : waitForRoom()
    },
  }
}

const ready = Promise.resolve()

async function* readMessages(stream: ServerHttp2Stream, maxBytes: number): AsyncGenerator<Buffer, void, void> {
  const parts: Buffer[] = []
  let size = 0
  // The prefix decides how much is needed; until then that is the prefix.
  let needed = framePrefixBytes
  let hasPrefix = false
  // A stream that is reset while it is read ends here like one that was finished: its signal tells.
  const chunks: AsyncIterable<Buffer> = stream.iterator({ destroyOnReturn: false })
  try {
    for await (const chunk of chunks) {
      parts.push(chunk)
      size += chunk.length
      while (size >= needed) {
        const joined: Buffer = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
        const head = joined.subarray(0, needed)
        parts.splice(0, parts.length, joined.subarray(needed))
        size -= needed
        if (hasPrefix) {
          yield Buffer.from(head)
          needed = framePrefixBytes
        } else needed = readFrameLength(head, maxBytes)
        hasPrefix = !hasPrefix
      }
    }
  } catch (error) {
    if (error instanceof GrpcError) throw error
  }
}
