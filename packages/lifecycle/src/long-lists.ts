/**
 * Adds the items of `lists`, in order, at the end of `target`. Unlike `target.push(...list)`, which passes each item as an argument of one call and
 * throws a RangeError beyond some hundred thousand, it takes lists of any length: of what clients send, anybody decides how long it is.
 */
export function append<T>(target: T[], ...lists: readonly Iterable<T>[]): void {
  for (const list of lists) for (const item of list) target.push(item)
}

/** The least of some numbers, however many there are; Infinity of none. */
export function leastOf(numbers: Iterable<number>): number {
  let least = Infinity
  for (const number of numbers) least = Math.min(least, number)
  return least
}

/** The greatest of some numbers, however many there are; -Infinity of none. */
export function greatestOf(numbers: Iterable<number>): number {
  let greatest = -Infinity
  for (const number of numbers) greatest = Math.max(greatest, number)
  return greatest
}
