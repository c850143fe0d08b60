import { freemem } from 'node:os'
import type { Pod } from '@k3s/api/types/core/v1'
import type { ContainerStats, CriClient, PodSandboxStats } from '@k3s/cri-client'
import type { Clock } from '@k3s/lifecycle'
import { diskUsage, type DiskUsage } from '../node/machine.ts'
import { podUid, qosClassOf } from '../pods/pod-facts.ts'
import type { CgroupManager, CgroupUsage } from '../resources/cgroups.ts'
import { label } from '../runtime/labels.ts'

/** CPU as the summary API tells it. */
export interface CpuStats {
  readonly time: string
  readonly usageNanoCores?: number
  readonly usageCoreNanoSeconds: number
}

export interface MemoryStats {
  readonly time: string
  readonly availableBytes?: number
  readonly usageBytes: number
  readonly workingSetBytes: number
  readonly rssBytes: number
  readonly pageFaults: number
  readonly majorPageFaults: number
}

export interface FsStats {
  readonly time: string
  readonly availableBytes?: number
  readonly capacityBytes?: number
  readonly usedBytes: number
  readonly inodesFree?: number
  readonly inodes?: number
  readonly inodesUsed?: number
}

export interface ContainerSummary {
  readonly name: string
  readonly startTime: string
  readonly cpu: CpuStats
  readonly memory: MemoryStats
  readonly rootfs: FsStats
  readonly logs: FsStats
}

export interface PodSummary {
  readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string }
  readonly startTime: string
  readonly containers: readonly ContainerSummary[]
  readonly cpu?: CpuStats
  readonly memory?: MemoryStats
  readonly network?: {
    readonly time: string
    readonly name: string
    readonly rxBytes: number
    readonly rxErrors: number
    readonly txBytes: number
    readonly txErrors: number
  }
  readonly 'ephemeral-storage': FsStats
  readonly process_stats?: { readonly process_count: number }
}

/** stats/v1alpha1 Summary, as far as a CRI runtime and the kernel tell it. */
export interface Summary {
  readonly node: {
    readonly nodeName: string
    readonly startTime: string
    readonly cpu: CpuStats
    readonly memory: MemoryStats
    readonly fs: FsStats
    readonly runtime: { readonly imageFs: FsStats }
  }
  readonly pods: readonly PodSummary[]
}

export interface StatsProviderOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly cgroups: CgroupManager
  readonly nodeName: string
  readonly rootDir: string
  readonly memoryCapacity: number
  readonly startedMs: number
  readonly pods: () => readonly Pod[]
}

// Scrapers come in pairs (metrics and summary): what was measured this shortly ago is told again.
const maxAgeMs = 1000

/** Measures the node and its pods through CRI and cgroups. */
export class StatsProvider {
  readonly #options: StatsProviderOptions
  readonly #samples = new Map<string, { readonly atMs: number; readonly cpuNanos: number; readonly nanoCores: number | undefined }>()
  #latest: { readonly atMs: number; readonly summary: Promise<Summary> } | undefined

  constructor(options: StatsProviderOptions) {
    this.#options = options
  }

