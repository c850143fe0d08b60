import type { Counter, Gauge, Histogram, MetricsRegistry } from '@k3s/lifecycle'

export type Refusal = 'queue-full' | 'concurrency-limit' | 'time-out' | 'cancelled'

/** What is counted for the requests of one flow schema on one priority level. */
export interface FlowCounts {
  readonly schema: string
  readonly level: string
  dispatched: number
  readonly refused: Map<Refusal, number>
  executing: number
  executingSeats: number
  waiting: number
  waitingSeats: number
}

export function newFlowCounts(schema: string, level: string): FlowCounts {
  return { schema, level, dispatched: 0, refused: new Map(), executing: 0, executingSeats: 0, waiting: 0, waitingSeats: 0 }
}

/** What is told about a priority level. */
export interface LevelFigures {
  readonly name: string
  readonly nominal: number
  readonly min: number
  readonly max: number
  readonly current: number
  readonly target: number
  readonly smoothed: number
  readonly demand: { readonly highWatermark: number; readonly average: number; readonly deviation: number }
}

const flowLabels = ['priority_level', 'flow_schema'] as const
const levelLabels = ['priority_level'] as const
// Upstream's buckets.
const durationBuckets = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]

/** The metrics `apiserver_flowcontrol_*`. What only changes counts is published when somebody asks; what needs each request is observed. */
export class FlowMetrics {
  readonly #dispatched: Counter
  readonly #refused: Counter
  readonly #gauges: Readonly<Record<'inqueue' | 'inqueueSeats' | 'executing' | 'executingSeats', Gauge>>
  readonly #levels: readonly (readonly [Gauge, (level: LevelFigures) => number])[]
  readonly #fairFraction: Gauge
  readonly #waited: Histogram
  readonly #executed: Histogram
  readonly #seats: Histogram
  readonly #queueLength: Histogram

  constructor(registry: MetricsRegistry) {
    const name = (rest: string): string => `apiserver_flowcontrol_${rest}`
    const gauge = (rest: string, help: string): Gauge => registry.gauge({ name: name(rest), help, labels: flowLabels })
    const ofLevel = (rest: string, help: string): Gauge => registry.gauge({ name: name(rest), help, labels: levelLabels })
    this.#dispatched = registry.counter({ name: name('dispatched_requests_total'), help: 'Requests that were let in', labels: flowLabels })
    this.#refused = registry.counter({
      name: name('rejected_requests_total'),
      help: 'Requests that were turned away',
      labels: [...flowLabels, 'reason'],
    })
    this.#gauges = {
      inqueue: gauge('current_inqueue_requests', 'Requests that wait'),
      inqueueSeats: gauge('current_inqueue_seats', 'Seats that are waited for'),
      executing: gauge('current_executing_requests', 'Requests that are worked on'),
      executingSeats: gauge('current_executing_seats', 'Seats that are taken'),
    }
    this.#levels = [
      [ofLevel('nominal_limit_seats', 'Seats that a level is configured to have'), ({ nominal }) => nominal],
      [ofLevel('lower_limit_seats', 'Seats that a level keeps when others borrow'), ({ min }) => min],
      [ofLevel('upper_limit_seats', 'Seats that a level may have with what it borrows'), ({ max }) => max],
      [ofLevel('current_limit_seats', 'Seats that a level has now'), ({ current }) => current],
      [ofLevel('target_seats', 'Seats that a level should have for its demand'), ({ target }) => target],
      [ofLevel('demand_seats_high_watermark', 'Most seats asked for in the last period'), ({ demand }) => demand.highWatermark],
      [ofLevel('demand_seats_average', 'Seats asked for in the last period, over time'), ({ demand }) => demand.average],
      [ofLevel('demand_seats_stdev', 'Deviation of the seats asked for in the last period'), ({ demand }) => demand.deviation],
      [ofLevel('demand_seats_smoothed', 'Seats asked for, smoothed over periods'), ({ smoothed }) => smoothed],
    ]
    this.#fairFraction = registry.gauge({ name: name('seat_fair_frac'), help: 'Part of its target that each level gets' })
    const buckets = durationBuckets
    this.#waited = registry.histogram({
      name: name('request_wait_duration_seconds'),
      help: 'Time that a request waited, in seconds',
      labels: [...flowLabels, 'execute'],
      buckets,
    })
    this.#executed = registry.histogram({
      name: name('request_execution_seconds'),
      help: 'Time that a request was worked on, in seconds; of a watch until it runs',
      labels: [...flowLabels, 'type'],
      buckets,
    })
    this.#seats = registry.histogram({
      name: name('work_estimated_seats'),
      help: 'Seats that a request was taken to need',
      labels: flowLabels,
      buckets: [1, 2, 4, 8, 16, 32, 64, 100],
    })
    this.#queueLength = registry.histogram({
      name: name('request_queue_length_after_enqueue'),
      help: 'Length of the queue that a request came into, itself included',
      labels: flowLabels,
      buckets: [0, 10, 25, 50, 100, 250, 500, 1000],
    })
  }

  /** A request had to wait; seconds. */
  observeWait({ schema, level }: FlowCounts, seconds: number, didRun: boolean): void {
    this.#waited.observe(seconds, { priority_level: level, flow_schema: schema, execute: String(didRun) })
  }

  observeQueueLength({ schema, level }: FlowCounts, length: number): void {
    this.#queueLength.observe(length, { priority_level: level, flow_schema: schema })
  }

  observeRun({ schema, level }: FlowCounts, seconds: number, run: { readonly seats: number; readonly isWatch: boolean }): void {
    const labels = { priority_level: level, flow_schema: schema }
    this.#executed.observe(seconds, { ...labels, type: run.isWatch ? 'watch' : 'regular' })
    this.#seats.observe(run.seats, labels)
  }

  /** Brings counters and gauges up to date; `counts` of dispatches and refusals start anew. */
  publish(counts: Iterable<FlowCounts>, levels: Iterable<LevelFigures>, fairFraction: number): void {
    for (const count of counts) {
      const labels = { priority_level: count.level, flow_schema: count.schema }
      if (count.dispatched > 0) this.#dispatched.inc(labels, count.dispatched)
      count.dispatched = 0
      for (const [reason, times] of count.refused) this.#refused.inc({ ...labels, reason }, times)
      count.refused.clear()
      this.#gauges.inqueue.set(count.waiting, labels)
      this.#gauges.inqueueSeats.set(count.waitingSeats, labels)
      this.#gauges.executing.set(count.executing, labels)
      this.#gauges.executingSeats.set(count.executingSeats, labels)
    }
    for (const level of levels) for (const [gauge, of] of this.#levels) gauge.set(of(level), { priority_level: level.name })
    this.#fairFraction.set(fairFraction)
  }
}
