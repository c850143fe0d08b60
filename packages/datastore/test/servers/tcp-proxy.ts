import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** What becomes of the next exchange whose request holds a text. */
export type Fault =
  /** The server gets the request and does it; its answer is lost, and the connection with it. */
  | 'answer lost'
  /** The connection is lost before the request reaches the server. */
  | 'request lost'

/** A proxy on loopback, in front of a database server that listens there. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Connections made so far. */
  readonly connections: number
  /** Faults done so far. */
  readonly faults: number
  /** Lets the next request that holds `text` (in any case of letters) fail. */
  readonly failNext: (text: string, fault: Fault) => void
  /** Ends all connections, and refuses new ones while `isRefusing`. */
  readonly cut: (isRefusing: boolean) => void
}

export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const open = new Set<Socket>()
  let [connections, faults] = [0, 0]
  let isRefusing = false
  let next: { readonly text: string; readonly fault: Fault } | undefined
  const server = createServer((client) => {
    if (isRefusing) return void client.destroy()
    connections++
    const target = connect({ host: '127.0.0.1', port: targetPort, noDelay: true })
    client.setNoDelay(true)
    const end = (): void => {
      for (const socket of [client, target]) socket.destroy()
    }
    for (const socket of [client, target]) {
      open.add(socket)
      socket.on('error', () => {}) // a close follows
      socket.once('close', () => {
        open.delete(socket)
        end()
      })
    }
    let isLosing = false
    client.on('data', (data: Buffer) => {
      if (next !== undefined && data.toString('latin1').toLowerCase().includes(next.text.toLowerCase())) {
        const { fault } = next
        next = undefined
        faults++
        if (fault === 'request lost') return end()
        isLosing = true
      }
      target.write(data)
    })
    // The server answers when it has done what was asked.
    target.on('data', (data: Buffer) => (isLosing ? end() : client.write(data)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // it listens on TCP
  return {
    port,
    get connections() {
      return connections
    },
    get faults() {
      return faults
    },
    failNext(text, fault) {
      next = { text, fault }
    },
    cut(refusing) {
      isRefusing = refusing
      for (const socket of open) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
