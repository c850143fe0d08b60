import { describe, expect, it, onTestFinished } from 'vitest'
import { YamlReader, type YamlReaderOptions } from './yaml-reader.ts'

const never = new AbortController().signal

function open(options: YamlReaderOptions = {}): YamlReader {
  const reader = new YamlReader(options)
  onTestFinished(() => reader.close())
  return reader
}

describe('YamlReader', () => {
  it('answers each document with its own, and again after its thread has ended', async () => {
    const reader = open({ idleMs: 1 })
    const texts = Array.from({ length: 20 }, (_, at) => `a: ${at}`)
    const read = await Promise.all(texts.map((text) => reader.read(Buffer.from(text), never)))
    expect(read.map(({ json }) => json.toString())).toEqual(texts.map((_, at) => `{"a":${at}}`))
    await expect.poll(() => reader.isRunning).toBe(false)
    expect((await reader.read(Buffer.from('b: c'), never)).json.toString()).toBe('{"b":"c"}')
  })

  it('refuses what takes too long, and reads the next', async () => {
    const reader = open({ maxMs: 1 })
    const long = Buffer.from(`a:\n${Array.from({ length: 40_000 }, (_, at) => `  k${at}: v`).join('\n')}`)
    await expect(reader.read(long, never)).rejects.toMatchObject({
      reason: 'BadRequest',
      message: expect.stringContaining('too long') as string,
    })
    const other = open()
    await expect(other.read(Buffer.from('a: ['), never)).rejects.toMatchObject({ reason: 'BadRequest' })
    expect((await other.read(Buffer.from('a: 1'), never)).json.toString()).toBe('{"a":1}')
  })

  it('refuses a small document that makes a huge object', async () => {
    const nine = (of: string): string => `[${Array.from({ length: 9 }, () => of).join(',')}]`
    const text = `a0: &a0 [x]\n${Array.from({ length: 20 }, (_, at) => `a${at + 1}: &a${at + 1} ${nine(`*a${at}`)}`).join('\n')}`
    await expect(open().read(Buffer.from(text), never)).rejects.toMatchObject({ reason: 'BadRequest' })
  })

  it('lets a bounded number wait, each until its request ends', async () => {
    const reader = open({ maxWaiting: 1 })
    const first = reader.read(Buffer.from('a: 1'), never)
    const stop = new AbortController()
    const second = reader.read(Buffer.from('a: 2'), stop.signal)
    await expect(reader.read(Buffer.from('a: 3'), never)).rejects.toMatchObject({ reason: 'TooManyRequests' })
    stop.abort(new Error('gone'))
    await expect(second).rejects.toThrow('gone')
    expect((await first).json.toString()).toBe('{"a":1}')
  })
})
