import { randomBytes } from 'node:crypto'
import { chmod, lchown, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface ProjectedFile {
  readonly data: Uint8Array
  /** Permission bits. */
  readonly mode: number
  /** Owner; root when undefined. */
  readonly uid?: number | undefined
}

/** Files by path relative to the volume; a path may have directories. */
export type Projection = ReadonlyMap<string, ProjectedFile>

/**
 * Makes a directory show exactly `files`, all changed at once: they live in a fresh `..TIME` directory, `..data` is a link to it that
 * is swapped by rename, and each name at the top is a link through `..data`. Follows upstream's AtomicWriter. Touches nothing
 * when the content is the same already. A crash leaves the old or the new files, and at most an unused directory that the next call removes.
 *
 * @param prepare is given the new directory before it can be seen.
 * @returns whether anything was written.
 */
export async function writeAtomically(
  target: string,
  files: Projection,
  prepare: (dir: string) => Promise<void> = async () => {},
): Promise<boolean> {
  for (const path of files.keys())
    if (path === '' || path.startsWith('/') || path.split('/').some((part) => part === '..' || part === '') || path.startsWith('..'))
      throw new Error(`invalid path "${path}" in a projected volume`)
  const dataLink = join(target, '..data')
  const current = await readlink(dataLink).catch(() => undefined) // absent at the first time
  const isSame = current !== undefined && (await holds(join(target, current), files))
  if (!isSame) {
    const now = new Date().toISOString().replaceAll(/[-:T]/g, '_').replace(/\..*$/, '')
    const fresh = `..${now}.${randomBytes(5).readUIntBE(0, 5)}`
    const dir = join(target, fresh)
    await mkdir(dir)
    await chmod(dir, 0o755)
    for (const [path, { data, mode, uid }] of files) {
      const file = join(dir, path)
      await mkdir(dirname(file), { recursive: true, mode: 0o755 })
      await writeFile(file, data)
      await chmod(file, mode)
      if (uid !== undefined) await lchown(file, uid, 0)
    }
    await prepare(dir)
    const temporary = join(target, '..data_tmp')
    await rm(temporary, { force: true })
    await symlink(fresh, temporary)
    await rename(temporary, dataLink)
  }
  await linkNames(target, files)
  if (!isSame) await removeOldDirectories(target)
  return !isSame
}

async function holds(dir: string, files: Projection): Promise<boolean> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  if (found.filter((entry) => entry.isFile()).length !== files.size) return false
  for (const [path, { data, mode }] of files) {
    const file = join(dir, path)
    const existing = await readFile(file).catch(() => undefined) // absent: differs
    if (existing === undefined || !existing.equals(data)) return false
    // A group's bits may have been added for fsGroup.
    if (((await stat(file)).mode & mode) !== mode) return false
  }
  return true
}

async function linkNames(target: string, files: Projection): Promise<void> {
  const wanted = new Set([...files.keys()].map((path) => path.split('/')[0] ?? ''))
  const present = (await readdir(target, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('..'))
  for (const name of wanted) if (!present.some((entry) => entry.name === name)) await symlink(join('..data', name), join(target, name))
  for (const entry of present) if (!wanted.has(entry.name) && entry.isSymbolicLink()) await rm(join(target, entry.name), { force: true })
}

async function removeOldDirectories(target: string): Promise<void> {
  const current = await readlink(join(target, '..data'))
  for (const entry of await readdir(target, { withFileTypes: true }))
    if (entry.isDirectory() && entry.name.startsWith('..') && entry.name !== current)
      await rm(join(target, entry.name), { recursive: true, force: true })
}