  /** Never older than a second. */
  async summary(): Promise<Summary> {
    const now = this.#options.clock.now()
    if (this.#latest === undefined || now - this.#latest.atMs > maxAgeMs) this.#latest = { atMs: now, summary: this.#measure(now) }
    try {
      return await this.#latest.summary
    } catch (error) {
      this.#latest = undefined
      throw error
    }
  }

  async #measure(nowMs: number): Promise<Summary> {
    const { cri, cgroups, memoryCapacity, nodeName, pods, rootDir, startedMs } = this.#options
    const time = new Date(nowMs).toISOString()
    const [{ stats }, sandboxes, machine, disk, imageFs] = await Promise.all([
      cri.listContainerStats(),
      cri.listPodSandboxStats().catch(() => ({ stats: [] })), // not every runtime has it; pods then go without network
      cgroups.usage(''),
      diskUsage(rootDir),
      cri.imageFsInfo(),
    ])
    const byPod = Map.groupBy(stats, ({ attributes }) => attributes?.labels[label.podUid] ?? '')
    const sandboxByPod = new Map(sandboxes.stats.map((entry) => [entry.attributes?.labels[label.podUid] ?? '', entry]))
    const summaries: PodSummary[] = []
    const live = new Set(['node'])
    for (const pod of pods()) {
      const uid = podUid(pod)
      const containers = byPod.get(uid) ?? []
      const usage = await cgroups.usage(cgroups.podCgroup(qosClassOf(pod), uid))
      if (usage === undefined && containers.length === 0) continue
      live.add(uid)
      for (const { attributes } of containers) live.add(attributes?.id ?? '')
      summaries.push(this.#pod(pod, containers, sandboxByPod.get(uid), usage, disk, time, nowMs))
    }
    for (const key of this.#samples.keys()) if (!live.has(key)) this.#samples.delete(key)
    const images = imageFs.imageFilesystems.reduce((sum, { usedBytes }) => sum + (usedBytes?.value ?? 0), 0)
    const usage = machine ?? {
      cpuNanos: 0,
      memoryUsage: memoryCapacity - freemem(),
      workingSet: 0,
      rss: 0,
      pageFaults: 0,
      majorPageFaults: 0,
    }
    return {
      node: {
        nodeName,
        startTime: new Date(startedMs).toISOString(),
        cpu: this.#cpu('node', usage.cpuNanos, time, nowMs),
        memory: { ...memoryStats(usage, time), availableBytes: Math.max(0, memoryCapacity - usage.workingSet) },
        fs: fsStats(disk, disk.capacityBytes - disk.availableBytes, time),
        runtime: { imageFs: fsStats(disk, images, time) },
      },
      pods: summaries,
    }
  }

  #pod(
    pod: Pod,
    containers: readonly ContainerStats[],
    sandbox: PodSandboxStats | undefined,
    usage: CgroupUsage | undefined,
    disk: DiskUsage,
    time: string,
    nowMs: number,
  ): PodSummary {
    const { name, namespace = '' } = pod.metadata
    const uid = podUid(pod)
    const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]
    const summaries = containers.map((stats): ContainerSummary => {
      const id = stats.attributes?.id ?? ''
      const containerName = stats.attributes?.labels[label.containerName] ?? ''
      const used = stats.writableLayer?.usedBytes?.value ?? 0
      return {
        name: containerName,
        startTime: statuses.find((status) => status.name === containerName)?.state?.running?.startedAt ?? time,
        cpu: this.#cpu(id, stats.cpu?.usageCoreNanoSeconds?.value ?? 0, time, nowMs),
        memory: {
          time,
          usageBytes: stats.memory?.usageBytes?.value ?? stats.memory?.workingSetBytes?.value ?? 0,
          workingSetBytes: stats.memory?.workingSetBytes?.value ?? 0,
          rssBytes: stats.memory?.rssBytes?.value ?? 0,
          pageFaults: stats.memory?.pageFaults?.value ?? 0,
          majorPageFaults: stats.memory?.majorPageFaults?.value ?? 0,
        },
        rootfs: { ...fsStats(disk, used, time), inodesUsed: stats.writableLayer?.inodesUsed?.value ?? 0 },
        logs: fsStats(disk, 0, time),
      }
    })
    const network = sandbox?.linux?.network?.defaultInterface
    const processes = sandbox?.linux?.process?.processCount?.value
    return {
      podRef: { name, namespace, uid },
      startTime: pod.status?.startTime ?? time,
      containers: summaries,
      ...(usage === undefined ? {} : { cpu: this.#cpu(uid, usage.cpuNanos, time, nowMs), memory: memoryStats(usage, time) }),
      ...(network === undefined
        ? {}
        : {
            network: {
              time,
              name: network.name,
              rxBytes: network.rxBytes?.value ?? 0,
              rxErrors: network.rxErrors?.value ?? 0,
              txBytes: network.txBytes?.value ?? 0,
              txErrors: network.txErrors?.value ?? 0,
            },
          }),
      'ephemeral-storage': fsStats(
        disk,
        summaries.reduce((sum, { rootfs }) => sum + rootfs.usedBytes, 0),
        time,
      ),
      ...(processes === undefined ? {} : { process_stats: { process_count: processes } }),
    }
  }

  /** The rate needs two samples: the first answer goes without it. */
  #cpu(key: string, cpuNanos: number, time: string, nowMs: number): CpuStats {
    const before = this.#samples.get(key)
    const elapsedMs = before === undefined ? 0 : nowMs - before.atMs
    const nanoCores =
      before === undefined || elapsedMs <= 0 || cpuNanos < before.cpuNanos
        ? before?.nanoCores
        : Math.round(((cpuNanos - before.cpuNanos) * 1000) / elapsedMs)
    this.#samples.set(key, { atMs: nowMs, cpuNanos, nanoCores })
    return { time, ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }), usageCoreNanoSeconds: cpuNanos }
  }
}

