import { createWriteStream, openSync, readdirSync, renameSync, rmSync, statSync, type WriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { noLogger, type Logger } from '@k3s/lifecycle'
import type { AuditSink } from './auditor.ts'

export interface AuditFileOptions {
  readonly path: string
  /** Megabytes at which a new file is begun; 0: 100. */
  readonly maxSizeMb?: number | undefined
  /** Old files that are kept; 0: all. */
  readonly maxBackups?: number | undefined
  /** Days that old files are kept; 0: for ever. */
  readonly maxAgeDays?: number | undefined
  readonly logger?: Logger | undefined
}

const defaultMaxSizeMb = 100
// What a slow disk may leave in memory; beyond it events are dropped, and counted.
const maxBufferedBytes = 32 * 2 ** 20
const dayMs = 24 * 3600 * 1000

/** A log of audit events, a line each, that begins a new file when it has grown. Old files are `NAME-TIME.EXT` beside it, as upstream names them. */
export class AuditFile implements AuditSink, AsyncDisposable {
  readonly #options: AuditFileOptions
  readonly #logger: Logger
  #stream: WriteStream
  #size: number
  #hasFailed = false

  private constructor(options: AuditFileOptions) {
    this.#options = options
    this.#logger = options.logger ?? noLogger
    this.#size = statSync(options.path, { throwIfNoEntry: false })?.size ?? 0
    this.#stream = this.#open()
  }

  /** Makes the folder. Rejects when it cannot be made. */
  static async open(options: AuditFileOptions): Promise<AuditFile> {
    await mkdir(dirname(options.path), { recursive: true })
    return new AuditFile(options)
  }

  write(event: string): boolean {
    if (this.#stream.writableLength > maxBufferedBytes || this.#hasFailed) return false
    const line = Buffer.from(`${event}\n`)
    const limit = (this.#options.maxSizeMb || defaultMaxSizeMb) * 2 ** 20
    if (this.#size > 0 && this.#size + line.length > limit) this.#rotate()
    this.#size += line.length
    this.#stream.write(line)
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stream.destroyed) return
    await new Promise<void>((resolve) => {
      this.#stream.once('close', resolve)
      this.#stream.end()
    })
  }

  #open(): WriteStream {
    this.#hasFailed = false
    const { path } = this.#options
    const how = { flags: 'a', mode: 0o600 }
    // At once: a file that has been renamed before it was opened would be another one.
    const fd = openNow(path, how)
    return createWriteStream(path, { ...how, ...(fd === undefined ? {} : { fd }) }).on('error', (error) => {
      this.#hasFailed = true
      this.#logger.error({ path: this.#options.path, err: error }, 'Audit log cannot be written')
    })
  }

  /** The old stream goes on writing what it has to the renamed file. */
  #rotate(): void {
    const { path } = this.#options
    const extension = extname(path)
    const time = new Date().toISOString().slice(0, -1).replaceAll(':', '-')
    try {
      renameSync(path, join(dirname(path), `${basename(path, extension)}-${time}${extension}`))
      this.#removeOld()
    } catch (error) {
      this.#logger.error({ path, err: error }, 'Audit log cannot be rotated')
      return
    }
    this.#stream.end()
    this.#stream = this.#open()
    this.#size = 0
  }

  #removeOld(): void {
    const { path, maxBackups = 0, maxAgeDays = 0 } = this.#options
    const extension = extname(path)
    const prefix = `${basename(path, extension)}-`
    const old = readdirSync(dirname(path))
      .filter((name) => name.startsWith(prefix) && name.endsWith(extension) && /^\d{4}-\d\d-\d\dT/.test(name.slice(prefix.length)))
      .toSorted()
      .toReversed()
    for (const [index, name] of old.entries()) {
      const file = join(dirname(path), name)
      const isTooMany = maxBackups > 0 && index >= maxBackups
      const isTooOld = maxAgeDays > 0 && (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0) < Date.now() - maxAgeDays * dayMs
      if (isTooMany || isTooOld) rmSync(file, { force: true })
    }
  }
}

/** Undefined when it cannot be opened, which its stream will say. */
function openNow(path: string, { flags, mode }: { readonly flags: string; readonly mode: number }): number | undefined {
  try {
    return openSync(path, flags, mode)
  } catch {
    return undefined // the stream fails for the same reason
  }
}
