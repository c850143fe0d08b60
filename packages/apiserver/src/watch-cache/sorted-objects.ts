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

  /** Objects whose key begins with `prefix` (empty: all), from `start` on, in order. The array is the caller's. */
  slice(prefix: string, start = ''): CachedObject[] {
    const found: CachedObject[] = []
    for (let index = this.#lowerBound(start > prefix ? start : prefix); index < this.#keys.length; index++) {
      const key = this.#keys[index] ?? ''
      if (!key.startsWith(prefix)) break
      const object = this.#byKey.get(key)
      if (object !== undefined) found.push(object)
    }
    return found
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
