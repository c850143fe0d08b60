import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { StatusError } from '@k3s/api'
import type { NodeConnector } from './node-connector.ts'
import type { ConnectTarget } from '../pipeline/answer.ts'

// A node that does not answer in this time is down, as far as the caller is concerned.
const dialTimeoutMs = 10_000

/** A byte stream to the target, through TLS where it speaks that. Throws a StatusError; an abort closes what was opened. */
export async function openConnection(connector: NodeConnector | undefined, target: ConnectTarget, signal: AbortSignal): Promise<Duplex> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(dialTimeoutMs)])
  try {
    const stream = await dial(connector, target, limited)
    if (target.scheme === 'http') return stream
    return await startTls(connector, target, stream, limited)
  } catch (error) {
    signal.throwIfAborted()
    throw dialError(target, error)
  }
}

/** Upstream's two texts: for kubelets, and for what is proxied. */
export function dialError(target: ConnectTarget, cause: unknown): StatusError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return target.isKubelet
    ? new StatusError('', `error dialing backend: ${why}`, { code: 500, cause })
    : new StatusError('ServiceUnavailable', `error trying to reach service: ${why}`, { cause })
}

function dial(connector: NodeConnector | undefined, target: ConnectTarget, signal: AbortSignal): Promise<Duplex> {
  const { dial: to } = target
  if ('node' in to) {
    if (connector === undefined) return Promise.reject(new Error(`no way to node ${JSON.stringify(to.node)}`))
    return connector.dial(to.node, to.port, signal)
  }
  return connector?.dialAddress === undefined ? dialTcp(to.host, to.port, signal) : connector.dialAddress(to.host, to.port, signal)
}

function dialTcp(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  return whenConnected(connectTcp({ host, port }), 'connect', signal)
}

function startTls(connector: NodeConnector | undefined, target: ConnectTarget, stream: Duplex, signal: AbortSignal): Promise<TLSSocket> {
  if (target.aggregated !== undefined) {
    // Its name is checked, too: it is that of the Service.
    const socket = connectTls({ socket: stream, ...target.aggregated.tls, ALPNProtocols: ['http/1.1'] })
    return whenConnected(socket, 'secureConnect', signal, stream)
  }
  const tls = target.isKubelet ? connector?.kubeletTls() : undefined
  const socket = connectTls({
    socket: stream,
    ...(tls === undefined ? {} : { cert: tls.cert, key: tls.key }),
    // The kubelet's CA vouches for it; its name does not matter, for the connector chose the node. A pod's own certificate proves nothing to us.
    ...(tls?.ca === undefined ? { rejectUnauthorized: false } : { ca: tls.ca }),
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['http/1.1'],
  })
  return whenConnected(socket, 'secureConnect', signal, stream)
}

/** Resolves when `event` comes. An abort, or an error of the socket or of what is `below` it, closes the socket and rejects. */
function whenConnected<S extends Duplex>(
  socket: S,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
  below: Duplex | undefined = undefined,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      reject(error)
    }
    const onAbort = (): void => fail(signal.reason)
    const succeed = (): void => {
      signal.removeEventListener('abort', onAbort)
      socket.off('error', fail)
      resolve(socket)
    }
    socket.once('error', fail)
    // Stays for the life of the connection: an error below ends what is above it.
    below?.once('error', fail)
    socket.once(event, succeed)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}
