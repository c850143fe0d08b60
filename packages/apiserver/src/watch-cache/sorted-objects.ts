import type { CachedObject } from './cached-object.ts'

// Longest run of objects that are moved when one comes or goes: a few kilobytes.
const maxChunk = 512

/**
 * Objects by key, in order of keys: a namespace is a contiguous run, and is copied as such. Lookups cost one hash, changes two searches and the move of
 * at most a chunk.
 *
 * ```
 * chunks of at most 4:  [a b d f] [g h] [k]   with c:  [a b] [c d f] [g h] [k]   without k:  [a b] [c d f] [g h]
 * ```
 */
export class SortedObjects {
  readonly #byKey = new Map<string, CachedObject>()
  /** By their keys; none is empty. */
  #chunks: CachedObject[][] = []

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): CachedObject | undefined {
    return this.#byKey.get(key)
  }

  /** Returns what the key held before. */
  set(object: CachedObject): CachedObject | undefined {
    const { key } = object
    const previous = this.#byKey.get(key)
    this.#byKey.set(key, object)
    const at = Math.min(this.#chunkOf(key), this.#chunks.length - 1)
    const chunk = this.#chunks[at]
    if (chunk === undefined) this.#chunks.push([object])
    else if (previous !== undefined) chunk[lowerBound(chunk, key)] = object
    else {
      const last = chunk.at(-1)
      if (last !== undefined && last.key < key) chunk.push(object)
      else chunk.splice(lowerBound(chunk, key), 0, object)
      if (chunk.length > maxChunk) this.#split(at, chunk)
    }
    return previous
  }

  delete(key: string): CachedObject | undefined {
    const previous = this.#byKey.get(key)
    if (previous === undefined) return undefined
    this.#byKey.delete(key)
    const at = this.#chunkOf(key)
    const chunk = this.#chunks[at] ?? []
    chunk.splice(lowerBound(chunk, key), 1)
    if (chunk.length === 0) this.#chunks.splice(at, 1)
    return previous
  }

  /** At most `limit` objects whose key begins with `prefix` (empty: all), from `start` on, in order. The array is the caller's. */
  slice(prefix: string, start = '', limit: number = Number.POSITIVE_INFINITY): CachedObject[] {
    const begin = start > prefix ? start : prefix
    const end = endOf(prefix)
    const found: CachedObject[] = []
    for (let at = this.#chunkOf(begin); at < this.#chunks.length && found.length < limit; at++) {
      const chunk = this.#chunks[at] ?? []
      const first = found.length === 0 ? lowerBound(chunk, begin) : 0
      const last = Math.min(end === undefined ? chunk.length : lowerBound(chunk, end), first + limit - found.length)
      for (let index = first; index < last; index++) {
        const object = chunk[index]
        if (object !== undefined) found.push(object)
      }
      if (last < chunk.length) break
    }
    return found
  }

  /** How many objects `slice` has without a limit. */
  count(prefix: string, start = ''): number {
    const end = endOf(prefix)
    const behind = end === undefined ? this.size : this.#indexOf(end)
    return Math.max(0, behind - this.#indexOf(start > prefix ? start : prefix))
  }

  clear(): void {
    this.#byKey.clear()
    this.#chunks = []
  }

  /** At the end the new chunk is short: keys often come in order. */
  #split(at: number, chunk: CachedObject[]): void {
    const isLast = at === this.#chunks.length - 1
    this.#chunks.splice(at + 1, 0, chunk.splice(isLast ? maxChunk : maxChunk / 2))
  }

  /** How many objects have keys below `key`. */
  #indexOf(key: string): number {
    const at = this.#chunkOf(key)
    let index = lowerBound(this.#chunks[at] ?? [], key)
    for (let before = 0; before < at; before++) index += this.#chunks[before]?.length ?? 0
    return index
  }

  /** Index of the chunk that has the first key from `key` on; the number of chunks when there is none. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#chunks[middle]?.at(-1)?.key ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** What all keys that begin with `prefix` are below; undefined: there is no such bound. */
function endOf(prefix: string): string | undefined {
  if (prefix === '') return undefined
  const last = prefix.length - 1
  // Prefixes end with a slash: there is a character after it.
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)
}

/** Index of the first object whose key is not below `key`. */
function lowerBound(objects: readonly CachedObject[], key: string): number {
  let low = 0
  let high = objects.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((objects[middle]?.key ?? '') < key) low = middle + 1
    else high = middle
  }
  return low
}
