import { StatusError, type KubernetesObject } from '@k3s/api'
import { deepFreeze } from '../deep-freeze.ts'
import type { ApiWatchEvent } from '../transport.ts'

/** One change of one resource. */
interface Change {
  readonly revision: number
  /** Undefined when it was created. */
  readonly previous: KubernetesObject | undefined
  /** Undefined when it was deleted. */
  readonly object: KubernetesObject | undefined
}

export interface WatchRequest {
  readonly matches: (object: KubernetesObject) => boolean
  /** Events of later revisions are told. */
  readonly after: number
  /** Told first. */
  readonly initial: readonly KubernetesObject[]
  /** Sent after `initial`. */
  readonly initialBookmark: KubernetesObject | undefined
  readonly wantsBookmarks: boolean
  readonly signal: AbortSignal | undefined
}

/** The changes of one resource and those who watch it. */
export class WatchLog {
  readonly #changes: Change[] = []
  #compacted = 0
  #wake = Promise.withResolvers<void>()
  #bookmarks = 0
  #bookmark: KubernetesObject | undefined
  #interruptions = 0
  #interruption: Error | undefined

  append(change: Change): void {
    this.#changes.push(change)
    this.#wakeAll()
  }

  /** Watches that begin below `revision` get Expired. */
  compact(revision: number): void {
    this.#compacted = revision
  }

  /** Sends a bookmark to all who want one. */
  bookmark(object: KubernetesObject): void {
    this.#bookmark = object
    this.#bookmarks++
    this.#wakeAll()
  }

  /** Ends every watch, with an error or as a timeout would. */
  interrupt(error: Error | undefined): void {
    this.#interruption = error
    this.#interruptions++
    this.#wakeAll()
  }

  async *watch(request: WatchRequest): AsyncGenerator<ApiWatchEvent, void, void> {
    if (request.after < this.#compacted) throw new StatusError('Expired', `too old resource version: ${request.after} (${this.#compacted})`)
    const interruptions = this.#interruptions
    let bookmarks = this.#bookmarks
    let next = this.#changes.findIndex(({ revision }) => revision > request.after)
    if (next < 0) next = this.#changes.length
    for (const object of request.initial) yield { type: 'ADDED', object }
    if (request.initialBookmark !== undefined) yield { type: 'BOOKMARK', object: request.initialBookmark }
    const aborted = Promise.withResolvers<void>()
    const onAbort = (): void => aborted.resolve()
    request.signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        if (request.signal?.aborted === true) return
        if (this.#interruptions !== interruptions) {
          if (this.#interruption === undefined) return
          throw this.#interruption
        }
        const change = this.#changes[next]
        if (change !== undefined) {
          next++
          const event = eventOf(change, request.matches)
          if (event !== undefined) yield event
        } else if (bookmarks !== this.#bookmarks) {
          bookmarks = this.#bookmarks
          if (request.wantsBookmarks) yield { type: 'BOOKMARK', object: this.#bookmark }
        } else {
          await Promise.race([this.#wake.promise, aborted.promise])
        }
      }
    } finally {
      request.signal?.removeEventListener('abort', onAbort)
    }
  }

  #wakeAll(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }
}

/** Selectors turn a change into what it looks like from inside the selection. */
function eventOf({ revision, previous, object }: Change, matches: (object: KubernetesObject) => boolean): ApiWatchEvent | undefined {
  const was = previous !== undefined && matches(previous)
  if (object !== undefined && matches(object)) return { type: was ? 'MODIFIED' : 'ADDED', object }
  if (!was) return undefined
  // What is deleted is told as it last was, with the revision of the deletion.
  return {
    type: 'DELETED',
    object: deepFreeze({ ...previous, metadata: { ...previous.metadata, resourceVersion: String(revision) } }),
  }
}
