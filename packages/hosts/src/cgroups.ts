import { existsSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The hierarchies of this machine in which a host gets a group of its own. */
export interface CgroupLayout {
  readonly version: 1 | 2
  readonly roots: readonly string[]
}

const base = '/sys/fs/cgroup'
const v1Controllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'systemd']

export function detectCgroups(): CgroupLayout {
  if (existsSync(join(base, 'cgroup.controllers'))) return { version: 2, roots: [base] }
  return { version: 1, roots: v1Controllers.map((controller) => join(base, controller)).filter((root) => existsSync(root)) }
}

/** Makes the groups `path` (relative, parents included). A v1 cpuset is filled from its parent, without which no process may enter it. */
export async function makeGroups(layout: CgroupLayout, path: string): Promise<void> {
  for (const root of layout.roots) {
    let folder = root
    for (const part of path.split('/')) {
      const parent = folder
      folder = join(folder, part)
      await mkdir(folder, { recursive: true })
      if (!root.endsWith('/cpuset')) continue
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        await writeFile(join(folder, file), await readFile(join(parent, file), 'utf8')).catch(() => {}) // filled already, and in use
    }
  }
}

/** How many processes are in the groups under `path`. */
export function countProcesses(layout: CgroupLayout, path: string): number {
  const [root] = layout.roots.filter((one) => layout.version === 2 || one.endsWith('/pids'))
  if (root === undefined) return 0
  let count = 0
  const walk = (folder: string): void => {
    try {
      count += readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').length - 1
      for (const name of readdirSync(folder)) if (statSync(join(folder, name)).isDirectory()) walk(join(folder, name))
    } catch {
      // the group went while it was looked at: it holds nothing
    }
  }
  walk(join(root, path))
  return count
}

/** Removes the empty groups under `path`, deepest first. */
export function removeGroups(layout: CgroupLayout, path: string): void {
  const remove = (folder: string): void => {
    try {
      for (const name of readdirSync(folder)) if (statSync(join(folder, name)).isDirectory()) remove(join(folder, name))
      rmdirSync(folder)
    } catch {
      // gone already, or its last process is just ending: what stays is an empty group
    }
  }
  for (const root of layout.roots) remove(join(root, path))
}
