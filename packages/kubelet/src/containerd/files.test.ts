import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeHostsFiles } from './hosts-files.ts'
import { lastLines, rotateLog } from './log-file.ts'
import { generatedMark } from './registries.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'containerd-'))
})
afterEach(() => rm(directory, { recursive: true }))

test('hosts files come and go, but those of the user stay', async () => {
  const certs = join(directory, 'certs.d')
  await writeHostsFiles(certs, new Map([['a', `${generatedMark}\n1`]]))
  await mkdir(join(certs, 'mine'))
  await writeFile(join(certs, 'mine/hosts.toml'), 'server = "mine"')
  await writeHostsFiles(
    certs,
    new Map([
      ['b', `${generatedMark}\n2`],
      ['mine', `${generatedMark}\n3`],
    ]),
  )
  expect((await readdir(certs)).toSorted()).toEqual(['b', 'mine'])
  expect(await readFile(join(certs, 'mine/hosts.toml'), 'utf8')).toBe('server = "mine"')
  expect(await readFile(join(certs, 'b/hosts.toml'), 'utf8')).toBe(`${generatedMark}\n2`)
})

test('a log that has grown is emptied for its writer and kept three times', async () => {
  const path = join(directory, 'log')
  const writer = await open(path, 'a')
  for (const text of ['one', 'two', 'three', 'four', 'five']) {
    await writer.write(text)
    await rotateLog(path, 3)
  }
  await writer.write('x')
  await rotateLog(path, 3)
  await writer.close()
  const contents = await Promise.all(['log', 'log.1', 'log.2', 'log.3'].map((name) => readFile(join(directory, name), 'utf8')))
  expect(contents).toEqual(['x', 'five', 'four', 'three'])
  expect((await readdir(directory)).length).toBe(4)
})

test('the last lines of a log', async () => {
  const path = join(directory, 'log')
  expect(await lastLines(path)).toBe('')
  await writeFile(path, Array.from({ length: 5000 }, (_, n) => `line ${n}\n`).join(''))
  expect((await lastLines(path)).split('\n')).toEqual(Array.from({ length: 10 }, (_, n) => `line ${4990 + n}`))
})
