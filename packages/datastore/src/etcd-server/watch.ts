import { compareBytes } from '../bytes.ts'
import type { Bytes, KeyRange, Watch, WatchBatch, WatchEvent } from '../contract.ts'
import { isDatastoreError } from '../errors.ts'
import { decode, encode } from '../etcd/codec.ts'
import { enums } from '../etcd/messages.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { finishFrame, framePrefixBytes } from './grpc-stream.ts'
import type { GrpcStream } from './grpc-stream.ts'
import type { Member } from './member.ts'
import { toRange } from './ranges.ts'

/** Where the datastore cannot be asked how far a watch is, it says so by itself this often, milliseconds: what a client's request for progress waits at most. */
const unaskedProgressMs = 200
/** What a response's events take beside their bytes, about: for cutting fragments below the limit. */
const eventOverheadBytes = 64
const noWatchId = -1

export interface WatchLimits {
  /** Bytes of a response above which it is sent in fragments, to clients that take them. */
  readonly maxFragmentBytes: number
  /** How often a watch with `progress_notify` is told the revision when nothing happens, milliseconds. */
  readonly progressIntervalMs: number
}

interface ActiveWatch {
  readonly id: number
  readonly request: Message<'WatchCreateRequest'>
  readonly from: number
  readonly stop: AbortController
  readonly source: Watch
  /** Everything up to this revision was sent. */
  through: number
}

/** Serves etcd's Watch: many watches on one stream, until the client closes it. */
export async function serveWatches(stream: GrpcStream, member: Member, limits: WatchLimits): Promise<void> {
  await new WatchStream(stream, member, limits).run()
}

/**
 * Each watch pulls a batch, sends it, and waits for room in the stream before it pulls the next: a slow client holds one batch a watch here,
 * and what it has not read yet stays in the datastore's log.
 */
class WatchStream {
  readonly #stream: GrpcStream
  readonly #member: Member
  readonly #limits: WatchLimits
  readonly #watches = new Map<number, ActiveWatch>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #running = new Set<Promise<void>>()
  #nextId = 0
  /** The revision that the client wants to hear it has got everything up to; 0: none. */
  #wanted = 0

  constructor(stream: GrpcStream, member: Member, limits: WatchLimits) {
    this.#stream = stream
    this.#member = member
    this.#limits = limits
  }

