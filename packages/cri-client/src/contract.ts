import type * as cri from './generated/types.ts'

/**
 * What a request may be given as: every field may be left out, at any depth. Left out means what proto3 calls the
 * default: 0, '', false, the first enum value, no message, an empty list or map.
 */
export type CriInput<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer Item)[]
    ? readonly CriInput<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]?: CriInput<T[Key]> | undefined }
      : T

export interface CallOptions {
  /** Abort ends the call and rejects with the signal's reason; the runtime may still finish the work. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the call fails with `DEADLINE_EXCEEDED`; 0: never. Each method says its default when it is not the client's. */
  readonly timeoutMs?: number | undefined
}

/**
 * A CRI v1 runtime and its images. Methods and messages are CRI's own; numbers of 64 bits are JavaScript numbers
 * (times in nanoseconds are exact to 256 ns). Methods may be called at once. They reject with {@link CriError}:
 * `UNAVAILABLE` when the runtime cannot be reached, after which the next call tries anew.
 */
export interface CriClient extends AsyncDisposable {
  /** The socket that it was made for, as `unix:///run/k3s/containerd/containerd.sock`. */
  readonly endpoint: string

  version(request?: CriInput<cri.VersionRequest>, options?: CallOptions): Promise<cri.VersionResponse>
  status(request?: CriInput<cri.StatusRequest>, options?: CallOptions): Promise<cri.StatusResponse>
  /** `UNIMPLEMENTED` before containerd 2.0. */
  runtimeConfig(options?: CallOptions): Promise<cri.RuntimeConfigResponse>
  updateRuntimeConfig(request: CriInput<cri.UpdateRuntimeConfigRequest>, options?: CallOptions): Promise<cri.UpdateRuntimeConfigResponse>

  /** Makes and starts a sandbox, its network included. An aborted or failed call may leave a sandbox: list by label and remove it. Default timeout 4 minutes. */
  runPodSandbox(request: CriInput<cri.RunPodSandboxRequest>, options?: CallOptions): Promise<cri.RunPodSandboxResponse>
  /** Kills the sandbox's processes and frees its network. Idempotent. */
  stopPodSandbox(request: CriInput<cri.StopPodSandboxRequest>, options?: CallOptions): Promise<cri.StopPodSandboxResponse>
  /** Removes the sandbox and its containers, stopping what runs. Idempotent; resolves for an unknown id. */
  removePodSandbox(request: CriInput<cri.RemovePodSandboxRequest>, options?: CallOptions): Promise<cri.RemovePodSandboxResponse>
  podSandboxStatus(request: CriInput<cri.PodSandboxStatusRequest>, options?: CallOptions): Promise<cri.PodSandboxStatusResponse>
  listPodSandbox(request?: CriInput<cri.ListPodSandboxRequest>, options?: CallOptions): Promise<cri.ListPodSandboxResponse>
  /** `UNIMPLEMENTED` by every containerd up to 2.2. */
  updatePodSandboxResources(
    request: CriInput<cri.UpdatePodSandboxResourcesRequest>,
    options?: CallOptions,
  ): Promise<cri.UpdatePodSandboxResourcesResponse>

  createContainer(request: CriInput<cri.CreateContainerRequest>, options?: CallOptions): Promise<cri.CreateContainerResponse>
  startContainer(request: CriInput<cri.StartContainerRequest>, options?: CallOptions): Promise<cri.StartContainerResponse>
  /** Signals, waits `request.timeout` seconds, kills. Idempotent. Default timeout: the client's plus `request.timeout`. */
  stopContainer(request: CriInput<cri.StopContainerRequest>, options?: CallOptions): Promise<cri.StopContainerResponse>
  /** Removes the container, killing it when it runs; its log file stays. Idempotent; resolves for an unknown id. */
  removeContainer(request: CriInput<cri.RemoveContainerRequest>, options?: CallOptions): Promise<cri.RemoveContainerResponse>
  listContainers(request?: CriInput<cri.ListContainersRequest>, options?: CallOptions): Promise<cri.ListContainersResponse>
  containerStatus(request: CriInput<cri.ContainerStatusRequest>, options?: CallOptions): Promise<cri.ContainerStatusResponse>
  updateContainerResources(
    request: CriInput<cri.UpdateContainerResourcesRequest>,
    options?: CallOptions,
  ): Promise<cri.UpdateContainerResourcesResponse>
  /** To be called after the log file was renamed: the runtime opens a new one. */
  reopenContainerLog(request: CriInput<cri.ReopenContainerLogRequest>, options?: CallOptions): Promise<cri.ReopenContainerLogResponse>
  checkpointContainer(request: CriInput<cri.CheckpointContainerRequest>, options?: CallOptions): Promise<cri.CheckpointContainerResponse>

  /** Runs a command to its end. Output above 16 MiB is an error. Default timeout: the client's plus `request.timeout`; with `request.timeout` 0: none. */
  execSync(request: CriInput<cri.ExecSyncRequest>, options?: CallOptions): Promise<cri.ExecSyncResponse>
  /** Gives a URL, good once and for a minute, to open with `openStreams`. */
  exec(request: CriInput<cri.ExecRequest>, options?: CallOptions): Promise<cri.ExecResponse>
  attach(request: CriInput<cri.AttachRequest>, options?: CallOptions): Promise<cri.AttachResponse>
  portForward(request: CriInput<cri.PortForwardRequest>, options?: CallOptions): Promise<cri.PortForwardResponse>

  containerStats(request: CriInput<cri.ContainerStatsRequest>, options?: CallOptions): Promise<cri.ContainerStatsResponse>
  listContainerStats(request?: CriInput<cri.ListContainerStatsRequest>, options?: CallOptions): Promise<cri.ListContainerStatsResponse>
  podSandboxStats(request: CriInput<cri.PodSandboxStatsRequest>, options?: CallOptions): Promise<cri.PodSandboxStatsResponse>
  listPodSandboxStats(request?: CriInput<cri.ListPodSandboxStatsRequest>, options?: CallOptions): Promise<cri.ListPodSandboxStatsResponse>

  /**
   * Events from now on, until the signal aborts (rejects with its reason), the loop is left, or the connection ends
   * (`UNAVAILABLE`: relist, then call again). `UNIMPLEMENTED` before containerd 1.7. The runtime keeps nothing for who is not connected.
   */
  containerEvents(options?: Pick<CallOptions, 'signal'>): AsyncIterable<cri.ContainerEventResponse>
  /** Whether the runtime has {@link CriClient.containerEvents}. Asks it with three calls. */
  supportsEvents(options?: CallOptions): Promise<boolean>

  listImages(request?: CriInput<cri.ListImagesRequest>, options?: CallOptions): Promise<cri.ListImagesResponse>
  /** `image` of the response is absent when the image is not there. */
  imageStatus(request: CriInput<cri.ImageStatusRequest>, options?: CallOptions): Promise<cri.ImageStatusResponse>
  /** No default timeout: give one, or a signal. */
  pullImage(request: CriInput<cri.PullImageRequest>, options?: CallOptions): Promise<cri.PullImageResponse>
  /** Idempotent; resolves for an unknown image. */
  removeImage(request: CriInput<cri.RemoveImageRequest>, options?: CallOptions): Promise<cri.RemoveImageResponse>
  imageFsInfo(options?: CallOptions): Promise<cri.ImageFsInfoResponse>
}
