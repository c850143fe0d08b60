import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Mounts on this machine; behind an interface because it needs root. */
export interface Mounter {
  /** A file system in memory. `sizeBytes` 0: the kernel's default, half of the memory. */
  tmpfs(target: string, sizeBytes: number): Promise<void>
  /** Shows `source` at `target`. `source` may be a path under /proc/PID/fd, which is followed as an open file. */
  bind(source: string, target: string): Promise<void>
  /** Lazy, so that a busy mount cannot hold a pod's end up. */
  unmount(target: string): Promise<void>
  /** Mount points at or below a directory, in the order in which they were mounted. */
  mountsUnder(directory: string): Promise<readonly string[]>
}

const run = promisify(execFile)

/** Uses mount(8) and umount(8). */
export const systemMounter: Mounter = {
  async tmpfs(target, sizeBytes) {
    await run('mount', ['-t', 'tmpfs', '-o', sizeBytes > 0 ? `size=${sizeBytes},mode=0777` : 'mode=0777', 'tmpfs', target])
  },
  async bind(source, target) {
    // Without -c, mount would resolve the link in /proc itself and mount by name.
    await run('mount', ['-c', '--bind', source, target])
  },
  async unmount(target) {
    await run('umount', ['-l', target])
  },
  async mountsUnder(directory) {
    return mountPoints(await readFile('/proc/self/mountinfo', 'utf8')).filter(
      (point) => point === directory || point.startsWith(`${directory}/`),
    )
  },
}

/** Mount points of a mountinfo file, unescaped. */
export function mountPoints(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((point) => point.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
}
