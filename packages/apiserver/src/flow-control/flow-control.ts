import { StatusError } from '@k3s/api'
import type { FlowSchema, PriorityLevelConfiguration } from '@k3s/api/types/flowcontrol/v1'
import { invariant, type Clock, type MetricsRegistry } from '@k3s/lifecycle'
import type { UserInfo } from '../auth/auth.ts'
import type { RequestInfo } from '../http/request-info.ts'
import { mandatoryObjects } from './bootstrap-objects.ts'
import { estimateSeats, type ResourceLoad } from './estimate-seats.ts'
import { FlowMetrics, newFlowCounts, type FlowCounts, type Refusal } from './flow-metrics.ts'
import { byPrecedence, flowMatcher, type FlowMatcher } from './match-flow.ts'
import { lendSeats, PriorityLevel, sharesOf } from './priority-level.ts'
import type { Ticket } from './queue-set.ts'
import { dealHand } from './shuffle-shard.ts'

export interface FlowControlOptions {
  readonly clock: Clock
  readonly metrics: MetricsRegistry
  /** Seats of the whole server; a plain request takes one while it runs. */
  readonly totalSeats: number
  /** How long a request waits for its turn; default a quarter of a minute, as of the time that it may take. */
  readonly maxWaitMs?: number | undefined
  /** Objects and watchers of the resource that a request is about; undefined when it is unknown. */
  loadOf(info: RequestInfo): ResourceLoad | undefined
}

/** As what a request was let in or turned away: what its answer's headers name. */
export interface FlowClass {
  readonly schema: string
  readonly schemaUid: string
  readonly level: string
  readonly levelUid: string
}

/** A request, as far as flow control looks at it. */
export interface FlowCall {
  readonly query: URLSearchParams
  readonly signal: AbortSignal
  /** Told before the request waits. */
  classified?: ((flow: FlowClass) => void) | undefined
}

interface Flow {
  readonly matches: FlowMatcher
  readonly distinguisher: 'ByUser' | 'ByNamespace' | ''
  readonly level: PriorityLevel
  readonly class: FlowClass
  readonly counts: FlowCounts
  /** Hands that were dealt, by what tells flows of this schema apart. */
  readonly hands: Map<string, readonly number[]>
}

/** What a request holds while it runs. */
interface Seat {
  readonly flow: Flow
  readonly ticket: Ticket
  readonly isWatch: boolean
  readonly isRead: boolean
}

// Upstream lets a request wait for a quarter of the time that it may take.
const defaultMaxWaitMs = 15_000
const sweepIntervalMs = 500
/** Upstream's period of lending, in milliseconds. */
export const lendingIntervalMs = 10_000
const maxHands = 2048
const longRunning = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])
const reading = new Set(['get', 'list', 'watch', 'head', 'options'])
const nobodyWaits: readonly number[] = []
const released = (): void => {}

/** True for requests that go on as long as their client likes. */
export const isStream = ({ subresource }: RequestInfo): boolean => longRunning.has(subresource)
/** True for requests that change nothing. */
export const isReading = ({ verb }: RequestInfo): boolean => reading.has(verb)

/**
 * Decides which requests run and which wait, by flow schemas and priority levels: API priority and fairness.
 *
 * A seat is given back in the next turn of the event loop at the earliest. So one turn works on no more than the seats of each level, and who comes meanwhile
 * is heard between two turns, however many requests another client has sent.
 */
export class FlowControl {
  readonly #options: FlowControlOptions
  readonly #metrics: FlowMetrics
  #flows: readonly Flow[] = []
  #levels = new Map<string, PriorityLevel>()
  /** Levels that are gone, with requests that are not. */
  readonly #retired = new Set<PriorityLevel>()
  #counts = new Map<string, FlowCounts>()
  #fairFraction = 1
  #done: Seat[] = []
  #isTurnDue = false
  #isSweeping = false
  #waiting = 0
  /** Now, and the most since they were asked for. */
  readonly #inFlight = { reads: 0, writes: 0, mostReads: 0, mostWrites: 0 }

  constructor(options: FlowControlOptions) {
    this.#options = options
    this.#metrics = new FlowMetrics(options.metrics)
    this.configure([], [])
  }

  /** Most requests that ran at once since the last call. */
  takeInFlight(): { readonly reads: number; readonly writes: number } {
    const { mostReads, mostWrites, reads, writes } = this.#inFlight
    this.#inFlight.mostReads = reads
    this.#inFlight.mostWrites = writes
    return { reads: mostReads, writes: mostWrites }
  }

