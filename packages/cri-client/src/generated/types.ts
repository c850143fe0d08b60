// Made by `node scripts/generate.ts` from proto/cri.proto; not to be edited.

export type CgroupDriver =
  | 'SYSTEMD'
  | 'CGROUPFS'
  | 'UNRECOGNIZED'

export type Protocol =
  | 'TCP'
  | 'UDP'
  | 'SCTP'
  | 'UNRECOGNIZED'

export type MountPropagation =
  | 'PROPAGATION_PRIVATE'
  | 'PROPAGATION_HOST_TO_CONTAINER'
  | 'PROPAGATION_BIDIRECTIONAL'
  | 'UNRECOGNIZED'

export type NamespaceMode =
  /** One namespace for all containers of the sandbox. */
  | 'POD'
  /** One namespace for the container alone. */
  | 'CONTAINER'
  /** The node's own namespace. */
  | 'NODE'
  /** The namespace of the container that target_id names. */
  | 'TARGET'
  | 'UNRECOGNIZED'

export type SupplementalGroupsPolicy =
  | 'Merge'
  | 'Strict'
  | 'UNRECOGNIZED'

export type ProfileType =
  | 'RuntimeDefault'
  | 'Unconfined'
  | 'Localhost'
  | 'UNRECOGNIZED'

export type PodSandboxState =
  | 'SANDBOX_READY'
  | 'SANDBOX_NOTREADY'
  | 'UNRECOGNIZED'

export type Signal =
  | 'RUNTIME_DEFAULT'
  | 'SIGABRT'
  | 'SIGALRM'
  | 'SIGBUS'
  | 'SIGCHLD'
  | 'SIGCLD'
  | 'SIGCONT'
  | 'SIGFPE'
  | 'SIGHUP'
  | 'SIGILL'
  | 'SIGINT'
  | 'SIGIO'
  | 'SIGIOT'
  | 'SIGKILL'
  | 'SIGPIPE'
  | 'SIGPOLL'
  | 'SIGPROF'
  | 'SIGPWR'
  | 'SIGQUIT'
  | 'SIGSEGV'
  | 'SIGSTKFLT'
  | 'SIGSTOP'
  | 'SIGSYS'
  | 'SIGTERM'
  | 'SIGTRAP'
  | 'SIGTSTP'
  | 'SIGTTIN'
  | 'SIGTTOU'
  | 'SIGURG'
  | 'SIGUSR1'
  | 'SIGUSR2'
  | 'SIGVTALRM'
  | 'SIGWINCH'
  | 'SIGXCPU'
  | 'SIGXFSZ'
  | 'SIGRTMIN'
  | 'SIGRTMINPLUS1'
  | 'SIGRTMINPLUS2'
  | 'SIGRTMINPLUS3'
  | 'SIGRTMINPLUS4'
  | 'SIGRTMINPLUS5'
  | 'SIGRTMINPLUS6'
  | 'SIGRTMINPLUS7'
  | 'SIGRTMINPLUS8'
  | 'SIGRTMINPLUS9'
  | 'SIGRTMINPLUS10'
  | 'SIGRTMINPLUS11'
  | 'SIGRTMINPLUS12'
  | 'SIGRTMINPLUS13'
  | 'SIGRTMINPLUS14'
  | 'SIGRTMINPLUS15'
  | 'SIGRTMAXMINUS14'
  | 'SIGRTMAXMINUS13'
  | 'SIGRTMAXMINUS12'
  | 'SIGRTMAXMINUS11'
  | 'SIGRTMAXMINUS10'
  | 'SIGRTMAXMINUS9'
  | 'SIGRTMAXMINUS8'
  | 'SIGRTMAXMINUS7'
  | 'SIGRTMAXMINUS6'
  | 'SIGRTMAXMINUS5'
  | 'SIGRTMAXMINUS4'
  | 'SIGRTMAXMINUS3'
  | 'SIGRTMAXMINUS2'
  | 'SIGRTMAXMINUS1'
  | 'SIGRTMAX'
  | 'UNRECOGNIZED'

export type ContainerState =
  | 'CONTAINER_CREATED'
  | 'CONTAINER_RUNNING'
  | 'CONTAINER_EXITED'
  | 'CONTAINER_UNKNOWN'
  | 'UNRECOGNIZED'

export type ContainerEventType =
  | 'CONTAINER_CREATED_EVENT'
  | 'CONTAINER_STARTED_EVENT'
  | 'CONTAINER_STOPPED_EVENT'
  | 'CONTAINER_DELETED_EVENT'
  | 'UNRECOGNIZED'

