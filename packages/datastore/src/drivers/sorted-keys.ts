import { toBinaryString } from '../bytes.ts'
import type { KeyRange } from '../contract.ts'

/**
 * A set of keys, as binary strings, in byte order: an array with binary search.
 * An insertion in the middle moves what lies behind it, about 20 µs for 100,000 keys: enough for a store in memory.
 */
export class SortedKeys {
  readonly #keys: string[] = []

  add(key: string): void {
    const index = this.#indexOf(key)
    if (this.#keys[index] !== key) this.#keys.splice(index, 0, key)
  }

  delete(key: string): void {
    const index = this.#indexOf(key)
    if (this.#keys[index] === key) this.#keys.splice(index, 1)
  }

  /** The keys of the range, in order, as they are now. */
  range({ start, end }: KeyRange): readonly string[] {
    const first = this.#indexOf(toBinaryString(start))
    if (end === undefined) return this.#keys[first] === toBinaryString(start) ? this.#keys.slice(first, first + 1) : []
    return this.#keys.slice(first, end.length === 0 ? undefined : this.#indexOf(toBinaryString(end)))
  }

  /** The place of the first key that is not below `key`. */
  #indexOf(key: string): number {
    let [low, high] = [0, this.#keys.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#keys[middle] ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
