import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { noLogger, type Logger } from '@k3s/lifecycle'
import { WebSocketServer } from 'ws'
import { TunnelError } from './errors.ts'
import { TunnelSession } from './session.ts'

export interface TunnelServerOptions {
  readonly logger?: Logger | undefined
}

/** The server's end of all tunnels: agents connect to it, and it reaches what they allow through them. */
export interface TunnelServer extends AsyncDisposable {
  /** Takes over an upgrade request of an agent whose name the caller has authenticated. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, key: string): void
  hasSession(key: string): boolean
  /** Names with at least one session. */
  keys(): readonly string[]
  /** Connects through the newest session of `key` to `address` (`host:port`) there. Throws `NoSession` when there is none. */
  dial(key: string, address: string): Duplex
}

// Twice what one data message carries: a larger frame is not of this protocol.
const maxFrameBytes = 1024 * 1024

export function createTunnelServer(options: TunnelServerOptions = {}): TunnelServer {
  const logger = options.logger ?? noLogger
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxFrameBytes })
  const sessions = new Map<string, TunnelSession[]>()
  return {
    handleUpgrade(request, socket, head, key) {
      sockets.handleUpgrade(request, socket, head, (websocket) => {
        // An agent may not open connections to the server through its tunnel.
        const session = new TunnelSession(websocket, { role: 'server', authorize: () => false, logger: logger.child({ node: key }) })
        sessions.set(key, [...(sessions.get(key) ?? []), session])
        logger.info({ node: key }, 'Tunnel session opened')
        // `closed` never rejects.
        void session.closed.then(() => {
          const rest = (sessions.get(key) ?? []).filter((other) => other !== session)
          if (rest.length > 0) sessions.set(key, rest)
          else sessions.delete(key)
          logger.info({ node: key }, 'Tunnel session closed')
        })
      })
    },
    hasSession: (key) => sessions.has(key),
    keys: () => [...sessions.keys()],
    dial(key, address) {
      const session = sessions.get(key)?.at(-1)
      if (session === undefined) throw new TunnelError('NoSession', `failed to find Session for client ${key}`)
      return session.open('tcp', address)
    },
    async [Symbol.asyncDispose]() {
      const open = [...sessions.values()].flat()
      for (const session of open) session.close()
      await Promise.all(open.map(({ closed }) => closed))
      sockets.close()
    },
  }
}
