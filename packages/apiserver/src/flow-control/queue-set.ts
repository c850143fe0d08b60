/** How many requests may wait, and how they are kept apart. */
export interface Queuing {
  readonly queues: number
  readonly handSize: number
  /** Requests that wait in one queue at most. */
  readonly queueLengthLimit: number
}

/** A request as a queue set sees it. Times are milliseconds of one monotonic clock. */
export interface Ticket {
  /** At least 1; never changes. */
  readonly seats: number
  readonly arrivedAt: number
  startedAt: number
  state: 'waiting' | 'running' | 'gone'
  queue: FlowQueue | undefined
  /** Called when the request may run, or must not any more; at once or from within {@link QueueSet.dispatch}, {@link QueueSet.expire}. */
  settle: ((outcome: 'run' | 'time-out') => void) | undefined
}

interface FlowQueue {
  readonly index: number
  readonly waiting: Ticket[]
  seatsWaiting: number
  seatsRunning: number
  running: number
  /** Work that this queue was given, in seat-milliseconds of the set's virtual time. */
  virtual: number
  /** Position in the order of dispatches: who waited longest goes first among equals. */
  lastDispatch: number
}

// What a request is taken to cost before it is known, in milliseconds: upstream's guess.
const guessedMs = 3
// Idle queues that are remembered beyond those in use before they are looked through.
const maxIdleQueues = 256

export type Arrival = 'run' | 'wait' | 'queue-full' | 'concurrency-limit'

/**
 * Divides a number of seats fairly among flows: start-time fair queuing.
 *
 * Each queue counts the work that it was given. The waiting queue that was given least goes next; one that had nothing to do starts at what the others have
 * reached, so nobody saves up. While two queues both have requests waiting, what they were given differs by no more than a few requests' worth.
 * A request whose turn it is and that does not fit holds back the others: wide ones come through, too.
 *
 * Does no I/O and holds no timers: its owner calls {@link dispatch} when seats became free.
 */
export class QueueSet {
  #queuing: Queuing | undefined
  #limit: number
  readonly #queues = new Map<number, FlowQueue>()
  readonly #busy = new Set<FlowQueue>()
  /** What the queue had been given that was dispatched last: where newcomers start. */
  #virtual = 0
  #dispatches = 0
  #seatsRunning = 0
  #seatsWaiting = 0
  #running = 0
  #waiting = 0

  /** Without `queuing` nobody waits. */
  constructor(limit: number, queuing: Queuing | undefined) {
    this.#limit = limit
    this.#queuing = queuing
  }

