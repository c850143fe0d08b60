import { readdir, symlink, rm, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '@k3s/api/types/core/v1'
import type { CriClient, CriInput, PodSandboxConfig } from '@k3s/cri-client'
import { greatestOf, type Clock, type Counter, type Logger, type MetricsRegistry } from '@k3s/lifecycle'
import type { PodEvents } from '../events.ts'
import { containerFieldPath, podKey, podUid, type PodContainer } from '../pods/pod-facts.ts'
import { containerConfig } from '../runtime/container-config.ts'
import type { ImagePuller } from '../runtime/image-puller.ts'
import { containerHash, podLogsName } from '../runtime/labels.ts'
import { newest, readPodState, type ContainerRecord, type PodRuntimeState } from '../runtime/runtime-state.ts'
import { verifyNonRoot } from '../runtime/security-context.ts'
import { containerMounts } from '../volumes/container-mounts.ts'
import type { Mounter } from '../volumes/mounter.ts'
import type { ReadyVolume, VolumeManager } from '../volumes/volume-manager.ts'
import type { ContainerKiller } from './container-killer.ts'
import { runHook } from './hooks.ts'
import { KeyedBackoff } from './keyed-backoff.ts'
import type { ContainerStart } from './plan.ts'
import type { PodConfigurator } from './pod-configurator.ts'
import { criMessage, WaitingError } from './waiting-error.ts'

export interface ContainerStarterOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly events: PodEvents
  readonly images: ImagePuller
  readonly killer: ContainerKiller
  readonly configurator: PodConfigurator
  readonly volumes: VolumeManager
  readonly mounter: Mounter
  readonly podLogsDir: string
  readonly containerLogsDir: string
}

export interface StartInput {
  readonly pod: Pod
  readonly start: ContainerStart
  /** The newest container of the name. */
  readonly record: ContainerRecord | undefined
  readonly state: PodRuntimeState
  readonly sandbox: { readonly id: string; readonly ips: readonly string[]; readonly config: CriInput<PodSandboxConfig> }
  readonly volumes: ReadonlyMap<string, ReadyVolume>
}

/** Starts containers: back-off, image, configuration, creation, start, postStart hook. */
export class ContainerStarter {
  readonly #options: ContainerStarterOptions
  readonly #backoff: KeyedBackoff
  readonly #restarts: Counter

