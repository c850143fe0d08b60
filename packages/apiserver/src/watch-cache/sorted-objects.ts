import type { CachedObject } from './cached-object.ts'

/** Objects by key, in order of keys: a namespace is a contiguous run. Lookups cost one hash, changes of the set of keys one `memmove`. */
export class SortedObjects {
  readonly #byKey = new Map<string, CachedObject>()
  /** Sorted; positions of keys that are only replaced do not move. */
  readonly #keys: string[] = []

  get size(): number {
    return this.#keys.length
  }

  get(key: string): CachedObject | undefined {
    return this.#byKey.get(key)
  }

  /** Returns what the key held before. */
  set(object: CachedObject): CachedObject | undefined {
    const previous = this.#byKey.get(object.key)
    this.#byKey.set(object.key, object)
    if (previous === undefined) {
      const last = this.#keys.at(-1)
      if (last === undefined || last < object.key) this.#keys.push(object.key)
      else this.#keys.splice(this.#lowerBound(object.key), 0, object.key)
    }
    return previous
  }

  delete(key: string): CachedObject | undefined {
    const previous = this.#byKey.get(key)
    if (previous === undefined) return undefined
    this.#byKey.delete(key)
    this.#keys.splice(this.#lowerBound(key), 1)
    return previous
  }

  /** At most `limit` objects whose key begins with `prefix` (empty: all), from `start` on, in order. The array is the caller's. */
  slice(prefix: string, start = '', limit: number = Number.POSITIVE_INFINITY): CachedObject[] {
    const begin = this.#lowerBound(start > prefix ? start : prefix)
    const end = Math.min(this.#endOf(prefix), begin + limit)
    const found: CachedObject[] = []
    for (let index = begin; index < end; index++) {
      const object = this.#byKey.get(this.#keys[index] ?? '')
      if (object !== undefined) found.push(object)
    }
    return found
  }

  /** How many objects `slice` has without a limit. */
  count(prefix: string, start = ''): number {
    return Math.max(0, this.#endOf(prefix) - this.#lowerBound(start > prefix ? start : prefix))
  }

  clear(): void {
    this.#byKey.clear()
    this.#keys.length = 0
  }

  /** Index behind the last key that begins with `prefix`. */
  #endOf(prefix: string): number {
    if (prefix === '') return this.#keys.length
    const last = prefix.length - 1
    // Prefixes end with a slash: there is a character after it.
    return this.#lowerBound(prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1))
  }

  #lowerBound(key: string): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
