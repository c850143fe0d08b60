import { mkdtemp, open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bytes } from '../../contract.ts'

/** Values that wait for their turn, in a temporary file. */
export class Spool implements AsyncDisposable {
  readonly #directory: string
  readonly #file: FileHandle
  #length = 0

  private constructor(directory: string, file: FileHandle) {
    this.#directory = directory
    this.#file = file
  }

  static async create(): Promise<Spool> {
    const directory = await mkdtemp(join(tmpdir(), 'k3s-restore-'))
    try {
      return new Spool(directory, await open(join(directory, 'values'), 'wx+', 0o600))
    } catch (error) {
      await rm(directory, { recursive: true, force: true })
      throw error
    }
  }

  /** Appends values; answers where the first begins, the others follow. */
  async append(values: readonly Bytes[]): Promise<number> {
    const start = this.#length
    const bytes = Buffer.concat(values)
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, start + done)
      done += bytesWritten
    }
    this.#length += bytes.length
    return start
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const value = Buffer.alloc(length)
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#file.read(value, done, length - done, offset + done)
      if (bytesRead === 0) throw new Error(`Invariant broken: the spool has ${length} bytes at ${offset}`)
      done += bytesRead
    }
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
