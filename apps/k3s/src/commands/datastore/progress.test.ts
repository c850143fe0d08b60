import type { CopyProgress } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
import { formatBytes, formatCount, Progress } from './progress.ts'

/** Reports the items 0 to 100 with a pause before each, then the finish. */
function written(isTTY: boolean, stepMs: number): string {
  let [text, now] = ['', 0]
  const progress = new Progress({ isTTY, write: (more: string) => (text += more) }, () => now)
  const at = (items: number, isFinishing: boolean): CopyProgress => ({
    revision: 7,
    items,
    totalItems: 100,
    bytes: items * 1024,
    isFinishing,
  })
  for (let items = 0; items <= 100; items += 20) {
    now += stepMs
    progress.report('Copying', at(items, false))
  }
  progress.report('Copying', at(100, true))
  progress.done()
  return text
}

describe('progress', () => {
  it('is a line every two seconds where no terminal is, and nothing for what is done at once', () => {
    expect(written(false, 1000)).toBe(
      'Copying revision 7: 20 of 100 keys (20 %), 20.0 KiB\nCopying revision 7: 60 of 100 keys (60 %), 60.0 KiB\nCopying revision 7: 100 of 100 keys (100 %), 100.0 KiB\n',
    )
    expect(written(false, 10)).toBe('')
  })

  it('is one line on a terminal, which is gone in the end', () => {
    const lines = written(true, 200).split('\r\u001b[K')
    expect(lines[0]).toBe('')
    expect(lines.at(-2)).toBe('Copying revision 7: 100 of 100 keys (100 %), 100.0 KiB, finishing')
    expect(lines.at(-1)).toBe('')
  })
})

describe('amounts', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [5 * 2 ** 30, '5.0 GiB'],
    [3000 * 2 ** 40, '3000.0 TiB'],
  ] as const)
    it(`${bytes} bytes are ${text}`, () => expect(formatBytes(bytes)).toBe(text))

  it('one is singular', () =>
    expect([formatCount(0, 'key'), formatCount(1, 'key'), formatCount(2, 'key')]).toEqual(['0 keys', '1 key', '2 keys']))
})
