import { chmod, lchown, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

const keep = 0xffff_ffff // what chown(2) takes for "leave as it is"

export interface OwnershipOptions {
  readonly gid: number
  readonly readOnly: boolean
  /** `OnRootMismatch` leaves a tree alone whose root is right already. */
  readonly policy?: string | undefined
}

/** Gives a volume to a group: everything in it is owned and writable (readable when `readOnly`) by `gid`, directories pass the group on. */
export async function setOwnership(root: string, { gid, readOnly, policy }: OwnershipOptions): Promise<void> {
  const bits = readOnly ? 0o440 : 0o660
  if (policy === 'OnRootMismatch') {
    const { gid: current, mode } = await lstat(root)
    if (current === gid && (mode & (bits | 0o2110)) === (bits | 0o2110)) return
  }
  const visit = async (path: string): Promise<void> => {
    const info = await lstat(path)
    await lchown(path, keep, gid)
    if (info.isSymbolicLink()) return
    // chown clears the set-id bits of files, so the mode comes after it.
    await chmod(path, (info.mode & 0o7777) | bits | (info.isDirectory() ? 0o2110 : 0))
    if (info.isDirectory()) for (const name of await readdir(path)) await visit(join(path, name))
  }
  await visit(root)
}
