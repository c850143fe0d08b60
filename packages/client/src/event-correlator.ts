import type { Event } from '@k3s/api/types/core/v1'

/** What to do about an event. */
export type Correlation =
  | { readonly action: 'drop' }
  /** `event` is complete but for its identity. */
  | { readonly action: 'create'; readonly event: Event; readonly key: string }
  /** One like it is on the server under `name`, seen `count` times with this one. */
  | { readonly action: 'patch'; readonly event: Event; readonly key: string; readonly name: string; readonly count: number }

// client-go's EventCorrelator.
const maxKeys = 4096
/** Events about one object that may come at once, and how many come back each second. */
const burst = 25
const refillPerSecond = 1 / 300
/** From this many different messages on, about the same thing and with no pause of `similarMs`, they are counted as one event. */
const maxSimilar = 10
const similarMs = 600_000

/** A map that forgets what was not used for longest. */
class RecentMap<V> {
  readonly #entries = new Map<string, V>()

  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }

  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size <= maxKeys) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }
}

/** Turns a stream of events into few writes, as client-go's correlator does: equal ones are counted, similar ones combined, floods dropped. No I/O. */
export class EventCorrelator {
  readonly #buckets = new RecentMap<{ tokens: number; at: number }>()
  readonly #similar = new RecentMap<{ readonly messages: Set<string>; readonly lastAt: number }>()
  readonly #written = new RecentMap<{ readonly name: string; readonly firstTimestamp: string | undefined; readonly count: number }>()

  correlate(event: Event, nowMs: number): Correlation {
    const { involvedObject: object, source } = event
    const about = JSON.stringify([
      source?.component,
      source?.host,
      object.kind,
      object.namespace,
      object.name,
      object.uid,
      object.apiVersion,
      object.fieldPath,
    ])
    if (!this.#takeToken(about, nowMs)) return { action: 'drop' }
    const group = JSON.stringify([about, event.type, event.reason])
    const isCombined = this.#isCombined(group, event.message ?? '', nowMs)
    const key = isCombined ? group : JSON.stringify([group, event.message])
    const combined = isCombined ? { ...event, message: `(combined from similar events): ${event.message ?? ''}` } : event
    const known = this.#written.get(key)
    if (known === undefined) return { action: 'create', event: combined, key }
    const count = known.count + 1
    const seen = { ...combined, count, ...(known.firstTimestamp === undefined ? {} : { firstTimestamp: known.firstTimestamp }) }
    return { action: 'patch', event: seen, key, name: known.name, count }
  }

  /** The server has the event of `key` now. */
  wrote(key: string, event: Event): void {
    this.#written.set(key, { name: event.metadata.name, firstTimestamp: event.firstTimestamp, count: event.count ?? 1 })
  }

  /** The server has no event of `key` any more. */
  forget(key: string): void {
    this.#written.delete(key)
  }

  #takeToken(about: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(about) ?? { tokens: burst, at: nowMs }
    bucket.tokens = Math.min(burst, bucket.tokens + (Math.max(0, nowMs - bucket.at) / 1000) * refillPerSecond)
    bucket.at = nowMs
    this.#buckets.set(about, bucket)
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  #isCombined(group: string, message: string, nowMs: number): boolean {
    const known = this.#similar.get(group)
    const messages = known !== undefined && nowMs - known.lastAt <= similarMs ? known.messages : new Set<string>()
    if (messages.size < maxSimilar) messages.add(message)
    this.#similar.set(group, { messages, lastAt: nowMs })
    return messages.size >= maxSimilar
  }
}
