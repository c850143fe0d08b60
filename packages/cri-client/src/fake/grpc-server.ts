import { createServer, constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { CriError } from '../errors.ts'
import { frame, FrameReader } from '../grpc-frames.ts'
import { encodeStatusMessage, statusNumber } from '../grpc-status.ts'

/** Yields the responses of one call; throws {@link CriError} for a status other than OK. */
export type GrpcHandler = (path: string, request: Buffer, signal: AbortSignal) => AsyncIterable<Uint8Array>

const maxRequestBytes = 16 * 1024 * 1024

/** Serves gRPC on a Unix socket that must not exist. Disposing cuts all connections and removes the socket. */
export async function serveGrpc(socketPath: string, handler: GrpcHandler): Promise<AsyncDisposable> {
  const server = createServer()
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {}) // the client went away
    void answer(stream, String(headers[':path']), handler) // never rejects
  })
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(socketPath, listening.resolve)
  await listening.promise
  return {
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}

async function answer(stream: ServerHttp2Stream, path: string, handler: GrpcHandler): Promise<void> {
  const gone = new AbortController()
  stream.on('close', () => gone.abort())
  const head = { ':status': 200, 'content-type': 'application/grpc' }
  let code: Parameters<typeof statusNumber>[0] = 'OK'
  let message = ''
  try {
    const request = await readRequest(stream)
    for await (const response of handler(path, request, gone.signal)) {
      if (stream.destroyed) return
      if (!stream.headersSent) stream.respond(head, { waitForTrailers: true })
      stream.write(frame(response))
    }
  } catch (error) {
    code = error instanceof CriError ? error.code : 'UNKNOWN'
    message = error instanceof Error ? error.message : String(error)
  }
  if (stream.destroyed) return
  const status = { 'grpc-status': String(statusNumber(code)), 'grpc-message': encodeStatusMessage(message) }
  if (!stream.headersSent) stream.respond({ ...head, ...status }, { endStream: true })
  else {
    stream.on('wantTrailers', () => stream.sendTrailers(status))
    stream.end()
  }
}

async function readRequest(stream: ServerHttp2Stream): Promise<Buffer> {
  const reader = new FrameReader(maxRequestBytes)
  let request: Buffer | undefined
  for await (const chunk of stream) for (const message of reader.push(chunk as Buffer)) request ??= message // no encoding is set
  if (request !== undefined) return request
  stream.close(constants.NGHTTP2_PROTOCOL_ERROR)
  throw new CriError('INTERNAL', 'Request without a message')
}
