import { constants } from 'node:fs'
import { chmod, mkdir, open, readlink, realpath, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Mounter } from './mounter.ts'

/** Throws upstream's message for a sub path that leaves its volume by its text alone. */
export function checkSubPath(subPath: string): void {
  if (subPath.startsWith('/') || subPath.split('/').includes('..')) throw new Error('must be a relative path without ".."')
}

/**
 * Opens `subPath` below `volume`, making directories that are missing, and binds it at `target`: what a container is given stays the
 * file that was checked, whatever links are put in its way later. Symbolic links are followed as long as they end inside of the volume.
 */
export async function bindSubPath(volume: string, subPath: string, target: string, mounter: Mounter): Promise<void> {
  checkSubPath(subPath)
  const root = await realpath(volume)
  const { mode } = await stat(root)
  const wanted = join(root, subPath)
  await makeMissing(root, wanted, mode & 0o7777)
  const resolved = await realpath(wanted)
  if (!isInside(root, resolved)) throw new Error(`subpath "${subPath}" not within volume path ${root}`)
  await using handle = await openInside(root, resolved)
  const isDirectory = (await handle.stat()).isDirectory()
  await mkdir(join(target, '..'), { recursive: true, mode: 0o750 })
  if (isDirectory) await mkdir(target, { recursive: true })
  else await writeFile(target, '', { flag: 'a' })
  await mounter.bind(`/proc/${process.pid}/fd/${handle.fd}`, target)
}

const isInside = (root: string, path: string): boolean => path === root || path.startsWith(`${root}/`)

/** Makes the directories that are not there below the deepest one that is, which must lie inside of the volume. */
async function makeMissing(root: string, wanted: string, mode: number): Promise<void> {
  const parts = relative(root, wanted)
    .split('/')
    .filter((part) => part !== '')
  let path = root
  for (const part of parts) {
    const next = join(path, part)
    const real = await realpath(next).catch(() => undefined) // absent: made here
    if (real === undefined) {
      await mkdir(next)
      await chmod(next, mode) // mkdir takes the umask off
      path = next
    } else {
      if (!isInside(root, real)) throw new Error(`subpath "${relative(root, wanted)}" not within volume path ${root}`)
      path = real
    }
  }
}

/** Opens step by step without following links, so that a link put there after the check is an error. */
async function openInside(root: string, path: string): Promise<FileHandle> {
  const noFollow = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  let handle = await open(root, constants.O_RDONLY | constants.O_DIRECTORY)
  for (const part of relative(root, path)
    .split('/')
    .filter((name) => name !== '')) {
    const parent = handle
    try {
      handle = await open(`/proc/self/fd/${parent.fd}/${part}`, noFollow)
    } finally {
      await parent.close()
    }
  }
  const opened = await readlink(`/proc/self/fd/${handle.fd}`)
  if (isInside(root, opened)) return handle
  await handle.close()
  throw new Error(`path ${opened} is not within volume path ${root}`)
}
