import type { Container, LifecycleHandler, Pod } from '@k3s/api/types/core/v1'
import { isCriError, type CriClient } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import type { PodEvents } from '../events.ts'
import { containerFieldPath, findContainer, gracePeriodSeconds, isRestartableInit, podKey } from '../pods/pod-facts.ts'
import type { ContainerRecord, PodRuntimeState } from '../runtime/runtime-state.ts'
import type { ContainerKill } from './plan.ts'
import { runHook } from './hooks.ts'

export interface ContainerKillerOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly events: PodEvents
  readonly logger: Logger
}

export interface KillOptions {
  /** Seconds, at least 1; overrides what the pod says. */
  readonly graceSeconds?: number | undefined
  readonly message?: string | undefined
  readonly reason?: ContainerKill['reason'] | undefined
  /** Resolves when it is this container's turn to get its signal: sidecars wait for the ones they serve. */
  readonly turn?: Promise<void> | undefined
}

// Upstream's: even a hook that used the whole grace period up leaves the process this much.
const minimumGraceSeconds = 2

/** Ends containers: preStop hook, stop signal, what is left of the grace period, SIGKILL. */
export class ContainerKiller {
  readonly #options: ContainerKillerOptions

  constructor(options: ContainerKillerOptions) {
    this.#options = options
  }

  /** `podIp` is for hooks by HTTP. Resolves when the container has ended; resolves for one that is gone. */
  async kill(pod: Pod, record: ContainerRecord, podIp: string, options: KillOptions, signal: AbortSignal): Promise<void> {
    const { cri, clock, events } = this.#options
    const found = findContainer(pod, record.name)
    const startedAt = clock.monotonic()
    // Follows upstream: even a forced deletion gives a second.
    const total = Math.max(1, options.graceSeconds ?? graceOf(pod, record, found?.container, options.reason))
    events.podEvent(
      pod,
      'Normal',
      'Killing',
      options.message ?? `Stopping container ${record.name}`,
      found === undefined ? undefined : containerFieldPath(found),
    )
    const preStop: LifecycleHandler | undefined =
      found?.container.lifecycle?.preStop ?? (record.preStop === undefined ? undefined : parseHandler(record.preStop))
    if (options.turn !== undefined) await Promise.race([options.turn, clock.sleep(total * 1000, signal)])
    const left = (): number => total - (clock.monotonic() - startedAt) / 1000
    if (preStop !== undefined && record.state === 'running' && left() > 0)
      await this.#preStop(pod, record, found?.container, preStop, podIp, left() * 1000, signal)
    // The whole period when no time was used: a fraction would be cut off.
    const grace = Math.max(minimumGraceSeconds, Math.ceil(left() - 0.05))
    try {
      await cri.stopContainer({ containerId: record.id, timeout: grace }, { signal })
    } catch (error) {
      if (!isCriError(error, 'NOT_FOUND')) throw error
    }
  }

  /** Ends every container of a pod at once, sidecars after the ordinary ones and in reverse order, then its sandboxes. */
  async killPod(pod: Pod, state: PodRuntimeState, options: Pick<KillOptions, 'graceSeconds'>, signal: AbortSignal): Promise<void> {
    const podIp = state.sandboxes[0]?.ips[0] ?? ''
    const sidecars = (pod.spec.initContainers ?? []).filter((container) => isRestartableInit(container)).map(({ name }) => name)
    const alive = state.containers.filter(({ state: is }) => is === 'running' || is === 'unknown' || is === 'created')
    const kills = new Map<string, Promise<void>>()
    const killOne = (record: ContainerRecord, turn?: Promise<void>): void => {
      kills.set(record.id, this.kill(pod, record, podIp, { graceSeconds: options.graceSeconds, turn }, signal))
    }
    for (const record of alive) if (!sidecars.includes(record.name)) killOne(record)
    // Each waits for all that end before it; a failure among them must not hold it up for ever.
    for (const name of sidecars.toReversed())
      for (const record of alive.filter((candidate) => candidate.name === name))
        killOne(
          record,
          Promise.allSettled(kills.values()).then(() => {}),
        )
    const failures = (await Promise.allSettled(kills.values())).filter((result) => result.status === 'rejected')
    if (failures[0] !== undefined) throw failures[0].reason
    for (const sandbox of state.sandboxes)
      if (sandbox.isReady || !sandbox.isHostNetwork) await this.#options.cri.stopPodSandbox({ podSandboxId: sandbox.id }, { signal })
  }

  async #preStop(
    pod: Pod,
    record: ContainerRecord,
    container: Container | undefined,
    handler: LifecycleHandler,
    podIp: string,
    leftMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { cri, clock, events, logger } = this.#options
    const limit = new AbortController()
    const bounded = AbortSignal.any([signal, limit.signal])
    const timer = clock.sleep(leftMs, bounded).then(
      () => limit.abort(new Error('preStop hook took longer than the grace period')),
      () => {}, // the hook was first
    )
    try {
      const target = { pod, container: container ?? { name: record.name }, containerId: record.id, podIp }
      await runHook(handler, target, cri, clock, bounded)
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ err: error, pod: podKey(pod), container: record.name }, 'preStop hook failed')
      const found = findContainer(pod, record.name)
      events.podEvent(
        pod,
        'Warning',
        'FailedPreStopHook',
        'PreStopHook failed',
        found === undefined ? undefined : containerFieldPath(found),
      )
    } finally {
      limit.abort()
      await timer
    }
  }
}

function graceOf(pod: Pod, record: ContainerRecord, container: Container | undefined, reason: ContainerKill['reason'] | undefined): number {
  if (pod.metadata.deletionGracePeriodSeconds !== undefined) return pod.metadata.deletionGracePeriodSeconds
  const probe = reason === 'StartupProbe' ? container?.startupProbe : reason === 'LivenessProbe' ? container?.livenessProbe : undefined
  return probe?.terminationGracePeriodSeconds ?? (container === undefined ? (record.terminationGraceSeconds ?? 2) : gracePeriodSeconds(pod))
}

function parseHandler(text: string): LifecycleHandler | undefined {
  try {
    return JSON.parse(text) as LifecycleHandler // our own annotation
  } catch {
    return undefined // not ours: the container is stopped without it
  }
}
