import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { createCriClient, isCriError, type CriClient } from '@k3s/cri-client'
import { backoffDelay, noLogger, systemClock, type Clock, type Logger, type Service } from '@k3s/lifecycle'
import { containerdVersion, defaultBinaryDirectories, findBinary } from './binaries.ts'
import { applyTemplate, certsDirectory, renderConfig, type ContainerdConfig, type ContainerdPaths, type RuntimeHandler } from './config.ts'
import { writeHostsFiles } from './hosts-files.ts'
import { ImageImporter } from './images.ts'
import { lastLines, rotateLog } from './log-file.ts'
import { findProcess, isAlive, readRecord, startDetached, startTimeOf, terminate, writeWhole, type ContainerdRecord } from './process.ts'
import { renderHostsFiles, type Registries } from './registries.ts'

export interface ContainerdOptions {
  readonly paths: ContainerdPaths
  /** K3s' `--pause-image`; default {@link defaultPauseImage}, which is built in. Another one is pulled unless it is in `imagesDirectory`. */
  readonly pauseImage?: string | undefined
  readonly cniBinaryDirectories: readonly string[]
  readonly cniConfigDirectory: string
  /** Archives to import and lists to pull, looked at before the service is ready and then every 15 s: K3s has AGT/images. */
  readonly imagesDirectory?: string | undefined
  readonly registries?: Registries | undefined
  /** K3s' `--disable-default-registry-endpoint`. */
  readonly disableDefaultRegistryEndpoint?: boolean | undefined
  /** On 127.0.0.1; default 10010. When another program has it, or for 0, a free one is taken. */
  readonly streamingPort?: number | undefined
  /** Default `overlayfs`. */
  readonly snapshotter?: string | undefined
  /** Default false: cgroupfs. */
  readonly usesSystemdCgroups?: boolean | undefined
  readonly runtimes?: readonly RuntimeHandler[] | undefined
  /** Default `runc`. */
  readonly defaultRuntime?: string | undefined
  /** The text of a user's `config.toml.tmpl`. */
  readonly template?: string | undefined
  /** Where `containerd`, its shim, `ctr` and `runc` are looked for; also their PATH. */
  readonly binaryDirectories?: readonly string[] | undefined
  /** Further environment of containerd, as proxies. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly logger?: Logger | undefined
  readonly clock?: Clock | undefined
}

export interface ContainerdService extends Service {
  /** For `createCriClient`. */
  readonly endpoint: string
}

/** What K3s names it; ours is built in and never pulled. */
export const defaultPauseImage = 'rancher/mirrored-pause:3.6'

const defaultStreamingPort = 10010
// A Unix socket's address has 107 bytes; containerd makes a second socket with ".ttrpc" behind the name.
const maxSocketBytes = 107 - '.ttrpc'.length
const readyTimeoutMs = 60_000
const stopGraceMs = 10_000
const pollMs = 1000
// Who ran so long may be started again at once.
const stableMs = 60_000
const imagesPollMs = 15_000
// A file that is still being copied in changes more often than this.
const settleMs = 2000
const maxLogBytes = 50_000_000

/**
 * Runs containerd beside this process, not in it: it goes on when the service stops, with all pods, and the next
 * service with the same paths adopts it, restarting it only when its configuration or version has changed. When it
 * dies it is started again. Pods never notice: their shims live on.
 *
 * `run` rejects, before it is ready, when a program is missing, the socket's path is too long, somebody else has the
 * socket, or containerd does not come up; the message says what to do.
 */
export function createContainerdService(options: ContainerdOptions): ContainerdService {
  return new ManagedContainerd(options)
}

/**
 * Ends the containerd that a service with these paths started, for uninstalling: pods go on without it. False when none
 * runs. SIGKILL after ten seconds.
 */
