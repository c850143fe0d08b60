/** A binary min-heap of items with keys, from which any item can be taken. Each key is held once. */
export class KeyedHeap<T> {
  readonly #keyOf: (item: T) => string
  readonly #isBefore: (a: T, b: T) => boolean
  readonly #items: T[] = []
  /** Where each key is in `#items`. */
  readonly #positions = new Map<string, number>()

  /** @param isBefore must not change its answer for items that are held. */
  constructor(keyOf: (item: T) => string, isBefore: (a: T, b: T) => boolean) {
    this.#keyOf = keyOf
    this.#isBefore = isBefore
  }

  get size(): number {
    return this.#items.length
  }

  /** The first item. */
  peek(): T | undefined {
    return this.#items[0]
  }

  get(key: string): T | undefined {
    const position = this.#positions.get(key)
    return position === undefined ? undefined : this.#items[position]
  }

  /** Replaces an item of the same key. */
  push(item: T): void {
    this.delete(this.#keyOf(item))
    this.#items.push(item)
    this.#rise(this.#items.length - 1, item)
  }

  pop(): T | undefined {
    const first = this.#items[0]
    if (first !== undefined) this.delete(this.#keyOf(first))
    return first
  }

  delete(key: string): T | undefined {
    const position = this.#positions.get(key)
    if (position === undefined) return undefined
    const removed = this.#items[position]
    const last = this.#items.pop()
    this.#positions.delete(key)
    if (last !== undefined && position < this.#items.length) {
      this.#sink(position, last)
      if (this.#items[position] === last) this.#rise(position, last)
    }
    return removed
  }

  #rise(from: number, item: T): void {
    let position = from
    while (position > 0) {
      const parent = (position - 1) >> 1
      const above = this.#items[parent]
      if (above === undefined || !this.#isBefore(item, above)) break
      this.#put(position, above)
      position = parent
    }
    this.#put(position, item)
  }

  #sink(from: number, item: T): void {
    let position = from
    for (;;) {
      const left = this.#items[2 * position + 1]
      const right = this.#items[2 * position + 2]
      if (left === undefined) break
      const isRight = right !== undefined && this.#isBefore(right, left)
      const child = isRight ? right : left
      if (!this.#isBefore(child, item)) break
      this.#put(position, child)
      position = 2 * position + (isRight ? 2 : 1)
    }
    this.#put(position, item)
  }

  #put(position: number, item: T): void {
    this.#items[position] = item
    this.#positions.set(this.#keyOf(item), position)
  }
}