export interface Int64Value {
  readonly value: number
}

export interface UInt64Value {
  readonly value: number
}

export interface KeyValue {
  readonly key: string
  readonly value: Uint8Array
}

export interface VersionRequest {
  readonly version: string
}

export interface VersionResponse {
  readonly version: string
  readonly runtimeName: string
  readonly runtimeVersion: string
  readonly runtimeApiVersion: string
}

export interface StatusRequest {
  readonly verbose: boolean
}

export interface StatusResponse {
  readonly status?: RuntimeStatus | undefined
  /** Only for a verbose request; containerd gives JSON under "config" and "cniconfig". */
  readonly info: Readonly<Record<string, string>>
  /** Empty before containerd 2.0. */
  readonly runtimeHandlers: readonly RuntimeHandler[]
  readonly features?: RuntimeFeatures | undefined
}

export interface RuntimeStatus {
  readonly conditions: readonly RuntimeCondition[]
}

export interface RuntimeCondition {
  /** "RuntimeReady" and "NetworkReady" are always there. */
  readonly type: string
  readonly status: boolean
  readonly reason: string
  readonly message: string
}

export interface RuntimeHandler {
  readonly name: string
  readonly features?: RuntimeHandlerFeatures | undefined
}

export interface RuntimeHandlerFeatures {
  readonly recursiveReadOnlyMounts: boolean
  readonly userNamespaces: boolean
}

export interface RuntimeFeatures {
  readonly supplementalGroupsPolicy: boolean
  readonly userNamespacesHostNetwork: boolean
}

export interface RuntimeConfigRequest {
}

export interface RuntimeConfigResponse {
  readonly linux?: LinuxRuntimeConfiguration | undefined
}

export interface LinuxRuntimeConfiguration {
  readonly cgroupDriver: CgroupDriver
}

export interface UpdateRuntimeConfigRequest {
  readonly runtimeConfig?: RuntimeConfig | undefined
}

export interface UpdateRuntimeConfigResponse {
}

export interface RuntimeConfig {
  readonly networkConfig?: NetworkConfig | undefined
}

export interface NetworkConfig {
  readonly podCidr: string
}

