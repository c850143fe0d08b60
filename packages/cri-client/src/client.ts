import { noLogger, type Logger } from '@k3s/lifecycle'
import { Codec } from './codec.ts'
import type { CallOptions, CriClient } from './contract.ts'
import { CriError, isCriError } from './errors.ts'
import { enums, messages, services } from './generated/schema.ts'
import type * as cri from './generated/types.ts'
import { GrpcConnection } from './grpc-connection.ts'

export interface CriClientOptions {
  /** `unix:///run/k3s/containerd/containerd.sock`, or the bare path. */
  readonly endpoint: string
  /** Milliseconds for each call that has no other default; 2 minutes as the kubelet's `--runtime-request-timeout`. */
  readonly timeoutMs?: number | undefined
  readonly logger?: Logger | undefined
}

const defaultTimeoutMs = 120_000

/** Does no I/O: the first call connects. Throws `INVALID_ARGUMENT` when the endpoint is no Unix socket. */
export function createCriClient({ endpoint, timeoutMs = defaultTimeoutMs, logger = noLogger }: CriClientOptions): CriClient {
  const path = endpoint.replace(/^unix:(\/\/)?/, '')
  if (!path.startsWith('/'))
    throw new CriError('INVALID_ARGUMENT', `Invalid runtime endpoint "${endpoint}": not an absolute path of a Unix socket`)
  const connection = new GrpcConnection(path)
  const codec = new Codec({ messages, enums })

  /** A call of the generated table; its request and response types are those that the table names. */
  const unary = <Request, Response>(service: 'RuntimeService' | 'ImageService', name: string, defaultMs?: (request: Request) => number) => {
    const [requestType, responseType] = services[service]?.[name] ?? ['', '']
    return async (request?: Request, options: CallOptions = {}): Promise<Response> => {
      const bytes = codec.encode(requestType, request ?? {})
      const limitMs = options.timeoutMs ?? (request === undefined ? undefined : defaultMs?.(request)) ?? timeoutMs
      try {
        const response = await connection.unary(`/runtime.v1.${service}/${name}`, bytes, { ...options, timeoutMs: limitMs })
        return codec.decode(responseType, response) as Response // the decoder and the type come from one table
      } catch (error) {
        logger.debug({ method: name, err: error }, 'Runtime call failed')
        throw error
      }
    }
  }
  const runtime = <Request, Response>(name: string, defaultMs?: (request: Request) => number) =>
    unary<Request, Response>('RuntimeService', name, defaultMs)
  const image = <Request, Response>(name: string, defaultMs?: (request: Request) => number) =>
    unary<Request, Response>('ImageService', name, defaultMs)

  async function* containerEvents({ signal }: Pick<CallOptions, 'signal'> = {}): AsyncGenerator<cri.ContainerEventResponse, void, void> {
    const stream = connection.stream('/runtime.v1.RuntimeService/GetContainerEvents', codec.encode('GetEventsRequest', {}), { signal })
    for await (const message of stream) yield codec.decode('ContainerEventResponse', message) as cri.ContainerEventResponse // as above
    throw new CriError('UNAVAILABLE', 'Runtime ended the stream of container events')
  }

  const version: CriClient['version'] = runtime('Version')
  const runtimeConfig = runtime<object, cri.RuntimeConfigResponse>('RuntimeConfig')
  const imageFsInfo = image<object, cri.ImageFsInfoResponse>('ImageFsInfo')

  return {
    endpoint: `unix://${path}`,
    version,
    status: runtime('Status'),
    runtimeConfig: (options) => runtimeConfig({}, options),
    updateRuntimeConfig: runtime('UpdateRuntimeConfig'),
    // The kubelet gives sandbox creation twice the usual time: it waits for the network.
    runPodSandbox: runtime('RunPodSandbox', () => timeoutMs * 2),
    stopPodSandbox: runtime('StopPodSandbox'),
    removePodSandbox: runtime('RemovePodSandbox'),
    podSandboxStatus: runtime('PodSandboxStatus'),
    listPodSandbox: runtime('ListPodSandbox'),
    updatePodSandboxResources: runtime('UpdatePodSandboxResources'),
    createContainer: runtime('CreateContainer'),
    startContainer: runtime('StartContainer'),
    stopContainer: runtime('StopContainer', ({ timeout = 0 }) => timeoutMs + timeout * 1000),
    removeContainer: runtime('RemoveContainer'),
    listContainers: runtime('ListContainers'),
    containerStatus: runtime('ContainerStatus'),
    updateContainerResources: runtime('UpdateContainerResources'),
    reopenContainerLog: runtime('ReopenContainerLog'),
    checkpointContainer: runtime('CheckpointContainer', ({ timeout = 0 }) => timeoutMs + timeout * 1000),
    execSync: runtime('ExecSync', ({ timeout = 0 }) => (timeout === 0 ? 0 : timeoutMs + timeout * 1000)),
    exec: runtime('Exec'),
    attach: runtime('Attach'),
    portForward: runtime('PortForward'),
    containerStats: runtime('ContainerStats'),
    listContainerStats: runtime('ListContainerStats'),
    podSandboxStats: runtime('PodSandboxStats'),
    listPodSandboxStats: runtime('ListPodSandboxStats'),
    containerEvents,

    async supportsEvents(options) {
      // A runtime without the call refuses it at once. One that has it says nothing until there is an event, so two
      // further round trips on the same connection stand for "it would have refused by now".
      const stop = new AbortController()
      const refused = (async () => {
        try {
          for await (const _event of containerEvents({ signal: stop.signal })) return false
          return false
        } catch (error) {
          return isCriError(error, 'UNIMPLEMENTED')
        }
      })()
      try {
        await version({}, options)
        await version({}, options)
      } finally {
        stop.abort()
      }
      return !(await refused)
    },

    listImages: image('ListImages'),
    imageStatus: image('ImageStatus'),
    pullImage: image('PullImage', () => 0),
    removeImage: image('RemoveImage'),
    imageFsInfo: (options) => imageFsInfo({}, options),

    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  }
}
