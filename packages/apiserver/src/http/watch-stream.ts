import type { ServedResource } from '../registry/served-resource.ts'
import type { ResourceWatch, WatchItem } from '../watch-cache/resource-watch.ts'
import { encodeWatchError, encodeWatchItem, type EncodeOptions } from './encode.ts'
import type { WatchDeliveries } from './watch-deliveries.ts'

/** Where a watch is written to: a response or a WebSocket. */
export interface WatchSink {
  /** False: wait for `onDrain`. */
  write(lines: Buffer): boolean
  onDrain(callback: () => void): void
  onClose(callback: () => void): void
  end(): void
  /** Cuts the connection. */
  destroy(): void
}

export interface WatchStreamOptions {
  readonly served: ServedResource
  readonly watch: ResourceWatch
  readonly encode: EncodeOptions
  readonly sendsBookmarks: boolean
  readonly timeoutMs: number
  readonly deliveries: WatchDeliveries
}

// Upstream's bookmark period, and how long before its end a watch has its last one.
const bookmarkIntervalMs = 60_000
const lastBookmarkMs = 2000
// A client that takes nothing for this long is gone or stuck: it is cut, and starts again where it was.
const maxBlockedMs = 60_000
// Bounds what one turn of the event loop writes for one watcher.
const maxItemsPerWrite = 512

/** Writes a watch until its client goes, its time is up or it fails. */
export function streamWatch(sink: WatchSink, { served, watch, encode, sendsBookmarks, timeoutMs, deliveries }: WatchStreamOptions): void {
  let isBlocked = false
  let isFirst = true
  let isEnded = false
  let blockedTimer: NodeJS.Timeout | undefined

  const write = (items: readonly WatchItem[]): void => {
    const frames = items.map((item) => {
      const frame = encodeWatchItem(served, item, encode, isFirst)
      if (item.type !== 'BOOKMARK') isFirst = false
      return frame
    })
    isBlocked = !sink.write(deliveries.join(frames))
    if (isBlocked) blockedTimer ??= setTimeout(() => sink.destroy(), maxBlockedMs).unref()
  }
  // Blocking and ending happen inside `write` and `end`.
  const canWrite = (): boolean => !isBlocked && !isEnded
  const pump = (): void => {
    while (canWrite()) {
      const items = watch.take(maxItemsPerWrite)
      if (items.length > 0) write(items)
      if (watch.isDone) return end()
      if (items.length === 0) return
      if (items.length >= maxItemsPerWrite) {
        // Others get a turn between two full pages.
        setImmediate(pump)
        return
      }
    }
  }
  const bookmark = (): void => {
    pump()
    if (canWrite()) write([{ type: 'BOOKMARK', revision: watch.revision, endsInitialEvents: false }])
  }
  const end = (): void => {
    if (isEnded) return
    isEnded = true
    clearInterval(bookmarks)
    clearTimeout(lastBookmark)
    clearTimeout(timeout)
    clearTimeout(blockedTimer)
    watch.close()
    if (watch.failure !== undefined) sink.write(encodeWatchError(watch.failure))
    sink.end()
  }
  const bookmarks = sendsBookmarks ? setInterval(bookmark, bookmarkIntervalMs).unref() : undefined
  const lastBookmark = sendsBookmarks && timeoutMs > lastBookmarkMs ? setTimeout(bookmark, timeoutMs - lastBookmarkMs).unref() : undefined
  const timeout = setTimeout(end, timeoutMs).unref()

  sink.onDrain(() => {
    isBlocked = false
    clearTimeout(blockedTimer)
    blockedTimer = undefined
    pump()
  })
  sink.onClose(end)
  watch.onReady(() => deliveries.schedule(pump))
  pump()
}