export interface DNSConfig {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

export interface PortMapping {
  readonly protocol: Protocol
  readonly containerPort: number
  /** 0: no host port. */
  readonly hostPort: number
  readonly hostIp: string
}

export interface Mount {
  readonly containerPath: string
  readonly hostPath: string
  readonly readonly: boolean
  readonly selinuxRelabel: boolean
  readonly propagation: MountPropagation
  readonly uidMappings: readonly IDMapping[]
  readonly gidMappings: readonly IDMapping[]
  readonly recursiveReadOnly: boolean
  /** Mounts an image (read-only) instead of host_path. */
  readonly image?: ImageSpec | undefined
  readonly imageSubPath: string
}

export interface IDMapping {
  readonly hostId: number
  readonly containerId: number
  readonly length: number
}

export interface UserNamespace {
  readonly mode: NamespaceMode
  readonly uids: readonly IDMapping[]
  readonly gids: readonly IDMapping[]
}

export interface NamespaceOption {
  readonly network: NamespaceMode
  readonly pid: NamespaceMode
  readonly ipc: NamespaceMode
  /** The container whose process namespace is joined, for the mode TARGET. */
  readonly targetId: string
  readonly usernsOptions?: UserNamespace | undefined
}

export interface SecurityProfile {
  readonly profileType: ProfileType
  /** For Localhost: the absolute path of a seccomp profile, or the name of a loaded AppArmor profile. */
  readonly localhostRef: string
}

export interface SELinuxOption {
  readonly user: string
  readonly role: string
  readonly type: string
  readonly level: string
}

export interface Capability {
  readonly addCapabilities: readonly string[]
  readonly dropCapabilities: readonly string[]
  readonly addAmbientCapabilities: readonly string[]
}

export interface PodSandboxMetadata {
  readonly name: string
  readonly uid: string
  readonly namespace: string
  readonly attempt: number
}

export interface PodSandboxConfig {
  readonly metadata?: PodSandboxMetadata | undefined
  readonly hostname: string
  /** The directory on the host that holds the logs of the sandbox's containers. */
  readonly logDirectory: string
  readonly dnsConfig?: DNSConfig | undefined
  readonly portMappings: readonly PortMapping[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly linux?: LinuxPodSandboxConfig | undefined
}

export interface LinuxPodSandboxConfig {
  readonly cgroupParent: string
  readonly securityContext?: LinuxSandboxSecurityContext | undefined
  readonly sysctls: Readonly<Record<string, string>>
  readonly overhead?: LinuxContainerResources | undefined
  readonly resources?: LinuxContainerResources | undefined
}

export interface LinuxSandboxSecurityContext {
  readonly namespaceOptions?: NamespaceOption | undefined
  readonly selinuxOptions?: SELinuxOption | undefined
  readonly runAsUser?: Int64Value | undefined
  readonly readonlyRootfs: boolean
  readonly supplementalGroups: readonly number[]
  /** Must be true when any container of the sandbox is privileged. */
  readonly privileged: boolean
  readonly runAsGroup?: Int64Value | undefined
  readonly seccomp?: SecurityProfile | undefined
  readonly apparmor?: SecurityProfile | undefined
  readonly supplementalGroupsPolicy: SupplementalGroupsPolicy
}

export interface RunPodSandboxRequest {
  readonly config?: PodSandboxConfig | undefined
  /** Empty: the runtime's default. */
  readonly runtimeHandler: string
}

export interface RunPodSandboxResponse {
  readonly podSandboxId: string
}

export interface StopPodSandboxRequest {
  readonly podSandboxId: string
}

export interface StopPodSandboxResponse {
}

export interface RemovePodSandboxRequest {
  readonly podSandboxId: string
}

export interface RemovePodSandboxResponse {
}

export interface PodSandboxStatusRequest {
  readonly podSandboxId: string
  readonly verbose: boolean
}

export interface PodSandboxStatusResponse {
  readonly status?: PodSandboxStatus | undefined
  readonly info: Readonly<Record<string, string>>
  readonly containersStatuses: readonly ContainerStatus[]
  /** Nanoseconds since the epoch; 0 when the runtime does not fill containers_statuses. */
  readonly timestamp: number
}

export interface PodIP {
  readonly ip: string
}

export interface PodSandboxNetworkStatus {
  /** Empty for a sandbox in the node's network. */
  readonly ip: string
  readonly additionalIps: readonly PodIP[]
}

export interface Namespace {
  readonly options?: NamespaceOption | undefined
}

export interface LinuxPodSandboxStatus {
  readonly namespaces?: Namespace | undefined
}

export interface PodSandboxStatus {
  readonly id: string
  readonly metadata?: PodSandboxMetadata | undefined
  readonly state: PodSandboxState
  /** Nanoseconds since the epoch. */
  readonly createdAt: number
  readonly network?: PodSandboxNetworkStatus | undefined
  readonly linux?: LinuxPodSandboxStatus | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly runtimeHandler: string
}

export interface PodSandboxStateValue {
  readonly state: PodSandboxState
}

export interface PodSandboxFilter {
  /** An id or an unambiguous prefix of one. */
  readonly id: string
  readonly state?: PodSandboxStateValue | undefined
  readonly labelSelector: Readonly<Record<string, string>>
}

export interface ListPodSandboxRequest {
  readonly filter?: PodSandboxFilter | undefined
}

export interface ListPodSandboxResponse {
  readonly items: readonly PodSandbox[]
}

export interface PodSandbox {
  readonly id: string
  readonly metadata?: PodSandboxMetadata | undefined
  readonly state: PodSandboxState
  /** Nanoseconds since the epoch. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly runtimeHandler: string
}

export interface UpdatePodSandboxResourcesRequest {
  readonly podSandboxId: string
  readonly overhead?: LinuxContainerResources | undefined
  readonly resources?: LinuxContainerResources | undefined
}

export interface UpdatePodSandboxResourcesResponse {
}

export interface ImageSpec {
  readonly image: string
  readonly annotations: Readonly<Record<string, string>>
  /** The reference as the pod's author wrote it. */
  readonly userSpecifiedImage: string
  readonly runtimeHandler: string
  readonly imageRef: string
}

export interface LinuxContainerResources {
  /** Microseconds; 0: not set. */
  readonly cpuPeriod: number
  /** Microseconds in each period; 0: not set, -1: unlimited. */
  readonly cpuQuota: number
  readonly cpuShares: number
  /** 0: not set. */
  readonly memoryLimitInBytes: number
  readonly oomScoreAdj: number
  readonly cpusetCpus: string
  readonly cpusetMems: string
  readonly hugepageLimits: readonly HugepageLimit[]
  /** Files of cgroup v2 by name, as "memory.high". */
  readonly unified: Readonly<Record<string, string>>
  readonly memorySwapLimitInBytes: number
}

export interface HugepageLimit {
  readonly pageSize: string
  readonly limit: number
}

export interface LinuxContainerSecurityContext {
  readonly capabilities?: Capability | undefined
  readonly privileged: boolean
  readonly namespaceOptions?: NamespaceOption | undefined
  readonly selinuxOptions?: SELinuxOption | undefined
  readonly runAsUser?: Int64Value | undefined
  readonly runAsUsername: string
  readonly readonlyRootfs: boolean
  readonly supplementalGroups: readonly number[]
  readonly noNewPrivs: boolean
  readonly runAsGroup?: Int64Value | undefined
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  readonly seccomp?: SecurityProfile | undefined
  /** Not to be sent to a node whose kernel has no AppArmor: containerd refuses it there. */
  readonly apparmor?: SecurityProfile | undefined
  readonly supplementalGroupsPolicy: SupplementalGroupsPolicy
}

export interface LinuxContainerConfig {
  readonly resources?: LinuxContainerResources | undefined
  readonly securityContext?: LinuxContainerSecurityContext | undefined
}

export interface LinuxContainerUser {
  readonly uid: number
  readonly gid: number
  readonly supplementalGroups: readonly number[]
}

export interface ContainerUser {
  readonly linux?: LinuxContainerUser | undefined
}

export interface ContainerMetadata {
  readonly name: string
  readonly attempt: number
}

export interface Device {
  readonly containerPath: string
  readonly hostPath: string
  readonly permissions: string
}

export interface CDIDevice {
  readonly name: string
}

export interface ContainerConfig {
  readonly metadata?: ContainerMetadata | undefined
  readonly image?: ImageSpec | undefined
  /** Replaces the image's entrypoint when not empty. */
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly workingDir: string
  readonly envs: readonly KeyValue[]
  readonly mounts: readonly Mount[]
  readonly devices: readonly Device[]
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Relative to the sandbox's log_directory. */
  readonly logPath: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly tty: boolean
  readonly linux?: LinuxContainerConfig | undefined
  readonly cdiDevices: readonly CDIDevice[]
  readonly stopSignal: Signal
}

export interface CreateContainerRequest {
  readonly podSandboxId: string
  readonly config?: ContainerConfig | undefined
  /** What the sandbox was made with. */
  readonly sandboxConfig?: PodSandboxConfig | undefined
}

export interface CreateContainerResponse {
  readonly containerId: string
}

export interface StartContainerRequest {
  readonly containerId: string
}

export interface StartContainerResponse {
}

export interface StopContainerRequest {
  readonly containerId: string
  /** Seconds from the stop signal to SIGKILL; 0: SIGKILL at once. */
  readonly timeout: number
}

export interface StopContainerResponse {
}

export interface RemoveContainerRequest {
  readonly containerId: string
}

export interface RemoveContainerResponse {
}

export interface ContainerStateValue {
  readonly state: ContainerState
}

export interface ContainerFilter {
  /** An id or an unambiguous prefix of one. */
  readonly id: string
  readonly state?: ContainerStateValue | undefined
  readonly podSandboxId: string
  readonly labelSelector: Readonly<Record<string, string>>
}

export interface ListContainersRequest {
  readonly filter?: ContainerFilter | undefined
}

export interface ListContainersResponse {
  readonly containers: readonly Container[]
}

export interface Container {
  readonly id: string
  readonly podSandboxId: string
  readonly metadata?: ContainerMetadata | undefined
  readonly image?: ImageSpec | undefined
  readonly imageRef: string
  readonly state: ContainerState
  /** Nanoseconds since the epoch. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Empty before containerd 1.7. */
  readonly imageId: string
}

export interface ContainerStatusRequest {
  readonly containerId: string
  readonly verbose: boolean
}

export interface ContainerStatusResponse {
  readonly status?: ContainerStatus | undefined
  readonly info: Readonly<Record<string, string>>
}

export interface ContainerStatus {
  readonly id: string
  readonly metadata?: ContainerMetadata | undefined
  readonly state: ContainerState
  /** Nanoseconds since the epoch. */
  readonly createdAt: number
  /** Nanoseconds since the epoch; 0: not started. */
  readonly startedAt: number
  /** Nanoseconds since the epoch; 0: not finished. */
  readonly finishedAt: number
  readonly exitCode: number
  readonly image?: ImageSpec | undefined
  readonly imageRef: string
  /** containerd says "Completed", "Error", "OOMKilled", "StartError" or "Unknown" once it has exited. */
  readonly reason: string
  readonly message: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  /** Absolute. */
  readonly logPath: string
  /** Absent before containerd 1.7. */
  readonly resources?: ContainerResources | undefined
  readonly imageId: string
  readonly user?: ContainerUser | undefined
  readonly stopSignal: Signal
}

export interface ContainerResources {
  readonly linux?: LinuxContainerResources | undefined
}

export interface UpdateContainerResourcesRequest {
  readonly containerId: string
  readonly linux?: LinuxContainerResources | undefined
  readonly annotations: Readonly<Record<string, string>>
}

export interface UpdateContainerResourcesResponse {
}

export interface ReopenContainerLogRequest {
  readonly containerId: string
}

export interface ReopenContainerLogResponse {
}

export interface CheckpointContainerRequest {
  readonly containerId: string
  readonly location: string
  /** Seconds; 0: the runtime's own limit. */
  readonly timeout: number
}

export interface CheckpointContainerResponse {
}

export interface ExecSyncRequest {
  readonly containerId: string
  readonly cmd: readonly string[]
  /** Seconds until the command is killed and the call fails with DeadlineExceeded; 0: never. */
  readonly timeout: number
}

export interface ExecSyncResponse {
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
  readonly exitCode: number
}

export interface ExecRequest {
  readonly containerId: string
  readonly cmd: readonly string[]
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdout: boolean
  /** Must be false with tty. */
  readonly stderr: boolean
}

export interface ExecResponse {
  readonly url: string
}

export interface AttachRequest {
  readonly containerId: string
  readonly stdin: boolean
  /** Must be what the container was made with. */
  readonly tty: boolean
  readonly stdout: boolean
  readonly stderr: boolean
}

export interface AttachResponse {
  readonly url: string
}

export interface PortForwardRequest {
  readonly podSandboxId: string
  readonly port: readonly number[]
}

export interface PortForwardResponse {
  readonly url: string
}

export interface ImageFilter {
  readonly image?: ImageSpec | undefined
}

export interface ListImagesRequest {
  readonly filter?: ImageFilter | undefined
}

export interface ListImagesResponse {
  readonly images: readonly Image[]
}

export interface Image {
  /** The digest of its configuration, as "sha256:…". */
  readonly id: string
  readonly repoTags: readonly string[]
  readonly repoDigests: readonly string[]
  /** Bytes. */
  readonly size: number
  /** The numeric user that the image names; absent when it names none or a name. */
  readonly uid?: Int64Value | undefined
  readonly username: string
  readonly spec?: ImageSpec | undefined
  /** Not to be removed to free space. */
  readonly pinned: boolean
}

export interface ImageStatusRequest {
  readonly image?: ImageSpec | undefined
  readonly verbose: boolean
}

export interface ImageStatusResponse {
  /** Absent when the image is not there. */
  readonly image?: Image | undefined
  readonly info: Readonly<Record<string, string>>
}

export interface AuthConfig {
  readonly username: string
  readonly password: string
  /** Base64 of "username:password". */
  readonly auth: string
  readonly serverAddress: string
  readonly identityToken: string
  readonly registryToken: string
}

export interface PullImageRequest {
  readonly image?: ImageSpec | undefined
  readonly auth?: AuthConfig | undefined
  readonly sandboxConfig?: PodSandboxConfig | undefined
}

export interface PullImageResponse {
  readonly imageRef: string
}

export interface RemoveImageRequest {
  readonly image?: ImageSpec | undefined
}

export interface RemoveImageResponse {
}

export interface ImageFsInfoRequest {
}

export interface ImageFsInfoResponse {
  readonly imageFilesystems: readonly FilesystemUsage[]
  readonly containerFilesystems: readonly FilesystemUsage[]
}

export interface FilesystemIdentifier {
  readonly mountpoint: string
}

export interface FilesystemUsage {
  /** Nanoseconds since the epoch. */
  readonly timestamp: number
  readonly fsId?: FilesystemIdentifier | undefined
  readonly usedBytes?: UInt64Value | undefined
  readonly inodesUsed?: UInt64Value | undefined
}

export interface ContainerStatsRequest {
  readonly containerId: string
}

export interface ContainerStatsResponse {
  readonly stats?: ContainerStats | undefined
}

export interface ContainerStatsFilter {
  readonly id: string
  readonly podSandboxId: string
  readonly labelSelector: Readonly<Record<string, string>>
}

export interface ListContainerStatsRequest {
  readonly filter?: ContainerStatsFilter | undefined
}

export interface ListContainerStatsResponse {
  readonly stats: readonly ContainerStats[]
}

export interface ContainerAttributes {
  readonly id: string
  readonly metadata?: ContainerMetadata | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface ContainerStats {
  readonly attributes?: ContainerAttributes | undefined
  readonly cpu?: CpuUsage | undefined
  readonly memory?: MemoryUsage | undefined
  readonly writableLayer?: FilesystemUsage | undefined
  readonly swap?: SwapUsage | undefined
  readonly io?: IoUsage | undefined
}

export interface PsiStats {
  readonly full?: PsiData | undefined
  readonly some?: PsiData | undefined
}

export interface PsiData {
  /** Microseconds. */
  readonly total: number
  readonly avg10: number
  readonly avg60: number
  readonly avg300: number
}

export interface CpuUsage {
  /** Nanoseconds since the epoch. */
  readonly timestamp: number
  readonly usageCoreNanoSeconds?: UInt64Value | undefined
  /** Absent until the runtime has two samples. */
  readonly usageNanoCores?: UInt64Value | undefined
  readonly psi?: PsiStats | undefined
}

export interface MemoryUsage {
  /** Nanoseconds since the epoch. */
  readonly timestamp: number
  readonly workingSetBytes?: UInt64Value | undefined
  readonly availableBytes?: UInt64Value | undefined
  readonly usageBytes?: UInt64Value | undefined
  readonly rssBytes?: UInt64Value | undefined
  readonly pageFaults?: UInt64Value | undefined
  readonly majorPageFaults?: UInt64Value | undefined
  readonly psi?: PsiStats | undefined
}

export interface IoUsage {
  readonly timestamp: number
  readonly psi?: PsiStats | undefined
}

export interface SwapUsage {
  readonly timestamp: number
  readonly swapAvailableBytes?: UInt64Value | undefined
  readonly swapUsageBytes?: UInt64Value | undefined
}

export interface PodSandboxStatsRequest {
  readonly podSandboxId: string
}

export interface PodSandboxStatsResponse {
  readonly stats?: PodSandboxStats | undefined
}

export interface PodSandboxStatsFilter {
  readonly id: string
  readonly labelSelector: Readonly<Record<string, string>>
}

export interface ListPodSandboxStatsRequest {
  readonly filter?: PodSandboxStatsFilter | undefined
}

export interface ListPodSandboxStatsResponse {
  readonly stats: readonly PodSandboxStats[]
}

export interface PodSandboxAttributes {
  readonly id: string
  readonly metadata?: PodSandboxMetadata | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface PodSandboxStats {
  readonly attributes?: PodSandboxAttributes | undefined
  readonly linux?: LinuxPodSandboxStats | undefined
}

export interface LinuxPodSandboxStats {
  readonly cpu?: CpuUsage | undefined
  readonly memory?: MemoryUsage | undefined
  readonly network?: NetworkUsage | undefined
  readonly process?: ProcessUsage | undefined
  readonly containers: readonly ContainerStats[]
  readonly io?: IoUsage | undefined
}

export interface NetworkUsage {
  readonly timestamp: number
  readonly defaultInterface?: NetworkInterfaceUsage | undefined
  readonly interfaces: readonly NetworkInterfaceUsage[]
}

export interface NetworkInterfaceUsage {
  readonly name: string
  readonly rxBytes?: UInt64Value | undefined
  readonly rxErrors?: UInt64Value | undefined
  readonly txBytes?: UInt64Value | undefined
  readonly txErrors?: UInt64Value | undefined
}

export interface ProcessUsage {
  readonly timestamp: number
  readonly processCount?: UInt64Value | undefined
}

export interface GetEventsRequest {
}

export interface ContainerEventResponse {
  /** A sandbox's own id for events of the sandbox. */
  readonly containerId: string
  readonly containerEventType: ContainerEventType
  /** Nanoseconds since the epoch. */
  readonly createdAt: number
  readonly podSandboxStatus?: PodSandboxStatus | undefined
  readonly containersStatuses: readonly ContainerStatus[]
}
