/** Completion indexes of a Job, ascending and without duplicates. */
export type Indexes = readonly number[]

/** Reads `1,3-5,7`. Parts that are none, and indexes that the Job does not have, are skipped. */
export function parseIndexes(text: string | undefined, completions: number): Indexes {
  const indexes = new Set<number>()
  for (const part of (text ?? '').split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) continue
    const last = Math.min(Number(match[2] ?? match[1]), completions - 1)
    for (let index = Number(match[1]); index <= last; index++) indexes.add(index)
  }
  return [...indexes].toSorted((a, b) => a - b)
}

/** Writes `1,3-5,7`: runs of three and more as a range. */
export function formatIndexes(indexes: Indexes): string {
  const parts: string[] = []
  for (let at = 0; at < indexes.length; at++) {
    const first = indexes[at] ?? 0
    let length = 1
    while (indexes[at + length] === first + length) length++
    if (length === 1) parts.push(String(first))
    else parts.push(`${first}${length === 2 ? ',' : '-'}${first + length - 1}`)
    at += length - 1
  }
  return parts.join(',')
}

export function mergeIndexes(a: Indexes, b: Iterable<number>): Indexes {
  return [...new Set([...a, ...b])].toSorted((first, second) => first - second)
}

/** The lowest indexes that are not taken, at most `count` of them. */
export function firstFree(count: number, completions: number, taken: ReadonlySet<number>): Indexes {
  const free: number[] = []
  for (let index = 0; index < completions && free.length < count; index++) if (!taken.has(index)) free.push(index)
  return free
}
