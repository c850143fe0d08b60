import { readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { QosClass } from '../pods/pod-facts.ts'

/** `/kubepods/burstable` below `root`. Guaranteed pods live directly in kubepods. */
export function qosCgroup(root: string, qos: QosClass): string {
  const base = join('/', root, 'kubepods')
  return qos === 'Guaranteed' ? base : join(base, qos.toLowerCase())
}

export function podCgroup(root: string, qos: QosClass, uid: string): string {
  return join(qosCgroup(root, qos), `pod${uid}`)
}

/** Removes a directory of a cgroup file system with all below it. A group that has processes is EBUSY. */
export async function removeTree(dir: string): Promise<void> {
  const children = await readdir(dir, { withFileTypes: true }).catch(() => undefined) // gone already
  if (children === undefined) return
  for (const child of children) if (child.isDirectory()) await removeTree(join(dir, child.name))
  await rmdir(dir).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  })
}

/** Uids of the pods below the three directories of a hierarchy. */
export async function podsBelow(hierarchy: string, root: string): Promise<string[]> {
  const uids: string[] = []
  for (const qos of ['Guaranteed', 'Burstable', 'BestEffort'] as const)
    for (const name of await readdir(join(hierarchy, qosCgroup(root, qos))).catch(() => []))
      // not made yet
      if (name.startsWith('pod')) uids.push(name.slice('pod'.length))
  return uids
}

/** Numbers of a `NAME VALUE` file, such as memory.stat. */
export function parseStat(text: string): ReadonlyMap<string, number> {
  return new Map(
    text.split('\n').flatMap((line): [string, number][] => {
      const [name, value] = line.split(' ')
      return name === undefined || value === undefined ? [] : [[name, Number(value)]]
    }),
  )
}
