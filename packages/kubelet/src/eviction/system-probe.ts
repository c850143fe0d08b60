import { readFile } from 'node:fs/promises'
import type { Pod } from '@k3s/api/types/core/v1'
import { availableMemory, diskUsage } from '../node/machine.ts'
import { podUid, qosClassOf } from '../pods/pod-facts.ts'
import type { CgroupManager } from '../resources/cgroups.ts'
import type { EvictionProbe } from './eviction-manager.ts'
import type { StatsProvider } from '../server/stats.ts'

export interface SystemProbeOptions {
  readonly cgroups: CgroupManager
  readonly stats: StatsProvider
  readonly memoryCapacity: number
  readonly rootDir: string
  readonly pods: () => readonly Pod[]
}

/** Measures by /proc, the disk of the kubelet's directory, and the pods' cgroups. */
export function systemProbe({ cgroups, stats, memoryCapacity, rootDir, pods }: SystemProbeOptions): EvictionProbe {
  return {
    async observe() {
      const [memory, disk, loadavg, pidMax] = await Promise.all([
        availableMemory(),
        diskUsage(rootDir),
        readFile('/proc/loadavg', 'utf8'),
        readFile('/proc/sys/kernel/pid_max', 'utf8'),
      ])
      const threads = Number(/ \d+\/(\d+) /.exec(loadavg)?.[1] ?? 0)
      return new Map([
        ['memory.available', { available: memory, capacity: memoryCapacity }],
        ['nodefs.available', { available: disk.availableBytes, capacity: disk.capacityBytes }],
        ...(disk.inodes > 0 ? ([['nodefs.inodesFree', { available: disk.inodesFree, capacity: disk.inodes }]] as const) : []),
        ['pid.available', { available: Number(pidMax) - threads, capacity: Number(pidMax) }],
      ])
    },
    async usage(resource) {
      const usage = new Map<string, number>()
      if (resource === 'memory') {
        for (const pod of pods()) {
          const used = await cgroups.usage(cgroups.podCgroup(qosClassOf(pod), podUid(pod)))
          if (used !== undefined) usage.set(podUid(pod), used.workingSet)
        }
        return usage
      }
      for (const pod of (await stats.summary()).pods) usage.set(pod.podRef.uid, pod['ephemeral-storage'].usedBytes)
      return usage
    },
  }
}
