import { watch } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemClock, type Clock } from '@k3s/lifecycle'
import { CriError } from '../errors.ts'
import { isMissing, readPlain, readRotated, rotatedFiles, type LogFile } from './files.ts'
import { LogFormatter } from './formatter.ts'
import type { LogStream } from './line.ts'
import { findRotatedTail, findTail } from './tail.ts'

export interface ReadLogsOptions {
  /** Goes on with what is written later, across rotations, until {@link ReadLogsOptions.isRunning} says no. */
  readonly follow?: boolean | undefined
  /**
   * Whether the container still runs; asked when nothing is left to read, about once a second. After a `false` what was
   * written before it is still given. Default: it runs until the signal aborts.
   */
  readonly isRunning?: (() => boolean | Promise<boolean>) | undefined
  /** Starts with the last so many lines; 0: with what comes later. Lines that were cut count once. */
  readonly tailLines?: number | undefined
  /** Milliseconds since the epoch; earlier lines are left out. Applied after `tailLines`. */
  readonly sinceTime?: number | undefined
  /** The same, counted back from now. */
  readonly sinceSeconds?: number | undefined
  /** Puts the time, RFC 3339 with nine digits, and a space before each line. */
  readonly timestamps?: boolean | undefined
  /** Ends after so many bytes of output, within a line if need be. */
  readonly limitBytes?: number | undefined
  readonly stream?: LogStream | undefined
  /** False: only the present file, as the kubelet of Go. Default true: rotated files too. */
  readonly rotated?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
}

// A change is seen at once by the watch; the poll is for the container's end and for file systems without events.
const pollMs = 1000
const reopenMs = 50

/**
 * What a container wrote, from its log file in CRI format (`/var/log/pods/NS_NAME_UID/CONTAINER/0.log`) and those it
 * was rotated to (`0.log.20260102-030405`, `….gz`), oldest first. Each value is one or more whole lines unless a line
 * was cut. Throws `NOT_FOUND` when `path` is not there; rejects with the signal's reason on abort. Reads on only when
 * asked for the next value.
 */
export async function* readContainerLogs(path: string, options: ReadLogsOptions = {}): AsyncGenerator<Buffer, void, void> {
  const { follow = false, tailLines, stream = 'all', rotated = true, signal, clock = systemClock } = options
  signal?.throwIfAborted()
  const sinceMs = options.sinceTime ?? (options.sinceSeconds === undefined ? undefined : clock.now() - options.sinceSeconds * 1000)
  const formatter = new LogFormatter({ timestamps: options.timestamps ?? false, sinceMs, limitBytes: options.limitBytes, stream })
  // Opened before the list is made: a rotation in between puts the open file on the list, from where `before` drops it.
  let handle = await openLog(path)
  const changes = follow ? new Changes(path, clock) : undefined
  try {
    const older = rotated ? await before(await rotatedFiles(path), handle, sinceMs) : []
    const start = await findStart(older, handle, tailLines, stream)

    for (const [index, file] of older.slice(start.fileIndex).entries()) {
      for await (const chunk of readRotated(file, index === 0 ? start.offset : 0)) {
        signal?.throwIfAborted()
        const text = formatter.push(chunk)
        if (text.length > 0) yield text
        if (formatter.isFull) return
      }
    }
    let offset = start.fileIndex === older.length ? start.offset : 0
    let isLastRound = !follow
    let askedAt = -Infinity
    for (;;) {
      for await (const chunk of readPlain(handle, offset)) {
        signal?.throwIfAborted()
        offset += chunk.length
        const text = formatter.push(chunk)
        if (text.length > 0) yield text
        if (formatter.isFull) return
      }
      const next: FileHandle | 'none' | 'more' = follow ? await successor(path, handle, offset, clock) : 'none'
      if (next === 'more') continue
      if (next !== 'none') {
        const text = formatter.flush()
        if (text.length > 0) yield text
        await handle.close()
        handle = next
        offset = 0
        continue
      }
      if (isLastRound) break
      const now = clock.monotonic()
      if (now - askedAt >= pollMs) {
        askedAt = now
        isLastRound = (await options.isRunning?.()) === false
      }
      if (!isLastRound) await changes?.wait(signal)
    }
    const text = formatter.flush()
    if (text.length > 0) yield text
  } finally {
    changes?.close()
    await handle.close()
  }
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    return await open(path)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CriError(isMissing(cause) ? 'NOT_FOUND' : 'UNKNOWN', `Cannot open log file "${path}": ${reason}`, { cause })
  }
}

