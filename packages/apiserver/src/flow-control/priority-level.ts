import type { PriorityLevelConfiguration } from '@k3s/api/types/flowcontrol/v1'
import { allocateSeats } from './allocate-seats.ts'
import { QueueSet, type Queuing } from './queue-set.ts'
import { RetryAfter } from './retry-after.ts'
import { SeatDemand, type DemandSummary } from './seat-demand.ts'

// A request may take this part of its level's seats: upstream's number.
const maxSeatsPart = 0.15
// How much of its smoothed demand a level keeps from one period to the next: upstream's number.
const smoothing = 0.977

const noDemand: DemandSummary = { highWatermark: 0, average: 0, deviation: 0 }

/** One priority level at work. */
export class PriorityLevel {
  readonly name: string
  readonly isExempt: boolean
  readonly queueSet: QueueSet
  readonly retryAfter: RetryAfter = new RetryAfter()
  readonly #demandNow: SeatDemand
  uid = ''
  queuing: Queuing | undefined
  /** Seats: as configured, what is kept, what can be had at most, what it has now, what it should have. */
  nominal = 0
  min = 0
  max = 0
  current = 0
  target = 0
  smoothed = 0
  demand: DemandSummary = noDemand
  /** Of the exempt level, which has no queue set. */
  exemptSeats = 0
  exemptRunning = 0
  readonly totals: { dispatched: number; refused: number; timedOut: number; cancelled: number } = {
    dispatched: 0,
    refused: 0,
    timedOut: 0,
    cancelled: 0,
  }

  constructor({ metadata, spec }: PriorityLevelConfiguration, now: number) {
    this.name = metadata.name
    this.isExempt = spec.type === 'Exempt'
    this.queueSet = new QueueSet(0, undefined)
    this.#demandNow = new SeatDemand(now)
  }

  /** Most seats that one request takes. */
  get maxSeats(): number {
    if (this.queuing === undefined) return Infinity
    return Math.max(1, Math.min(Math.ceil(this.nominal * maxSeatsPart), Math.floor(this.nominal / this.queuing.handSize)))
  }

  get isIdle(): boolean {
    return this.queueSet.isIdle && this.exemptRunning === 0
  }

  /** Takes over what an object says; `shareSum` is that of all levels. */
  configure({ metadata, spec }: PriorityLevelConfiguration, totalSeats: number, shareSum: number): void {
    const isNew = this.nominal === 0 && this.current === 0
    this.uid = metadata.uid ?? ''
    const nominal = shareSum === 0 ? 0 : Math.ceil((totalSeats * sharesOf(spec)) / shareSum)
    const lendable = Math.round((nominal * ((spec.limited ?? spec.exempt)?.lendablePercent ?? 0)) / 100)
    const borrowing = spec.limited?.borrowingLimitPercent
    this.nominal = nominal
    this.min = nominal - lendable
    this.max = nominal + (borrowing === undefined ? totalSeats : Math.round((nominal * borrowing) / 100))
    if (isNew) this.current = nominal - Math.floor(lendable / 2)
    const queuing = spec.limited?.limitResponse?.queuing
    this.queuing =
      queuing === undefined
        ? undefined
        : { queues: queuing.queues ?? 64, handSize: queuing.handSize ?? 8, queueLengthLimit: queuing.queueLengthLimit ?? 50 }
    this.setCurrent(this.current)
  }

  setCurrent(seats: number): void {
    this.current = seats
    this.queueSet.configure(seats, this.queuing)
  }

  /** Call after each change of what runs or waits. */
  noteDemand(now: number): void {
    this.#demandNow.set(this.exemptSeats + this.queueSet.seatsRunning + this.queueSet.seatsWaiting, now)
  }

  /** Ends a period. */
  takeDemand(now: number): void {
    this.demand = this.#demandNow.take(now)
    const envelope = this.demand.average + this.demand.deviation
    this.smoothed = Math.max(envelope, smoothing * this.smoothed + (1 - smoothing) * envelope)
  }
}

export function sharesOf({ limited, exempt }: PriorityLevelConfiguration['spec']): number {
  return limited !== undefined ? (limited.nominalConcurrencyShares ?? 30) : (exempt?.nominalConcurrencyShares ?? 0)
}

/** Lends idle seats to levels that can use them, by what each asked for in the last period. Answers with the fraction of its target that each gets. Follows KEP-1040. */
export function lendSeats(levels: readonly PriorityLevel[]): number {
  const sum = (of: (level: PriorityLevel) => number, among: readonly PriorityLevel[]): number =>
    among.reduce((total, level) => total + of(level), 0)
  const lowest = (level: PriorityLevel): number => Math.max(level.min, Math.min(level.nominal, level.demand.highWatermark))
  const limited = levels.filter(({ isExempt }) => !isExempt)
  const total = sum(({ nominal }) => nominal, levels)
  let left = total
  for (const level of levels.filter(({ isExempt }) => isExempt)) {
    const seats = Math.max(level.min, level.demand.highWatermark)
    level.target = seats
    level.setCurrent(seats)
    left -= seats
  }
  for (const level of limited) level.target = Math.max(lowest(level), level.smoothed)
  const kept = sum(({ min }) => min, limited)
  const wanted = sum(lowest, limited)
  if (left <= kept) {
    for (const level of limited) level.setCurrent(level.min)
    return 0
  }
  if (left <= wanted) {
    const part = (left - kept) / (wanted - kept)
    for (const level of limited) level.setCurrent(level.min + Math.round((lowest(level) - level.min) * part))
    return 0
  }
  const { seats, fairFraction } = allocateSeats(
    total,
    limited.map((level) => ({ lower: lowest(level), upper: level.max, target: level.target })),
  )
  for (const [index, level] of limited.entries()) level.setCurrent(Math.round(seats[index] ?? level.min))
  return fairFraction
}
