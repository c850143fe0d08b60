import { once } from 'node:events'
import { noLogger, systemClock, type Clock, type Logger, type Service } from '@k3s/lifecycle'
import { WebSocket } from 'ws'
import { TunnelSession, type Authorize, type LocalDialer } from './session.ts'

/** PEM texts by which a client knows its server and is known to it; asked for before each connection, so that new certificates are used. */
export interface TunnelTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface TunnelClientOptions {
  /** `wss://192.0.2.1:6443/v1-k3s/connect`. */
  readonly url: string
  readonly tls: () => TunnelTls | Promise<TunnelTls>
  /** What the server may reach through this tunnel. A refusal ends the session, as in remotedialer. */
  readonly authorize: Authorize
  readonly dial?: LocalDialer | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Told of each change of the session's state: a load balancer's health check. */
  readonly onStateChange?: ((isConnected: boolean) => void) | undefined
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
}

// K3s reconnects after one second, for ever.
const reconnectMs = 1000
const handshakeMs = 15_000

/** Keeps one tunnel to one server. Ready at once: a server that is away does not hold up the agent. */
export function createTunnelClient(options: TunnelClientOptions): Service {
  const logger = (options.logger ?? noLogger).child({ server: options.url })
  const clock = options.clock ?? systemClock

  async function connectOnce(signal: AbortSignal): Promise<void> {
    const tls = await options.tls()
    const socket = new WebSocket(options.url, {
      ...tls,
      perMessageDeflate: false,
      handshakeTimeout: handshakeMs,
      headers: { ...options.headers },
      rejectUnauthorized: true,
    })
    const onAbort = (): void => socket.terminate()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await once(socket, 'open', { signal })
      const session = new TunnelSession(socket, { role: 'client', authorize: options.authorize, dial: options.dial, logger })
      logger.info({}, 'Connected to server by tunnel')
      options.onStateChange?.(true)
      await session.closed
    } finally {
      signal.removeEventListener('abort', onAbort)
      // An error after this must not be an unhandled one.
      socket.on('error', () => {})
      socket.terminate()
      options.onStateChange?.(false)
    }
  }

  return {
    name: `tunnel ${options.url}`,
    async run({ signal, ready }) {
      ready()
      while (!signal.aborted) {
        try {
          await connectOnce(signal)
          if (!signal.aborted) logger.info({}, 'Tunnel was closed; connecting again')
        } catch (err) {
          if (!signal.aborted) logger.warn({ err }, 'Cannot connect to server by tunnel; trying again')
        }
        await clock.sleep(reconnectMs, signal).catch(() => {}) // aborted: the loop ends
      }
    },
  }
}
