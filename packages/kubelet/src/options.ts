import type { Taint } from '@k3s/api/types/core/v1'
import type { Client, InformerFactory } from '@k3s/client'
import type { CriClient } from '@k3s/cri-client'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { EvictionProbe } from './eviction/eviction-manager.ts'
import type { Threshold } from './eviction/rank.ts'
import type { Reserved } from './node/node-status.ts'
import type { CgroupManager } from './resources/cgroups.ts'
import type { KubeletServerOptions } from './server/kubelet-server.ts'
import type { Mounter } from './volumes/mounter.ts'

export interface KubeletOptions {
  readonly nodeName: string
  /** Speaks to the API server as `system:node:NAME`. */
  readonly client: Client
  /** Run by the caller; pods (by `spec.nodeName`), services and this node are asked of it. */
  readonly informers: InformerFactory
  /** Not closed by the kubelet. */
  readonly cri: CriClient
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** What `kubectl version` and the Node object show; default `v1.36.3`. */
  readonly version?: string | undefined
  /** Default `/var/lib/kubelet`. */
  readonly rootDir?: string | undefined
  /** Default `/var/log/pods`. */
  readonly podLogsDir?: string | undefined
  /** Default `/var/log/containers`. */
  readonly containerLogsDir?: string | undefined
  /** Static pods' manifests; none are read when it is not given. */
  readonly staticPodDir?: string | undefined
  readonly clusterDns?: readonly string[] | undefined
  /** Default `cluster.local`. */
  readonly clusterDomain?: string | undefined
  /** The host's; default `/etc/resolv.conf`; empty: pods get none of it. */
  readonly resolvConf?: string | undefined
  /** The first one is the primary address. */
  readonly nodeIps: readonly string[]
  /** Set when the node is registered for the first time, and not again. */
  readonly nodeLabels?: Readonly<Record<string, string>> | undefined
  readonly nodeAnnotations?: Readonly<Record<string, string>> | undefined
  /** Set when the node is registered for the first time, and not again. */
  readonly nodeTaints?: readonly Taint[] | undefined
  readonly providerId?: string | undefined
  /** Above `kubepods` in the cgroup hierarchies; default `/`. Not used when `cgroups` is given. */
  readonly cgroupRoot?: string | undefined
  /** Default: what the machine has. */
  readonly cgroups?: CgroupManager | undefined
  /** Default: mount(8). */
  readonly mounter?: Mounter | undefined
  /** Processes in one pod; default no limit. */
  readonly podPidsLimit?: number | undefined
  /** Default 110. */
  readonly maxPods?: number | undefined
  /** Kept from pods: `{ cpu: '100m', memory: '256Mi' }`. */
  readonly reserved?: Reserved | undefined
  /** Default: upstream's hard thresholds; empty: nothing is evicted. */
  readonly evictionThresholds?: readonly Threshold[] | undefined
  /** Default: /proc, the disk of `rootDir` and the pods' cgroups. */
  readonly evictionProbe?: EvictionProbe | undefined
  /** Sysctls beyond the safe ones that pods may set; a `*` at the end covers all that begin so. */
  readonly allowedUnsafeSysctls?: readonly string[] | undefined
  /** Images pulled at once; default 5. */
  readonly parallelPulls?: number | undefined
  /** A log is rotated when it is larger; default 10 MiB. */
  readonly containerLogMaxBytes?: number | undefined
  /** Log files kept of a container; default 5. */
  readonly containerLogMaxFiles?: number | undefined
  /** Percent of the disk at which unused images are removed, and down to which; default 85 and 80. */
  readonly imageGcThresholds?: { readonly high: number; readonly low: number } | undefined
  /** Where the HTTPS server listens; default `0.0.0.0`. */
  readonly address?: string | undefined
  /** Default 10250; 0: any free one, which the Node object tells. */
  readonly port?: number | undefined
  /** Without it the kubelet serves nothing. */
  readonly tls?: KubeletServerOptions['tls'] | undefined
  /** Who may do what on the server; needed with `tls`. */
  readonly authorize?: KubeletServerOptions['authorize'] | undefined
  /** What the server's /metrics shows. */
  readonly renderMetrics?: (() => Promise<string>) | undefined
}

/** Every default in one place. */
export const defaults = {
  version: 'v1.36.3',
  rootDir: '/var/lib/kubelet',
  podLogsDir: '/var/log/pods',
  containerLogsDir: '/var/log/containers',
  clusterDomain: 'cluster.local',
  resolvConf: '/etc/resolv.conf',
  cgroupRoot: '/',
  maxPods: 110,
  parallelPulls: 5,
  // A pull that moves no byte for this long will not end; big images over slow lines do in less.
  pullTimeoutMs: 3_600_000,
  containerLogMaxBytes: 10_485_760, // 10 MiB
  containerLogMaxFiles: 5,
  address: '0.0.0.0',
  port: 10_250,
} as const
