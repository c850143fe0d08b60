import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, isIPv6, type Server, type Socket as TcpSocket } from 'node:net'
import { noLogger, noMetrics, systemClock, type Clock, type Logger, type MetricsRegistry, type Service } from '@k3s/lifecycle'
import { readQuery, recordsOf, ttlOf, writeAnswer, writeFailure, writeQuery, type Query } from './message.ts'
import { resolve, type Answer, type ClusterView } from './records.ts'
import { ask, nameserversOf } from './upstream.ts'

export interface DnsServerOptions {
  readonly view: ClusterView
  /** `cluster.local`. */
  readonly clusterDomain: string
  /** Where to listen, over UDP and TCP. */
  readonly address: string
  /** Default 53; 0 picks a free one, told by `onListening`. */
  readonly port?: number | undefined
  /** Names the nameservers for everything that is not the cluster's; read again when 30 s old. Default `/etc/resolv.conf`. */
  readonly resolvConf?: string | undefined
  /** Instead of a resolv.conf. */
  readonly upstreams?: readonly (readonly [string, number])[] | undefined
  readonly onListening?: ((port: number) => void) | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  readonly clock?: Clock | undefined
}

// K3s's CoreDNS serves cluster names with 5 s and caches for 30 s.
const clusterTtlSeconds = 5
const cacheSeconds = 30
const maxCached = 10_000
// More than this at once is a flood: further queries are refused until some are done.
const maxPending = 1000
const tcpIdleMs = 10_000
const resolvConfAgeMs = 30_000

interface Cached {
  readonly message: Buffer
  readonly until: number
}

