import { appendFile, mkdtemp, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readContainerLogs, type ReadLogsOptions } from './read.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'logs-'))
  path = join(directory, '0.log')
})
afterEach(() => rm(directory, { recursive: true }))

/** Entries one second apart. */
const entries = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, n) => `${timeOf(from + n)} stdout F line ${from + n}\n`).join('')
const timeOf = (second: number): string => new Date(1_700_000_000_000 + second * 1000).toISOString().replace('Z', '123456Z')
const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`).join('')
const read = (options: ReadLogsOptions = {}): Promise<string> => text(readContainerLogs(path, options))

/** Output so far of a reader that follows. */
function follow(options: ReadLogsOptions = {}): { output: string; readonly ended: Promise<void> } {
  const state = { output: '', ended: Promise.resolve() }
  state.ended = (async () => {
    for await (const chunk of readContainerLogs(path, { follow: true, ...options })) state.output += chunk.toString()
  })()
  return state
}

test('whole, partial and foreign entries', async () => {
  await writeFile(
    path,
    [
      '2026-01-01T00:00:00.1Z stdout P hel',
      '2026-01-01T00:00:00.2Z stderr F problem',
      '2026-01-01T00:00:00.3Z stdout F lo',
      'no entry',
      '2026-01-01T00:00:01Z stdout F ',
      '2026-01-01T00:00:02+01:00 stdout P:x cut ',
      '2026-01-01T00:00:02+01:00 stdout F  end',
      '2026-01-01T00:00:03Z stdout F without a line end',
    ].join('\n'),
  )
  expect(await read({ stream: 'stdout' })).toBe('hello\n\ncut  end\nwithout a line end\n')
  expect(await read({ stream: 'stderr', timestamps: true })).toBe('2026-01-01T00:00:00.200000000Z problem\n')
  expect(await read({ stream: 'stdout', timestamps: true })).toBe(
    '2026-01-01T00:00:00.100000000Z hello\n2026-01-01T00:00:01.000000000Z \n' +
      '2026-01-01T00:00:02.000000000+01:00 cut  end\n2026-01-01T00:00:03.000000000Z without a line end\n',
  )
})

test('a file that is not there is NOT_FOUND, an empty one is empty', async () => {
  await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await writeFile(path, '')
  expect(await read({ tailLines: 3 })).toBe('')
})

test('rotated files come first, compressed ones and those that are being compressed once', async () => {
  await writeFile(`${path}.20260101-000000.gz`, gzipSync(entries(0, 10)))
  await writeFile(`${path}.20260101-000001`, entries(10, 20))
  await writeFile(`${path}.20260101-000001.gz`, gzipSync(entries(10, 15)))
  await writeFile(`${path}.20260101-000002.tmp`, 'x')
  await writeFile(`${path}x.20260101-000003`, entries(90, 99))
  await writeFile(path, entries(20, 30))
  expect(await read()).toBe(lines(0, 30))
  expect(await read({ rotated: false })).toBe(lines(20, 30))
})

test.each([0, 1, 9, 10, 11, 15, 20, 21, 29, 30, 31, 1000])('the last %d lines, over rotated files', async (tailLines) => {
  await writeFile(`${path}.20260101-000000.gz`, gzipSync(entries(0, 10)))
  await writeFile(`${path}.20260101-000001`, entries(10, 20))
  await writeFile(path, entries(20, 30))
  expect(await read({ tailLines })).toBe(lines(Math.max(0, 30 - tailLines), 30))
})

test('the last lines count those that were cut once and belong to the stream that is asked for', async () => {
  const cut = '2026-01-01T00:00:00Z stdout P a\n2026-01-01T00:00:00Z stdout F b\n'
  await writeFile(path, `${entries(0, 3)}${cut}2026-01-01T00:00:00Z stderr F x\n${cut}`)
  expect(await read({ tailLines: 2 })).toBe('x\nab\n')
  expect(await read({ tailLines: 3, stream: 'stdout' })).toBe('line 2\nab\nab\n')
})

test('the last lines are found across blocks of reading', async () => {
  const wide = Array.from({ length: 300 }, (_, n) => `${timeOf(n)} stdout F ${String(n).padStart(1000, '0')}\n`).join('')
  await writeFile(path, wide)
  for (const tailLines of [1, 63, 64, 65, 66, 130, 299, 300])
    expect((await read({ tailLines })).split('\n').slice(0, -1).map(Number)).toEqual(
      Array.from({ length: tailLines }, (_, n) => 300 - tailLines + n),
    )
})

test('since a time, after the last lines', async () => {
  await writeFile(`${path}.20260101-000000`, entries(0, 10))
  await utimes(`${path}.20260101-000000`, 1_700_000_010, 1_700_000_010)
  await writeFile(path, entries(10, 20))
  const sinceTime = 1_700_000_015_000
  expect(await read({ sinceTime })).toBe(lines(15, 20))
  expect(await read({ sinceTime, tailLines: 2 })).toBe(lines(18, 20))
  const clock = { now: () => 1_700_000_020_000, monotonic: () => 0, sleep: () => Promise.resolve() }
  expect(await read({ sinceSeconds: 12, clock })).toBe(lines(8, 20))
})

test('a limit cuts within a line', async () => {
  await writeFile(path, entries(0, 10))
  expect(await read({ limitBytes: 10 })).toBe('line 0\nlin')
  expect(await read({ limitBytes: 10_000 })).toBe(lines(0, 10))
  expect((await read({ limitBytes: 40, timestamps: true })).length).toBe(40)
})

test('following sees what is appended and ends with the container', async () => {
  await writeFile(path, entries(0, 2))
  let isRunning = true
  const state = follow({ isRunning: () => isRunning })
  await vi.waitFor(() => expect(state.output).toBe(lines(0, 2)))
  await appendFile(path, entries(2, 4))
  await vi.waitFor(() => expect(state.output).toBe(lines(0, 4)))
  const half = entries(4, 5)
  await appendFile(path, half.slice(0, 20))
  await appendFile(path, half.slice(20))
  await vi.waitFor(() => expect(state.output).toBe(lines(0, 5)))
  isRunning = false
  await appendFile(path, entries(5, 6))
  await state.ended
  expect(state.output).toBe(lines(0, 6))
})

test('following goes through rotations, two at once too, and truncation', async () => {
  await writeFile(path, entries(0, 2))
  let isRunning = true
  const state = follow({ isRunning: () => isRunning, tailLines: 1 })
  await vi.waitFor(() => expect(state.output).toBe(lines(1, 2)))
  await rename(path, `${path}.20260101-000000`)
  await appendFile(`${path}.20260101-000000`, entries(2, 4)) // the runtime has not reopened it yet
  await writeFile(path, entries(4, 6))
  await rename(path, `${path}.20260101-000001`)
  await writeFile(path, entries(6, 8))
  await vi.waitFor(() => expect(state.output).toBe(lines(1, 8)), 10_000)
  await truncate(path)
  await vi.waitFor(async () => expect((await stat(path)).size).toBe(0))
  await appendFile(path, entries(8, 9))
  await vi.waitFor(() => expect(state.output).toBe(lines(1, 9)), 10_000)
  isRunning = false
  await state.ended
})

test('a reader that is far behind misses no file, compressed or not', async () => {
  await writeFile(`${path}.20260101-000000`, entries(0, 1))
  await writeFile(path, entries(1, 2))
  let output = ''
  for await (const chunk of readContainerLogs(path, { follow: true, isRunning: () => output.length < lines(0, 6).length })) {
    output += chunk.toString()
    if (output !== lines(0, 2)) continue
    for (const [index, rotatedTo] of ['20260101-000001', '20260101-000002', '20260101-000003'].entries()) {
      await rename(path, `${path}.${rotatedTo}`)
      await writeFile(path, entries(index + 2, index + 3))
    }
    for (const [index, compressed] of ['20260101-000000', '20260101-000001', '20260101-000002'].entries()) {
      await writeFile(`${path}.${compressed}.gz`, gzipSync(entries(index, index + 1)))
      await rm(`${path}.${compressed}`)
    }
    await appendFile(path, entries(5, 6))
  }
  expect(output).toBe(lines(0, 6))
})

test('an abort rejects with the reason, also while nothing is written', async () => {
  await writeFile(path, entries(0, 1))
  const stop = new AbortController()
  const state = follow({ signal: stop.signal })
  const ended = expect(state.ended).rejects.toThrow('enough')
  await vi.waitFor(() => expect(state.output).toBe(lines(0, 1)))
  stop.abort(new Error('enough'))
  await ended
})

test('a reader that is left early closes its file', async () => {
  await writeFile(path, entries(0, 1000))
  for await (const chunk of readContainerLogs(path, { follow: true })) {
    expect(chunk.length).toBeGreaterThan(0)
    break
  }
  expect(await read({ tailLines: 1 })).toBe(lines(999, 1000))
})
