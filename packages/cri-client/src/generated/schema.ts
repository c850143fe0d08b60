// Made by `node scripts/generate.ts` from proto/cri.proto; not to be edited.
import type { EnumSchema, MessageSchema, MethodSchema } from '../schema.ts'

export const enums: Readonly<Record<string, EnumSchema>> = {
  CgroupDriver: { SYSTEMD: 0, CGROUPFS: 1 },
  Protocol: { TCP: 0, UDP: 1, SCTP: 2 },
  MountPropagation: { PROPAGATION_PRIVATE: 0, PROPAGATION_HOST_TO_CONTAINER: 1, PROPAGATION_BIDIRECTIONAL: 2 },
  NamespaceMode: { POD: 0, CONTAINER: 1, NODE: 2, TARGET: 3 },
  SupplementalGroupsPolicy: { Merge: 0, Strict: 1 },
  ProfileType: { RuntimeDefault: 0, Unconfined: 1, Localhost: 2 },
  PodSandboxState: { SANDBOX_READY: 0, SANDBOX_NOTREADY: 1 },
  Signal: { RUNTIME_DEFAULT: 0, SIGABRT: 1, SIGALRM: 2, SIGBUS: 3, SIGCHLD: 4, SIGCLD: 5, SIGCONT: 6, SIGFPE: 7, SIGHUP: 8, SIGILL: 9, SIGINT: 10, SIGIO: 11, SIGIOT: 12, SIGKILL: 13, SIGPIPE: 14, SIGPOLL: 15, SIGPROF: 16, SIGPWR: 17, SIGQUIT: 18, SIGSEGV: 19, SIGSTKFLT: 20, SIGSTOP: 21, SIGSYS: 22, SIGTERM: 23, SIGTRAP: 24, SIGTSTP: 25, SIGTTIN: 26, SIGTTOU: 27, SIGURG: 28, SIGUSR1: 29, SIGUSR2: 30, SIGVTALRM: 31, SIGWINCH: 32, SIGXCPU: 33, SIGXFSZ: 34, SIGRTMIN: 35, SIGRTMINPLUS1: 36, SIGRTMINPLUS2: 37, SIGRTMINPLUS3: 38, SIGRTMINPLUS4: 39, SIGRTMINPLUS5: 40, SIGRTMINPLUS6: 41, SIGRTMINPLUS7: 42, SIGRTMINPLUS8: 43, SIGRTMINPLUS9: 44, SIGRTMINPLUS10: 45, SIGRTMINPLUS11: 46, SIGRTMINPLUS12: 47, SIGRTMINPLUS13: 48, SIGRTMINPLUS14: 49, SIGRTMINPLUS15: 50, SIGRTMAXMINUS14: 51, SIGRTMAXMINUS13: 52, SIGRTMAXMINUS12: 53, SIGRTMAXMINUS11: 54, SIGRTMAXMINUS10: 55, SIGRTMAXMINUS9: 56, SIGRTMAXMINUS8: 57, SIGRTMAXMINUS7: 58, SIGRTMAXMINUS6: 59, SIGRTMAXMINUS5: 60, SIGRTMAXMINUS4: 61, SIGRTMAXMINUS3: 62, SIGRTMAXMINUS2: 63, SIGRTMAXMINUS1: 64, SIGRTMAX: 65 },
  ContainerState: { CONTAINER_CREATED: 0, CONTAINER_RUNNING: 1, CONTAINER_EXITED: 2, CONTAINER_UNKNOWN: 3 },
  ContainerEventType: { CONTAINER_CREATED_EVENT: 0, CONTAINER_STARTED_EVENT: 1, CONTAINER_STOPPED_EVENT: 2, CONTAINER_DELETED_EVENT: 3 },
}

