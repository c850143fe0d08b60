import { readFile } from 'node:fs/promises'
import type { QosClass } from '../pods/pod-facts.ts'
import { CgroupV1 } from './cgroup-v1.ts'
import { CgroupV2 } from './cgroup-v2.ts'
import type { CpuMemoryLimits } from './linux-resources.ts'

/** What a group of processes has used. */
export interface CgroupUsage {
  /** Nanoseconds of CPU since the group was made. */
  readonly cpuNanos: number
  /** Bytes, page cache included. */
  readonly memoryUsage: number
  /** Bytes that cannot be given back easily: usage without inactive file pages. */
  readonly workingSet: number
  readonly rss: number
  readonly pageFaults: number
  readonly majorPageFaults: number
}

/** The groups that pods live in: `ROOT/kubepods[/burstable|/besteffort]/podUID`. Paths are relative to the cgroup file systems. */
export interface CgroupManager {
  readonly version: 1 | 2
  podCgroup(qos: QosClass, uid: string): string
  /** A cgroup's path as the runtime is told it. */
  runtimePath(cgroup: string): string
  /** Makes the groups above all pods. */
  createBase(): Promise<void>
  /** Makes a pod's group, or changes its limits. Idempotent. */
  createPod(cgroup: string, limits: CpuMemoryLimits): Promise<void>
  /** Removes a pod's group and those below it. Throws while processes live in it. Idempotent. */
  removePod(cgroup: string): Promise<void>
  /** Uids of all pods that have a group. */
  podsPresent(): Promise<readonly string[]>
  /** `undefined` when there is no such group. `''` is the whole machine (or this cgroup namespace). */
  usage(cgroup: string): Promise<CgroupUsage | undefined>
}

export interface CgroupOptions {
  /** Above `kubepods`; `/` for the top. */
  readonly root: string
  /** How many processes a pod may have; `undefined`: no limit. */
  readonly podPidsLimit?: number | undefined
  /** Where the cgroup file systems are. */
  readonly mountPoint?: string | undefined
}

/** Finds out which cgroups the machine has. A hybrid machine, whose controllers are on v1, counts as v1. */
export async function detectCgroups(options: CgroupOptions): Promise<CgroupManager> {
  const mountPoint = options.mountPoint ?? '/sys/fs/cgroup'
  const controllers = await readFile(`${mountPoint}/cgroup.controllers`, 'utf8').catch(() => '') // absent on v1
  const isV2 = controllers.split(/\s+/).includes('memory')
  return isV2 ? new CgroupV2({ ...options, mountPoint }) : new CgroupV1({ ...options, mountPoint })
}
