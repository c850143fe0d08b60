import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { ContainerStatus, Pod, PodStatus } from '@k3s/api/types/core/v1'
import { readContainerLogs, type CriClient } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import { findContainer, podUid } from '../pods/pod-facts.ts'
import type { RuntimePod } from '../runtime/pleg.ts'
import { label } from '../runtime/labels.ts'
import { servePortForward } from '../streaming/port-forward.ts'
import { refuse } from '../streaming/proxy-upgrade.ts'
import { serveRemoteCommand } from '../streaming/remote-command.ts'
import { parseLogOptions } from './log-options.ts'
import { parseRequestPath, subresourceOf, type KubeletRequest } from './request-path.ts'
import { resourceMetrics, type StatsProvider } from './stats.ts'

/** PEM texts. */
export interface TlsMaterial {
  readonly cert: string
  readonly key: string
  /** Certificates that clients' certificates may be signed by. */
  readonly clientCa: string
}

/** Who asks. */
export interface ServerCaller {
  /** Common name of a client certificate that the client CA signed; `undefined` without one. */
  readonly user: string | undefined
  /** Organizations of that certificate. */
  readonly groups: readonly string[]
  readonly bearerToken: string | undefined
}

/** What is asked for, in the words of an access review on the node. */
export interface ServerAccess {
  readonly verb: 'get' | 'create' | 'update' | 'patch' | 'delete'
  /** Of `nodes`: `proxy`, `stats`, `metrics`, `pods`, `healthz`. */
  readonly subresource: string
  readonly path: string
}

export type AccessDecision = 'allow' | 'deny' | 'unauthenticated'

export interface KubeletServerOptions {
  readonly address: string
  /** 0: any free one. */
  readonly port: number
  readonly tls: {
    readonly current: () => TlsMaterial
    /** Calls `listener` when the material has changed; gives how to stop that. */
    readonly onChange?: ((listener: () => void) => () => void) | undefined
  }
  readonly authorize: (caller: ServerCaller, access: ServerAccess) => Promise<AccessDecision>
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly stats: StatsProvider
  /** The pods of this node with their latest status. */
  readonly pods: () => readonly Pod[]
  readonly runtimePods: () => readonly RuntimePod[]
  readonly statusOf: (pod: Pod) => PodStatus
  /** What /metrics shows; empty when the process shows its metrics elsewhere. */
  readonly renderMetrics: () => Promise<string>
  /** Why /healthz fails; `undefined` while all is well. */
  readonly problem: () => string | undefined
}

/** What a client is told: a status and a sentence. */
class HttpError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 405 | 500

  constructor(status: 400 | 401 | 403 | 404 | 405 | 500, message: string) {
    super(message)
    this.status = status
  }
}