  /** Resolves when the stream is closed; rejects when a watch cannot go on, so that the client begins anew where it is. */
  async run(): Promise<void> {
    const { signal } = this.#stream
    signal.addEventListener('abort', () => this.#ended.resolve(), { once: true })
    if (signal.aborted) return
    // A client that has finished sending still gets its events, as in etcd: only a failure ends the stream.
    this.#readRequests().catch((error: unknown) => this.#ended.reject(error))
    try {
      await this.#ended.promise
    } finally {
      for (const { stop } of this.#watches.values()) stop.abort()
      this.#watches.clear()
      await Promise.all(this.#running)
    }
  }

  async #readRequests(): Promise<void> {
    for await (const message of this.#stream.messages()) {
      const { createRequest, cancelRequest, progressRequest } = decode('WatchRequest', message)
      if (createRequest !== undefined) await this.#create(createRequest)
      else if (cancelRequest !== undefined) await this.#cancel(cancelRequest.watchId)
      else if (progressRequest !== undefined) await this.#requestProgress()
    }
  }

  async #create(request: Message<'WatchCreateRequest'>): Promise<void> {
    const revision = await this.#member.currentRevision()
    if (this.#stream.signal.aborted) return
    const header = this.#member.header(revision)
    const range = toWatchRange(request)
    const refusal =
      range.end !== undefined && range.end.length > 0 && compareBytes(range.start, range.end) >= 0
        ? 'mvcc: watcher range is empty'
        : this.#watches.has(request.watchId) && request.watchId !== 0
          ? 'mvcc: duplicate watch ID provided on the WatchStream'
          : undefined
    if (refusal !== undefined) return this.#send({ header, watchId: noWatchId, created: true, canceled: true, cancelReason: refusal })
    const id = request.watchId === 0 ? this.#chooseId() : request.watchId
    const from = request.startRevision > 0 ? request.startRevision : revision + 1
    const stop = new AbortController()
    const active: ActiveWatch = { id, request, from, stop, source: this.#open(range, request, from, stop.signal), through: from - 1 }
    this.#watches.set(id, active)
    await this.#send({ header, watchId: id, created: true })
    if (this.#wanted > 0) active.source.requestProgress?.(this.#wanted)
    const running = this.#follow(active).finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  #chooseId(): number {
    while (this.#watches.has(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  #open(range: KeyRange, request: Message<'WatchCreateRequest'>, fromRevision: number, signal: AbortSignal): Watch {
    const options = { fromRevision, previous: request.prevKv, signal }
    const progressIntervalMs = request.progressNotify ? this.#limits.progressIntervalMs : 0
    const watch = this.#member.datastore.watch(range, { ...options, progressIntervalMs })
    if (watch.requestProgress !== undefined) return watch
    return this.#member.datastore.watch(range, { ...options, progressIntervalMs: unaskedProgressMs })
  }

  /** Sends what a watch delivers, until it is canceled. Never rejects. */
  async #follow(active: ActiveWatch): Promise<void> {
    try {
      for await (const batch of active.source) {
        if (!this.#isActive(active)) return
        await this.#deliver(active, batch)
        active.through = batch.revision
        await this.#tellProgress()
      }
    } catch (error) {
      if (!this.#isActive(active)) return
      if (!isDatastoreError(error) || error.code !== 'Compacted') return this.#ended.reject(error)
      this.#watches.delete(active.id)
      const header = this.#member.header()
      await this.#send({ header, watchId: active.id, canceled: true, compactRevision: error.revision ?? 0 }).catch((failure: unknown) =>
        this.#ended.reject(failure),
      )
    }
  }

  #isActive(active: ActiveWatch): boolean {
    return this.#watches.get(active.id) === active
  }

  async #deliver({ id, request }: ActiveWatch, { revision, events: all }: WatchBatch): Promise<void> {
    const header = this.#member.header(revision)
    const events = request.filters.length === 0 ? all : all.filter((event) => isWanted(request, event))
    if (events.length > 0) {
      const parts = request.fragment ? cutIntoFragments(events, this.#limits.maxFragmentBytes) : [events]
      for (const [index, part] of parts.entries())
        await this.#send({ header, watchId: id, fragment: index < parts.length - 1, events: part.map(toEvent) })
    } else if (all.length === 0 && request.progressNotify) await this.#send({ header, watchId: id })
  }

  async #cancel(id: number): Promise<void> {
    const active = this.#watches.get(id)
    if (active === undefined) return
    this.#watches.delete(id)
    active.stop.abort()
    await this.#send({ header: this.#member.header(), watchId: id, canceled: true })
    await this.#tellProgress()
  }

  /** As etcd does, says nothing while a watch is to begin in the future: it cannot be anywhere yet. */
  async #requestProgress(): Promise<void> {
    const revision = await this.#member.currentRevision()
    for (const { from } of this.#watches.values()) if (from > revision + 1) return
    this.#wanted = revision
    for (const { through, source } of this.#watches.values()) if (through < revision) source.requestProgress?.(revision)
    await this.#tellProgress()
  }

  /** Says, if it was asked and it is so, that every watch of the stream has sent everything up to the wanted revision. */
  async #tellProgress(): Promise<void> {
    const revision = this.#wanted
    if (revision === 0 || this.#watches.size === 0) return
    for (const { through } of this.#watches.values()) if (through < revision) return
    this.#wanted = 0
    await this.#send({ header: this.#member.header(revision), watchId: noWatchId })
  }

  #send(response: MessageInput<'WatchResponse'>): Promise<void> {
    return this.#stream.send(finishFrame(encode('WatchResponse', response, framePrefixBytes)))
  }
}

/** A watch's empty key is the smallest one, unlike a range's. */
function toWatchRange({ key, rangeEnd }: { readonly key: Bytes; readonly rangeEnd: Bytes }): KeyRange {
  return toRange(key.length === 0 ? Uint8Array.of(0) : key, rangeEnd)
}

function isWanted({ filters }: Message<'WatchCreateRequest'>, { type }: WatchEvent): boolean {
  return !filters.includes(type === 'put' ? enums.FilterType.noput : enums.FilterType.nodelete)
}

function toEvent({ type, item, previous }: WatchEvent): MessageInput<'Event'> {
  return { type: type === 'put' ? enums.EventType.put : enums.EventType.delete, kv: item, prevKv: previous }
}

/** In order, each below the limit unless it is one event. */
function cutIntoFragments(events: readonly WatchEvent[], maxBytes: number): readonly (readonly WatchEvent[])[] {
  const parts: WatchEvent[][] = []
  let size = Infinity
  for (const event of events) {
    const { item, previous } = event
    const previousBytes = previous === undefined ? 0 : previous.key.length + previous.value.length + eventOverheadBytes
    const bytes = item.key.length + item.value.length + eventOverheadBytes + previousBytes
    if (size + bytes > maxBytes) {
      parts.push([])
      size = 0
    }
    parts.at(-1)?.push(event)
    size += bytes
  }
  return parts
}
