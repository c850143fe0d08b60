import { connect, createServer, type Server, type Socket } from 'node:net'

/** A proxy of TCP on loopback whose connections can be cut and frozen. */
export class FaultProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #isFrozen = false

  private constructor(server: Server) {
    this.#server = server
  }

  /** Listens on `port` and goes on to `target`; when nobody listens there, a connection is cut. */
  static async start(port: number, target: number): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    const proxy = new FaultProxy(server)
    server.on('connection', (client) =>
      proxy.#join(client, connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })),
    )
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
    return proxy
  }

  /** Resets all connections. */
  cut(): void {
    for (const [client, upstream] of this.#pairs) {
      client.resetAndDestroy()
      upstream.resetAndDestroy()
    }
  }

  /** From now on nothing goes through, in either direction, and nobody is told. */
  freeze(): void {
    this.#isFrozen = true
    for (const pair of this.#pairs) for (const socket of pair) socket.pause()
  }

  /** What was held back goes on. */
  thaw(): void {
    this.#isFrozen = false
    for (const pair of this.#pairs) for (const socket of pair) socket.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(client: Socket, upstream: Socket): void {
    const pair = [client, upstream] as const
    this.#pairs.add(pair)
    for (const [from, to] of [pair, [upstream, client]] as const) {
      from.on('data', (chunk: Buffer) => {
        if (to.write(chunk)) return
        from.pause()
        to.once('drain', () => {
          if (!this.#isFrozen) from.resume()
        })
      })
      from.on('end', () => to.end())
      // The other end learns it in the same way.
      from.on('error', () => to.resetAndDestroy())
      from.on('close', () => {
        to.destroy()
        this.#pairs.delete(pair)
      })
      if (this.#isFrozen) from.pause()
    }
  }
}
