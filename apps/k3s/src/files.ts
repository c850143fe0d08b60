import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
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

/** Writes whole or not at all: a crash leaves the old file. Makes the folder. */
export function writeAtomically(file: string, content: string, mode = 0o600): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
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
