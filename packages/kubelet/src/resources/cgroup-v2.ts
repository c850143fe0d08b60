import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { QosClass } from '../pods/pod-facts.ts'
import { parseStat, podCgroup, podsBelow, qosCgroup, removeTree } from './cgroup-tree.ts'
import type { CgroupManager, CgroupOptions, CgroupUsage } from './cgroups.ts'
import type { CpuMemoryLimits } from './linux-resources.ts'

const controllers = ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb']

/** Weight 1 to 10000 of shares 2 to 262144, as runc converts them: linear between the ends. */
export function weightOfShares(shares: number): number {
  return 1 + Math.trunc(((shares - 2) * 9999) / 262_142)
}

/** Groups in the one tree of cgroup v2. */
export class CgroupV2 implements CgroupManager {
  readonly version = 2
  readonly #root: string
  readonly #mountPoint: string
  readonly #podPidsLimit: number | undefined

  constructor(options: CgroupOptions) {
    this.#root = options.root
    this.#mountPoint = options.mountPoint ?? '/sys/fs/cgroup'
    this.#podPidsLimit = options.podPidsLimit
  }

  podCgroup(qos: QosClass, uid: string): string {
    return podCgroup(this.#root, qos, uid)
  }

  runtimePath(cgroup: string): string {
    return cgroup
  }

  async createBase(): Promise<void> {
    for (const qos of ['Guaranteed', 'Burstable', 'BestEffort'] as const) await this.#make(qosCgroup(this.#root, qos))
    await this.#write(qosCgroup(this.#root, 'BestEffort'), 'cpu.weight', '1')
  }

  async createPod(cgroup: string, limits: CpuMemoryLimits): Promise<void> {
    await this.#make(cgroup)
    await this.#write(cgroup, 'cpu.weight', String(weightOfShares(limits.cpuShares)))
    await this.#write(cgroup, 'cpu.max', `${limits.cpuQuota === 0 ? 'max' : limits.cpuQuota} ${limits.cpuPeriod}`)
    await this.#write(cgroup, 'memory.max', limits.memoryLimit === 0 ? 'max' : String(limits.memoryLimit))
    if (this.#podPidsLimit !== undefined) await this.#write(cgroup, 'pids.max', String(this.#podPidsLimit))
  }

  async removePod(cgroup: string): Promise<void> {
    await removeTree(join(this.#mountPoint, cgroup))
  }

  async podsPresent(): Promise<readonly string[]> {
    return await podsBelow(this.#mountPoint, this.#root)
  }

  async usage(cgroup: string): Promise<CgroupUsage | undefined> {
    const read = (file: string): Promise<string> => readFile(join(this.#mountPoint, cgroup, file), 'utf8')
    try {
      const [cpuText, statText] = await Promise.all([read('cpu.stat'), read('memory.stat')])
      const stats = parseStat(statText)
      // The root group has no memory.current: what is not free is used.
      const memoryUsage = Number(await read('memory.current').catch(() => (stats.get('anon') ?? 0) + (stats.get('file') ?? 0)))
      return {
        cpuNanos: (parseStat(cpuText).get('usage_usec') ?? 0) * 1000,
        memoryUsage,
        workingSet: Math.max(0, memoryUsage - (stats.get('inactive_file') ?? 0)),
        rss: stats.get('anon') ?? 0,
        pageFaults: stats.get('pgfault') ?? 0,
        majorPageFaults: stats.get('pgmajfault') ?? 0,
      }
    } catch {
      return undefined // no such group, or it is just being removed
    }
  }

  /** A controller works in a group only when its parent hands it down. */
  async #make(cgroup: string): Promise<void> {
    const dir = join(this.#mountPoint, cgroup)
    if (dir === this.#mountPoint || dir === `${this.#mountPoint}/`) return
    await this.#make(dirname(cgroup))
    const parent = dirname(dir)
    const available = (await readFile(join(parent, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/)
    const enabled = (await readFile(join(parent, 'cgroup.subtree_control'), 'utf8')).trim().split(/\s+/)
    for (const name of controllers)
      if (available.includes(name) && !enabled.includes(name)) await writeFile(join(parent, 'cgroup.subtree_control'), `+${name}`)
    await mkdir(dir, { recursive: true })
  }

  async #write(cgroup: string, file: string, value: string): Promise<void> {
    await writeFile(join(this.#mountPoint, cgroup, file), value)
  }
}