  get running(): number {
    return this.#running
  }
  get waiting(): number {
    return this.#waiting
  }
  get seatsRunning(): number {
    return this.#seatsRunning
  }
  get seatsWaiting(): number {
    return this.#seatsWaiting
  }
  get limit(): number {
    return this.#limit
  }
  get isIdle(): boolean {
    return this.#running === 0 && this.#waiting === 0
  }
  /** What is known of each queue in use; for debugging. */
  get queues(): readonly {
    readonly index: number
    readonly waiting: readonly Ticket[]
    readonly running: number
    readonly seatsRunning: number
    readonly virtual: number
  }[] {
    return [...this.#queues.values()]
  }

  /** Requests that wait go on waiting where they are. */
  configure(limit: number, queuing: Queuing | undefined): void {
    this.#limit = limit
    this.#queuing = queuing
  }

  /**
   * A request comes: it runs, waits (its `settle` is called once), or is refused. `hand`: the queues that its flow may use, each below `queuing.queues`;
   * empty when nobody waits.
   */
  arrive(ticket: Ticket, hand: readonly number[]): Arrival {
    if (this.#queuing === undefined) {
      if (!this.#fits(ticket.seats)) return 'concurrency-limit'
      this.#start(ticket, undefined)
      return 'run'
    }
    const queue = this.#shortest(hand)
    if (this.#waiting === 0 && this.#fits(ticket.seats)) {
      this.#wake(queue)
      this.#start(ticket, queue)
      return 'run'
    }
    if (queue.waiting.length >= this.#queuing.queueLengthLimit) return 'queue-full'
    this.#wake(queue)
    ticket.state = 'waiting'
    ticket.queue = queue
    queue.waiting.push(ticket)
    queue.seatsWaiting += ticket.seats
    this.#busy.add(queue)
    this.#waiting++
    this.#seatsWaiting += ticket.seats
    return 'wait'
  }

  /** A request that ran is done; its seats are free for the next {@link dispatch}. */
  finish(ticket: Ticket, now: number): void {
    if (ticket.state !== 'running') return
    ticket.state = 'gone'
    this.#running--
    this.#seatsRunning -= ticket.seats
    const { queue } = ticket
    if (queue === undefined) return
    queue.running--
    queue.seatsRunning -= ticket.seats
    queue.virtual += ticket.seats * (now - ticket.startedAt - guessedMs)
    this.#forget(queue)
  }

  /** A request that waits gives up; its `settle` is not called. */
  cancel(ticket: Ticket): void {
    if (ticket.state === 'waiting') this.#leave(ticket)
  }

  /** Starts what fits, fairest first. */
  dispatch(now: number): void {
    while (this.#busy.size > 0) {
      const queue = this.#next()
      const ticket = queue?.waiting[0]
      if (queue === undefined || ticket === undefined || !this.#fits(ticket.seats)) return
      this.#leave(ticket)
      ticket.startedAt = now
      this.#start(ticket, queue)
      ticket.settle?.('run')
    }
  }

  /** Turns away what has waited since `before` or longer. */
  expire(before: number): number {
    let expired = 0
    for (const queue of this.#busy)
      for (const ticket of queue.waiting.filter(({ arrivedAt }) => arrivedAt <= before)) {
        this.#leave(ticket)
        expired++
        ticket.settle?.('time-out')
      }
    return expired
  }

  /** A request wider than the whole set runs alone. */
  #fits(seats: number): boolean {
    return this.#seatsRunning === 0 ? this.#limit > 0 : this.#seatsRunning + seats <= this.#limit
  }

  #shortest(hand: readonly number[]): FlowQueue {
    let best: FlowQueue | undefined
    let bestLoad = Infinity
    for (const index of hand) {
      const queue = this.#queues.get(index)
      const load = queue === undefined ? 0 : queue.seatsWaiting + queue.seatsRunning
      if (load >= bestLoad) continue
      best = queue ?? this.#queueAt(index)
      bestLoad = load
      if (load === 0) break
    }
    return best ?? this.#queueAt(hand[0] ?? 0)
  }

  #queueAt(index: number): FlowQueue {
    let queue = this.#queues.get(index)
    if (queue === undefined) {
      queue = { index, waiting: [], seatsWaiting: 0, seatsRunning: 0, running: 0, virtual: this.#virtual, lastDispatch: 0 }
      this.#queues.set(index, queue)
    }
    return queue
  }

  /** Who had nothing to do has saved nothing. */
  #wake(queue: FlowQueue): void {
    if (queue.running === 0 && queue.waiting.length === 0 && queue.virtual < this.#virtual) queue.virtual = this.#virtual
  }

  #start(ticket: Ticket, queue: FlowQueue | undefined): void {
    ticket.state = 'running'
    ticket.queue = queue
    this.#running++
    this.#seatsRunning += ticket.seats
    if (queue === undefined) return
    queue.running++
    queue.seatsRunning += ticket.seats
    queue.lastDispatch = ++this.#dispatches
    if (queue.virtual > this.#virtual) this.#virtual = queue.virtual
    queue.virtual += ticket.seats * guessedMs
  }

  #next(): FlowQueue | undefined {
    let best: FlowQueue | undefined
    for (const queue of this.#busy)
      if (best === undefined || queue.virtual < best.virtual || (queue.virtual === best.virtual && queue.lastDispatch < best.lastDispatch))
        best = queue
    return best
  }

  #leave(ticket: Ticket): void {
    const { queue } = ticket
    if (queue === undefined) return
    queue.waiting.splice(queue.waiting.indexOf(ticket), 1)
    queue.seatsWaiting -= ticket.seats
    this.#waiting--
    this.#seatsWaiting -= ticket.seats
    ticket.state = 'gone'
    if (queue.waiting.length === 0) {
      this.#busy.delete(queue)
      this.#forget(queue)
    }
  }

  /** Drops queues that nothing is to be remembered of; their number is bounded by those that are ahead of the others. */
  #forget(queue: FlowQueue): void {
    if (this.isIdle) {
      this.#queues.clear()
      this.#virtual = 0
      return
    }
    if (queue.running > 0 || queue.waiting.length > 0) return
    // While nobody waits there is nothing to share out.
    if (this.#waiting === 0 || queue.virtual <= this.#virtual) this.#queues.delete(queue.index)
    else if (this.#queues.size > this.#busy.size + this.#running + maxIdleQueues)
      for (const idle of this.#queues.values())
        if (idle.running === 0 && idle.waiting.length === 0 && idle.virtual <= this.#virtual) this.#queues.delete(idle.index)
  }
}
