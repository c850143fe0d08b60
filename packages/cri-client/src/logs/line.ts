/** Lines of which stream to give; `all` is the default everywhere. */
export type LogStream = 'all' | 'stdout' | 'stderr'

/**
 * One entry of a log file in CRI format: `2026-01-02T03:04:05.678901234Z stdout F hello`.
 * A line of the program that was cut has `P` (partial) entries before its `F` (final) one.
 */
export interface LogEntry {
  /** RFC 3339 as the runtime wrote it. */
  readonly time: string
  readonly stream: 'stdout' | 'stderr'
  readonly isFinal: boolean
  /** Without the line end; a view of the buffer that was parsed. */
  readonly content: Buffer
}

const space = 0x20
const stdoutName = Buffer.from('stdout')
const stderrName = Buffer.from('stderr')

/** Reads `bytes[start..end)`, one entry without its line end; `undefined` when it is no entry. */
export function parseEntry(bytes: Buffer, start: number, end: number): LogEntry | undefined {
  const first = bytes.indexOf(space, start)
  const second = first < 0 ? -1 : bytes.indexOf(space, first + 1)
  if (second < 0 || second >= end) return undefined
  const stream = nameOf(bytes.subarray(first + 1, second))
  const third = bytes.indexOf(space, second + 1)
  const tagEnd = third < 0 || third > end ? end : third
  if (stream === undefined || tagEnd === second + 1) return undefined
  // Tags may grow to "P:more": the first part says it.
  const isFinal = bytes[second + 1] !== 0x50
  return { time: bytes.toString('latin1', start, first), stream, isFinal, content: bytes.subarray(Math.min(tagEnd + 1, end), end) }
}

/** The time with exactly nine digits of a second, so that lines align, as `kubectl logs --timestamps` shows it. */
export function fixedNanos(time: string): string {
  const match = /^(.{19})(?:\.(\d+))?(.*)$/.exec(time)
  return match === null ? time : `${match[1]}.${(match[2] ?? '').padEnd(9, '0').slice(0, 9)}${match[3]}`
}

function nameOf(bytes: Buffer): LogEntry['stream'] | undefined {
  if (bytes.equals(stdoutName)) return 'stdout'
  return bytes.equals(stderrName) ? 'stderr' : undefined
}
