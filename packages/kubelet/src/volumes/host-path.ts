import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'

/** Sees to it that a host path is what its type says. Throws upstream's message when it is not. */
export async function checkHostPath(path: string, type: string | undefined): Promise<void> {
  if (type === undefined || type === '') return
  const info = await stat(path).catch(() => undefined) // absent: made or refused below
  switch (type) {
    case 'DirectoryOrCreate':
      if (info === undefined) {
        await mkdir(path, { recursive: true })
        await chmod(path, 0o755)
        return
      }
      return refuse(info.isDirectory(), path, 'a directory')
    case 'Directory':
      return refuse(info?.isDirectory() === true, path, 'a directory')
    case 'FileOrCreate':
      if (info === undefined) return await writeFile(path, '', { mode: 0o644 })
      return refuse(info.isFile(), path, 'a file')
    case 'File':
      return refuse(info?.isFile() === true, path, 'a file')
    case 'Socket':
      return refuse(info?.isSocket() === true, path, 'a socket file')
    case 'CharDevice':
      return refuse(info?.isCharacterDevice() === true, path, 'a character device')
    case 'BlockDevice':
      return refuse(info?.isBlockDevice() === true, path, 'a block device')
    default:
      throw new Error(`${type} is an invalid volume type`)
  }
}

function refuse(isRight: boolean, path: string, what: string): void {
  if (!isRight) throw new Error(`hostPath type check failed: ${path} is not ${what}`)
}
