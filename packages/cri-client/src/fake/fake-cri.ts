import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BoundedQueue, systemClock, type Clock } from '@k3s/lifecycle'
import { Codec } from '../codec.ts'
import { CriError, type CriErrorCode } from '../errors.ts'
import { enums, messages, services } from '../generated/schema.ts'
import type * as cri from '../generated/types.ts'
import { serveGrpc } from './grpc-server.ts'
import { fakeHandlers, type FakeHandlers } from './handlers.ts'
import { FakeRuntime, type ContainerScript, type FakeContainer, type FakeSandbox } from './runtime.ts'

export interface FakeCriOptions {
  /** Where to listen; default: a new temporary directory, removed at the end. */
  readonly socketPath?: string | undefined
  /** What the program of a container does, asked at each start; default: runs until it is stopped. */
  readonly script?: ((container: FakeContainer) => ContainerScript) | undefined
  /** Image references that are there from the beginning. */
  readonly images?: readonly string[] | undefined
  /** Whether a reference can be pulled; default: all can. Throw a `CriError` to say why not. */
  readonly pull?: ((image: string) => boolean | Promise<boolean>) | undefined
  /** False: `containerEvents` is unimplemented, as in containerd 1.6. Default true. */
  readonly events?: boolean | undefined
  /** What `exec`, `attach` and `portForward` answer; left out: they are unimplemented. */
  readonly streamingUrl?: string | undefined
  readonly clock?: Clock | undefined
}

export interface FakeCall {
  readonly method: string
  readonly request: unknown
}

/** A CRI server in memory, behind a real socket. */
export interface FakeCri extends AsyncDisposable {
  /** For `createCriClient`. */
  readonly endpoint: string
  readonly sandboxes: ReadonlyMap<string, FakeSandbox>
  readonly containers: ReadonlyMap<string, FakeContainer>
  readonly images: ReadonlySet<string>
  /** Every call since the start, in order, those that failed too. */
  readonly calls: readonly FakeCall[]
  /** Ends the program of a container. */
  exit(containerId: string, exitCode: number, reason?: string): void
  /** Appends lines to the log of a container. */
  write(containerId: string, text: string, stream?: 'stdout' | 'stderr'): Promise<void>
  /** Ends the sandbox and its containers as a node's reboot or a kill would. */
  killSandbox(sandboxId: string): Promise<void>
  /** The next call of `method`, as "RunPodSandbox", fails; may be said several times. */
  failNext(method: string, code: CriErrorCode, message: string): void
  /** Calls of `method` wait until the returned function is called. */
  hold(method: string): () => void
  /** Cuts all connections and refuses new ones until `start`; sandboxes and containers live on. */
  stop(): Promise<void>
  start(): Promise<void>
}

/** Starts a fake container runtime for tests of what is above CRI. */
export async function startFakeCri(options: FakeCriOptions = {}): Promise<FakeCri> {
  const { clock = systemClock, script = () => ({}), events = true, pull = () => true, streamingUrl } = options
  const directory = options.socketPath === undefined ? await mkdtemp(join(tmpdir(), 'fake-cri-')) : undefined
  const socketPath = options.socketPath ?? join(directory ?? '', 'cri.sock')
  const codec = new Codec({ messages, enums })
  const runtime = new FakeRuntime({ clock, script })
  const images = new Set(options.images)
  const calls: FakeCall[] = []
  const failures: { readonly method: string; readonly error: CriError }[] = []
  const holds = new Map<string, Promise<void>>()
  const handlers: FakeHandlers = fakeHandlers(runtime, { images, pull, streamingUrl, clock })

  async function* handle(path: string, bytes: Buffer, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const [, service = '', method = ''] = path.split('/')
    const [requestType, responseType] = services[service.replace('runtime.v1.', '')]?.[method] ?? []
    if (requestType === undefined || responseType === undefined) throw new CriError('UNIMPLEMENTED', `unknown method ${method}`)
    const request = codec.decode(requestType, bytes)
    calls.push({ method, request })
    await holds.get(method)
    const index = failures.findIndex((failure) => failure.method === method)
    if (index >= 0) throw failures.splice(index, 1)[0]?.error
    if (method === 'GetContainerEvents') {
      if (!events) throw new CriError('UNIMPLEMENTED', 'method GetContainerEvents not implemented')
      for await (const event of eventQueue(runtime, signal)) yield codec.encode(responseType, event)
      return
    }
    const handler = handlers[method]
    if (handler === undefined) throw new CriError('UNIMPLEMENTED', `method ${method} not implemented`)
    yield codec.encode(responseType, await handler(request))
  }

  let server: AsyncDisposable | undefined = await serveGrpc(socketPath, handle)
  const stop = async (): Promise<void> => {
    const running = server
    server = undefined
    await running?.[Symbol.asyncDispose]()
  }
  return {
    endpoint: `unix://${socketPath}`,
    sandboxes: runtime.sandboxes,
    containers: runtime.containers,
    images,
    calls,
    exit: (containerId, exitCode, reason) => runtime.exit(containerId, exitCode, reason),
    write: (containerId, text, stream) => runtime.write(containerId, text, stream),
    killSandbox: (sandboxId) => runtime.stopSandbox(sandboxId),
    failNext(method, code, message) {
      failures.push({ method, error: new CriError(code, message) })
    },
    hold(method) {
      const { promise, resolve } = Promise.withResolvers<void>()
      holds.set(method, promise)
      return () => {
        holds.delete(method)
        resolve()
      }
    },
    stop,
    async start() {
      server ??= await serveGrpc(socketPath, handle)
    },
    async [Symbol.asyncDispose]() {
      await stop()
      if (directory !== undefined) await rm(directory, { recursive: true, force: true })
    },
  }
}

async function* eventQueue(runtime: FakeRuntime, signal: AbortSignal): AsyncGenerator<cri.ContainerEventResponse, void, void> {
  const queue = new BoundedQueue<cri.ContainerEventResponse>('container events', 1000)
  runtime.onEvent((event) => queue.offer(event), signal)
  signal.addEventListener('abort', () => queue.close(), { once: true })
  yield* queue
}