  constructor(options: ContainerStarterOptions) {
    this.#options = options
    // Upstream's numbers: 10 s, doubled up to 5 min, anew after 10 min of running.
    this.#backoff = new KeyedBackoff({ clock: options.clock, initialMs: 10_000, maxMs: 300_000, resetMs: 600_000 })
    this.#restarts = options.metrics.counter({
      name: 'kubelet_started_containers_total',
      help: 'Cumulative number of containers started',
      labels: ['container_type'],
    })
  }

  /** Throws a {@link WaitingError} that the status shows when the container cannot run now. */
  async start(input: StartInput, signal: AbortSignal): Promise<void> {
    const { pod, start, sandbox } = input
    const { cri, clock, configurator, containerLogsDir, events, images, killer } = this.#options
    const target: PodContainer = start
    const { container } = start
    const fieldPath = containerFieldPath(target)
    if (start.kind !== 'ephemeral') this.#checkBackoff(input, target)
    const image = await images.ensure(pod, target, sandbox.config, signal)
    const restartCount = input.record === undefined ? await this.#restartsByLogs(pod, container.name) : input.record.restartCount + 1
    let config
    try {
      verifyNonRoot(pod, container, image)
      const podIps = pod.spec.hostNetwork === true ? [] : sandbox.ips
      const env = await configurator.environment(pod, container, podIps)
      const mounts = await containerMounts(pod, container, {
        podDir: this.#options.volumes.podDir(podUid(pod)),
        volumes: input.volumes,
        env,
        mounter: this.#options.mounter,
        hostsFile: await configurator.hostsFile(pod, podIps),
      })
      const targetId =
        start.targetContainerName === undefined || start.targetContainerName === ''
          ? undefined
          : this.#targetId(input, start.targetContainerName)
      config = containerConfig(pod, container, {
        restartCount,
        env,
        mounts,
        imageRef: image.ref,
        imageUser: image,
        ...configurator.limits(),
        security: { ...configurator.security(), targetId },
      })
    } catch (error) {
      signal.throwIfAborted()
      const message = error instanceof Error ? error.message : String(error)
      events.podEvent(pod, 'Warning', 'Failed', `Error: ${message}`, fieldPath)
      throw new WaitingError('CreateContainerConfigError', message, 10_000, { cause: error })
    }
    let containerId: string
    try {
      await mkdir(join(this.#options.podLogsDir, podLogsName(input.state), container.name), { recursive: true, mode: 0o755 })
      ;({ containerId } = await cri.createContainer({ podSandboxId: sandbox.id, config, sandboxConfig: sandbox.config }, { signal }))
    } catch (error) {
      signal.throwIfAborted()
      const message = criMessage(error)
      events.podEvent(pod, 'Warning', 'Failed', `Error: ${message}`, fieldPath)
      throw new WaitingError('CreateContainerError', message, 10_000, { cause: error })
    }
    events.podEvent(pod, 'Normal', 'Created', 'Container created', fieldPath)
    try {
      await cri.startContainer({ containerId }, { signal })
    } catch (error) {
      signal.throwIfAborted()
      const message = criMessage(error)
      events.podEvent(pod, 'Warning', 'Failed', `Error: ${message}`, fieldPath)
      throw new WaitingError('RunContainerError', message, 1000, { cause: error })
    }
    events.podEvent(pod, 'Normal', 'Started', 'Container started', fieldPath)
    this.#restarts.inc({ container_type: start.kind === 'regular' ? 'container' : `${start.kind}_container` })
    await linkLog(
      containerLogsDir,
      `${pod.metadata.name}_${pod.metadata.namespace ?? ''}_${container.name}-${containerId}.log`,
      join(this.#options.podLogsDir, podLogsName(input.state), container.name, `${restartCount}.log`),
    )
    const postStart = container.lifecycle?.postStart
    if (postStart === undefined) return
    try {
      await runHook(postStart, { pod, container, containerId, podIp: sandbox.ips[0] ?? '' }, cri, clock, signal)
    } catch (error) {
      signal.throwIfAborted()
      events.podEvent(pod, 'Warning', 'FailedPostStartHook', 'PostStartHook failed', fieldPath)
      const record = await this.#recordOf(input, containerId)
      await killer.kill(pod, record, sandbox.ips[0] ?? '', { message: 'FailedPostStartHook', reason: 'Unknown' }, signal)
      throw new WaitingError('PostStartHookError', error instanceof Error ? error.message : String(error), 1000, { cause: error })
    }
  }

  /** Forgets the back-offs of a pod that is gone. */
  forget(uid: string): void {
    this.#backoff.forgetPrefix(`${uid}/`)
    this.#options.images.forget(uid)
  }

  #checkBackoff({ pod, record }: StartInput, target: PodContainer): void {
    const { container } = target
    if (record === undefined || record.state !== 'exited') return
    const key = `${podUid(pod)}/${container.name}/${containerHash(container)}`
    const from = record.finishedAtMs > 0 ? record.finishedAtMs : record.createdAtMs
    const remainingMs = this.#backoff.remaining(key, from)
    if (remainingMs === 0) {
      this.#backoff.next(key, from)
      return
    }
    const where = `${pod.metadata.name}_${pod.metadata.namespace ?? ''}(${podUid(pod)})`
    this.#options.events.podEvent(
      pod,
      'Warning',
      'BackOff',
      `Back-off restarting failed container ${container.name} in pod ${where}`,
      containerFieldPath(target),
    )
    const delay = formatDelay(this.#backoff.delayOf(key))
    throw new WaitingError('CrashLoopBackOff', `back-off ${delay} restarting failed container=${container.name} pod=${where}`, remainingMs)
  }

  #targetId({ pod, state }: StartInput, name: string): string {
    const record = newest(state, name)
    if (record === undefined || record.state !== 'running') throw new Error(`unable to find target container ${name} of pod ${podKey(pod)}`)
    return record.id
  }

  async #recordOf(input: StartInput, id: string): Promise<ContainerRecord> {
    const state = await readPodState(this.#options.cri, input.state)
    const record = state.containers.find((candidate) => candidate.id === id)
    if (record === undefined) throw new Error(`container ${id} is gone`)
    return record
  }

  /** When the records are gone, the log files still tell how often a container ran. */
  async #restartsByLogs(pod: Pod, name: string): Promise<number> {
    const dir = join(
      this.#options.podLogsDir,
      podLogsName({ namespace: pod.metadata.namespace ?? '', name: pod.metadata.name, uid: podUid(pod) }),
      name,
    )
    const files = await readdir(dir).catch(() => []) // never ran
    const counts = files.flatMap((file) => {
      const match = /^(\d+)\.log/.exec(file)
      return match === null ? [] : [Number(match[1])]
    })
    return counts.length === 0 ? 0 : greatestOf(counts) + 1
  }
}

/** Go's spelling of a whole number of seconds: `10s`, `2m40s`, `5m0s`. */
export function formatDelay(ms: number): string {
  const seconds = Math.round(ms / 1000)
  return seconds < 60 ? `${seconds}s` : `${Math.trunc(seconds / 60)}m${seconds % 60}s`
}

/** Log collectors look into one flat directory: best effort, as upstream. */
async function linkLog(dir: string, name: string, target: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o755 })
    await rm(join(dir, name), { force: true })
    await symlink(target, join(dir, name))
  } catch {
    // the log itself is there; only the convenience is missing
  }
}
