import { once } from 'node:events'
import { readFile, rename, writeFile, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { noLogger, type Logger, type Service } from '@k3s/lifecycle'

export interface LoadBalancerOptions {
  readonly host: string
  /** 0 picks a free one, told by `port` when ready. */
  readonly port: number
  /** `host:port` of the server that was given by hand: the last resort. */
  readonly defaultServer: string
  /** Where the known servers are kept, so that an agent can restart while its first server is away. */
  readonly stateFile?: string | undefined
  readonly logger?: Logger | undefined
}

/** A TCP proxy on this machine to whichever server works; follows K3s's agent load balancer. */
export interface LoadBalancer extends Service {
  readonly port: number
  /** All servers of the cluster, `host:port` each. Connections to servers that are gone are closed. */
  setServers(addresses: readonly string[]): Promise<void>
  /** An unhealthy server gets no new connection while another can, and loses those it has. */
  setHealth(address: string, isHealthy: boolean): void
  /** In the order in which they are tried. */
  readonly servers: readonly string[]
}

// A server that takes longer is tried no longer; the next one gets its chance.
const dialMs = 5000

export function createLoadBalancer(options: LoadBalancerOptions): LoadBalancer {
  const logger = options.logger ?? noLogger
  let addresses: readonly string[] = []
  let port = options.port
  const unhealthy = new Set<string>()
  const connections = new Map<string, Set<Socket>>()
  let turn = 0

  function order(): readonly string[] {
    const known = addresses.length === 0 ? [options.defaultServer] : addresses
    const turned = known.map((_, at) => known[(at + turn) % known.length] ?? '')
    const all = [
      ...turned.filter((address) => !unhealthy.has(address)),
      ...turned.filter((address) => unhealthy.has(address)),
      options.defaultServer,
    ]
    return [...new Set(all)]
  }

  function closeAll(address: string): void {
    for (const socket of connections.get(address) ?? []) socket.destroy()
  }

  async function dial(address: string, signal: AbortSignal): Promise<Socket> {
    const colon = address.lastIndexOf(':')
    const socket = connect({
      host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
      port: Number(address.slice(colon + 1)),
      noDelay: true,
      keepAlive: true,
      allowHalfOpen: true,
    })
    try {
      await once(socket, 'connect', { signal: AbortSignal.any([signal, AbortSignal.timeout(dialMs)]) })
      return socket
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async function proxy(client: Socket, signal: AbortSignal): Promise<void> {
    for (const address of order()) {
      if (client.destroyed) return
      let server: Socket
      try {
        server = await dial(address, signal)
      } catch (err) {
        logger.debug({ server: address, err }, 'Cannot reach server')
        // The next client begins with another one.
        turn++
        continue
      }
      const sockets = connections.get(address) ?? new Set()
      connections.set(address, sockets)
      sockets.add(server)
      server.on('close', () => sockets.delete(server))
      pipeline(client, server, () => server.destroy())
      pipeline(server, client, () => client.destroy())
      return
    }
    client.destroy()
  }

  async function save(): Promise<void> {
    if (options.stateFile === undefined) return
    await mkdir(dirname(options.stateFile), { recursive: true })
    await writeFile(
      `${options.stateFile}.tmp`,
      `${JSON.stringify({ ServerURL: `https://${options.defaultServer}`, ServerAddresses: addresses }, undefined, 2)}\n`,
      { mode: 0o600 },
    )
    await rename(`${options.stateFile}.tmp`, options.stateFile)
  }

  async function load(): Promise<void> {
    if (options.stateFile === undefined) return
    try {
      const state: unknown = JSON.parse(await readFile(options.stateFile, 'utf8'))
      // A list of another cluster must not be used.
      if (typeof state !== 'object' || state === null || !('ServerURL' in state) || state.ServerURL !== `https://${options.defaultServer}`)
        return
      if ('ServerAddresses' in state && Array.isArray(state.ServerAddresses))
        addresses = state.ServerAddresses.filter((address) => typeof address === 'string')
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ENOENT')
        logger.warn({ err }, 'Cannot read the saved list of servers; starting without it') // read or parse errors only
    }
  }

  return {
    name: 'load-balancer',
    get port() {
      return port
    },
    get servers() {
      return order()
    },
    async setServers(next) {
      if (next.length === 0 || (next.length === addresses.length && next.every((address) => addresses.includes(address)))) return
      const gone = addresses.filter((address) => !next.includes(address) && address !== options.defaultServer)
      addresses = next
      for (const address of gone) closeAll(address)
      await save()
    },
    setHealth(address, isHealthy) {
      if (isHealthy) unhealthy.delete(address)
      else {
        unhealthy.add(address)
        closeAll(address)
      }
    },
    async run({ signal, ready }) {
      await load()
      const clients = new Set<Socket>()
      const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
        clients.add(client)
        client.on('close', () => clients.delete(client))
        client.on('error', () => client.destroy())
        proxy(client, signal).catch(() => client.destroy())
      })
      server.listen(options.port, options.host)
      await once(server, 'listening')
      const bound = server.address()
      if (typeof bound === 'object' && bound !== null) port = bound.port
      ready()
      if (!signal.aborted) await once(signal, 'abort')
      server.close()
      for (const client of clients) client.destroy()
      for (const address of connections.keys()) closeAll(address)
    },
  }
}
