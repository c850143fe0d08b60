import type { CachedObject } from './cached-object.ts'

/** Objects by key, in order of keys: a namespace is a contiguous run, and is copied as such. Lookups cost one hash, changes a search and mostly one `memmove`. */
export class SortedObjects {
  readonly #byKey = new Map<string, CachedObject>()
  /** By their keys. */
  readonly #sorted: CachedObject[] = []

  get size(): number {
    return this.#sorted.length
  }

  get(key: string): CachedObject | undefined {
    return this.#byKey.get(key)
  }

  /** Returns what the key held before. */
  set(object: CachedObject): CachedObject | undefined {
    const previous = this.#byKey.get(object.key)
    this.#byKey.set(object.key, object)
    const last = this.#sorted.at(-1)
    if (last === undefined || last.key < object.key) this.#sorted.push(object)
    else if (previous === undefined) this.#sorted.splice(this.#lowerBound(object.key), 0, object)
    else this.#sorted[this.#lowerBound(object.key)] = object
    return previous
  }

  delete(key: string): CachedObject | undefined {
    const previous = this.#byKey.get(key)
    if (previous === undefined) return undefined
    this.#byKey.delete(key)
    this.#sorted.splice(this.#lowerBound(key), 1)
    return previous
  }

  /** At most `limit` objects whose key begins with `prefix` (empty: all), from `start` on, in order. The array is the caller's. */
  slice(prefix: string, start = '', limit: number = Number.POSITIVE_INFINITY): CachedObject[] {
    const begin = this.#lowerBound(start > prefix ? start : prefix)
    return this.#sorted.slice(begin, Math.min(this.#endOf(prefix), begin + limit))
  }

  /** How many objects `slice` has without a limit. */
  count(prefix: string, start = ''): number {
    return Math.max(0, this.#endOf(prefix) - this.#lowerBound(start > prefix ? start : prefix))
  }

  clear(): void {
    this.#byKey.clear()
    this.#sorted.length = 0
  }

  /** Index behind the last key that begins with `prefix`. */
  #endOf(prefix: string): number {
    if (prefix === '') return this.#sorted.length
    const last = prefix.length - 1
    // Prefixes end with a slash: there is a character after it.
    return this.#lowerBound(prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1))
  }

  #lowerBound(key: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#sorted[middle]?.key ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
