import { noMetrics } from '@k3s/lifecycle'
import { expect, it } from 'vitest'
import { DatastoreError } from '../errors.ts'
import type { Backend, BatchResult, WriteRequest } from './backend.ts'
import { CommitQueue } from './commit-queue.ts'

/** A backend whose commits end when the test says so. */
class ManualBackend {
  readonly batches: (readonly WriteRequest[])[] = []
  readonly ids = new Set<string>()
  readonly #answers: ((error?: Error) => void)[] = []

  commit({ id, requests }: { readonly id: string; readonly requests: readonly WriteRequest[] }): Promise<BatchResult> {
    this.ids.add(id)
    this.batches.push(requests)
    return new Promise((resolve, reject) => {
      this.#answers.push((error) => {
        const outcomes = requests.map(() => ({ type: 'written', revision: 2, previous: undefined }) as const)
        if (error === undefined) resolve({ outcomes, log: [], revision: 2, compactRevision: 0 })
        else reject(error)
      })
    })
  }

  answer(error?: Error): void {
    this.#answers.shift()?.(error)
  }
}

const request = (name: string, size = 0): WriteRequest => ({
  type: 'create',
  key: Buffer.from(name),
  value: new Uint8Array(size),
  leaseId: 0n,
})

/** Lets the queue go as far as it can: it waits for turns of the loop, never for a timer, and timers have no order with those. */
async function turn(): Promise<void> {
  for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve))
}

function setUp(): { readonly backend: ManualBackend; readonly queue: CommitQueue } {
  const backend = new ManualBackend()
  return { backend, queue: new CommitQueue(backend as unknown as Backend, noMetrics, () => {}) } // it needs no more of a backend
}

it('what comes while a batch is in flight makes the next batch', async () => {
  const { backend, queue } = setUp()
  const first = queue.submit(request('a'), undefined)
  await turn()
  const others = ['b', 'c', 'd'].map((name) => queue.submit(request(name), undefined))
  await turn()
  expect(backend.batches.map(({ length }) => length)).toEqual([1])
  backend.answer()
  await first
  await turn()
  expect(backend.batches.map(({ length }) => length)).toEqual([1, 3])
  expect(backend.ids.size).toBe(2)
  backend.answer()
  await Promise.all(others)
})

it('a batch is bounded in requests and bytes', async () => {
  const { backend, queue } = setUp()
  const writes = [...Array.from({ length: 600 }, () => request('a')), request('b', 3_000_000), request('c', 3_000_000)]
  const done = Promise.all(writes.map((write) => queue.submit(write, undefined)))
  for (let round = 0; round < 3; round++) {
    await turn()
    backend.answer()
  }
  await done
  expect(backend.batches.map(({ length }) => length)).toEqual([512, 89, 1])
})

it('a failed batch fails its requests and no others', async () => {
  const { backend, queue } = setUp()
  const first = queue.submit(request('a'), undefined)
  await turn()
  const second = queue.submit(request('b'), undefined)
  backend.answer(new Error('disk'))
  await expect(first).rejects.toThrow('disk')
  await turn()
  backend.answer()
  await expect(second).resolves.toMatchObject({ type: 'written' })
})

it('an aborted request is withdrawn while it waits, and only given up when it is in flight', async () => {
  const { backend, queue } = setUp()
  const [flying, waiting] = [new AbortController(), new AbortController()]
  const first = queue.submit(request('a'), flying.signal)
  await turn()
  const second = queue.submit(request('b'), waiting.signal)
  flying.abort(new Error('first'))
  waiting.abort(new Error('second'))
  await expect(first).rejects.toThrow('first')
  await expect(second).rejects.toThrow('second')
  backend.answer()
  await turn()
  expect(backend.batches).toHaveLength(1)
})

it('when too many bytes wait, a write is refused with Unavailable', async () => {
  const { backend, queue } = setUp()
  const first = queue.submit(request('a'), undefined)
  await turn()
  const waiting = Array.from({ length: 64 }, () => queue.submit(request('', 2 ** 20), undefined))
  await expect(queue.submit(request('b', 2 ** 20), undefined)).rejects.toMatchObject({ code: 'Unavailable' })
  const closing = queue.close(new DatastoreError('Closed', 'The datastore is closed'))
  for (const write of waiting) await expect(write).rejects.toMatchObject({ code: 'Closed' })
  backend.answer()
  await first
  await closing
})

it('maintenance runs between two batches, never beside one', async () => {
  const { backend, queue } = setUp()
  const order: string[] = []
  const first = queue.submit(request('a'), undefined).then(() => order.push('first'))
  await turn()
  const maintenance = queue.runBetween(async () => void order.push('maintenance'))
  const second = queue.submit(request('b'), undefined).then(() => order.push('second'))
  await turn()
  expect(order).toEqual([])
  backend.answer()
  await turn()
  backend.answer()
  await Promise.all([first, maintenance, second])
  expect(order).toEqual(['first', 'maintenance', 'second'])
})
