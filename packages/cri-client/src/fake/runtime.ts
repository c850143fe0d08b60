import { appendFile, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '@k3s/lifecycle'
import { CriError } from '../errors.ts'
import type * as cri from '../generated/types.ts'

/** What the program in a container does. */
export interface ContainerScript {
  /** Written to the log at the start. */
  readonly output?: readonly { readonly stream?: 'stdout' | 'stderr' | undefined; readonly text: string }[] | undefined
  /** Exits so many milliseconds after its start; left out: runs until it is stopped. */
  readonly exitAfterMs?: number | undefined
  /** Of that exit; default 0. */
  readonly exitCode?: number | undefined
  /** Ignores the stop signal: only SIGKILL ends it. */
  readonly ignoresStop?: boolean | undefined
  /** The start fails with this message, leaving the container exited with code 128, as containerd does. */
  readonly startError?: string | undefined
  /** Answers `execSync`; default: exit code 0 and no output. */
  readonly exec?: ((command: readonly string[]) => ExecResult | Promise<ExecResult>) | undefined
}

export interface ExecResult {
  readonly exitCode: number
  readonly stdout?: string | undefined
  readonly stderr?: string | undefined
}

export interface FakeSandbox {
  readonly id: string
  readonly config: cri.PodSandboxConfig
  readonly runtimeHandler: string
  readonly createdAt: number
  readonly ip: string
  state: cri.PodSandboxState
}

export interface FakeContainer {
  readonly id: string
  readonly sandboxId: string
  readonly config: cri.ContainerConfig
  readonly logPath: string
  readonly createdAt: number
  startedAt: number
  finishedAt: number
  state: cri.ContainerState
  exitCode: number
  reason: string
  message: string
  resources: cri.LinuxContainerResources | undefined
}

export interface FakeRuntimeOptions {
  readonly clock: Clock
  readonly script: (container: FakeContainer) => ContainerScript
}

/** Sandboxes and containers in memory; times are nanoseconds of the given clock. */
export class FakeRuntime {
  readonly sandboxes: Map<string, FakeSandbox> = new Map()
  readonly containers: Map<string, FakeContainer> = new Map()
  readonly #options: FakeRuntimeOptions
  readonly #scripts = new Map<string, ContainerScript>()
  readonly #timers = new Map<string, AbortController>()
  readonly #listeners = new Set<(event: cri.ContainerEventResponse) => void>()
  #count = 0

  constructor(options: FakeRuntimeOptions) {
    this.#options = options
  }

  /** Calls `listener` for each event until `signal` aborts. */
  onEvent(listener: (event: cri.ContainerEventResponse) => void, signal: AbortSignal): void {
    this.#listeners.add(listener)
    signal.addEventListener('abort', () => this.#listeners.delete(listener), { once: true })
  }

  runSandbox(config: cri.PodSandboxConfig, runtimeHandler: string): FakeSandbox {
    const name = sandboxName(config)
    for (const other of this.sandboxes.values())
      if (sandboxName(other.config) === name)
        throw new CriError('UNKNOWN', `failed to reserve sandbox name "${name}": name "${name}" is reserved for "${other.id}"`)
    const isOnHost = config.linux?.securityContext?.namespaceOptions?.network === 'NODE'
    const sandbox: FakeSandbox = {
      id: this.#newId(),
      config,
      runtimeHandler,
      createdAt: this.#now(),
      ip: isOnHost ? '' : `10.88.${this.#count >> 8}.${this.#count & 255}`,
      state: 'SANDBOX_READY',
    }
    this.sandboxes.set(sandbox.id, sandbox)
    this.#emit(sandbox.id, sandbox.id, 'CONTAINER_CREATED_EVENT')
    this.#emit(sandbox.id, sandbox.id, 'CONTAINER_STARTED_EVENT')
    return sandbox
  }

  async stopSandbox(id: string): Promise<void> {
    const sandbox = this.sandboxes.get(id)
    if (sandbox === undefined || sandbox.state === 'SANDBOX_NOTREADY') return
    for (const container of this.#containersOf(id)) this.exit(container.id, 137)
    sandbox.state = 'SANDBOX_NOTREADY'
    this.#emit(id, id, 'CONTAINER_STOPPED_EVENT')
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id)
    for (const container of this.#containersOf(id)) this.removeContainer(container.id)
    if (this.sandboxes.has(id)) this.#emit(id, id, 'CONTAINER_DELETED_EVENT')
    this.sandboxes.delete(id)
  }

  createContainer(sandboxId: string, config: cri.ContainerConfig, sandboxConfig: cri.PodSandboxConfig | undefined): FakeContainer {
    const sandbox = this.#sandbox(sandboxId)
    if (sandbox.state !== 'SANDBOX_READY') throw new CriError('UNKNOWN', `sandbox container "${sandboxId}" is not running`)
    const container: FakeContainer = {
      id: this.#newId(),
      sandboxId,
      config,
      logPath: join((sandboxConfig ?? sandbox.config).logDirectory, config.logPath),
      createdAt: this.#now(),
      startedAt: 0,
      finishedAt: 0,
      state: 'CONTAINER_CREATED',
      exitCode: 0,
      reason: '',
      message: '',
      resources: config.linux?.resources,
    }
    this.containers.set(container.id, container)
    this.#emit(container.id, sandboxId, 'CONTAINER_CREATED_EVENT')
    return container
  }

  async startContainer(id: string): Promise<void> {
    const container = this.container(id)
    if (container.state !== 'CONTAINER_CREATED')
      throw new CriError('UNKNOWN', `failed to set starting state for container "${id}": container is in ${container.state} state`)
    const script = this.#options.script(container)
    this.#scripts.set(id, script)
    if (script.startError !== undefined) {
      container.reason = 'StartError'
      container.message = script.startError
      container.exitCode = 128
      container.finishedAt = this.#now()
      container.state = 'CONTAINER_EXITED'
      throw new CriError('UNKNOWN', script.startError)
    }
    if (container.config.logPath !== '') {
      await mkdir(dirname(container.logPath), { recursive: true })
      await (await open(container.logPath, 'a')).close()
    }
    container.state = 'CONTAINER_RUNNING'
    container.startedAt = this.#now()
    this.#emit(id, container.sandboxId, 'CONTAINER_STARTED_EVENT')
    for (const { stream = 'stdout', text } of script.output ?? []) await this.write(id, text, stream)
    if (script.exitAfterMs !== undefined) {
      const stop = new AbortController()
      this.#timers.set(id, stop)
      this.#options.clock.sleep(script.exitAfterMs, stop.signal).then(
        () => this.exit(id, script.exitCode ?? 0),
        () => {}, // it ended in another way
      )
    }
  }

  /** Waits the time out for a program that ignores the signal. */
  async stopContainer(id: string, timeoutSeconds: number): Promise<void> {
    const container = this.containers.get(id)
    if (container?.state !== 'CONTAINER_RUNNING') return
    const ignoresStop = this.#scripts.get(id)?.ignoresStop ?? false
    if (ignoresStop && timeoutSeconds > 0) await this.#options.clock.sleep(timeoutSeconds * 1000)
    this.exit(id, ignoresStop || timeoutSeconds === 0 ? 137 : 143)
  }

  removeContainer(id: string): void {
    const container = this.containers.get(id)
    if (container === undefined) return
    this.exit(id, 137)
    this.containers.delete(id)
    this.#emit(id, container.sandboxId, 'CONTAINER_DELETED_EVENT')
  }

  async exec(id: string, command: readonly string[]): Promise<ExecResult> {
    if (this.container(id).state !== 'CONTAINER_RUNNING') throw new CriError('UNKNOWN', `container "${id}" is not running`)
    return (await this.#scripts.get(id)?.exec?.(command)) ?? { exitCode: 0 }
  }

  /** Ends a running container's program; does nothing to one that does not run. */
  exit(id: string, exitCode: number, reason: string = exitCode === 0 ? 'Completed' : 'Error'): void {
    const container = this.containers.get(id)
    if (container?.state !== 'CONTAINER_RUNNING') return
    this.#timers.get(id)?.abort()
    this.#timers.delete(id)
    container.state = 'CONTAINER_EXITED'
    container.exitCode = exitCode
    container.reason = reason
    container.finishedAt = this.#now()
    this.#emit(id, container.sandboxId, 'CONTAINER_STOPPED_EVENT')
  }

  /** Appends to the container's log, a line for each of the text. */
  async write(id: string, text: string, stream: 'stdout' | 'stderr' = 'stdout'): Promise<void> {
    const { logPath, config } = this.container(id)
    if (config.logPath === '') return
    const time = new Date(this.#options.clock.now()).toISOString().replace('Z', '000000Z')
    const lines = text.replace(/\n$/, '').split('\n')
    await appendFile(logPath, lines.map((line) => `${time} ${stream} F ${line}\n`).join(''))
  }

  /** After the log was renamed: makes the new file. */
  async reopenLog(id: string): Promise<void> {
    await (await open(this.container(id).logPath, 'a')).close()
  }

  container(id: string): FakeContainer {
    const container = this.containers.get(id)
    if (container === undefined) throw new CriError('NOT_FOUND', `an error occurred when try to find container "${id}": not found`)
    return container
  }

  sandboxStatus(id: string): cri.PodSandboxStatus {
    const { config, state, createdAt, ip, runtimeHandler } = this.#sandbox(id)
    return {
      id,
      metadata: config.metadata,
      state,
      createdAt,
      network: { ip, additionalIps: [] },
      linux: { namespaces: { options: config.linux?.securityContext?.namespaceOptions } },
      labels: config.labels,
      annotations: config.annotations,
      runtimeHandler,
    }
  }

  containerStatus(id: string): cri.ContainerStatus {
    const container = this.container(id)
    const { config, state, createdAt, startedAt, finishedAt, exitCode, reason, message } = container
    const image = config.image?.image ?? ''
    const { metadata, labels, annotations, mounts, stopSignal } = config
    const times = { createdAt, startedAt, finishedAt }
    const about = { metadata, labels, annotations, mounts, stopSignal, image: config.image, imageRef: image, imageId: image }
    return {
      id,
      ...about,
      ...times,
      state,
      exitCode,
      reason,
      message,
      logPath: container.logPath,
      resources: { linux: container.resources },
    }
  }

  #sandbox(id: string): FakeSandbox {
    const sandbox = this.sandboxes.get(id)
    if (sandbox === undefined) throw new CriError('NOT_FOUND', `an error occurred when try to find sandbox: not found`)
    return sandbox
  }

  #containersOf(sandboxId: string): FakeContainer[] {
    return [...this.containers.values()].filter((container) => container.sandboxId === sandboxId)
  }

  #emit(containerId: string, sandboxId: string, containerEventType: cri.ContainerEventType): void {
    const podSandboxStatus = this.sandboxes.has(sandboxId) ? this.sandboxStatus(sandboxId) : undefined
    const containersStatuses = this.#containersOf(sandboxId).map(({ id }) => this.containerStatus(id))
    for (const listener of this.#listeners)
      listener({ containerId, containerEventType, createdAt: this.#now(), podSandboxStatus, containersStatuses })
  }

  #newId(): string {
    return (++this.#count).toString(16).padStart(64, '0')
  }

  #now(): number {
    return this.#options.clock.now() * 1e6
  }
}

function sandboxName({ metadata }: cri.PodSandboxConfig): string {
  return `${metadata?.name}_${metadata?.namespace}_${metadata?.uid}_${metadata?.attempt}`
}
