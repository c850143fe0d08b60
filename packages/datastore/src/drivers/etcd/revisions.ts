import type { WatchEvent } from '../../contract.ts'
import type { LoggedRevision } from '../../engine/backend.ts'

/** The events of a watch were not those that follow. */
export class RevisionGap extends Error {
  override readonly name = 'RevisionGap'
}

/**
 * Puts the answers of one watch of everything together to whole revisions, of which none is missing.
 *
 * etcd splits a long answer into fragments, anywhere, also within a revision; the last says so. Every revision has an event.
 *
 * ```
 * from 5 · 5a 5b 6a (fragment) → 5 · 6b 7a → 6 7
 * ```
 */
export class RevisionAssembler {
  #next: number
  #isFirst = true
  #open: WatchEvent[] = []

  /** @param from The first revision wanted. */
  constructor(from: number) {
    this.#next = from
  }

  /** The revision that is not complete yet. */
  get next(): number {
    return this.#next
  }

  /**
   * Takes an answer and gives the revisions that it has completed, in order, those without events included. Throws `RevisionGap`.
   * Only the very first event may be of a later revision than wanted: where a new watch begins, etcd's log has nothing before it.
   */
  push(events: readonly WatchEvent[], isFragment: boolean): readonly LoggedRevision[] {
    const done: LoggedRevision[] = []
    for (const event of events) {
      const revision = event.item.modRevision
      const current = this.#open[0]?.item.modRevision
      if (current !== undefined && revision !== current) this.#close(done)
      if (this.#open.length === 0) {
        if (revision < this.#next || (revision > this.#next && !this.#isFirst))
          throw new RevisionGap(`Revision ${revision} came where ${this.#next} was due`)
        for (; this.#next < revision; this.#next++) done.push({ revision: this.#next, events: [] })
      }
      this.#isFirst = false
      this.#open.push(event)
    }
    if (!isFragment) this.#close(done)
    return done
  }

  #close(done: LoggedRevision[]): void {
    if (this.#open.length === 0) return
    done.push({ revision: this.#next++, events: this.#open })
    this.#open = []
  }
}