export async function stopContainerd(paths: Pick<ContainerdPaths, 'state'>, clock: Clock = systemClock): Promise<boolean> {
  const record = await readRecord(recordPath(paths))
  if (record === undefined || !(await isAlive(record))) return false
  await terminate(record, stopGraceMs, clock)
  return true
}

interface Plan {
  readonly binary: string
  readonly ctr: string
  /** With the wanted streaming port, and with any. */
  readonly config: string
  readonly configAnyPort: string
}

class ManagedContainerd implements ContainerdService {
  readonly name = 'containerd'
  readonly endpoint: string
  readonly #options: ContainerdOptions
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #binaryDirectories: readonly string[]

  constructor(options: ContainerdOptions) {
    this.#options = options
    this.#logger = options.logger ?? noLogger
    this.#clock = options.clock ?? systemClock
    this.#binaryDirectories = options.binaryDirectories ?? defaultBinaryDirectories
    this.endpoint = `unix://${options.paths.socket}`
  }

  async run({ signal, ready }: { readonly signal: AbortSignal; readonly ready: () => void }): Promise<void> {
    try {
      const plan = await this.#prepare()
      await using client = createCriClient({ endpoint: this.endpoint, logger: this.#logger })
      const record = await this.#adoptOrStart(plan, client, signal)
      const importer = new ImageImporter({
        ctr: plan.ctr,
        socket: this.#options.paths.socket,
        client,
        logger: this.#logger,
        clock: this.#clock,
      })
      await this.#bringImages(importer, 0, signal)
      ready()
      const stop = new AbortController()
      const both = AbortSignal.any([signal, stop.signal])
      const loops = [this.#keepRunning(record, plan, client, both), this.#watchImages(importer, both)]
      try {
        await Promise.race(loops) // neither ends but by the signal or a failure
      } finally {
        stop.abort()
        await Promise.allSettled(loops)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** Finds programs, checks the paths and writes everything that containerd reads. */
  async #prepare(): Promise<Plan> {
    const { paths, registries = {}, template } = this.#options
    if (Buffer.byteLength(paths.socket) > maxSocketBytes)
      throw new Error(
        `Cannot use containerd socket "${paths.socket}": its path is longer than ${maxSocketBytes} bytes; choose a shorter directory`,
      )
    const binary = await findBinary('containerd', this.#binaryDirectories)
    await findBinary('containerd-shim-runc-v2', this.#binaryDirectories)
    const ctr = await findBinary('ctr', this.#binaryDirectories)
    const runcBinary = await findBinary('runc', this.#binaryDirectories)
    const version = await containerdVersion(binary)
    for (const directory of [paths.root, paths.state, dirname(paths.socket), dirname(paths.config), dirname(paths.log)])
      await mkdir(directory, { recursive: true, mode: 0o711 })

    const { files, warnings } = renderHostsFiles(registries, { disableDefaultEndpoint: this.#options.disableDefaultRegistryEndpoint })
    for (const warning of warnings) this.#logger.warn({ warning }, 'Part of the registries configuration is not used')
    await writeHostsFiles(certsDirectory(paths), files)

    const render = (streamingPort: number): string => {
      const base = renderConfig(this.#config(runcBinary, streamingPort), version)
      return `${template === undefined ? base : applyTemplate(template, base)}\n# For ${binary} ${version.text}\n`
    }
    const port = this.#options.streamingPort ?? defaultStreamingPort
    return { binary, ctr, config: render(port), configAnyPort: render(0) }
  }

  #config(runcBinary: string, streamingPort: number): ContainerdConfig {
    const { paths, pauseImage, cniBinaryDirectories, cniConfigDirectory, snapshotter, usesSystemdCgroups, runtimes } = this.#options
    const auths = Object.entries(this.#options.registries?.configs ?? {}).flatMap(([host, config]) =>
      config?.auth === undefined ? [] : [[host, config.auth] as const],
    )
    return {
      paths,
      sandboxImage: pauseImage ?? defaultPauseImage,
      cniBinaryDirectories,
      cniConfigDirectory,
      streamingPort,
      snapshotter: snapshotter ?? 'overlayfs',
      runcBinary,
      usesSystemdCgroups: usesSystemdCgroups ?? false,
      runtimes: runtimes ?? [],
      defaultRuntime: this.#options.defaultRuntime ?? 'runc',
      registryAuths: Object.fromEntries(auths),
    }
  }

  /** Starts containerd again whenever it dies; rejects with the signal's reason. */
  async #keepRunning(first: ContainerdRecord, plan: Plan, client: CriClient, signal: AbortSignal): Promise<never> {
    let record = first
    let failures = 0
    for (;;) {
      const startedAt = this.#clock.monotonic()
      await this.#untilDead(record, signal)
      this.#logger.warn({ pid: record.pid, log: await lastLines(this.#options.paths.log) }, 'containerd died and is started again')
      if (this.#clock.monotonic() - startedAt > stableMs) failures = 0
      record = await this.#restart(plan, client, signal, () => failures++)
    }
  }

  async #adoptOrStart(plan: Plan, client: CriClient, signal: AbortSignal): Promise<ContainerdRecord> {
    const record = await this.#findRunning(plan)
    if (record !== undefined) {
      if ([plan.config, plan.configAnyPort].some((config) => hashOf(config) === record.configHash)) {
        try {
          await this.#untilReady(record, client, signal)
          this.#logger.info({ pid: record.pid }, 'Adopted running containerd')
          return record
        } catch (error) {
          signal.throwIfAborted()
          this.#logger.warn({ pid: record.pid, err: error }, 'Running containerd does not answer and is restarted')
        }
      } else this.#logger.info({ pid: record.pid }, 'Configuration of containerd has changed and it is restarted')
      await terminate(record, stopGraceMs, this.#clock)
    } else if (await answers(client)) {
      throw new Error(
        `Cannot start containerd: another one, which we did not start, serves "${this.#options.paths.socket}"; stop it or choose other paths`,
      )
    }
    return this.#start(plan, client, signal)
  }

  /** The containerd that an earlier service started, also one that was killed before it could write that down. */
  async #findRunning(plan: Plan): Promise<ContainerdRecord | undefined> {
    const { paths } = this.#options
    const record = await readRecord(recordPath(paths))
    if (record !== undefined && (await isAlive(record))) return record
    const found = await findProcess(plan.binary, containerdArguments(paths))
    if (found === undefined) return undefined
    // The file was written before the process was started.
    const adopted = { ...found, configHash: hashOf(await readFile(paths.config, 'utf8').catch(() => '')) }
    await writeWhole(recordPath(paths), JSON.stringify(adopted))
    return adopted
  }

  async #start(plan: Plan, client: CriClient, signal: AbortSignal): Promise<ContainerdRecord> {
    const { paths, env = {} } = this.#options
    const port = this.#options.streamingPort ?? defaultStreamingPort
    const config = port !== 0 && (await isFree(port)) ? plan.config : plan.configAnyPort
    await writeWhole(paths.config, config)
    const pid = await startDetached({
      binary: plan.binary,
      arguments: containerdArguments(paths),
      env: { PATH: this.#binaryDirectories.join(':'), ...env },
      logPath: paths.log,
    })
    const startTime = await startTimeOf(pid)
    if (startTime === undefined) throw new Error(`containerd died at once:\n${await lastLines(this.#options.paths.log)}`)
    const record = { pid, startTime, configHash: hashOf(config) }
    await writeWhole(recordPath(this.#options.paths), JSON.stringify(record))
    try {
      await this.#untilReady(record, client, signal)
    } catch (error) {
      // After an abort it may well come up: the next service adopts it.
      if (!signal.aborted) await terminate(record, stopGraceMs, this.#clock)
      throw error
    }
    this.#logger.info({ pid }, 'Started containerd')
    return record
  }

  /** Starts it anew until that works or the signal aborts. */
  async #restart(plan: Plan, client: CriClient, signal: AbortSignal, nextFailure: () => number): Promise<ContainerdRecord> {
    for (;;) {
      const failures = nextFailure()
      if (failures > 0) await this.#clock.sleep(backoffDelay(failures, { initialMs: 200 }), signal)
      try {
        return await this.#start(plan, client, signal)
      } catch (error) {
        signal.throwIfAborted()
        this.#logger.error({ err: error }, 'Cannot start containerd again')
      }
    }
  }

  /** Resolves when CRI says that the runtime is ready; rejects when the process dies or a minute has passed. */
  async #untilReady(record: ContainerdRecord, client: CriClient, signal: AbortSignal): Promise<void> {
    const deadline = this.#clock.monotonic() + readyTimeoutMs
    for (;;) {
      let reason: string
      try {
        const { status } = await client.status({}, { signal, timeoutMs: 5000 })
        const condition = status?.conditions.find(({ type }) => type === 'RuntimeReady')
        if (condition?.status === true) return
        reason = condition?.message ?? 'no RuntimeReady condition'
      } catch (error) {
        signal.throwIfAborted()
        if (isCriError(error, 'UNIMPLEMENTED'))
          throw new Error(`containerd has no CRI plugin; its log says why:\n${await lastLines(this.#options.paths.log)}`, { cause: error })
        reason = error instanceof Error ? error.message : String(error)
      }
      if (!(await isAlive(record))) throw new Error(`containerd died at once:\n${await lastLines(this.#options.paths.log)}`)
      if (this.#clock.monotonic() > deadline)
        throw new Error(`containerd is not ready after ${readyTimeoutMs / 1000} s: ${reason}\n${await lastLines(this.#options.paths.log)}`)
      await this.#clock.sleep(25, signal)
    }
  }

  async #untilDead(record: ContainerdRecord, signal: AbortSignal): Promise<void> {
    for (let polls = 0; await isAlive(record); polls++) {
      if (polls % 60 === 0)
        await rotateLog(this.#options.paths.log, maxLogBytes).catch((error: unknown) => {
          // A full disk, for one: no reason to look after containerd less.
          this.#logger.warn({ err: error }, 'Cannot rotate the log of containerd')
        })
      await this.#clock.sleep(pollMs, signal)
    }
  }

  /** Rejects with the signal's reason. */
  async #watchImages(importer: ImageImporter, signal: AbortSignal): Promise<never> {
    for (;;) {
      await this.#clock.sleep(imagesPollMs, signal)
      try {
        await this.#bringImages(importer, settleMs, signal)
      } catch (error) {
        signal.throwIfAborted()
        // containerd may be away just now: the next round imports what this one did not.
        this.#logger.warn({ err: error }, 'Cannot bring images')
      }
    }
  }

  async #bringImages(importer: ImageImporter, minAgeMs: number, signal: AbortSignal): Promise<void> {
    const { imagesDirectory: directory, paths, pauseImage = defaultPauseImage } = this.#options
    if (directory !== undefined)
      await importer.importDirectory({ directory, recordPath: join(paths.root, 'imported-images.json'), minAgeMs, signal })
    // Again and again: containerd 1.6 knows no pinned images, so somebody may have removed it to free space.
    if (pauseImage === defaultPauseImage) await importer.ensurePauseImage(pauseImage, signal)
  }
}

const recordPath = ({ state }: Pick<ContainerdPaths, 'state'>): string => join(state, 'k3s-containerd.json')

const containerdArguments = ({ config }: ContainerdPaths): readonly string[] => ['--config', config]

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Whether anything speaks CRI, or at least gRPC, on the socket. */
async function answers(client: CriClient): Promise<boolean> {
  try {
    await client.version({}, { timeoutMs: 5000 })
    return true
  } catch (error) {
    return !isCriError(error, 'UNAVAILABLE')
  }
}

/** Whether the port of 127.0.0.1 can be had just now. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
