import type { IncomingHttpHeaders } from 'node:http'

/** A request on the wire: everything encoded. */
export interface WireRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
  readonly signal: AbortSignal | undefined
}

/** An answer whose head has come. Its body must be read to the end or its stream be destroyed by leaving the iteration. */
export interface WireResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Throws when the connection breaks before the end. */
  readonly body: AsyncIterable<Uint8Array>
}

/** A way to the server: one HTTP/2 session, or an HTTP/1.1 agent with as many sockets as it needs. */
export interface Connection {
  /** False when it broke or was retired. */
  readonly isUsable: boolean
  /** Whether one more request may begin now. */
  readonly hasRoom: boolean
  send(request: WireRequest): Promise<WireResponse>
  /** Takes no more requests; closes when those that run have ended. */
  retire(): void
  /** Closes now; requests that run fail. */
  destroy(): void
}

/** Thrown by `send` when the server certainly did nothing: any request may be sent again on another connection. */
export class NotSent extends Error {
  override readonly name = 'NotSent'
}
