import { copyFile, open, rename, stat, truncate } from 'node:fs/promises'

const keptLogs = 3
const tailBytes = 16 * 1024

/** The last ten lines of a log, at most 4,000 characters; empty when there is none. */
export async function lastLines(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined) // not written yet
  if (file === undefined) return ''
  try {
    const { size } = await file.stat()
    const buffer = Buffer.alloc(Math.min(size, tailBytes))
    await file.read(buffer, 0, buffer.length, size - buffer.length)
    return buffer.toString().trimEnd().split('\n').slice(-10).join('\n').slice(-4000)
  } finally {
    await file.close()
  }
}

/**
 * Moves the content of a log of at least `maxBytes` to `PATH.1`, that to `PATH.2` and that to `PATH.3`. Its writer keeps
 * the file open for appending, so it is copied and emptied; lines written in between are lost.
 */
export async function rotateLog(path: string, maxBytes: number): Promise<void> {
  const size = (await stat(path).catch(() => undefined))?.size ?? 0
  if (size < maxBytes) return
  for (let n = keptLogs - 1; n > 0; n--) await rename(`${path}.${n}`, `${path}.${n + 1}`).catch(() => {}) // not that many yet
  await copyFile(path, `${path}.1`)
  await truncate(path)
}
