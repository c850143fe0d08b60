import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { TarScanner, writeTar } from './tar.ts'

const entries = [
  { name: 'manifest.json', content: Buffer.from('[]') },
  { name: 'big', content: Buffer.alloc(100_000, 'x') },
  { name: 'bin/link', content: { linkTo: '../big' }, mode: 0o777 },
  { name: 'empty', content: Buffer.alloc(0), mode: 0o755 },
  { name: 'block', content: Buffer.alloc(512, 'y') },
  { name: 'index.json', content: Buffer.from('{"a":1}') },
]

test('tar reads what was written', () => {
  const listed = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: writeTar(entries), encoding: 'utf8' })
  expect(
    listed
      .trim()
      .split('\n')
      .map((line) => line.replaceAll(/ +/g, ' ')),
  ).toEqual([
    '-rw-r--r-- 0/0 2 1970-01-01 00:00 manifest.json',
    '-rw-r--r-- 0/0 100000 1970-01-01 00:00 big',
    'lrwxrwxrwx 0/0 0 1970-01-01 00:00 bin/link -> ../big',
    '-rwxr-xr-x 0/0 0 1970-01-01 00:00 empty',
    '-rw-r--r-- 0/0 512 1970-01-01 00:00 block',
    '-rw-r--r-- 0/0 7 1970-01-01 00:00 index.json',
  ])
})

test('a name that does not fit is refused', () => {
  expect(() => writeTar([{ name: 'x'.repeat(101), content: Buffer.alloc(0) }])).toThrow(/too long/)
})

test.each([1, 7, 511, 512, 513, 1024, 1_000_000])('wanted files are found in pieces of %d bytes', (size) => {
  const archive = writeTar(entries)
  const scanner = new TarScanner((name) => name.endsWith('.json') || name === 'empty' || name === 'block')
  for (let at = 0; at < archive.length; at += size) scanner.push(archive.subarray(at, at + size))
  expect([...scanner.files].map(([name, content]) => [name, content.length])).toEqual([
    ['manifest.json', 2],
    ['empty', 0],
    ['block', 512],
    ['index.json', 7],
  ])
})