  /** The levels in use, for debugging and tests. */
  get levels(): readonly PriorityLevel[] {
    return [...this.#levels.values(), ...this.#retired]
  }

  /** True for a level whose object is gone and whose requests are not. */
  isRetired(level: PriorityLevel): boolean {
    return this.#retired.has(level)
  }

  /** Takes over stored objects. Those that a server cannot be without act even when they are missing; schemas without their level do not. */
  configure(schemas: readonly FlowSchema[], levels: readonly PriorityLevelConfiguration[]): void {
    const now = this.#options.clock.monotonic()
    const mandatory = mandatoryObjects()
    const allLevels = withMandatory(levels, mandatory.levels)
    const shareSum = allLevels.reduce((sum, { spec }) => sum + sharesOf(spec), 0)
    this.publish()
    const next = new Map<string, PriorityLevel>()
    for (const object of allLevels) {
      const level = this.#levels.get(object.metadata.name) ?? new PriorityLevel(object, now)
      level.configure(object, this.#options.totalSeats, shareSum)
      next.set(level.name, level)
    }
    for (const [name, level] of this.#levels) if (!next.has(name) && !level.isIdle) this.#retired.add(level)
    this.#levels = next
    const counts = new Map<string, FlowCounts>()
    this.#flows = withMandatory(schemas, mandatory.schemas)
      .toSorted(byPrecedence)
      .flatMap((schema) => {
        const level = next.get(schema.spec.priorityLevelConfiguration.name)
        if (level === undefined) return []
        const key = `${level.name} ${schema.metadata.name}`
        const count = this.#counts.get(key) ?? newFlowCounts(schema.metadata.name, level.name)
        counts.set(key, count)
        return [flowOf(schema, level, count)]
      })
    this.#counts = counts
    this.#lend()
    this.#scheduleTurn()
  }

  /** Lets levels borrow by what each asked for since the last call; to be called every {@link lendingIntervalMs}. */
  adjust(): void {
    const now = this.#options.clock.monotonic()
    for (const level of this.#levels.values()) level.takeDemand(now)
    this.#lend()
    this.#scheduleTurn()
  }

  /**
   * Lets a request in, now or when it is its turn; the result gives its seats back and may be called more than once.
   * Rejects with TooManyRequests when there is no room and none comes in time, and with the signal's reason on abort.
   */
  admit(info: RequestInfo, user: UserInfo, call: FlowCall): (() => void) | Promise<() => void> {
    if (isStream(info)) return released
    const flow = this.#flowOf(info, user)
    call.classified?.(flow.class)
    const { level, counts } = flow
    const now = this.#options.clock.monotonic()
    const maxSeats = level.isExempt ? Infinity : level.maxSeats
    const seats = level.isExempt ? 1 : estimateSeats(info, call.query, { load: () => this.#options.loadOf(info), maxSeats })
    const ticket: Ticket = { seats, arrivedAt: now, startedAt: now, state: 'running', queue: undefined, settle: undefined }
    const seat: Seat = { flow, ticket, isWatch: info.verb === 'watch', isRead: isReading(info) }
    if (level.isExempt) {
      level.exemptRunning++
      level.exemptSeats += seats
      return this.#run(seat, now)
    }
    const outcome = level.queueSet.arrive(ticket, this.#handOf(flow, info, user))
    switch (outcome) {
      case 'run':
        return this.#run(seat, now)
      case 'wait':
        counts.waiting++
        counts.waitingSeats += seats
        level.noteDemand(now)
        this.#metrics.observeQueueLength(counts, ticket.queue?.waiting.length ?? 0)
        return this.#wait(seat, call.signal)
      default:
        return refuseLater(this.#refuse(flow, outcome))
    }
  }

  /** Brings the metrics up to date: call it before they are read. */
  publish(): void {
    this.#metrics.publish(this.#counts.values(), this.#levels.values(), this.#fairFraction)
  }

  #flowOf(info: RequestInfo, user: UserInfo): Flow {
    for (const flow of this.#flows) if (flow.matches(info, user)) return flow
    // Whoever is in no group at all.
    const last = this.#flows.find(({ class: { schema } }) => schema === 'catch-all')
    invariant(last !== undefined, 'there is always a catch-all flow schema')
    return last
  }

  #handOf(flow: Flow, info: RequestInfo, user: UserInfo): readonly number[] {
    const { queuing } = flow.level
    if (queuing === undefined) return nobodyWaits
    const key = flow.distinguisher === 'ByUser' ? user.name : flow.distinguisher === 'ByNamespace' ? info.namespace : ''
    let hand = flow.hands.get(key)
    if (hand === undefined) {
      if (flow.hands.size >= maxHands) flow.hands.clear()
      hand = dealHand(`${flow.class.schema.length}:${flow.class.schema}${key}`, queuing.queues, queuing.handSize)
      flow.hands.set(key, hand)
    }
    return hand
  }

  #run(seat: Seat, now: number): () => void {
    const { flow, ticket, isRead } = seat
    const { counts, level } = flow
    counts.dispatched++
    counts.executing++
    counts.executingSeats += ticket.seats
    level.totals.dispatched++
    level.noteDemand(now)
    const inFlight = this.#inFlight
    if (isRead) inFlight.mostReads = Math.max(inFlight.mostReads, ++inFlight.reads)
    else inFlight.mostWrites = Math.max(inFlight.mostWrites, ++inFlight.writes)
    let isOut = false
    return () => {
      if (isOut) return
      isOut = true
      this.#done.push(seat)
      this.#scheduleTurn()
    }
  }

  async #wait(seat: Seat, signal: AbortSignal): Promise<() => void> {
    const { flow, ticket } = seat
    const { level, counts } = flow
    const { clock } = this.#options
    this.#waiting++
    this.#startSweeping()
    const turn = Promise.withResolvers<'run' | 'time-out' | 'cancelled'>()
    const giveUp = (): void => {
      if (ticket.state !== 'waiting') return
      level.queueSet.cancel(ticket)
      turn.resolve('cancelled')
    }
    let release: (() => void) | undefined
    // Counted where it happens, not a turn later: nobody else may have what this request got.
    ticket.settle = (outcome) => {
      if (outcome === 'run') release = this.#run(seat, clock.monotonic())
      turn.resolve(outcome)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    const outcome = await turn.promise
    signal.removeEventListener('abort', giveUp)
    this.#waiting--
    counts.waiting--
    counts.waitingSeats -= ticket.seats
    const now = clock.monotonic()
    level.noteDemand(now)
    this.#metrics.observeWait(counts, (now - ticket.arrivedAt) / 1000, outcome === 'run')
    if (outcome !== 'run' || release === undefined) {
      // Its place in the queue is free for the others.
      this.#scheduleTurn()
      if (outcome !== 'cancelled') throw this.#refuse(flow, 'time-out')
      this.#countRefusal(flow, 'cancelled')
      throw signal.reason
    }
    if (signal.aborted) {
      release()
      throw signal.reason
    }
    return release
  }

  #refuse(flow: Flow, reason: Refusal): StatusError {
    this.#countRefusal(flow, reason)
    const retryAfterSeconds = flow.level.retryAfter.refuse(this.#options.clock.monotonic())
    return new StatusError('TooManyRequests', 'Too many requests, please try again later.', { retryAfterSeconds })
  }

  #countRefusal({ level, counts }: Flow, reason: Refusal): void {
    counts.refused.set(reason, (counts.refused.get(reason) ?? 0) + 1)
    if (reason === 'time-out') level.totals.timedOut++
    else if (reason === 'cancelled') level.totals.cancelled++
    else level.totals.refused++
  }

  #lend(): void {
    this.#fairFraction = lendSeats([...this.#levels.values()])
  }

  #scheduleTurn(): void {
    if (this.#isTurnDue || (this.#done.length === 0 && this.#waiting === 0)) return
    this.#isTurnDue = true
    setImmediate(() => {
      this.#isTurnDue = false
      this.#turn()
    })
  }

  /** Gives back the seats of what is done, and lets in who waits for them. */
  #turn(): void {
    const now = this.#options.clock.monotonic()
    const done = this.#done
    this.#done = []
    for (const seat of done) this.#leave(seat, now)
    if (this.#waiting > 0) for (const level of this.levels) level.queueSet.dispatch(now)
    for (const level of this.#retired) if (level.isIdle) this.#retired.delete(level)
  }

  #leave({ flow, ticket, isWatch, isRead }: Seat, now: number): void {
    const { level, counts } = flow
    if (level.isExempt) {
      level.exemptRunning--
      level.exemptSeats -= ticket.seats
    } else level.queueSet.finish(ticket, now)
    level.noteDemand(now)
    counts.executing--
    counts.executingSeats -= ticket.seats
    if (isRead) this.#inFlight.reads--
    else this.#inFlight.writes--
    this.#metrics.observeRun(counts, (now - ticket.startedAt) / 1000, { seats: ticket.seats, isWatch })
  }

  /** While somebody waits, and no longer. */
  #startSweeping(): void {
    if (this.#isSweeping) return
    this.#isSweeping = true
    const { clock } = this.#options
    void clock.sleep(sweepIntervalMs).then(() => {
      this.#isSweeping = false
      for (const level of this.levels) level.queueSet.expire(clock.monotonic() - (this.#options.maxWaitMs ?? defaultMaxWaitMs))
      if (this.#waiting > 0) this.#startSweeping()
    }) // never rejects: nothing aborts it
  }
}

/** Not at once: a client in this process that tries again and again would let nobody else have a turn. */
function refuseLater(error: StatusError): Promise<never> {
  return new Promise((_resolve, reject) => setImmediate(() => reject(error)))
}

function flowOf(schema: FlowSchema, level: PriorityLevel, counts: FlowCounts): Flow {
  const method = schema.spec.distinguisherMethod?.type
  return {
    matches: flowMatcher(schema),
    distinguisher: method === 'ByUser' || method === 'ByNamespace' ? method : '',
    level,
    class: { schema: schema.metadata.name, schemaUid: schema.metadata.uid ?? '', level: level.name, levelUid: level.uid },
    counts,
    hands: new Map(),
  }
}

function withMandatory<T extends { readonly metadata: { readonly name: string } }>(stored: readonly T[], mandatory: readonly T[]): T[] {
  return [...stored, ...mandatory.filter(({ metadata }) => !stored.some((other) => other.metadata.name === metadata.name))]
}
