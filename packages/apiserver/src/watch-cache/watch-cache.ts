import type { StatusError } from '@k3s/api'
import type { WatchEvent } from '@k3s/datastore'
import { unreadableOf } from '../encryption/unreadable.ts'
import { CachedObject } from './cached-object.ts'
import { EncodedItems } from './encoded-items.ts'
import { EventRing, type CacheEvent } from './event-ring.ts'
import { SortedObjects } from './sorted-objects.ts'
import type { StoredResource } from './stored-resource.ts'

// Objects that writers hand over and whose events are still on their way; a writer's event is at most one group commit away.
const maxOffered = 1024

// Pages whose encoded forms are remembered between two changes.
const maxEncoded = 64

/** The current objects of one resource and its recent events. Changed by the feed only; readers see whole revisions, because applying one has no await. */
export class WatchCache {
  readonly resource: StoredResource
  readonly objects: SortedObjects = new SortedObjects()
  /** Keys of objects that are stored but cannot be read, and why. */
  readonly unreadable: Map<string, StatusError> = new Map()
  #ring = new EventRing(0)
  /** Counts resets: a watch that started before one has lost events. */
  #epoch = 0
  /** Revision of the newest event, or of the load. */
  #lastChange = 0
  readonly #offered = new Map<string, CachedObject>()
  readonly #encoded = new Map<string, EncodedItems>()
  readonly #listeners = new Set<() => void>()

  constructor(resource: StoredResource) {
    this.resource = resource
  }

  get ring(): EventRing {
    return this.#ring
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Nothing of this resource changed after this revision. */
  get lastChange(): number {
    return this.#lastChange
  }

  /** Starts over with the objects of `revision`; everything watched before is void. */
  reset(revision: number, objects: Iterable<CachedObject>): void {
    this.objects.clear()
    this.unreadable.clear()
    for (const object of objects) this.objects.set(object)
    this.#ring = new EventRing(revision)
    this.#changed(revision)
    this.#epoch++
    this.wake()
  }

  apply(key: string, { type, item }: WatchEvent): void {
    const revision = item.modRevision
    const problem = unreadableOf(item)
    if (problem !== undefined) return this.cannotRead(key, problem)
    this.unreadable.delete(key)
    const event = type === 'put' ? this.#put(key, revision, item.value) : this.#remove(key, revision)
    if (event === undefined) return
    this.#changed(revision)
    this.#ring.push(event)
  }

  /** Notes an object that cannot be read. Whoever watches has to start over, and is told of it then. */
  cannotRead(key: string, why: StatusError): void {
    this.#offered.delete(key)
    this.objects.delete(key)
    this.unreadable.set(key, why)
    this.#encoded.clear()
    this.#epoch++
  }

  /** Why not all objects whose keys begin with `prefix` can be read; undefined when they can. */
  problemBelow(prefix: string): StatusError | undefined {
    for (const [key, why] of this.unreadable) if (key.startsWith(prefix)) return why
    return undefined
  }

  /** A writer's own object for the event that is to come, so that it is neither copied nor parsed again. */
  offer(object: CachedObject): void {
    const present = this.objects.get(object.key)
    if (present !== undefined && present.revision >= object.revision) {
      if (present.revision === object.revision) present.adoptFrom(object)
      return
    }
    if (this.#offered.size >= maxOffered) this.#offered.clear()
    this.#offered.set(object.key, object)
  }

  /** The cache's own object for one of a writer, when its event has come; else the writer's. What is known about an object is known about one of them. */
  sameAs(object: CachedObject): CachedObject {
    const present = this.objects.get(object.key)
    return present?.revision === object.revision ? present : object
  }

  /** The encoded forms of the objects that `objects.slice` has now: until something changes, all who ask get the same. */
  encodedItems(prefix: string, start: string, limit: number): EncodedItems {
    const key = `${limit} ${prefix} ${start}`
    let encoded = this.#encoded.get(key)
    if (encoded === undefined) {
      if (this.#encoded.size >= maxEncoded) this.#encoded.clear()
      this.#encoded.set(key, (encoded = new EncodedItems()))
    }
    return encoded
  }

  /** How many listen to changes: watches, mostly. */
  get listeners(): number {
    return this.#listeners.size
  }

  /** Calls `listener` after each batch of events. Returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  wake(): void {
    for (const listener of this.#listeners) listener()
  }

  #changed(revision: number): void {
    this.#lastChange = revision
    this.#encoded.clear()
  }

  #put(key: string, revision: number, value: Uint8Array): CacheEvent {
    const offered = this.#offered.get(key)
    if (offered !== undefined && offered.revision <= revision) this.#offered.delete(key)
    const current = offered?.revision === revision ? offered : CachedObject.fromStored(this.resource, key, revision, value)
    return { revision, current, isDeletion: false, previous: this.objects.set(current), frames: undefined }
  }

  #remove(key: string, revision: number): CacheEvent | undefined {
    this.#offered.delete(key)
    const previous = this.objects.delete(key)
    return previous === undefined
      ? undefined
      : { revision, current: previous.atRevision(revision), isDeletion: true, previous, frames: undefined }
  }
}
