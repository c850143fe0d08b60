/** What is to be known of a key to give it its revisions. */
export interface ReplayItem {
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
}

/** One write of one item. */
export interface ReplayPut {
  /** Which of the items. */
  readonly index: number
  /** The item's version before this put. */
  readonly versionBefore: number
  /** This put is the one that stays. */
  readonly isLast: boolean
}

export type ReplayStep =
  /** One txn, which makes this revision. No key is in it twice. */
  | { readonly type: 'txn'; readonly revision: number; readonly puts: readonly ReplayPut[] }
  /** Revisions that only have to exist. */
  | { readonly type: 'filler'; readonly from: number; readonly through: number }

/** Writes of versions in between that one txn takes, beside those that belong to its revision: etcd's limit is 128 operations. */
const versionsAtOnce = 100

/**
 * The writes that give an empty etcd, which is at revision 1, a state with its revisions: revision 2 first, `revision` last, each once.
 *
 * An item of version v needs v writes: the first at its createRevision, the last at its modRevision, the others at any v - 2 revisions in between.
 * Those with the least time left go first, which leaves revisions with nothing to do as early as possible: fillers can be written many at a time.
 *
 * ```
 * revision 8 · a: created 3, modified 6, version 3 · b: created and modified 4
 * 2 filler · 3 a · 4 b a · 5 filler · 6 a (last) · 7–8 filler
 * ```
 */
export function* planReplay(items: readonly ReplayItem[], revision: number): Generator<ReplayStep, void, void> {
  const indices = Uint32Array.from(items.keys())
  const byCreation = indices.toSorted((a, b) => createdAt(items, a) - createdAt(items, b))
  const byModification = indices
    .filter((index) => (items[index]?.version ?? 1) > 1)
    .toSorted((a, b) => modifiedAt(items, a) - modifiedAt(items, b))
  const between = new Between()
  let [created, modified] = [0, 0]
  for (let current = 2; current <= revision;) {
    const puts: ReplayPut[] = []
    for (let index; (index = byModification[modified]) !== undefined && modifiedAt(items, index) === current; modified++)
      puts.push({ index, versionBefore: (items[index]?.version ?? 0) - 1, isLast: true })
    // The items that end here are out of `between` by now, and those that begin are not yet in it.
    for (const { index, done } of between.take(current, versionsAtOnce - puts.length))
      puts.push({ index, versionBefore: done, isLast: false })
    for (let index; (index = byCreation[created]) !== undefined && createdAt(items, index) === current; created++) {
      const { version = 1, modRevision = current } = items[index] ?? {}
      puts.push({ index, versionBefore: 0, isLast: version === 1 })
      if (version > 2) between.add({ index, done: 1, left: version - 2, end: modRevision })
    }
    if (puts.length > 0) {
      yield { type: 'txn', revision: current, puts }
      current++
      continue
    }
    const next = Math.min(revision + 1, createdAt(items, byCreation[created]), modifiedAt(items, byModification[modified]))
    yield { type: 'filler', from: current, through: next - 1 }
    current = next
  }
}

function createdAt(items: readonly ReplayItem[], index: number | undefined): number {
  return index === undefined ? Infinity : (items[index]?.createRevision ?? Infinity)
}

function modifiedAt(items: readonly ReplayItem[], index: number | undefined): number {
  return index === undefined ? Infinity : (items[index]?.modRevision ?? Infinity)
}

/** An item with writes to be done before `end`, one a revision. */
interface Open {
  readonly index: number
  /** Writes so far. */
  done: number
  left: number
  readonly end: number
}

/** The items with versions in between, as a binary heap: the one that has to go on first is on top. */
class Between {
  readonly #heap: Open[] = []

  add(open: Open): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(open)
    for (let parent = (at - 1) >> 1; at > 0 && latest(heap[parent]) > latest(open); parent = (at - 1) >> 1) {
      const above = heap[parent]
      if (above !== undefined) heap[at] = above
      heap[parent] = open
      at = parent
    }
  }

  /** Which items are written at `revision`: those that must, and up to `count` in all. `done` is their writes before. */
  take(revision: number, count: number): readonly { readonly index: number; readonly done: number }[] {
    const taken: Open[] = []
    while (this.#heap.length > 0 && (taken.length < count || latest(this.#heap[0]) <= revision)) {
      const open = this.#pop()
      if (latest(open) < revision) throw new Error(`Invariant broken: item ${open.index} has more versions than revisions`)
      taken.push(open)
    }
    const result = taken.map(({ index, done }) => ({ index, done }))
    for (const open of taken) {
      open.done++
      if (--open.left > 0) this.add(open)
    }
    return result
  }

  #pop(): Open {
    const heap = this.#heap
    const [top] = heap
    const last = heap.pop()
    if (top === undefined || last === undefined) throw new Error('Invariant broken: the heap is empty')
    if (heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (latest(heap[child + 1]) < latest(heap[child])) child++
      const below = heap[child]
      if (below === undefined || latest(below) >= latest(last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
    return top
  }
}

/** The last revision at which the item can go on. */
function latest(open: Open | undefined): number {
  return open === undefined ? Infinity : open.end - open.left
}
