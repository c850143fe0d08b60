import { assert as check, array, constantFrom, integer, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QueueSet, type Queuing, type Ticket } from './queue-set.ts'

const queuing: Queuing = { queues: 8, handSize: 1, queueLengthLimit: 50 }

function ticketOf(seats = 1, arrivedAt = 0, settle?: Ticket['settle']): Ticket {
  return { seats, arrivedAt, startedAt: arrivedAt, state: 'running', queue: undefined, settle }
}

describe('QueueSet', () => {
  it('runs what fits and lets the rest wait in order', () => {
    const set = new QueueSet(2, queuing)
    const started: string[] = []
    const tickets = ['a', 'b', 'c', 'd'].map((name) => ticketOf(1, 0, () => started.push(name)))
    expect(tickets.map((ticket) => set.arrive(ticket, [0]))).toEqual(['run', 'run', 'wait', 'wait'])
    for (const ticket of tickets.slice(0, 1)) set.finish(ticket, 5)
    set.dispatch(5)
    expect(started).toEqual(['c'])
    expect([set.running, set.waiting, set.seatsRunning, set.seatsWaiting]).toEqual([2, 1, 2, 1])
  })

  it('refuses without queues when it is full, and with them when the queue is', () => {
    const reject = new QueueSet(1, undefined)
    expect(reject.arrive(ticketOf(), [])).toBe('run')
    expect(reject.arrive(ticketOf(), [])).toBe('concurrency-limit')
    const set = new QueueSet(1, { ...queuing, queueLengthLimit: 2 })
    expect([1, 2, 3, 4].map(() => set.arrive(ticketOf(), [0]))).toEqual(['run', 'wait', 'wait', 'queue-full'])
    expect(set.arrive(ticketOf(), [1])).toBe('wait')
  })

  it('lets a newcomer in before the backlog of a flood', () => {
    const set = new QueueSet(1, queuing)
    const started: string[] = []
    const first = ticketOf()
    set.arrive(first, [0])
    for (let index = 0; index < 40; index++)
      set.arrive(
        ticketOf(1, 0, () => started.push('flood')),
        [0],
      )
    set.arrive(
      ticketOf(1, 1, () => started.push('newcomer')),
      [1],
    )
    set.finish(first, 10)
    set.dispatch(10)
    expect(started).toEqual(['newcomer'])
  })

  it('gives nobody credit for having been idle', () => {
    const set = new QueueSet(1, queuing)
    const idle = ticketOf()
    set.arrive(idle, [1])
    // The flow of queue 0 works alone for long; that of queue 1 comes back and alternates with it.
    const served: number[] = []
    let running = idle
    const enqueue = (queue: number): void => {
      const ticket: Ticket = ticketOf(1, 0, () => {
        served.push(queue)
        running = ticket
      })
      set.arrive(ticket, [queue])
    }
    for (let index = 0; index < 30; index++) enqueue(0)
    for (let now = 10; now <= 100; now += 10) {
      set.finish(running, now)
      set.dispatch(now)
    }
    for (let index = 0; index < 10; index++) enqueue(1)
    served.length = 0
    for (let now = 110; now <= 200; now += 10) {
      set.finish(running, now)
      set.dispatch(now)
    }
    expect(served.filter((queue) => queue === 0).length).toBeGreaterThanOrEqual(4)
  })

  it('holds others back for a wide request, and runs one that is wider than everything alone', () => {
    const set = new QueueSet(4, queuing)
    const narrow = [ticketOf(), ticketOf()]
    for (const ticket of narrow) set.arrive(ticket, [0])
    const started: string[] = []
    const wide = ticketOf(9, 0, () => started.push('wide'))
    set.arrive(wide, [1])
    expect(
      set.arrive(
        ticketOf(1, 0, () => started.push('late')),
        [2],
      ),
    ).toBe('wait')
    set.dispatch(1)
    expect(started).toEqual([])
    for (const ticket of narrow) set.finish(ticket, 3)
    set.dispatch(3)
    expect(started).toEqual(['wide'])
    set.finish(wide, 4)
    set.dispatch(4)
    expect(started).toEqual(['wide', 'late'])
  })

  it('forgets requests that give up or have waited too long', () => {
    const set = new QueueSet(1, queuing)
    const outcomes: string[] = []
    const first = ticketOf()
    set.arrive(first, [0])
    const gone = ticketOf(1, 0, (outcome) => outcomes.push(outcome))
    set.arrive(gone, [0])
    set.arrive(
      ticketOf(1, 10, (outcome) => outcomes.push(outcome)),
      [0],
    )
    set.arrive(
      ticketOf(1, 20, (outcome) => outcomes.push(outcome)),
      [1],
    )
    set.cancel(gone)
    expect(set.expire(10)).toBe(1)
    expect(outcomes).toEqual(['time-out'])
    set.finish(first, 30)
    set.dispatch(30)
    expect(outcomes).toEqual(['time-out', 'run'])
    expect([set.running, set.waiting]).toEqual([1, 0])
  })

  it('keeps nothing of flows that are gone', () => {
    const set = new QueueSet(2, { ...queuing, queues: 100_000 })
    for (let index = 0; index < 5000; index++) {
      const ticket = ticketOf()
      set.arrive(ticket, [index])
      set.finish(ticket, 1)
    }
    expect(set.queues).toHaveLength(0)
    const holder = ticketOf()
    set.arrive(holder, [0])
    for (let index = 1; index < 5000; index++) {
      const ticket = ticketOf(1, index)
      set.arrive(ticket, [index])
      set.finish(ticket, index + 1)
    }
    expect(set.queues.length).toBeLessThan(1000)
  })

  it('serves flows that always have requests equally, whatever their requests cost', () => {
    const flow = record({ seats: integer({ min: 1, max: 4 }), cost: integer({ min: 1, max: 20 }) })
    check(
      property(array(flow, { minLength: 2, maxLength: 5 }), constantFrom(1, 4, 7), (flows, limit) => {
        const set = new QueueSet(limit, queuing)
        const served = flows.map(() => 0)
        const running = new Map<Ticket, { readonly flow: number; readonly end: number }>()
        let now = 0
        const add = (index: number): void => {
          const { seats, cost } = flows[index] ?? { seats: 1, cost: 1 }
          const ticket: Ticket = ticketOf(seats, now, () => void running.set(ticket, { flow: index, end: now + cost }))
          if (set.arrive(ticket, [index]) === 'run') running.set(ticket, { flow: index, end: now + cost })
        }
        for (const index of flows.keys()) for (let count = 0; count < 10; count++) add(index)
        while (now < 4000) {
          now = Math.min(...[...running.values()].map(({ end }) => end))
          for (const [ticket, { flow: index, end }] of running) {
            if (end > now) continue
            running.delete(ticket)
            set.finish(ticket, now)
            served[index] = (served[index] ?? 0) + ticket.seats * (flows[index]?.cost ?? 0)
            add(index)
          }
          set.dispatch(now)
          expect(set.seatsRunning <= limit || set.running === 1).toBe(true)
        }
        // A few requests' worth apart: the widest and longest, for every one that may run at once.
        const bound = 2 * (limit + 1) * Math.max(...flows.map(({ seats, cost }) => seats * cost)) + 3 * limit * 8
        expect(Math.max(...served) - Math.min(...served)).toBeLessThanOrEqual(bound)
      }),
      { numRuns: 60 },
    )
  })
})