/** Cluster DNS: answers the cluster's names from a {@link ClusterView} and forwards all others. Ready when it listens. */
export function createDnsServer(options: DnsServerOptions): Service {
  const { view, clusterDomain, address } = options
  const logger = options.logger ?? noLogger
  const clock = options.clock ?? systemClock
  const requests = (options.metrics ?? noMetrics).counter({
    name: 'coredns_dns_requests_total',
    help: 'DNS requests by type',
    labels: ['type', 'proto'],
  })
  const cache = new Map<string, Cached>()
  let pending = 0
  let upstreams: { readonly servers: readonly (readonly [string, number])[]; readonly at: number } | undefined

  async function servers(): Promise<readonly (readonly [string, number])[]> {
    if (options.upstreams !== undefined) return options.upstreams
    if (upstreams === undefined || clock.monotonic() - upstreams.at > resolvConfAgeMs) {
      const text = await readFile(options.resolvConf ?? '/etc/resolv.conf', 'utf8').catch(() => '') // no file: nobody to ask
      // Asking ourselves would go round in circles.
      upstreams = { servers: nameserversOf(text).filter(([host]) => host !== address), at: clock.monotonic() }
    }
    return upstreams.servers
  }

  async function forward(message: Buffer, query: Query, signal: AbortSignal): Promise<Buffer> {
    const key = `${query.name.toLowerCase()} ${query.type} ${query.hasEdns}`
    const cached = cache.get(key)
    if (cached !== undefined && cached.until > clock.monotonic()) {
      const copy = Buffer.from(cached.message)
      copy.writeUInt16BE(query.id, 0)
      return copy
    }
    for (const server of await servers()) {
      try {
        const answer = await ask(server, message, signal)
        const seconds = ttlOf(answer, cacheSeconds)
        if (seconds > 0) {
          cache.delete(key)
          cache.set(key, { message: answer, until: clock.monotonic() + seconds * 1000 })
          const [oldest] = cache.keys()
          if (cache.size > maxCached && oldest !== undefined) cache.delete(oldest)
        }
        return answer
      } catch (err) {
        signal.throwIfAborted()
        logger.debug({ server: server[0], name: query.name, err }, 'Nameserver did not answer')
      }
    }
    return writeFailure(query, 'SERVFAIL')
  }

  /** Adds what an external name stands for. */
  async function follow(answer: Answer, target: string, type: string, signal: AbortSignal): Promise<Answer> {
    const inside = resolve(view, clusterDomain, target, type)
    if (inside !== undefined) return { ...answer, answers: [...answer.answers, ...inside.answers], follow: undefined }
    const message = writeQuery(target, type)
    const query = readQuery(message)
    const found = query === undefined ? [] : recordsOf(await forward(message, query, signal))
    return { ...answer, answers: [...answer.answers, ...found], follow: undefined }
  }

  async function answer(message: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal): Promise<Buffer | undefined> {
    const query = readQuery(message)
    if (query === undefined) return undefined
    requests.inc({ type: query.type, proto: transport })
    if (pending >= maxPending) return writeFailure(query, 'REFUSED')
    pending++
    try {
      const name = query.name.toLowerCase().replace(/\.$/, '')
      let own = resolve(view, clusterDomain, name, query.type)
      if (own === undefined) {
        const whole = await forward(message, query, signal)
        // A longer answer that came over TCP does not fit back into a datagram.
        return transport === 'udp' && whole.length > query.udpBytes
          ? writeAnswer(query, { rcode: 'NOERROR', answers: [], additionals: [] }, { domain: clusterDomain, ttlSeconds: 0, limit: 0 })
          : whole
      }
      if (own.follow !== undefined) own = await follow(own, own.follow, query.type, signal)
      return writeAnswer(
        query,
        { ...own, answers: shuffled(own.answers) },
        { domain: clusterDomain, ttlSeconds: clusterTtlSeconds, limit: transport === 'udp' ? query.udpBytes : 65_535 },
      )
    } finally {
      pending--
    }
  }

  function serveTcp(socket: TcpSocket, signal: AbortSignal): void {
    let received = Buffer.alloc(0)
    socket.setTimeout(tcpIdleMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const length = received.readUInt16BE(0)
        const message = received.subarray(2, 2 + length)
        received = received.subarray(2 + length)
        answer(message, 'tcp', signal).then(
          (reply) => {
            if (reply === undefined) return socket.destroy()
            const prefix = Buffer.alloc(2)
            prefix.writeUInt16BE(reply.length)
            if (!socket.destroyed) socket.write(Buffer.concat([prefix, reply]))
            return socket
          },
          () => socket.destroy(), // aborted
        )
      }
    })
  }

  async function listen(signal: AbortSignal): Promise<{ readonly udp: Socket; readonly tcp: Server }> {
    const tcp = createServer({ keepAlive: true }, (socket) => {
      signal.addEventListener('abort', () => socket.destroy(), { once: true })
      serveTcp(socket, signal)
    })
    tcp.listen(options.port ?? 53, address)
    await once(tcp, 'listening')
    const bound = tcp.address()
    const port = typeof bound === 'object' && bound !== null ? bound.port : (options.port ?? 53)
    const udp = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4' })
    udp.on('message', (message, { address: host, port: to }) => {
      answer(message, 'udp', signal).then(
        (reply) => (reply === undefined ? undefined : udp.send(reply, to, host)),
        () => undefined, // aborted
      )
    })
    try {
      udp.bind(port, address)
      await once(udp, 'listening')
    } catch (error) {
      tcp.close()
      throw error
    }
    udp.on('error', (err) => logger.warn({ err }, 'DNS socket error'))
    options.onListening?.(port)
    return { udp, tcp }
  }

  return {
    name: 'dns',
    async run({ signal, ready }) {
      const { udp, tcp } = await listen(signal).catch((cause: unknown) => {
        throw new Error(`Cannot serve DNS on ${address}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
      })
      logger.info({ address, domain: clusterDomain }, 'Cluster DNS is up')
      ready()
      if (!signal.aborted) await once(signal, 'abort')
      udp.close()
      tcp.close()
    },
  }
}

/** In another order each time, so that clients that take the first spread over all. Records of other types keep their place. */
function shuffled<T extends { readonly type: string }>(records: readonly T[]): readonly T[] {
  const turn = Math.floor(Math.random() * Math.max(1, records.length))
  return records.every(({ type }) => type === 'A' || type === 'AAAA') ? [...records.slice(turn), ...records.slice(0, turn)] : records
}
