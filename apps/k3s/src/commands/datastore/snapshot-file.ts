import { createReadStream, existsSync, rmSync } from 'node:fs'
import { link, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FatalError } from '../../errors.ts'

/** Refuses a file that may not be written, before work is done for it. */
export function checkWritable(file: string, isForced: boolean): void {
  if (!existsSync(dirname(file))) throw new FatalError(`Cannot write "${file}": directory "${dirname(file)}" does not exist`)
  if (!isForced && existsSync(file))
    throw new FatalError(`Cannot write "${file}": it exists already; give another name, or --force to replace it`)
}

/**
 * Writes a file whole or not at all, for its owner only: to a temporary name, which is renamed when all of it is on disk.
 * Unless `isForced`, a file that has come into being meanwhile is not replaced. Answers with its size.
 */
export async function writeFileWhole(file: string, chunks: AsyncIterable<Uint8Array>, isForced: boolean): Promise<number> {
  const temporary = `${file}.partial-${process.pid}`
  let bytes = 0
  let isMade = false
  try {
    await using output = await open(temporary, 'wx', 0o600)
    isMade = true
    for await (const chunk of chunks) {
      await output.writeFile(chunk)
      bytes += chunk.length
    }
    await output.sync()
    if (isForced) await rename(temporary, file)
    else {
      await link(temporary, file)
      await unlink(temporary)
    }
    await using directory = await open(dirname(file), 'r')
    await directory.sync()
    return bytes
  } catch (error) {
    if (isMade) rmSync(temporary, { force: true })
    throw writeError(file, error)
  }
}

/** The bytes of a file, from its beginning at each call. */
export async function* readFileChunks(file: string): AsyncGenerator<Uint8Array, void, void> {
  try {
    const { size } = await stat(file)
    // A whole file of a small cluster in one piece, a large one in a few.
    for await (const chunk of createReadStream(file, { highWaterMark: Math.min(2 ** 20, Math.max(1, size)) })) yield chunk as Buffer // no encoding is set
  } catch (error) {
    throw readError(file, error)
  }
}

function writeError(file: string, error: unknown): unknown {
  const code = codeOf(error)
  if (code === undefined) return error
  const reasons: Readonly<Record<string, string>> = {
    EEXIST: 'it exists already; give another name, or --force to replace it',
    ENOSPC: 'no space is left on the device',
    EACCES: 'this user may not write there',
    EROFS: 'the file system is read-only',
    ENOENT: 'its directory does not exist',
  }
  return new FatalError(`Cannot write "${file}": ${reasons[code] ?? code}`, { cause: error })
}

function readError(file: string, error: unknown): unknown {
  const code = codeOf(error)
  if (code === undefined) return error
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'it does not exist',
    EACCES: 'this user may not read it',
    EISDIR: 'it is a directory',
  }
  return new FatalError(`Cannot read "${file}": ${reasons[code] ?? code}`, { cause: error })
}

/** Node's code of a failed system call. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
