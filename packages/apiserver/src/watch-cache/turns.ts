import type { CachedObject } from './cached-object.ts'
import type { Selection } from './selection.ts'

// Each of many objects may be asked for thousands of terms: this long, in milliseconds, before everybody else has a turn.
const maxTurnMs = 8
// Looking at the clock costs as much as a simple selector.
const objectsBetweenLooks = 32

/** Says when work on many objects has had its turn. */
export class Turn {
  readonly #until = performance.now() + maxTurnMs
  #left = objectsBetweenLooks

  /** Asked before each object. */
  get isOver(): boolean {
    if (--this.#left > 0) return false
    this.#left = objectsBetweenLooks
    return performance.now() > this.#until
  }
}

/** The first `limit` objects that are selected, and how many were looked at for them. Others have a turn now and then. Throws the signal's reason. */
export async function selectInTurns(
  objects: readonly CachedObject[],
  { selection, limit, signal }: { readonly selection: Selection; readonly limit: number; readonly signal: AbortSignal },
): Promise<{ readonly items: readonly CachedObject[]; readonly looked: number }> {
  const items: CachedObject[] = []
  let turn = new Turn()
  let looked = 0
  for (const object of objects) {
    if (items.length >= limit) break
    if (turn.isOver) {
      await new Promise((resolve) => void setImmediate(resolve))
      signal.throwIfAborted()
      turn = new Turn()
    }
    looked++
    if (selection.matches(object)) items.push(object)
  }
  return { items, looked }
}
