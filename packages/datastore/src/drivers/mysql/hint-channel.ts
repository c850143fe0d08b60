import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Logger } from '@k3s/lifecycle'
import { DatastoreError } from '../../errors.ts'
import { decodeHello, decodeHint, encodeGreeting, helloBytes, hintBytes } from './hint-frames.ts'
import type { MemberId } from './hint-frames.ts'
import { HintLink, readFrames } from './hint-link.ts'

/** Connections taken at once: more members than any cluster has servers. */
const maxConnections = 64
/** For a member to prove that it is one. */
const helloTimeoutMs = 2000

export interface Member {
  readonly id: MemberId
  /** `HOST:PORT` where it takes hints. */
  readonly address: string
}

export interface HintChannelOptions {
  readonly id: MemberId
  /** `HOST:PORT`; port 0 takes a free one. */
  readonly listen: string
  /** `HOST:PORT` as the others see it; absent, or for its port 0: what is listened on. */
  readonly advertise?: string | undefined
  /** Another member says that everything up to this revision can be read. */
  readonly onHint: (revision: number) => void
  /** A member that was not in {@link HintChannel.start} has connected. */
  readonly onNewcomer: () => void
  readonly logger: Logger
}

/**
 * Hints between the members of one datastore: "there is a newer revision", nothing more. A lost hint costs the delay of polling.
 * Sending never waits: what a slow or frozen peer has not taken yet is replaced by the next hint.
 */
export class HintChannel implements AsyncDisposable {
  readonly #options: HintChannelOptions
  readonly #server: Server
  readonly #inbound = new Map<Socket, MemberId | undefined>()
  #links = new Map<MemberId, HintLink>()
  #secret: Uint8Array | undefined
  #revision = 0
  #closed = false

  private constructor(options: HintChannelOptions, server: Server) {
    this.#options = options
    this.#server = server
    server.on('connection', (socket) => this.#accept(socket))
    server.on('error', (error) => options.logger.warn({ err: error }, 'Hints of other members cannot be taken'))
  }

  /** Throws `InvalidArgument` when it cannot listen. */
  static async open(options: HintChannelOptions): Promise<HintChannel> {
    const { host, port } = parseHostPort(options.listen)
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 })
    server.maxConnections = maxConnections
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    }).catch((error: unknown) => {
      throw new DatastoreError('InvalidArgument', `Cannot listen on "${options.listen}" for hints of the datastore's other members`, {
        hint: 'Give another address in the option "hints"',
        cause: error,
      })
    })
    server.unref()
    return new HintChannel(options, server)
  }

  /** Where the other members reach this one, `HOST:PORT`. */
  get address(): string {
    const { address, port } = this.#server.address() as AddressInfo // it listens on TCP
    const { host, port: advertised } = parseHostPort(this.#options.advertise ?? joinHostPort(address, port))
    return joinHostPort(host, advertised === 0 ? port : advertised)
  }

  /**
   * Takes hints from those who know the secret, from the first call on, and keeps every other member connected; those that an earlier call named,
   * and this one does not, are let go.
   */
  start(secret: Uint8Array, members: readonly Member[]): void {
    if (this.#closed) return
    this.#secret = secret
    const links = new Map<MemberId, HintLink>()
    for (const { id, address } of members) {
      if (id === this.#options.id) continue
      const link = this.#links.get(id)
      if (link !== undefined) links.set(id, link)
      else {
        const endpoint = tryParse(address)
        if (endpoint !== undefined) links.set(id, new HintLink({ ...endpoint, from: this.#options.id, to: id, secret }, this.#revision))
      }
    }
    for (const [id, link] of this.#links) if (!links.has(id)) link.close()
    this.#links = links
  }

  /** Whether every other member is connected to this one, so that its writes are heard of at once. */
  get hearsAll(): boolean {
    if (this.#secret === undefined) return false
    const heard = new Set(this.#inbound.values())
    return [...this.#links.keys()].every((id) => heard.has(id))
  }

  /** Whether a member is connected that {@link HintChannel.start} was not told of. */
  get hasStrangers(): boolean {
    return this.#inbound.values().some((id) => id !== undefined && !this.#links.has(id))
  }

  /** Tells the other members that everything up to `revision` can be read. Does not wait. */
  announce(revision: number): void {
    this.#revision = revision
    for (const link of this.#links.values()) link.announce(revision)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const link of this.#links.values()) link.close()
    for (const socket of this.#inbound.keys()) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(socket: Socket): void {
    const secret = this.#secret
    if (this.#closed || secret === undefined) return void socket.destroy()
    const { id: to, onHint, onNewcomer } = this.#options
    const challenge = randomBytes(32)
    let peer: { readonly from: MemberId; readonly key: Buffer } | undefined
    let sequence = 0
    this.#inbound.set(socket, undefined)
    socket.unref()
    socket.once('close', () => this.#inbound.delete(socket))
    const timer = setTimeout(() => socket.destroy(), helloTimeoutMs).unref()
    socket.once('close', () => clearTimeout(timer))
    readFrames(socket, helloBytes, (frame) => {
      if (peer === undefined) {
        peer = decodeHello(frame, { secret, challenge, to })
        if (peer === undefined) return 0
        clearTimeout(timer)
        this.#inbound.set(socket, peer.from)
        if (!this.#links.has(peer.from)) onNewcomer()
        return hintBytes
      }
      const revision = decodeHint(peer.key, sequence++, frame)
      if (revision === undefined) return 0
      onHint(revision)
      return hintBytes
    })
    socket.write(encodeGreeting(challenge))
  }
}

/** Reads `HOST:PORT`, an IPv6 host in brackets. Throws `InvalidArgument`. */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } {
  const endpoint = tryParse(text)
  if (endpoint === undefined) throw new DatastoreError('InvalidArgument', `An address for hints is HOST:PORT, not "${text}"`)
  return endpoint
}

function tryParse(text: string): { readonly host: string; readonly port: number } | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const [host, port] = [bracketed ?? plain, Number(digits)]
  return host === undefined || port > 65_535 ? undefined : { host, port }
}

function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
