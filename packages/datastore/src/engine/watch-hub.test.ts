import { noMetrics, systemClock } from '@k3s/lifecycle'
import { expect, it, vi } from 'vitest'
import type { KeyRange, WatchEvent } from '../contract.ts'
import { DatastoreError } from '../errors.ts'
import type { LoggedRevision, LogPage, LogRequest } from './backend.ts'
import { compacted } from './evaluate.ts'
import { WatchHub } from './watch-hub.ts'

const everything: KeyRange = { start: new Uint8Array(0), end: new Uint8Array(0) }
const eventOf = (revision: number): WatchEvent => ({
  type: 'put',
  item: {
    key: Buffer.from('k'),
    value: Buffer.from(`${revision}`),
    createRevision: 2,
    modRevision: revision,
    version: revision - 1,
    leaseId: 0n,
  },
})
const logged = (...revisions: number[]): LoggedRevision[] => revisions.map((revision) => ({ revision, events: [eventOf(revision)] }))

/** A log that others write to; a read waits for `release` when `isHeld`. */
class SharedLogStub {
  readonly opened = { revision: 1, compactRevision: 0 }
  readonly shared = { readPosition: async () => this.position, follow: async (): Promise<void> => {} }
  revision = 1
  compactRevision = 0
  isAway = false
  isHeld = false
  reads = 0
  #waiting: (() => void)[] = []

  get position(): { readonly revision: number; readonly compactRevision: number } {
    return { revision: this.revision, compactRevision: this.compactRevision }
  }

  async readLog({ from }: LogRequest): Promise<LogPage> {
    this.reads++
    if (this.isAway) throw new DatastoreError('Unavailable', 'away')
    if (from < this.compactRevision) throw compacted(from, this.compactRevision)
    const through = this.revision
    if (this.isHeld) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return { through, events: Array.from({ length: Math.max(0, through - from + 1) }, (_, index) => eventOf(from + index)) }
  }

  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** A hub over the stub, with a watch from revision 2 that is recorded. */
async function withHub(
  test: (hub: WatchHub, log: SharedLogStub, seen: readonly number[], failure: () => unknown) => Promise<void>,
): Promise<void> {
  const log = new SharedLogStub()
  const hub = new WatchHub(log, systemClock, noMetrics)
  const stop = new AbortController()
  const tail = hub.tail(stop.signal)
  const seen: number[] = []
  let failure: unknown
  const watching = (async () => {
    const options = { range: everything, from: 2, previous: false, progressIntervalMs: 0, signal: stop.signal }
    for await (const { events } of hub.watch(options)) seen.push(...events.map(({ item }) => item.modRevision))
  })().catch((error: unknown) => {
    failure = error
  })
  try {
    await test(hub, log, seen, () => failure)
  } finally {
    stop.abort()
    log.release()
    await Promise.all([tail, watching])
  }
}

it('reads what others have written, when it is told that the log has grown', () =>
  withHub(async (hub, log, seen) => {
    log.revision = 4
    hub.note(log.position)
    await vi.waitFor(() => expect(seen).toEqual([2, 3, 4]))
    hub.note({ revision: 3, compactRevision: 0 })
    expect(log.reads).toBe(1)
  }))

it('lets a batch of its own wait for the revisions before it, and delivers each once', () =>
  withHub(async (hub, log, seen) => {
    log.isHeld = true
    log.revision = 3
    hub.note(log.position)
    await vi.waitFor(() => expect(log.reads).toBe(1))
    // 4 and 5 are our own; the read in flight does not have them.
    hub.append(logged(4, 5), 0)
    expect(hub.revision).toBe(1)
    log.revision = 5
    log.release()
    await vi.waitFor(() => expect(seen).toEqual([2, 3, 4, 5]))
    expect(log.reads).toBe(1)
  }))

it('leaves out what it has read before the answer to its own batch came, and the other way round', () =>
  withHub(async (hub, log, seen) => {
    log.revision = 3
    hub.note(log.position)
    await vi.waitFor(() => expect(seen).toEqual([2, 3]))
    hub.append(logged(2, 3), 0)
    log.isHeld = true
    log.revision = 5
    hub.note(log.position)
    await vi.waitFor(() => expect(log.reads).toBe(2))
    hub.append(logged(4), 0)
    log.release()
    await vi.waitFor(() => expect(seen).toEqual([2, 3, 4, 5]))
    hub.append(logged(6), 0)
    await vi.waitFor(() => expect(seen).toEqual([2, 3, 4, 5, 6]))
  }))

it('waits through an outage, and then goes on', () =>
  withHub(async (hub, log, seen, failure) => {
    log.isAway = true
    log.revision = 3
    hub.note(log.position)
    await vi.waitFor(() => expect(log.reads).toBeGreaterThan(2))
    log.isAway = false
    await vi.waitFor(() => expect(seen).toEqual([2, 3]), { timeout: 5000 })
    expect(failure()).toBeUndefined()
  }))

it('tells a watch that what it needs was compacted by others, and goes on for the rest', () =>
  withHub(async (hub, log, seen, failure) => {
    log.revision = 9
    log.compactRevision = 6
    const later: number[] = []
    const rest = (async () => {
      const options = { range: everything, from: 6, previous: false, progressIntervalMs: 0, signal: AbortSignal.timeout(5000) }
      for await (const { events } of hub.watch(options)) {
        later.push(...events.map(({ item }) => item.modRevision))
        if (later.includes(9)) return
      }
    })()
    hub.note({ revision: 9, compactRevision: 0 })
    await vi.waitFor(() => expect(failure()).toMatchObject({ code: 'Compacted', revision: 6 }))
    await rest
    expect(later).toEqual([6, 7, 8, 9])
    expect(seen).toEqual([])
  }))