function memoryStats(usage: CgroupUsage, time: string): MemoryStats {
  const { memoryUsage, workingSet, rss, pageFaults, majorPageFaults } = usage
  return { time, usageBytes: memoryUsage, workingSetBytes: workingSet, rssBytes: rss, pageFaults, majorPageFaults }
}

function fsStats(disk: DiskUsage, usedBytes: number, time: string): FsStats {
  const { availableBytes, capacityBytes, inodes, inodesFree } = disk
  return { time, availableBytes, capacityBytes, usedBytes, inodes, inodesFree, inodesUsed: inodes - inodesFree }
}

const escape = (text: string): string =>
  text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`)

/** The summary as the text of /metrics/resource, which metrics-server reads. */
export function resourceMetrics(summary: Summary): string {
  const lines: string[] = []
  const family = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    samples: readonly { readonly labels: string; readonly value: number; readonly time: string }[],
  ): void => {
    lines.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`)
    for (const { labels, value, time } of samples) lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${value} ${Date.parse(time)}`)
  }
  const podLabels = ({ podRef: { name, namespace } }: PodSummary): string => `namespace="${escape(namespace)}",pod="${escape(name)}"`
  const containers = summary.pods.flatMap((pod) =>
    pod.containers.map((container) => ({ labels: `container="${escape(container.name)}",${podLabels(pod)}`, container })),
  )
  const seconds = (nanos: number): number => nanos / 1e9
  family(
    'container_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time consumed by the container in core-seconds',
    containers.map(({ labels, container: { cpu } }) => ({ labels, value: seconds(cpu.usageCoreNanoSeconds), time: cpu.time })),
  )
  family(
    'container_memory_working_set_bytes',
    'gauge',
    'Current working set of the container in bytes',
    containers.map(({ labels, container: { memory } }) => ({ labels, value: memory.workingSetBytes, time: memory.time })),
  )
  family(
    'container_start_time_seconds',
    'gauge',
    'Start time of the container since unix epoch in seconds',
    containers.map(({ labels, container: { startTime, cpu } }) => ({ labels, value: Date.parse(startTime) / 1000, time: cpu.time })),
  )
  const { cpu, memory } = summary.node
  family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [
    { labels: '', value: seconds(cpu.usageCoreNanoSeconds), time: cpu.time },
  ])
  family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [
    { labels: '', value: memory.workingSetBytes, time: memory.time },
  ])
  family(
    'pod_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time consumed by the pod in core-seconds',
    summary.pods.flatMap((pod) =>
      pod.cpu === undefined ? [] : { labels: podLabels(pod), value: seconds(pod.cpu.usageCoreNanoSeconds), time: pod.cpu.time },
    ),
  )
  family(
    'pod_memory_working_set_bytes',
    'gauge',
    'Current working set of the pod in bytes',
    summary.pods.flatMap((pod) =>
      pod.memory === undefined ? [] : { labels: podLabels(pod), value: pod.memory.workingSetBytes, time: pod.memory.time },
    ),
  )
  lines.push(
    '# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise',
    '# TYPE resource_scrape_error gauge',
    'resource_scrape_error 0',
    '',
  )
  return lines.join('\n')
}
