import { CriError } from '../errors.ts'
import { fixedNanos, parseEntry, type LogEntry, type LogStream } from './line.ts'

export interface FormatterOptions {
  readonly timestamps: boolean
  /** Milliseconds since the epoch; entries before are left out. */
  readonly sinceMs: number | undefined
  readonly limitBytes: number | undefined
  readonly stream: LogStream
}

const lineFeed = 0x0a
const lineEnd = Buffer.from('\n')
// Runtimes cut lines at 16 KiB unless told otherwise; this is only the bound of our memory.
const maxEntryBytes = 8 * 1024 * 1024

/** Turns the bytes of log files, in their order, into what the program wrote. */
export class LogFormatter {
  readonly #options: FormatterOptions
  #rest: Buffer = Buffer.alloc(0)
  #left: number
  /** Whether the last entry given was partial, by stream: its continuation gets no timestamp. */
  readonly #isInside = { stdout: false, stderr: false }

  constructor(options: FormatterOptions) {
    this.#options = options
    this.#left = options.limitBytes ?? Infinity
  }

  /** The limit is reached: there will be no more output. */
  get isFull(): boolean {
    return this.#left <= 0
  }

  /** What the entries that `chunk` completes say; may be empty. Entries that are not of the format are skipped. */
  push(chunk: Buffer): Buffer {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const parts: Buffer[] = []
    let start = 0
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
      this.#add(parts, parseEntry(bytes, start, end))
      start = end + 1
    }
    this.#rest = bytes.subarray(start)
    if (this.#rest.length > maxEntryBytes)
      throw new CriError('DATA_LOSS', `Log entry is longer than ${maxEntryBytes} bytes, or the file is no log`)
    return this.#limit(Buffer.concat(parts))
  }

  /** What is left when no more bytes of this file come: an entry whose line end was never written. */
  flush(): Buffer {
    const parts: Buffer[] = []
    this.#add(parts, parseEntry(this.#rest, 0, this.#rest.length))
    this.#rest = Buffer.alloc(0)
    return this.#limit(Buffer.concat(parts))
  }

  #add(parts: Buffer[], entry: LogEntry | undefined): void {
    const { stream, sinceMs, timestamps } = this.#options
    if (entry === undefined || (stream !== 'all' && entry.stream !== stream)) return
    if (sinceMs !== undefined && Date.parse(entry.time) < sinceMs) return
    if (timestamps && !this.#isInside[entry.stream]) parts.push(Buffer.from(`${fixedNanos(entry.time)} `))
    parts.push(entry.content)
    if (entry.isFinal) parts.push(lineEnd)
    this.#isInside[entry.stream] = !entry.isFinal
  }

  #limit(bytes: Buffer): Buffer {
    const taken = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= taken.length
    return taken
  }
}
