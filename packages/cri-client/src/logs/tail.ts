import type { FileHandle } from 'node:fs/promises'
import { readRotated, type LogFile } from './files.ts'
import { parseEntry, type LogStream } from './line.ts'

/** Where the last lines of a file begin. */
export interface TailStart {
  /** In the uncompressed content. */
  readonly offset: number
  /** How many lines follow; fewer than were asked for when the file has no more. */
  readonly lines: number
}

const blockBytes = 64 * 1024
const lineFeed = 0x0a

/** Whether the entry ends a line of the wanted stream: cut lines count once. */
function endsLine(bytes: Buffer, start: number, end: number, stream: LogStream): boolean {
  const entry = parseEntry(bytes, start, end)
  return entry !== undefined && entry.isFinal && (stream === 'all' || entry.stream === stream)
}

/** Finds the last `wanted` (≥ 1) lines of a plain file of `size` bytes, reading from its end no more than they need. */
export async function findTail(handle: FileHandle, size: number, wanted: number, stream: LogStream): Promise<TailStart> {
  let lines = 0
  let position = size
  let rest: Buffer = Buffer.alloc(0) // the bytes from `position` to the end of the entry they belong to
  while (position > 0) {
    const start = Math.max(0, position - blockBytes)
    const block = Buffer.allocUnsafe(position - start)
    const { bytesRead } = await handle.read(block, 0, block.length, start)
    const bytes = Buffer.concat([block.subarray(0, bytesRead), rest])
    let end = bytes.length
    while (end > 0) {
      const hasLineEnd = bytes[end - 1] === lineFeed
      const contentEnd = hasLineEnd ? end - 1 : end
      const before = contentEnd === 0 ? -1 : bytes.lastIndexOf(lineFeed, contentEnd - 1)
      if (before < 0 && start > 0) break
      if (endsLine(bytes, before + 1, contentEnd, stream)) {
        if (lines === wanted) return { offset: start + end, lines }
        lines++
      }
      end = before + 1
    }
    rest = bytes.subarray(0, end)
    position = start
  }
  return { offset: 0, lines }
}

/** The same for a rotated file, plain or compressed, in two passes from its start. */
export async function findRotatedTail(file: LogFile, wanted: number, stream: LogStream): Promise<TailStart> {
  let total = 0
  for await (const end of lineEnds(file, stream)) total += end > 0 ? 1 : 0
  if (total <= wanted) return { offset: 0, lines: total }
  let seen = 0
  for await (const offset of lineEnds(file, stream)) if (++seen === total - wanted) return { offset, lines: wanted }
  return { offset: 0, lines: total } // removed between the passes
}

/** The offsets behind each complete line. */
async function* lineEnds(file: LogFile, stream: LogStream): AsyncGenerator<number, void, void> {
  let offset = 0
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of readRotated(file)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, start)) {
      const isEnd = endsLine(bytes, start, end, stream)
      start = end + 1
      if (isEnd) yield offset + start
    }
    offset += start
    rest = bytes.subarray(start)
  }
}