const text = 'text/plain; charset=utf-8'
const upgradable = new Set<KubeletRequest['kind']>(['exec', 'attach', 'portForward'])
const verbs = { GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const

/** The kubelet's HTTPS API: logs, exec, attach, port-forward, statistics. Every path but none is open: callers are authorized one by one. */
export class KubeletServer {
  readonly #options: KubeletServerOptions
  #port: number
  #signal: AbortSignal = AbortSignal.abort()

  constructor(options: KubeletServerOptions) {
    this.#options = options
    this.#port = options.port
  }

  /** Where it listens; the wanted port before {@link KubeletServer.run} is ready. */
  get port(): number {
    return this.#port
  }

  /** Serves until the signal aborts; open streams end with it. Calls `ready` when it listens; rejects when it cannot. */
  async run(signal: AbortSignal, ready: () => void): Promise<void> {
    const { address, port, tls } = this.#options
    this.#signal = signal
    const server: Server = createServer({ ...secureOptions(tls.current()), requestCert: true, rejectUnauthorized: false })
    const stopWatching = tls.onChange?.(() => server.setSecureContext(secureOptions(tls.current())))
    const sockets = new Set<Duplex>()
    server.on('secureConnection', (socket) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    })
    server.on('request', (request, response) => void this.#handle(request, response)) // never rejects
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head)) // never rejects
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, address, resolve)
      })
      this.#port = (server.address() as AddressInfo).port // it listens on an address and a port
      ready()
      if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    } finally {
      stopWatching?.()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      if (server.listening) await closed
    }
  }

  async #admit(request: IncomingMessage): Promise<{ readonly target: KubeletRequest; readonly url: URL }> {
    const url = new URL(request.url ?? '/', 'https://kubelet')
    const target = parseRequestPath(url.pathname)
    const { socket } = request
    const certificate = socket instanceof TLSSocket && socket.authorized ? socket.getPeerCertificate() : undefined
    const subject = certificate?.subject as { readonly CN?: string | string[]; readonly O?: string | string[] } | undefined // repeated parts come as arrays
    const user = subject?.CN
    const caller: ServerCaller = {
      user: typeof user === 'string' ? user : user?.[0],
      groups: subject?.O === undefined ? [] : typeof subject.O === 'string' ? [subject.O] : subject.O,
      bearerToken: /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1],
    }
    const method = request.method ?? 'GET'
    const verb = method in verbs ? verbs[method as keyof typeof verbs] : 'get' // just checked
    const subresource = target === undefined ? 'proxy' : subresourceOf(target)
    const decision = await this.#options.authorize(caller, { verb, subresource, path: url.pathname })
    if (decision === 'unauthenticated') throw new HttpError(401, 'Unauthorized')
    if (decision === 'deny')
      throw new HttpError(
        403,
        `Forbidden (user=${caller.user ?? 'system:anonymous'}, verb=${verb}, resource=nodes, subresource=${subresource})`,
      )
    if (target === undefined) throw new HttpError(404, '404 page not found')
    return { target, url }
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { target, url } = await this.#admit(request)
      await this.#answer(target, url, request, response)
    } catch (error) {
      const known = error instanceof HttpError
      if (!known) this.#options.logger.warn({ err: error, path: request.url }, 'Request to the kubelet failed')
      if (response.headersSent) response.destroy()
      else send(response, known ? error.status : 500, text, known ? error.message : `Internal error occurred: ${messageOf(error)}`)
    }
  }

  async #answer(target: KubeletRequest, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pods, problem, renderMetrics, runtimePods, stats } = this.#options
    const prometheus = 'text/plain; version=0.0.4; charset=utf-8'
    switch (target.kind) {
      case 'healthz': {
        const why = problem()
        return send(response, why === undefined ? 200 : 500, text, why === undefined ? 'ok' : `${why}\n`)
      }
      case 'pods':
        return sendJson(response, { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: pods() })
      case 'runningpods':
        return sendJson(response, {
          kind: 'PodList',
          apiVersion: 'v1',
          metadata: {},
          items: runtimePods()
            .filter(({ isRunning }) => isRunning)
            .map(({ name, namespace, uid }) => ({ metadata: { name, namespace, uid }, spec: { containers: [] }, status: {} })),
        })
      case 'summary':
        return sendJson(response, await stats.summary())
      case 'metrics':
        return send(response, 200, prometheus, await renderMetrics())
      case 'resourceMetrics':
      case 'cadvisorMetrics':
        return send(response, 200, prometheus, resourceMetrics(await stats.summary()))
      case 'containerLogs':
        return await this.#logs(target.namespace, target.pod, target.container, url.searchParams, response)
      case 'run':
        if (request.method !== 'POST') throw new HttpError(405, 'method not allowed')
        return await this.#runCommand(target, url.searchParams, response)
      default:
        throw new HttpError(400, 'unable to upgrade: missing upgrade headers in request')
    }
  }

  #findPod(namespace: string, name: string, uid = ''): Pod {
    const pod = this.#options.pods().find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
    if (pod === undefined || (uid !== '' && podUid(pod) !== uid)) throw new HttpError(404, `pod does not exist`)
    return pod
  }

  #status(pod: Pod, container: string): ContainerStatus | undefined {
    const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = this.#options.statusOf(pod)
    return [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find(({ name }) => name === container)
  }

  async #logs(namespace: string, name: string, container: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const { clock, cri } = this.#options
    const pod = this.#findPod(namespace, name)
    if (findContainer(pod, container) === undefined) throw new HttpError(404, `container ${container} is not valid for pod ${name}`)
    let options
    try {
      options = parseLogOptions(query)
    } catch (error) {
      throw new HttpError(400, messageOf(error))
    }
    const containerId = logContainer(this.#status(pod, container), name, container, options.previous)
    const path = (await cri.containerStatus({ containerId })).status?.logPath ?? ''
    const gone = new AbortController()
    response.once('close', () => gone.abort(new Error('The client has left')))
    const isRunning = async (): Promise<boolean> =>
      (await cri.containerStatus({ containerId }).catch(() => undefined))?.status?.state === 'CONTAINER_RUNNING' // gone: does not run
    response.writeHead(200, { 'content-type': text, 'transfer-encoding': 'chunked' })
    // A follower waits for its first line: it must not wait for the headers as well.
    response.flushHeaders()
    const signal = AbortSignal.any([gone.signal, this.#signal])
    try {
      for await (const chunk of readContainerLogs(path, { ...options.read, isRunning, clock, signal }))
        if (!response.write(chunk))
          await new Promise<void>((resolve) => {
            const go = (): void => resolve()
            response.once('drain', go)
            response.once('close', go)
          })
    } catch (error) {
      if (!signal.aborted) throw error
    }
    response.end()
  }

  async #runCommand(
    target: { readonly namespace: string; readonly pod: string; readonly uid: string; readonly container: string },
    query: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const pod = this.#findPod(target.namespace, target.pod, target.uid)
    const containerId = runningContainer(this.#status(pod, target.container), target.container)
    const given = query.getAll('command')
    const cmd = given.length > 0 ? given : (query.get('cmd') ?? '').split(' ')
    const { stdout, stderr, exitCode } = await this.#options.cri.execSync({ containerId, cmd, timeout: 0 }, { signal: this.#signal })
    const output = Buffer.concat([stdout, stderr])
    if (exitCode !== 0) return send(response, 500, text, `command '${cmd.join(' ')}' exited with ${exitCode}: ${output.toString('utf8')}`)
    send(response, 200, text, output)
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const onError = (): void => {} // a close follows
    socket.on('error', onError)
    try {
      const { target, url } = await this.#admit(request)
      if (!upgradable.has(target.kind)) throw new HttpError(400, 'unable to upgrade this path')
      const streamUrl = await this.#streamUrl(target, url.searchParams)
      socket.off('error', onError)
      const upgrade = { request, socket, head, signal: this.#signal, url: streamUrl.url }
      if (streamUrl.streams === undefined) await servePortForward(upgrade)
      else await serveRemoteCommand({ ...upgrade, streams: streamUrl.streams })
    } catch (error) {
      const known = error instanceof HttpError
      if (!known) this.#options.logger.warn({ err: error, path: request.url }, 'Cannot open a stream')
      refuse(socket, known ? error.status : 500, known ? error.message : messageOf(error))
    }
  }

  async #streamUrl(
    target: KubeletRequest,
    query: URLSearchParams,
  ): Promise<{
    readonly url: string
    readonly streams?: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean; readonly tty: boolean }
  }> {
    const { cri } = this.#options
    if (target.kind === 'portForward') {
      const pod = this.#findPod(target.namespace, target.pod, target.uid)
      const { items } = await cri.listPodSandbox({
        filter: { labelSelector: { [label.podUid]: podUid(pod) }, state: { state: 'SANDBOX_READY' } },
      })
      const sandbox = items[0]
      if (sandbox === undefined) throw new HttpError(404, `pod not found ("${target.pod}_${target.namespace}")`)
      const port = query
        .getAll('port')
        .map(Number)
        .filter((value) => Number.isInteger(value) && value > 0)
      return await cri.portForward({ podSandboxId: sandbox.id, port })
    }
    if (target.kind !== 'exec' && target.kind !== 'attach') throw new HttpError(400, 'unable to upgrade this path')
    const pod = this.#findPod(target.namespace, target.pod, target.uid)
    const containerId = runningContainer(this.#status(pod, target.container), target.container)
    // kubectl's names come from the API server, which translates them: both spellings are taken.
    const flag = (...names: readonly string[]): boolean => names.some((name) => ['1', 'true'].includes(query.get(name) ?? ''))
    const tty = flag('tty')
    const streams = { stdin: flag('input', 'stdin'), stdout: flag('output', 'stdout'), stderr: !tty && flag('error', 'stderr'), tty }
    if (!streams.stdin && !streams.stdout && !streams.stderr)
      throw new HttpError(400, 'you must specify at least 1 of stdin, stdout, stderr')
    // What is attached to is as it was made, whatever the client asks for.
    const hasTty = findContainer(pod, target.container)?.container.tty === true
    const { url } =
      target.kind === 'exec'
        ? await cri.exec({ containerId, cmd: query.getAll('command'), ...streams })
        : await cri.attach({ containerId, ...streams, tty: hasTty, stderr: streams.stderr && !hasTty })
    return { url, streams }
  }
}

function secureOptions({ cert, key, clientCa }: TlsMaterial): { cert: string; key: string; ca: string; minVersion: 'TLSv1.2' } {
  return { cert, key, ca: clientCa, minVersion: 'TLSv1.2' }
}

const idOf = (containerID: string | undefined): string => containerID?.replace(/^.*:\/\//, '') ?? ''

/** The container whose log is meant; throws upstream's message when there is none (yet). */
function logContainer(status: ContainerStatus | undefined, pod: string, container: string, previous: boolean): string {
  const where = `container "${container}" in pod "${pod}"`
  if (status === undefined) throw new HttpError(400, `${where} is not available`)
  if (previous) {
    const id = idOf(status.lastState?.terminated?.containerID)
    if (id === '') throw new HttpError(400, `previous terminated ${where} not found`)
    return id
  }
  const waiting = status.state?.waiting
  if (waiting === undefined) {
    const id = idOf(status.containerID)
    if (id !== '') return id
    throw new HttpError(400, `${where} is terminated`)
  }
  const last = idOf(status.lastState?.terminated?.containerID)
  if (last !== '') return last
  switch (waiting.reason) {
    case 'ErrImagePull':
      throw new HttpError(400, `${where} is waiting to start: image can't be pulled`)
    case 'ImagePullBackOff':
      throw new HttpError(400, `${where} is waiting to start: trying and failing to pull image`)
    default:
      throw new HttpError(400, `${where} is waiting to start: ${waiting.reason ?? 'no reason'}`)
  }
}

function runningContainer(status: ContainerStatus | undefined, container: string): string {
  const id = idOf(status?.containerID)
  if (id === '' || status?.state?.running === undefined) throw new HttpError(404, `container not found ("${container}")`)
  return id
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

function sendJson(response: ServerResponse, value: unknown): void {
  send(response, 200, 'application/json', JSON.stringify(value))
}
