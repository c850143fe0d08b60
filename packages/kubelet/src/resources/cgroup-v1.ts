import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { QosClass } from '../pods/pod-facts.ts'
import { parseStat, podCgroup, podsBelow, qosCgroup, removeTree } from './cgroup-tree.ts'
import type { CgroupManager, CgroupOptions, CgroupUsage } from './cgroups.ts'
import type { CpuMemoryLimits } from './linux-resources.ts'

// All that runc uses: a pod's group must exist in each, or a container would be put above it.
const controllers = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'pids',
  'blkio',
  'devices',
  'freezer',
  'hugetlb',
  'net_cls',
  'net_prio',
  'perf_event',
  'systemd',
]

/** Groups in one directory tree for each controller. */
export class CgroupV1 implements CgroupManager {
  readonly version = 1
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
    // Idle time goes to whoever asked for CPU first.
    await this.#write('cpu', qosCgroup(this.#root, 'BestEffort'), 'cpu.shares', 2)
  }

  async createPod(cgroup: string, limits: CpuMemoryLimits): Promise<void> {
    await this.#make(cgroup)
    await this.#write('cpu', cgroup, 'cpu.shares', limits.cpuShares)
    await this.#write('cpu', cgroup, 'cpu.cfs_period_us', limits.cpuPeriod)
    await this.#write('cpu', cgroup, 'cpu.cfs_quota_us', limits.cpuQuota === 0 ? -1 : limits.cpuQuota)
    await this.#write('memory', cgroup, 'memory.limit_in_bytes', limits.memoryLimit === 0 ? -1 : limits.memoryLimit)
    if (this.#podPidsLimit !== undefined) await this.#write('pids', cgroup, 'pids.max', this.#podPidsLimit)
  }

  async removePod(cgroup: string): Promise<void> {
    for (const controller of await this.#hierarchies()) await removeTree(join(this.#mountPoint, controller, cgroup))
  }

  async podsPresent(): Promise<readonly string[]> {
    return [
      ...new Set(
        (await Promise.all((await this.#hierarchies()).map((name) => podsBelow(join(this.#mountPoint, name), this.#root)))).flat(),
      ),
    ]
  }

  async usage(cgroup: string): Promise<CgroupUsage | undefined> {
    const read = (controller: string, file: string): Promise<string> => readFile(join(this.#mountPoint, controller, cgroup, file), 'utf8')
    try {
      const [cpu, usage, statText] = await Promise.all([
        read('cpuacct', 'cpuacct.usage'),
        read('memory', 'memory.usage_in_bytes'),
        read('memory', 'memory.stat'),
      ])
      const stats = parseStat(statText)
      const memoryUsage = Number(usage)
      return {
        cpuNanos: Number(cpu),
        memoryUsage,
        workingSet: Math.max(0, memoryUsage - (stats.get('total_inactive_file') ?? 0)),
        rss: stats.get('total_rss') ?? 0,
        pageFaults: stats.get('total_pgfault') ?? 0,
        majorPageFaults: stats.get('total_pgmajfault') ?? 0,
      }
    } catch {
      return undefined // no such group, or it is just being removed
    }
  }

  async #hierarchies(): Promise<string[]> {
    const present = await readdir(this.#mountPoint)
    return controllers.filter((name) => present.includes(name))
  }

  async #make(cgroup: string): Promise<void> {
    for (const controller of await this.#hierarchies()) {
      const dir = join(this.#mountPoint, controller, cgroup)
      if (controller === 'cpuset') await this.#makeCpuset(dir)
      else await mkdir(dir, { recursive: true })
    }
  }

  /** A new cpuset group takes no process until its two lists are filled, parents first. */
  async #makeCpuset(dir: string): Promise<void> {
    if (dir === join(this.#mountPoint, 'cpuset')) return
    const parent = dirname(dir)
    await this.#makeCpuset(parent)
    if ((await stat(dir).catch(() => undefined)) === undefined) await mkdir(dir, { recursive: true })
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const present = await readFile(join(dir, file), 'utf8').catch(() => '') // absent: filled below
      if (present.trim() === '') await writeFile(join(dir, file), await readFile(join(parent, file), 'utf8').catch(() => ''))
    }
  }

  async #write(controller: string, cgroup: string, file: string, value: number): Promise<void> {
    await writeFile(join(this.#mountPoint, controller, cgroup, file), String(value))
  }
}
