import { configmaps } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { CachedObject } from './cached-object.ts'
import { EventRing, type CacheEvent } from './event-ring.ts'
import { storedResource } from './stored-resource.ts'

const resource = storedResource(configmaps)
const event = (revision: number): CacheEvent => ({
  revision,
  current: CachedObject.fromStored(resource, 'default/a', revision, Buffer.from(`${resource.head}"name":"a"}}`)),
  isDeletion: false,
  previous: undefined,
  frames: undefined,
})
const options = { maxEvents: 3, maxBytes: 1_000_000 }

describe('EventRing', () => {
  it('finds the first event after a revision, also between events of one revision', () => {
    const ring = new EventRing(4, options)
    for (const revision of [5, 7, 7]) ring.push(event(revision))
    expect([4, 5, 6, 7].map((revision) => ring.positionAfter(revision))).toEqual([0, 1, 1, 3])
    expect(ring.positionAfter(3)).toBeUndefined()
  })

  it('drops the oldest events and says from where on it is whole', () => {
    const ring = new EventRing(4, options)
    for (const revision of [5, 6, 7, 8, 9]) ring.push(event(revision))
    expect([ring.base, ring.end, ring.startRevision]).toEqual([2, 5, 6])
    expect(ring.at(1)).toBeUndefined()
    expect(ring.at(2)?.revision).toBe(7)
    expect(ring.positionAfter(5)).toBeUndefined()
    expect(ring.positionAfter(6)).toBe(2)
  })

  it('bounds the bytes it keeps, but keeps the newest event', () => {
    const ring = new EventRing(0, { maxEvents: 100, maxBytes: 10 })
    ring.push(event(1))
    ring.push(event(2))
    expect([ring.base, ring.end]).toEqual([1, 2])
  })

  it('forgets what was compacted', () => {
    const ring = new EventRing(4, options)
    for (const revision of [5, 6]) ring.push(event(revision))
    ring.dropThrough(8)
    expect([ring.base, ring.end, ring.startRevision]).toEqual([2, 2, 8])
  })

  it('frees encoded forms of events that every watcher has passed', () => {
    const ring = new EventRing(0, { maxEvents: 1000, maxBytes: 1_000_000 })
    for (let revision = 1; revision <= 300; revision++) {
      const pushed = event(revision)
      pushed.frames = new Map([['x', Buffer.alloc(1)]])
      ring.push(pushed)
    }
    expect(ring.at(10)?.frames).toBeUndefined()
    expect(ring.at(299)?.frames?.size).toBe(1)
  })
})
