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
  const { stream = 'all', signal, clock = systemClock } = options
  signal?.throwIfAborted()
  const sinceMs = options.sinceTime ?? (options.sinceSeconds === undefined ? undefined : clock.now() - options.sinceSeconds * 1000)
  const formatter = new LogFormatter({ timestamps: options.timestamps ?? false, sinceMs, limitBytes: options.limitBytes, stream })
  for await (const part of readFiles(path, { ...options, stream, clock, sinceMs })) {
    signal?.throwIfAborted()
    const text = part === 'end of file' ? formatter.flush() : formatter.push(part)
    if (text.length > 0) yield text
    if (formatter.isFull) return
  }
}

interface ReadFilesOptions extends ReadLogsOptions {
  readonly stream: LogStream
  readonly clock: Clock
  readonly sinceMs: number | undefined
}

/** The bytes of the files, one after the other; an entry never goes over an `end of file`. */
async function* readFiles(path: string, options: ReadFilesOptions): AsyncGenerator<Buffer | 'end of file', void, void> {
  const { follow = false, rotated = true, tailLines, stream, clock, signal } = options
  let { handle, older } = await openCurrent(path)
  const changes = follow ? new Changes(path, clock) : undefined
  try {
    const wanted = rotated ? await since(older, options.sinceMs) : []
    const start = await findStart(wanted, handle, tailLines, stream)
    for (const [index, file] of wanted.slice(start.fileIndex).entries()) {
      yield* readRotated(file, index === 0 ? start.offset : 0)
      yield 'end of file'
    }
    let offset = start.fileIndex === wanted.length ? start.offset : 0
    let isLastRound = !follow
    let askedAt = -Infinity
    for (;;) {
      for await (const chunk of readPlain(handle, offset)) {
        offset += chunk.length
        yield chunk
      }
      const change = follow ? await changeOf(path, handle, offset, clock) : 'none'
      if (change === 'more') continue
      if (change !== 'none') {
        yield 'end of file'
        const next = await openCurrent(path)
        const missed = change === 'rotated' ? await between(older, handle, next.older) : []
        await handle.close()
        ;({ handle, older } = next)
        offset = 0
        for (const file of missed) {
          yield* readRotated(file)
          yield 'end of file'
        }
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
    yield 'end of file'
  } finally {
    changes?.close()
    await handle.close()
  }
}

/** The file that is written now, and those that were rotated before it, oldest first. */
async function openCurrent(path: string): Promise<{ handle: FileHandle; older: readonly LogFile[] }> {
  // Opened before the list is made: after a rotation in between the open file and its successors end the list.
  const handle = await openLog(path)
  try {
    const files = await rotatedFiles(path)
    const own = await indexOf(files, handle)
    return { handle, older: own < 0 ? files : files.slice(0, own) }
  } catch (error) {
    await handle.close()
    throw error
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

/** Which of the files is the open one; -1 for none. */
async function indexOf(files: readonly LogFile[], handle: FileHandle): Promise<number> {
  const { ino } = await handle.stat()
  const inodes = await Promise.all(files.map(async (file) => (await stat(file.path).catch(() => undefined))?.ino)) // removed just now
  return inodes.indexOf(ino)
}

/** Those of `files` that may hold lines since `sinceMs`: a file's last line is not younger than its last change. */
async function since(files: readonly LogFile[], sinceMs: number | undefined): Promise<readonly LogFile[]> {
  if (sinceMs === undefined) return files
  const changed = await Promise.all(files.map(async (file) => (await stat(file.path).catch(() => undefined))?.mtimeMs)) // being compressed
  return files.filter((_, index) => (changed[index] ?? Infinity) >= sinceMs)
}

/**
 * The files that were written after the open one and rotated since, which only a reader that is far behind has missed.
 * `before` are those that were older than the open one, `now` those that are there now.
 */
async function between(before: readonly LogFile[], handle: FileHandle, now: readonly LogFile[]): Promise<readonly LogFile[]> {
  const known = new Set(before.map(({ stamp }) => stamp))
  const younger = now.filter(({ stamp }) => !known.has(stamp))
  const own = await indexOf(younger, handle)
  if (own >= 0) return younger.slice(own + 1)
  // It was compressed, and so has another inode: it was the first to be rotated. Or it was removed already.
  return younger[0]?.isCompressed === true ? younger.slice(1) : younger
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

/** What happened to the open file, all of which was read up to `offset`; `more`: there is more to read in it. */
async function changeOf(
  path: string,
  handle: FileHandle,
  offset: number,
  clock: Clock,
): Promise<'none' | 'more' | 'rotated' | 'truncated'> {
  const current = await stat(path).catch(() => undefined)
  if (current === undefined) return 'none' // between a rename and the runtime's reopening
  if (current.ino === (await handle.stat()).ino) return current.size < offset ? 'truncated' : 'none'
  // The runtime makes the new file, then moves its writers over: what they wrote in between is still to be read.
  await clock.sleep(reopenMs)
  return (await handle.stat()).size > offset ? 'more' : 'rotated'
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
