import type { Clock } from '@k3s/lifecycle'
import { CriError } from '../errors.ts'
import type * as cri from '../generated/types.ts'
import type { FakeContainer, FakeRuntime, FakeSandbox } from './runtime.ts'

/** By the name of the call; requests are decoded, responses are encoded by the caller. */
export type FakeHandlers = Readonly<Record<string, ((request: unknown) => unknown) | undefined>>

export interface FakeHandlerOptions {
  readonly images: Set<string>
  readonly pull: (image: string) => boolean | Promise<boolean>
  readonly streamingUrl: string | undefined
  readonly clock: Clock
}

/** What each call does to a {@link FakeRuntime}. */
export function fakeHandlers(runtime: FakeRuntime, { images, pull, streamingUrl, clock }: FakeHandlerOptions): FakeHandlers {
  const handlers: Record<string, (request: unknown) => unknown> = {}
  /** Types a handler by its call: the server decodes with the same table that the types are made from. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it names the request's type at each handler
  const on = <Request, Response>(method: string, handler: (request: Request) => Response | Promise<Response>): void => {
    handlers[method] = (request) => handler(request as Request)
  }
  const streaming = (): { url: string } => {
    if (streamingUrl === undefined) throw new CriError('UNIMPLEMENTED', 'no streaming server')
    return { url: streamingUrl }
  }
  const nanos = (): number => clock.now() * 1e6

  on<cri.VersionRequest, cri.VersionResponse>('Version', () => ({
    version: '0.1.0',
    runtimeName: 'fake',
    runtimeVersion: '1.0.0',
    runtimeApiVersion: 'v1',
  }))
  on<cri.StatusRequest, cri.StatusResponse>('Status', () => ({
    status: {
      conditions: ['RuntimeReady', 'NetworkReady'].map((type) => ({ type, status: true, reason: '', message: '' })),
    },
    info: {},
    runtimeHandlers: [{ name: '' }, { name: 'runc' }],
  }))
  on('UpdateRuntimeConfig', () => ({}))
  on<object, cri.RuntimeConfigResponse>('RuntimeConfig', () => ({ linux: { cgroupDriver: 'CGROUPFS' } }))

  on<cri.RunPodSandboxRequest, cri.RunPodSandboxResponse>('RunPodSandbox', ({ config, runtimeHandler }) => {
    if (config?.metadata === undefined) throw new CriError('INVALID_ARGUMENT', 'sandbox config is required')
    return { podSandboxId: runtime.runSandbox(config, runtimeHandler).id }
  })
  on<cri.StopPodSandboxRequest, object>('StopPodSandbox', async ({ podSandboxId }) => {
    await runtime.stopSandbox(podSandboxId)
    return {}
  })
  on<cri.RemovePodSandboxRequest, object>('RemovePodSandbox', async ({ podSandboxId }) => {
    await runtime.removeSandbox(podSandboxId)
    return {}
  })
  on<cri.PodSandboxStatusRequest, cri.PodSandboxStatusResponse>('PodSandboxStatus', ({ podSandboxId }) => ({
    status: runtime.sandboxStatus(podSandboxId),
    info: {},
    containersStatuses: [],
    timestamp: 0,
  }))
  on<cri.ListPodSandboxRequest, cri.ListPodSandboxResponse>('ListPodSandbox', ({ filter }) => ({
    items: [...runtime.sandboxes.values()]
      .filter(
        ({ id, state, config }) =>
          id.startsWith(filter?.id ?? '') &&
          (filter?.state === undefined || filter.state.state === state) &&
          hasLabels(config.labels, filter?.labelSelector),
      )
      .map(({ id }) => runtime.sandboxStatus(id)),
  }))

  on<cri.CreateContainerRequest, cri.CreateContainerResponse>('CreateContainer', ({ podSandboxId, config, sandboxConfig }) => {
    if (config?.metadata === undefined) throw new CriError('INVALID_ARGUMENT', 'container config is required')
    const image = config.image?.image ?? ''
    if (!images.has(image)) throw new CriError('NOT_FOUND', `failed to resolve image "${image}": not found`)
    return { containerId: runtime.createContainer(podSandboxId, config, sandboxConfig).id }
  })
  on<cri.StartContainerRequest, object>('StartContainer', async ({ containerId }) => {
    await runtime.startContainer(containerId)
    return {}
  })
  on<cri.StopContainerRequest, object>('StopContainer', async ({ containerId, timeout }) => {
    await runtime.stopContainer(containerId, timeout)
    return {}
  })
  on<cri.RemoveContainerRequest, object>('RemoveContainer', ({ containerId }) => {
    runtime.removeContainer(containerId)
    return {}
  })
  on<cri.ListContainersRequest, cri.ListContainersResponse>('ListContainers', ({ filter }) => ({
    containers: [...runtime.containers.values()]
      .filter((container) => isListed(container, filter) && (filter?.state === undefined || filter.state.state === container.state))
      .map(({ id, sandboxId }) => ({ ...runtime.containerStatus(id), podSandboxId: sandboxId })),
  }))
  on<cri.ContainerStatusRequest, cri.ContainerStatusResponse>('ContainerStatus', ({ containerId }) => ({
    status: runtime.containerStatus(containerId),
    info: {},
  }))
  on<cri.UpdateContainerResourcesRequest, object>('UpdateContainerResources', ({ containerId, linux }) => {
    runtime.container(containerId).resources = linux
    return {}
  })
  on<cri.ReopenContainerLogRequest, object>('ReopenContainerLog', async ({ containerId }) => {
    await runtime.reopenLog(containerId)
    return {}
  })
  on<cri.ExecSyncRequest, cri.ExecSyncResponse>('ExecSync', async ({ containerId, cmd }) => {
    const { exitCode, stdout = '', stderr = '' } = await runtime.exec(containerId, cmd)
    return { exitCode, stdout: Buffer.from(stdout), stderr: Buffer.from(stderr) }
  })
  on('Exec', streaming)
  on('Attach', streaming)
  on('PortForward', streaming)

  const stats = ({ id, config }: FakeContainer): cri.ContainerStats => ({
    attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
    cpu: { timestamp: nanos(), usageCoreNanoSeconds: { value: 1_000_000 }, usageNanoCores: { value: 1000 } },
    memory: { timestamp: nanos(), workingSetBytes: { value: 1 << 20 }, usageBytes: { value: 1 << 20 } },
    writableLayer: { timestamp: nanos(), usedBytes: { value: 4096 }, inodesUsed: { value: 1 } },
  })
  const sandboxStats = ({ id, config }: FakeSandbox): cri.PodSandboxStats => ({
    attributes: { id, metadata: config.metadata, labels: config.labels, annotations: config.annotations },
    linux: {
      containers: [...runtime.containers.values()]
        .filter((container) => container.sandboxId === id && container.state === 'CONTAINER_RUNNING')
        .map(stats),
    },
  })
  on<cri.ContainerStatsRequest, cri.ContainerStatsResponse>('ContainerStats', ({ containerId }) => ({
    stats: stats(runtime.container(containerId)),
  }))
  on<cri.ListContainerStatsRequest, cri.ListContainerStatsResponse>('ListContainerStats', ({ filter }) => ({
    stats: [...runtime.containers.values()]
      .filter((container) => container.state === 'CONTAINER_RUNNING' && isListed(container, filter))
      .map(stats),
  }))
  on<cri.PodSandboxStatsRequest, cri.PodSandboxStatsResponse>('PodSandboxStats', ({ podSandboxId }) => {
    const sandbox = runtime.sandboxes.get(podSandboxId)
    if (sandbox === undefined) throw new CriError('NOT_FOUND', `failed to find sandbox id ${podSandboxId}`)
    return { stats: sandboxStats(sandbox) }
  })
  on<cri.ListPodSandboxStatsRequest, cri.ListPodSandboxStatsResponse>('ListPodSandboxStats', ({ filter }) => ({
    stats: [...runtime.sandboxes.values()]
      .filter(({ id, config }) => id.startsWith(filter?.id ?? '') && hasLabels(config.labels, filter?.labelSelector))
      .map(sandboxStats),
  }))

  const imageOf = (name: string): cri.Image => ({ id: name, repoTags: [name], repoDigests: [], size: 1, username: '', pinned: false })
  on<cri.ListImagesRequest, cri.ListImagesResponse>('ListImages', () => ({ images: [...images].map(imageOf) }))
  on<cri.ImageStatusRequest, cri.ImageStatusResponse>('ImageStatus', ({ image }) => ({
    image: images.has(image?.image ?? '') ? imageOf(image?.image ?? '') : undefined,
    info: {},
  }))
  on<cri.PullImageRequest, cri.PullImageResponse>('PullImage', async ({ image }) => {
    const name = image?.image ?? ''
    if (!(await pull(name)))
      throw new CriError('NOT_FOUND', `failed to pull and unpack image "${name}": failed to resolve reference "${name}": not found`)
    images.add(name)
    return { imageRef: name }
  })
  on<cri.RemoveImageRequest, object>('RemoveImage', ({ image }) => {
    images.delete(image?.image ?? '')
    return {}
  })
  on<object, cri.ImageFsInfoResponse>('ImageFsInfo', () => ({
    imageFilesystems: [
      { timestamp: nanos(), fsId: { mountpoint: '/' }, usedBytes: { value: images.size }, inodesUsed: { value: images.size } },
    ],
    containerFilesystems: [],
  }))
  return handlers
}

function isListed(
  { id, sandboxId, config }: FakeContainer,
  filter: Pick<cri.ContainerStatsFilter, 'id' | 'podSandboxId' | 'labelSelector'> | undefined,
): boolean {
  const sandboxPrefix = filter?.podSandboxId ?? ''
  return id.startsWith(filter?.id ?? '') && sandboxId.startsWith(sandboxPrefix) && hasLabels(config.labels, filter?.labelSelector)
}

function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>> = {}): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value)
}
