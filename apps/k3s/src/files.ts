import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** The text of a file, or undefined when there is none. */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined // readFileSync throws nothing else
    throw error
  }
}

/**
 * Makes a folder and those above it. Unlike Node's own way, it fails with the code of what cannot be made (a read-only file system's
 * `EROFS`, not `ENOENT`), and does not try for ever under /proc.
 */
export function makeFolder(path: string, mode = 0o700): void {
  if (isFolder(path)) return
  const parent = dirname(path)
  if (parent !== path) makeFolder(parent, mode)
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    if (!isFolder(path)) throw error // else somebody made it meanwhile
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Writes whole or not at all: a crash leaves the old file. Makes the folder. */
export function writeAtomically(file: string, content: string, mode = 0o600): void {
  makeFolder(dirname(file))
  const temporary = `${file}.tmp-${process.pid}`
  writeFileSync(temporary, content, { mode })
  renameSync(temporary, file)
}

/** Like {@link writeAtomically}, but leaves a file alone that already has this content. */
export function writeIfChanged(file: string, content: string, mode = 0o600): boolean {
  if (readIfThere(file) === content) return false
  writeAtomically(file, content, mode)
  return true
}