export const messages: Readonly<Record<string, MessageSchema>> = {
  Int64Value: {
    value: [1, 'int64'],
  },
  UInt64Value: {
    value: [1, 'uint64'],
  },
  KeyValue: {
    key: [1, 'string'],
    value: [2, 'bytes'],
  },
  VersionRequest: {
    version: [1, 'string'],
  },
  VersionResponse: {
    version: [1, 'string'],
    runtimeName: [2, 'string'],
    runtimeVersion: [3, 'string'],
    runtimeApiVersion: [4, 'string'],
  },
  StatusRequest: {
    verbose: [1, 'bool'],
  },
  StatusResponse: {
    status: [1, 'RuntimeStatus'],
    info: [2, 'string', 'map'],
    runtimeHandlers: [3, 'RuntimeHandler', 'repeated'],
    features: [4, 'RuntimeFeatures'],
  },
  RuntimeStatus: {
    conditions: [1, 'RuntimeCondition', 'repeated'],
  },
  RuntimeCondition: {
    type: [1, 'string'],
    status: [2, 'bool'],
    reason: [3, 'string'],
    message: [4, 'string'],
  },
  RuntimeHandler: {
    name: [1, 'string'],
    features: [2, 'RuntimeHandlerFeatures'],
  },
  RuntimeHandlerFeatures: {
    recursiveReadOnlyMounts: [1, 'bool'],
    userNamespaces: [2, 'bool'],
  },
  RuntimeFeatures: {
    supplementalGroupsPolicy: [1, 'bool'],
    userNamespacesHostNetwork: [2, 'bool'],
  },
  RuntimeConfigRequest: {
  },
  RuntimeConfigResponse: {
    linux: [1, 'LinuxRuntimeConfiguration'],
  },
  LinuxRuntimeConfiguration: {
    cgroupDriver: [1, 'CgroupDriver'],
  },
  UpdateRuntimeConfigRequest: {
    runtimeConfig: [1, 'RuntimeConfig'],
  },
  UpdateRuntimeConfigResponse: {
  },
  RuntimeConfig: {
    networkConfig: [1, 'NetworkConfig'],
  },
  NetworkConfig: {
    podCidr: [1, 'string'],
  },
  DNSConfig: {
    servers: [1, 'string', 'repeated'],
    searches: [2, 'string', 'repeated'],
    options: [3, 'string', 'repeated'],
  },
  PortMapping: {
    protocol: [1, 'Protocol'],
    containerPort: [2, 'int32'],
    hostPort: [3, 'int32'],
    hostIp: [4, 'string'],
  },
  Mount: {
    containerPath: [1, 'string'],
    hostPath: [2, 'string'],
    readonly: [3, 'bool'],
    selinuxRelabel: [4, 'bool'],
    propagation: [5, 'MountPropagation'],
    uidMappings: [6, 'IDMapping', 'repeated'],
    gidMappings: [7, 'IDMapping', 'repeated'],
    recursiveReadOnly: [8, 'bool'],
    image: [9, 'ImageSpec'],
    imageSubPath: [10, 'string'],
  },
  IDMapping: {
    hostId: [1, 'uint32'],
    containerId: [2, 'uint32'],
    length: [3, 'uint32'],
  },
  UserNamespace: {
    mode: [1, 'NamespaceMode'],
    uids: [2, 'IDMapping', 'repeated'],
    gids: [3, 'IDMapping', 'repeated'],
  },
  NamespaceOption: {
    network: [1, 'NamespaceMode'],
    pid: [2, 'NamespaceMode'],
    ipc: [3, 'NamespaceMode'],
    targetId: [4, 'string'],
    usernsOptions: [5, 'UserNamespace'],
  },
  SecurityProfile: {
    profileType: [1, 'ProfileType'],
    localhostRef: [2, 'string'],
  },
  SELinuxOption: {
    user: [1, 'string'],
    role: [2, 'string'],
    type: [3, 'string'],
    level: [4, 'string'],
  },
  Capability: {
    addCapabilities: [1, 'string', 'repeated'],
    dropCapabilities: [2, 'string', 'repeated'],
    addAmbientCapabilities: [3, 'string', 'repeated'],
  },
  PodSandboxMetadata: {
    name: [1, 'string'],
    uid: [2, 'string'],
    namespace: [3, 'string'],
    attempt: [4, 'uint32'],
  },
  PodSandboxConfig: {
    metadata: [1, 'PodSandboxMetadata'],
    hostname: [2, 'string'],
    logDirectory: [3, 'string'],
    dnsConfig: [4, 'DNSConfig'],
    portMappings: [5, 'PortMapping', 'repeated'],
    labels: [6, 'string', 'map'],
    annotations: [7, 'string', 'map'],
    linux: [8, 'LinuxPodSandboxConfig'],
  },
  LinuxPodSandboxConfig: {
    cgroupParent: [1, 'string'],
    securityContext: [2, 'LinuxSandboxSecurityContext'],
    sysctls: [3, 'string', 'map'],
    overhead: [4, 'LinuxContainerResources'],
    resources: [5, 'LinuxContainerResources'],
  },
  LinuxSandboxSecurityContext: {
    namespaceOptions: [1, 'NamespaceOption'],
    selinuxOptions: [2, 'SELinuxOption'],
    runAsUser: [3, 'Int64Value'],
    readonlyRootfs: [4, 'bool'],
    supplementalGroups: [5, 'int64', 'repeated'],
    privileged: [6, 'bool'],
    runAsGroup: [8, 'Int64Value'],
    seccomp: [9, 'SecurityProfile'],
    apparmor: [10, 'SecurityProfile'],
    supplementalGroupsPolicy: [11, 'SupplementalGroupsPolicy'],
  },
  RunPodSandboxRequest: {
    config: [1, 'PodSandboxConfig'],
    runtimeHandler: [2, 'string'],
  },
  RunPodSandboxResponse: {
    podSandboxId: [1, 'string'],
  },
  StopPodSandboxRequest: {
    podSandboxId: [1, 'string'],
  },
  StopPodSandboxResponse: {
  },
  RemovePodSandboxRequest: {
    podSandboxId: [1, 'string'],
  },
  RemovePodSandboxResponse: {
  },
  PodSandboxStatusRequest: {
    podSandboxId: [1, 'string'],
    verbose: [2, 'bool'],
  },
  PodSandboxStatusResponse: {
    status: [1, 'PodSandboxStatus'],
    info: [2, 'string', 'map'],
    containersStatuses: [3, 'ContainerStatus', 'repeated'],
    timestamp: [4, 'int64'],
  },
  PodIP: {
    ip: [1, 'string'],
  },
  PodSandboxNetworkStatus: {
    ip: [1, 'string'],
    additionalIps: [2, 'PodIP', 'repeated'],
  },
  Namespace: {
    options: [2, 'NamespaceOption'],
  },
  LinuxPodSandboxStatus: {
    namespaces: [1, 'Namespace'],
  },
  PodSandboxStatus: {
    id: [1, 'string'],
    metadata: [2, 'PodSandboxMetadata'],
    state: [3, 'PodSandboxState'],
    createdAt: [4, 'int64'],
    network: [5, 'PodSandboxNetworkStatus'],
    linux: [6, 'LinuxPodSandboxStatus'],
    labels: [7, 'string', 'map'],
    annotations: [8, 'string', 'map'],
    runtimeHandler: [9, 'string'],
  },
  PodSandboxStateValue: {
    state: [1, 'PodSandboxState'],
  },
  PodSandboxFilter: {
    id: [1, 'string'],
    state: [2, 'PodSandboxStateValue'],
    labelSelector: [3, 'string', 'map'],
  },
  ListPodSandboxRequest: {
    filter: [1, 'PodSandboxFilter'],
  },
  ListPodSandboxResponse: {
    items: [1, 'PodSandbox', 'repeated'],
  },
  PodSandbox: {
    id: [1, 'string'],
    metadata: [2, 'PodSandboxMetadata'],
    state: [3, 'PodSandboxState'],
    createdAt: [4, 'int64'],
    labels: [5, 'string', 'map'],
    annotations: [6, 'string', 'map'],
    runtimeHandler: [7, 'string'],
  },
  UpdatePodSandboxResourcesRequest: {
    podSandboxId: [1, 'string'],
    overhead: [2, 'LinuxContainerResources'],
    resources: [3, 'LinuxContainerResources'],
  },
  UpdatePodSandboxResourcesResponse: {
  },
  ImageSpec: {
    image: [1, 'string'],
    annotations: [2, 'string', 'map'],
    userSpecifiedImage: [18, 'string'],
    runtimeHandler: [19, 'string'],
    imageRef: [20, 'string'],
  },
  LinuxContainerResources: {
    cpuPeriod: [1, 'int64'],
    cpuQuota: [2, 'int64'],
    cpuShares: [3, 'int64'],
    memoryLimitInBytes: [4, 'int64'],
    oomScoreAdj: [5, 'int64'],
    cpusetCpus: [6, 'string'],
    cpusetMems: [7, 'string'],
    hugepageLimits: [8, 'HugepageLimit', 'repeated'],
    unified: [9, 'string', 'map'],
    memorySwapLimitInBytes: [10, 'int64'],
  },
  HugepageLimit: {
    pageSize: [1, 'string'],
    limit: [2, 'uint64'],
  },
  LinuxContainerSecurityContext: {
    capabilities: [1, 'Capability'],
    privileged: [2, 'bool'],
    namespaceOptions: [3, 'NamespaceOption'],
    selinuxOptions: [4, 'SELinuxOption'],
    runAsUser: [5, 'Int64Value'],
    runAsUsername: [6, 'string'],
    readonlyRootfs: [7, 'bool'],
    supplementalGroups: [8, 'int64', 'repeated'],
    noNewPrivs: [11, 'bool'],
    runAsGroup: [12, 'Int64Value'],
    maskedPaths: [13, 'string', 'repeated'],
    readonlyPaths: [14, 'string', 'repeated'],
    seccomp: [15, 'SecurityProfile'],
    apparmor: [16, 'SecurityProfile'],
    supplementalGroupsPolicy: [17, 'SupplementalGroupsPolicy'],
  },
  LinuxContainerConfig: {
    resources: [1, 'LinuxContainerResources'],
    securityContext: [2, 'LinuxContainerSecurityContext'],
  },
  LinuxContainerUser: {
    uid: [1, 'int64'],
    gid: [2, 'int64'],
    supplementalGroups: [3, 'int64', 'repeated'],
  },
  ContainerUser: {
    linux: [1, 'LinuxContainerUser'],
  },
  ContainerMetadata: {
    name: [1, 'string'],
    attempt: [2, 'uint32'],
  },
  Device: {
    containerPath: [1, 'string'],
    hostPath: [2, 'string'],
    permissions: [3, 'string'],
  },
  CDIDevice: {
    name: [1, 'string'],
  },
  ContainerConfig: {
    metadata: [1, 'ContainerMetadata'],
    image: [2, 'ImageSpec'],
    command: [3, 'string', 'repeated'],
    args: [4, 'string', 'repeated'],
    workingDir: [5, 'string'],
    envs: [6, 'KeyValue', 'repeated'],
    mounts: [7, 'Mount', 'repeated'],
    devices: [8, 'Device', 'repeated'],
    labels: [9, 'string', 'map'],
    annotations: [10, 'string', 'map'],
    logPath: [11, 'string'],
    stdin: [12, 'bool'],
    stdinOnce: [13, 'bool'],
    tty: [14, 'bool'],
    linux: [15, 'LinuxContainerConfig'],
    cdiDevices: [17, 'CDIDevice', 'repeated'],
    stopSignal: [18, 'Signal'],
  },
  CreateContainerRequest: {
    podSandboxId: [1, 'string'],
    config: [2, 'ContainerConfig'],
    sandboxConfig: [3, 'PodSandboxConfig'],
  },
  CreateContainerResponse: {
    containerId: [1, 'string'],
  },
  StartContainerRequest: {
    containerId: [1, 'string'],
  },
  StartContainerResponse: {
  },
  StopContainerRequest: {
    containerId: [1, 'string'],
    timeout: [2, 'int64'],
  },
  StopContainerResponse: {
  },
  RemoveContainerRequest: {
    containerId: [1, 'string'],
  },
  RemoveContainerResponse: {
  },
  ContainerStateValue: {
    state: [1, 'ContainerState'],
  },
  ContainerFilter: {
    id: [1, 'string'],
    state: [2, 'ContainerStateValue'],
    podSandboxId: [3, 'string'],
    labelSelector: [4, 'string', 'map'],
  },
  ListContainersRequest: {
    filter: [1, 'ContainerFilter'],
  },
  ListContainersResponse: {
    containers: [1, 'Container', 'repeated'],
  },
  Container: {
    id: [1, 'string'],
    podSandboxId: [2, 'string'],
    metadata: [3, 'ContainerMetadata'],
    image: [4, 'ImageSpec'],
    imageRef: [5, 'string'],
    state: [6, 'ContainerState'],
    createdAt: [7, 'int64'],
    labels: [8, 'string', 'map'],
    annotations: [9, 'string', 'map'],
    imageId: [10, 'string'],
  },
  ContainerStatusRequest: {
    containerId: [1, 'string'],
    verbose: [2, 'bool'],
  },
  ContainerStatusResponse: {
    status: [1, 'ContainerStatus'],
    info: [2, 'string', 'map'],
  },
  ContainerStatus: {
    id: [1, 'string'],
    metadata: [2, 'ContainerMetadata'],
    state: [3, 'ContainerState'],
    createdAt: [4, 'int64'],
    startedAt: [5, 'int64'],
    finishedAt: [6, 'int64'],
    exitCode: [7, 'int32'],
    image: [8, 'ImageSpec'],
    imageRef: [9, 'string'],
    reason: [10, 'string'],
    message: [11, 'string'],
    labels: [12, 'string', 'map'],
    annotations: [13, 'string', 'map'],
    mounts: [14, 'Mount', 'repeated'],
    logPath: [15, 'string'],
    resources: [16, 'ContainerResources'],
    imageId: [17, 'string'],
    user: [18, 'ContainerUser'],
    stopSignal: [19, 'Signal'],
  },
  ContainerResources: {
    linux: [1, 'LinuxContainerResources'],
  },
  UpdateContainerResourcesRequest: {
    containerId: [1, 'string'],
    linux: [2, 'LinuxContainerResources'],
    annotations: [4, 'string', 'map'],
  },
  UpdateContainerResourcesResponse: {
  },
  ReopenContainerLogRequest: {
    containerId: [1, 'string'],
  },
  ReopenContainerLogResponse: {
  },
  CheckpointContainerRequest: {
    containerId: [1, 'string'],
    location: [2, 'string'],
    timeout: [3, 'int64'],
  },
  CheckpointContainerResponse: {
  },
  ExecSyncRequest: {
    containerId: [1, 'string'],
    cmd: [2, 'string', 'repeated'],
    timeout: [3, 'int64'],
  },
  ExecSyncResponse: {
    stdout: [1, 'bytes'],
    stderr: [2, 'bytes'],
    exitCode: [3, 'int32'],
  },
  ExecRequest: {
    containerId: [1, 'string'],
    cmd: [2, 'string', 'repeated'],
    tty: [3, 'bool'],
    stdin: [4, 'bool'],
    stdout: [5, 'bool'],
    stderr: [6, 'bool'],
  },
  ExecResponse: {
    url: [1, 'string'],
  },
  AttachRequest: {
    containerId: [1, 'string'],
    stdin: [2, 'bool'],
    tty: [3, 'bool'],
    stdout: [4, 'bool'],
    stderr: [5, 'bool'],
  },
  AttachResponse: {
    url: [1, 'string'],
  },
  PortForwardRequest: {
    podSandboxId: [1, 'string'],
    port: [2, 'int32', 'repeated'],
  },
  PortForwardResponse: {
    url: [1, 'string'],
  },
  ImageFilter: {
    image: [1, 'ImageSpec'],
  },
  ListImagesRequest: {
    filter: [1, 'ImageFilter'],
  },
  ListImagesResponse: {
    images: [1, 'Image', 'repeated'],
  },
  Image: {
    id: [1, 'string'],
    repoTags: [2, 'string', 'repeated'],
    repoDigests: [3, 'string', 'repeated'],
    size: [4, 'uint64'],
    uid: [5, 'Int64Value'],
    username: [6, 'string'],
    spec: [7, 'ImageSpec'],
    pinned: [8, 'bool'],
  },
  ImageStatusRequest: {
    image: [1, 'ImageSpec'],
    verbose: [2, 'bool'],
  },
  ImageStatusResponse: {
    image: [1, 'Image'],
    info: [2, 'string', 'map'],
  },
  AuthConfig: {
    username: [1, 'string'],
    password: [2, 'string'],
    auth: [3, 'string'],
    serverAddress: [4, 'string'],
    identityToken: [5, 'string'],
    registryToken: [6, 'string'],
  },
  PullImageRequest: {
    image: [1, 'ImageSpec'],
    auth: [2, 'AuthConfig'],
    sandboxConfig: [3, 'PodSandboxConfig'],
  },
  PullImageResponse: {
    imageRef: [1, 'string'],
  },
  RemoveImageRequest: {
    image: [1, 'ImageSpec'],
  },
  RemoveImageResponse: {
  },
  ImageFsInfoRequest: {
  },
  ImageFsInfoResponse: {
    imageFilesystems: [1, 'FilesystemUsage', 'repeated'],
    containerFilesystems: [2, 'FilesystemUsage', 'repeated'],
  },
  FilesystemIdentifier: {
    mountpoint: [1, 'string'],
  },
  FilesystemUsage: {
    timestamp: [1, 'int64'],
    fsId: [2, 'FilesystemIdentifier'],
    usedBytes: [3, 'UInt64Value'],
    inodesUsed: [4, 'UInt64Value'],
  },
  ContainerStatsRequest: {
    containerId: [1, 'string'],
  },
  ContainerStatsResponse: {
    stats: [1, 'ContainerStats'],
  },
  ContainerStatsFilter: {
    id: [1, 'string'],
    podSandboxId: [2, 'string'],
    labelSelector: [3, 'string', 'map'],
  },
  ListContainerStatsRequest: {
    filter: [1, 'ContainerStatsFilter'],
  },
  ListContainerStatsResponse: {
    stats: [1, 'ContainerStats', 'repeated'],
  },
  ContainerAttributes: {
    id: [1, 'string'],
    metadata: [2, 'ContainerMetadata'],
    labels: [3, 'string', 'map'],
    annotations: [4, 'string', 'map'],
  },
  ContainerStats: {
    attributes: [1, 'ContainerAttributes'],
    cpu: [2, 'CpuUsage'],
    memory: [3, 'MemoryUsage'],
    writableLayer: [4, 'FilesystemUsage'],
    swap: [5, 'SwapUsage'],
    io: [6, 'IoUsage'],
  },
  PsiStats: {
    full: [1, 'PsiData'],
    some: [2, 'PsiData'],
  },
  PsiData: {
    total: [1, 'uint64'],
    avg10: [2, 'double'],
    avg60: [3, 'double'],
    avg300: [4, 'double'],
  },
  CpuUsage: {
    timestamp: [1, 'int64'],
    usageCoreNanoSeconds: [2, 'UInt64Value'],
    usageNanoCores: [3, 'UInt64Value'],
    psi: [4, 'PsiStats'],
  },
  MemoryUsage: {
    timestamp: [1, 'int64'],
    workingSetBytes: [2, 'UInt64Value'],
    availableBytes: [3, 'UInt64Value'],
    usageBytes: [4, 'UInt64Value'],
    rssBytes: [5, 'UInt64Value'],
    pageFaults: [6, 'UInt64Value'],
    majorPageFaults: [7, 'UInt64Value'],
    psi: [8, 'PsiStats'],
  },
  IoUsage: {
    timestamp: [1, 'int64'],
    psi: [2, 'PsiStats'],
  },
  SwapUsage: {
    timestamp: [1, 'int64'],
    swapAvailableBytes: [2, 'UInt64Value'],
    swapUsageBytes: [3, 'UInt64Value'],
  },
  PodSandboxStatsRequest: {
    podSandboxId: [1, 'string'],
  },
  PodSandboxStatsResponse: {
    stats: [1, 'PodSandboxStats'],
  },
  PodSandboxStatsFilter: {
    id: [1, 'string'],
    labelSelector: [2, 'string', 'map'],
  },
  ListPodSandboxStatsRequest: {
    filter: [1, 'PodSandboxStatsFilter'],
  },
  ListPodSandboxStatsResponse: {
    stats: [1, 'PodSandboxStats', 'repeated'],
  },
  PodSandboxAttributes: {
    id: [1, 'string'],
    metadata: [2, 'PodSandboxMetadata'],
    labels: [3, 'string', 'map'],
    annotations: [4, 'string', 'map'],
  },
  PodSandboxStats: {
    attributes: [1, 'PodSandboxAttributes'],
    linux: [2, 'LinuxPodSandboxStats'],
  },
  LinuxPodSandboxStats: {
    cpu: [1, 'CpuUsage'],
    memory: [2, 'MemoryUsage'],
    network: [3, 'NetworkUsage'],
    process: [4, 'ProcessUsage'],
    containers: [5, 'ContainerStats', 'repeated'],
    io: [6, 'IoUsage'],
  },
  NetworkUsage: {
    timestamp: [1, 'int64'],
    defaultInterface: [2, 'NetworkInterfaceUsage'],
    interfaces: [3, 'NetworkInterfaceUsage', 'repeated'],
  },
  NetworkInterfaceUsage: {
    name: [1, 'string'],
    rxBytes: [2, 'UInt64Value'],
    rxErrors: [3, 'UInt64Value'],
    txBytes: [4, 'UInt64Value'],
    txErrors: [5, 'UInt64Value'],
  },
  ProcessUsage: {
    timestamp: [1, 'int64'],
    processCount: [2, 'UInt64Value'],
  },
  GetEventsRequest: {
  },
  ContainerEventResponse: {
    containerId: [1, 'string'],
    containerEventType: [2, 'ContainerEventType'],
    createdAt: [3, 'int64'],
    podSandboxStatus: [4, 'PodSandboxStatus'],
    containersStatuses: [5, 'ContainerStatus', 'repeated'],
  },
}

