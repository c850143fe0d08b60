import { describe, expect, it } from 'vitest'
import { BoundedQueue } from './bounded-queue.ts'

async function collect<T>(queue: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of queue) items.push(item)
  return items
}

describe('BoundedQueue', () => {
  it('delivers in order and ends after close()', async () => {
    const queue = new BoundedQueue<number>('test', 2)
    const all = collect(queue)
    for (let at = 0; at < 5000; at++) await queue.push(at)
    queue.close()
    expect(await all).toEqual(Array.from({ length: 5000 }, (_, at) => at))
  })

  it('makes the producer wait when full', async () => {
    const queue = new BoundedQueue<number>('test', 1)
    expect(queue.offer(1)).toBe(true)
    expect(queue.offer(2)).toBe(false)
    let pushed = false
    const pushing = queue.push(2).then(() => (pushed = true))
    await Promise.resolve()
    expect(pushed).toBe(false)
    const reader = queue[Symbol.asyncIterator]()
    expect(await reader.next()).toEqual({ done: false, value: 1 })
    await pushing
    await reader.return()
    expect(await queue.push(3)).toBe(false)
  })

  it('gives up a push on abort', async () => {
    const queue = new BoundedQueue<number>('test', 1)
    queue.offer(1)
    const stop = new AbortController()
    const pushing = queue.push(2, stop.signal)
    stop.abort(new Error('stop'))
    await expect(pushing).rejects.toThrow('stop')
  })

  it('hands fail()’s error to the consumer and drops what is queued', async () => {
    const queue = new BoundedQueue<number>('test', 2)
    queue.offer(1)
    queue.fail(new Error('lost'))
    await expect(collect(queue)).rejects.toThrow('lost')
  })
})
