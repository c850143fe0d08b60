import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Where programs are looked for when nothing else is said. */
export const defaultBinaryDirectories: readonly string[] = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

// The package of each on Debian and Ubuntu.
const packages: Readonly<Record<string, string>> = {
  containerd: 'containerd',
  'containerd-shim-runc-v2': 'containerd',
  ctr: 'containerd',
  runc: 'runc',
}

/** The absolute path of a program, from the first directory that has it. Throws a sentence that names the package to install. */
export async function findBinary(name: string, directories: readonly string[]): Promise<string> {
  for (const directory of directories) {
    const path = join(directory, name)
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  const hint = packages[name] === undefined ? '' : `: install the package "${packages[name]}" (apt-get install ${packages[name]})`
  throw new Error(`Cannot find program "${name}" in ${directories.join(':')}${hint}`)
}

export interface ContainerdVersion {
  readonly major: number
  readonly minor: number
  /** As containerd says it. */
  readonly text: string
}

/** Asks a containerd for its version. */
export async function containerdVersion(binary: string): Promise<ContainerdVersion> {
  const { stdout } = await run(binary, ['--version'], { timeout: 20_000 })
  return parseContainerdVersion(stdout)
}

/** Reads `containerd github.com/containerd/containerd v1.7.2 0cae528…`, with or without the v. Throws for other text and for versions before 1.6. */
export function parseContainerdVersion(text: string): ContainerdVersion {
  const match = /\sv?(\d+)\.(\d+)\.\d+\S*/.exec(text)
  const [found = '', major = '', minor = ''] = match ?? []
  if (match === null) throw new Error(`Cannot read the version of containerd from "${text.trim()}"`)
  const version = { major: Number(major), minor: Number(minor), text: found.trim().replace(/^v/, '') }
  if (version.major < 1 || (version.major === 1 && version.minor < 6))
    throw new Error(`containerd ${version.text} is too old: version 1.6 or newer is needed`)
  return version
}