export const services: Readonly<Record<string, Readonly<Record<string, MethodSchema>>>> = {
  RuntimeService: {
    Version: ['VersionRequest', 'VersionResponse'],
    RunPodSandbox: ['RunPodSandboxRequest', 'RunPodSandboxResponse'],
    StopPodSandbox: ['StopPodSandboxRequest', 'StopPodSandboxResponse'],
    RemovePodSandbox: ['RemovePodSandboxRequest', 'RemovePodSandboxResponse'],
    PodSandboxStatus: ['PodSandboxStatusRequest', 'PodSandboxStatusResponse'],
    ListPodSandbox: ['ListPodSandboxRequest', 'ListPodSandboxResponse'],
    CreateContainer: ['CreateContainerRequest', 'CreateContainerResponse'],
    StartContainer: ['StartContainerRequest', 'StartContainerResponse'],
    StopContainer: ['StopContainerRequest', 'StopContainerResponse'],
    RemoveContainer: ['RemoveContainerRequest', 'RemoveContainerResponse'],
    ListContainers: ['ListContainersRequest', 'ListContainersResponse'],
    ContainerStatus: ['ContainerStatusRequest', 'ContainerStatusResponse'],
    UpdateContainerResources: ['UpdateContainerResourcesRequest', 'UpdateContainerResourcesResponse'],
    ReopenContainerLog: ['ReopenContainerLogRequest', 'ReopenContainerLogResponse'],
    ExecSync: ['ExecSyncRequest', 'ExecSyncResponse'],
    Exec: ['ExecRequest', 'ExecResponse'],
    Attach: ['AttachRequest', 'AttachResponse'],
    PortForward: ['PortForwardRequest', 'PortForwardResponse'],
    ContainerStats: ['ContainerStatsRequest', 'ContainerStatsResponse'],
    ListContainerStats: ['ListContainerStatsRequest', 'ListContainerStatsResponse'],
    PodSandboxStats: ['PodSandboxStatsRequest', 'PodSandboxStatsResponse'],
    ListPodSandboxStats: ['ListPodSandboxStatsRequest', 'ListPodSandboxStatsResponse'],
    UpdateRuntimeConfig: ['UpdateRuntimeConfigRequest', 'UpdateRuntimeConfigResponse'],
    Status: ['StatusRequest', 'StatusResponse'],
    CheckpointContainer: ['CheckpointContainerRequest', 'CheckpointContainerResponse'],
    GetContainerEvents: ['GetEventsRequest', 'ContainerEventResponse', 'stream'],
    RuntimeConfig: ['RuntimeConfigRequest', 'RuntimeConfigResponse'],
    UpdatePodSandboxResources: ['UpdatePodSandboxResourcesRequest', 'UpdatePodSandboxResourcesResponse'],
  },
  ImageService: {
    ListImages: ['ListImagesRequest', 'ListImagesResponse'],
    ImageStatus: ['ImageStatusRequest', 'ImageStatusResponse'],
    PullImage: ['PullImageRequest', 'PullImageResponse'],
    RemoveImage: ['RemoveImageRequest', 'RemoveImageResponse'],
    ImageFsInfo: ['ImageFsInfoRequest', 'ImageFsInfoResponse'],
  },
}
