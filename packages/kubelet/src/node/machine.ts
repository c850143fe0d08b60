import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, arch, release } from 'node:os'

/** Facts about this machine that do not change while it runs. */
export interface Machine {
  readonly cpus: number
  readonly memoryBytes: number
  readonly swapBytes: number
  /** `amd64`, `arm64`, …: Go's name. */
  readonly architecture: string
  readonly kernelVersion: string
  /** `Debian GNU/Linux 12 (bookworm)`. */
  readonly osImage: string
  readonly machineId: string
  readonly systemUuid: string
  readonly bootId: string
  readonly hasAppArmor: boolean
  /** Lowest OOM score that this process may give to others: -1000 with CAP_SYS_RESOURCE, else its own. */
  readonly minOomScoreAdj: number
}

export interface DiskUsage {
  readonly capacityBytes: number
  readonly availableBytes: number
  readonly inodes: number
  readonly inodesFree: number
}

const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
  s390x: 's390x',
  ppc64: 'ppc64le',
  riscv64: 'riscv64',
}
const sysResource = 24n // CAP_SYS_RESOURCE

const readText = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim() // absent in some containers

/** Value in bytes of a line of /proc/meminfo. */
export function memInfo(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024
}

export async function readMachine(): Promise<Machine> {
  const [meminfo, osRelease, status, ownScore] = await Promise.all([
    readText('/proc/meminfo'),
    readText('/etc/os-release'),
    readText('/proc/self/status'),
    readText('/proc/self/oom_score_adj'),
  ])
  const capabilities = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`)
  const machineId = (await readText('/etc/machine-id')) || (await readText('/var/lib/dbus/machine-id'))
  return {
    cpus: availableParallelism(),
    memoryBytes: memInfo(meminfo, 'MemTotal'),
    swapBytes: memInfo(meminfo, 'SwapTotal'),
    architecture: architectures[arch()] ?? arch(),
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)"?/m.exec(osRelease)?.[1] ?? 'Linux',
    machineId,
    systemUuid: (await readText('/sys/class/dmi/id/product_uuid')) || machineId,
    bootId: await readText('/proc/sys/kernel/random/boot_id'),
    hasAppArmor: (await readText('/sys/module/apparmor/parameters/enabled')) === 'Y',
    minOomScoreAdj: ((capabilities >> sysResource) & 1n) === 1n ? -1000 : Number(ownScore),
  }
}

/** Bytes that programs can still get, as the kernel estimates it. */
export async function availableMemory(): Promise<number> {
  return memInfo(await readText('/proc/meminfo'), 'MemAvailable')
}

export async function diskUsage(path: string): Promise<DiskUsage> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(path)
  return { capacityBytes: bsize * blocks, availableBytes: bsize * bavail, inodes: files, inodesFree: ffree }
}
