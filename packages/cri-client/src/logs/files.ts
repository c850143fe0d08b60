import { createReadStream } from 'node:fs'
import { open, readdir, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createGunzip } from 'node:zlib'

/** A log file or one that it was rotated to. */
export interface LogFile {
  readonly path: string
  /** When it was rotated, as its name says: `20260102-030405`. The same before and after it is compressed. */
  readonly stamp: string
  readonly isCompressed: boolean
}

const blockBytes = 64 * 1024

/**
 * The files that `path` was rotated to, oldest first: `0.log.20260102-030405` and the same with `.gz`. A file that is
 * being compressed is there under both names and given once. Empty when the directory is not there.
 */
export async function rotatedFiles(path: string): Promise<LogFile[]> {
  const prefix = `${basename(path)}.`
  const names = await readdir(dirname(path)).catch(() => []) // the caller then fails to open the file itself, with its name
  const stamps = new Map<string, LogFile>()
  for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
    const match = name.startsWith(prefix) ? /^(\d{8}-\d{6})(\.gz)?$/.exec(name.slice(prefix.length)) : null
    const stamp = match?.[1]
    if (stamp === undefined || stamps.has(stamp)) continue
    stamps.set(stamp, { path: join(dirname(path), name), stamp, isCompressed: match?.[2] !== undefined })
  }
  return [...stamps.values()]
}

/** The bytes of a plain file from `offset` to its present end. */
export async function* readPlain(handle: FileHandle, offset: number): AsyncGenerator<Buffer, void, void> {
  for (let position = offset; ;) {
    const buffer = Buffer.allocUnsafe(blockBytes)
    const { bytesRead } = await handle.read(buffer, 0, blockBytes, position)
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

/** The content of a rotated file from `offset`. When it was compressed meanwhile, that of the compressed one. */
export async function* readRotated(file: LogFile, offset = 0): AsyncGenerator<Buffer, void, void> {
  if (!file.isCompressed) {
    const handle = await open(file.path).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (handle !== undefined) {
      try {
        yield* readPlain(handle, offset)
      } finally {
        await handle.close()
      }
      return
    }
  }
  const gunzip = createGunzip()
  const source = createReadStream(file.isCompressed ? file.path : `${file.path}.gz`)
  source.on('error', (error) => gunzip.destroy(error))
  source.pipe(gunzip)
  let skip = offset
  try {
    for await (const chunk of gunzip) {
      const bytes = chunk as Buffer // no encoding is set
      if (skip < bytes.length) yield bytes.subarray(skip)
      skip = Math.max(0, skip - bytes.length)
    }
  } catch (error) {
    // Removed by the rotation's own limit while we read the list: its lines are gone for everyone.
    if (!isMissing(error)) throw error
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}

export const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'