/** Those of `files` that are not the open file itself and may hold lines since `sinceMs`. */
async function before(files: readonly LogFile[], current: FileHandle, sinceMs: number | undefined): Promise<LogFile[]> {
  const { ino } = await current.stat()
  const kept: LogFile[] = []
  for (const file of files) {
    const found = await stat(file.path).catch(() => undefined) // being compressed: reading tries the other name
    if (found?.ino === ino) continue
    if (found !== undefined && sinceMs !== undefined && found.mtimeMs < sinceMs) continue
    kept.push(file)
  }
  return kept
}

/** Where to begin: an index into `older` (its length stands for the current file) and an offset in that file. */
async function findStart(
  older: readonly LogFile[],
  current: FileHandle,
  tailLines: number | undefined,
  stream: LogStream,
): Promise<{ readonly fileIndex: number; readonly offset: number }> {
  if (tailLines === undefined) return { fileIndex: 0, offset: 0 }
  const { size } = await current.stat()
  if (tailLines <= 0) return { fileIndex: older.length, offset: size }
  const tail = await findTail(current, size, tailLines, stream)
  let missing = tailLines - tail.lines
  if (missing === 0) return { fileIndex: older.length, offset: tail.offset }
  for (const [index, file] of [...older.entries()].toReversed()) {
    const { lines, offset } = await findRotatedTail(file, missing, stream)
    missing -= lines
    if (missing === 0) return { fileIndex: index, offset }
  }
  return { fileIndex: 0, offset: 0 }
}

/**
 * The file written after `handle`'s, opened, when the log was rotated or truncated; `none` while it is the current one;
 * `more` when it has bytes beyond `offset`.
 */
async function successor(path: string, handle: FileHandle, offset: number, clock: Clock): Promise<FileHandle | 'none' | 'more'> {
  const current = await stat(path).catch(() => undefined)
  if (current === undefined) return 'none' // between a rename and the runtime's reopening
  const { ino } = await handle.stat()
  if (current.ino === ino) return current.size < offset ? openLog(path) : 'none'
  // The runtime makes the new file, then moves its writers over: what they wrote in between is still to be read.
  await clock.sleep(reopenMs)
  if ((await handle.stat()).size > offset) return 'more'
  // Rotated more than once since we looked: the one after ours, not the newest.
  const files = (await rotatedFiles(path)).filter(({ isCompressed }) => !isCompressed)
  let isNext = false
  for (const file of files) {
    if (isNext) return open(file.path).catch(() => openLog(path)) // compressed or renamed just now
    isNext = (await stat(file.path).catch(() => undefined))?.ino === ino
  }
  return openLog(path)
}

/** Wakes when something in the log's directory changes. */
class Changes {
  readonly #clock: Clock
  readonly #watcher: ReturnType<typeof watch> | undefined
  #hasChanged = false
  #wake: (() => void) | undefined

  constructor(path: string, clock: Clock) {
    this.#clock = clock
    try {
      this.#watcher = watch(dirname(path), { persistent: false }, () => {
        this.#hasChanged = true
        this.#wake?.()
      })
      this.#watcher.on('error', () => {}) // the poll goes on
    } catch {
      this.#watcher = undefined // no more watches in this kernel, or no such directory: the poll goes on
    }
  }

  /** Returns at once when there was a change since the last wait; after a second at the latest. */
  async wait(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#hasChanged) {
      const stop = new AbortController()
      const changed = new Promise<void>((resolve) => (this.#wake = resolve))
      const combined = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
      const slept = this.#clock.sleep(pollMs, combined).catch(() => {}) // by our own stop, or the signal, seen below
      await Promise.race([changed, slept])
      stop.abort()
      this.#wake = undefined
    }
    this.#hasChanged = false
    signal?.throwIfAborted()
  }

  close(): void {
    this.#watcher?.close()
  }
}
