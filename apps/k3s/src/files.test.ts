import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeFolder, readIfThere, writeAtomically, writeIfChanged } from './files.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'files-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('makeFolder()', () => {
  it('makes all that is missing, closed to others, and leaves what is there', () => {
    makeFolder(join(folder, 'a/b'))
    makeFolder(join(folder, 'a/b'))
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o700)
  })

  it('fails for a path through a file', () => {
    writeFileSync(join(folder, 'file'), '')
    expect(() => makeFolder(join(folder, 'file'))).toThrow('EEXIST')
    expect(() => makeFolder(join(folder, 'file/below'))).toThrow('EEXIST')
  })

  it('fails where nothing can be made', () => {
    expect(() => makeFolder('/proc/none/below')).toThrow('ENOENT')
  })
})

describe('writeAtomically()', () => {
  it('writes with the mode it is given and leaves no other file', () => {
    const file = join(folder, 'new/file')
    writeAtomically(file, 'one', 0o640)
    expect(readIfThere(file)).toBe('one')
    expect(statSync(file).mode & 0o777).toBe(0o640)
    expect(writeIfChanged(file, 'one')).toBe(false)
    expect(writeIfChanged(file, 'two')).toBe(true)
    expect(readFileSync(file, 'utf8')).toBe('two')
    expect(readIfThere(join(folder, 'none'))).toBeUndefined()
  })
})
