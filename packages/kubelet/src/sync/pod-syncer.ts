import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod, PodStatus } from '@k3s/api/types/core/v1'
import type { CriClient, CriInput, PodSandboxConfig } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import type { ObjectStore } from '../config/object-store.ts'
import type { PodEvents } from '../events.ts'
import { isStaticPod, isTerminalPhase, podKey, podUid, qosClassOf } from '../pods/pod-facts.ts'
import type { ProbeManager } from '../probes/probe-manager.ts'
import type { CgroupManager } from '../resources/cgroups.ts'
import { podLimits } from '../resources/linux-resources.ts'
import { podLogsName } from '../runtime/labels.ts'
import { isAnythingRunning, newest, readPodState, stateSignature, type PodRuntimeState } from '../runtime/runtime-state.ts'
import type { WaitingReason } from '../status/container-statuses.ts'
import { finalStatus, generateStatus, type FailedVerdict } from '../status/generate-status.ts'
import type { StatusManager } from '../status/status-manager.ts'
import { VolumeError, type VolumeManager } from '../volumes/volume-manager.ts'
import type { ContainerKiller } from './container-killer.ts'
import type { ContainerStarter } from './container-starter.ts'
import { planSync, type SyncPlan } from './plan.ts'
import { criMessage, WaitingError } from './waiting-error.ts'
import type { PodConfigurator } from './pod-configurator.ts'

export interface PodSyncerOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly events: PodEvents
  readonly cgroups: CgroupManager
  readonly objects: ObjectStore
  readonly volumes: VolumeManager
  readonly probes: ProbeManager
  readonly statuses: StatusManager
  readonly killer: ContainerKiller
  readonly starter: ContainerStarter
  readonly configurator: PodConfigurator
  readonly podLogsDir: string
  /** Why pods on the pod network cannot start now; `undefined` when they can. */
  readonly networkProblem: () => string | undefined
  readonly nodeIps: () => readonly string[]
  /** `containerd`. */
  readonly runtimeName: () => string
}

export interface SyncResult {
  /** Every container has ended for good, or the pod must end: it goes on to termination. */
  readonly isTerminal: boolean
  /** Milliseconds after which another sync makes sense, before the regular one. */
  readonly retryAfterMs: number | undefined
}

export interface TerminateOptions {
  /** Seconds; overrides what the pod says. */
  readonly graceSeconds?: number | undefined
  /** Set when the kubelet itself ends the pod. */
  readonly failure?: FailedVerdict | undefined
}

/** Brings one pod one step on: reads what is, plans, performs, tells. Calls for one pod must not overlap. */
export class PodSyncer {
  readonly #options: PodSyncerOptions
  readonly #waiting = new Map<string, Map<string, WaitingReason>>()
  readonly #handled = new Map<string, string>()

  constructor(options: PodSyncerOptions) {
    this.#options = options
  }

  /** What the runtime has of a pod. */
  async read(pod: Pod, signal?: AbortSignal): Promise<PodRuntimeState> {
    return await readPodState(this.#options.cri, identity(pod), signal)
  }

  /** True when the last sync saw the runtime in this state and left nothing to do: the change that is told of is its own. */
  hasHandled(uid: string, signature: string): boolean {
    return this.#handled.get(uid) === signature
  }

  /** One step of a pod that should run. Throws when a step failed as a whole; what concerns one container is in the status instead. */
  async sync(pod: Pod, signal: AbortSignal): Promise<SyncResult> {
    const { cgroups, clock, configurator, events, networkProblem, objects, podLogsDir, probes, volumes } = this.#options
    const uid = podUid(pod)
    this.#handled.delete(uid)
    let state = await this.read(pod, signal)
    const failure = deadlineFailure(pod, this.#options.statuses.current(pod), clock.now())
    const status = this.#tell(pod, state, { failure })
    if (isTerminalPhase(status.phase)) return { isTerminal: true, retryAfterMs: undefined }
    const problem = networkProblem()
    if (problem !== undefined && pod.spec.hostNetwork !== true) {
      events.podEvent(pod, 'Warning', 'NetworkNotReady', `network is not ready: ${problem}`)
      return { isTerminal: false, retryAfterMs: 2000 }
    }
    objects.register(pod)
    const cgroup = cgroups.podCgroup(qosClassOf(pod), uid)
    try {
      await cgroups.createPod(cgroup, podLimits(pod))
    } catch (error) {
      events.podEvent(pod, 'Warning', 'FailedCreatePodContainer', `unable to ensure pod container exists: ${messageOf(error)}`)
      throw error
    }
    await mkdir(join(podLogsDir, podLogsName(identity(pod))), { recursive: true, mode: 0o755 })
    let ready
    try {
      ready = await volumes.setUp(pod, configurator.volumeSources(pod, state.sandboxes[0]?.ips ?? []))
    } catch (error) {
      if (error instanceof VolumeError) events.podEvent(pod, 'Warning', 'FailedMount', error.message)
      throw error
    }
    probes.add(pod)
    const plan = planSync(pod, state, probes)
    const retryAfterMs = await this.#perform(pod, state, plan, { cgroup, ready }, signal)
    state = await this.read(pod, signal)
    const after = this.#tell(pod, state, {})
    if (isTerminalPhase(after.phase)) return { isTerminal: true, retryAfterMs: undefined }
    // What a fast init container made possible is done at once, not when its end is told of.
    if (this.#hasMore(pod, state)) return { isTerminal: false, retryAfterMs: 0 }
    this.#handled.set(uid, stateSignature(state))
    return { isTerminal: false, retryAfterMs: minimum(retryAfterMs, deadlineIn(pod, after, clock.now())) }
  }

  /** Ends everything that runs of a pod. An abort leaves it half ended: call again. */
  async terminate(pod: Pod, options: TerminateOptions, signal: AbortSignal): Promise<void> {
    const { events, killer, probes } = this.#options
    const state = await this.read(pod, signal)
    this.#tell(pod, state, { failure: options.failure, isTerminating: true })
    probes.stopLiveness(podUid(pod))
    try {
      await killer.killPod(pod, state, options, signal)
    } catch (error) {
      if (!signal.aborted) events.podEvent(pod, 'Warning', 'FailedKillPod', `error killing pod: ${criMessage(error)}`)
      throw error
    }
    const after = await this.read(pod, signal)
    if (after.containers.some(({ state: is }) => is === 'running')) throw new Error('Containers still run after they were killed')
    probes.remove(podUid(pod))
    this.#tell(pod, after, { failure: options.failure, isTerminating: true })
  }

  /** Removes what a pod that has ended leaves behind, all but its records in the runtime, and lets go of its API object. */
  async finish(pod: Pod, signal: AbortSignal): Promise<void> {
    const { cgroups, objects, probes, starter, statuses, volumes } = this.#options
    const uid = podUid(pod)
    const state = await this.read(pod, signal)
    if (isAnythingRunning(state)) throw new Error('Pod still has running containers or sandboxes')
    const known = statuses.current(pod)
    if (isOver(known, state)) statuses.set(pod, known)
    else if (!isStaticPod(pod) || pod.metadata.deletionTimestamp !== undefined)
      statuses.set(pod, finalStatus(pod, this.#generate(pod, state, { isTerminating: true })))
    probes.remove(uid)
    objects.unregister(uid)
    await volumes.tearDown(uid)
    await cgroups.removePod(cgroups.podCgroup(qosClassOf(pod), uid))
    starter.forget(uid)
    this.#waiting.delete(uid)
    this.#handled.delete(uid)
    statuses.release(pod)
  }

  /** Tells that a pod was not let in. */
  reject(pod: Pod, failure: FailedVerdict): void {
    this.#options.statuses.set(pod, {
      ...this.#options.statuses.current(pod),
      phase: 'Failed',
      reason: failure.reason,
      message: failure.message,
      qosClass: qosClassOf(pod),
      startTime: pod.status?.startTime ?? new Date(this.#options.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
      ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    })
    this.#options.events.podEvent(pod, 'Warning', failure.reason, failure.message)
  }

  #hasMore(pod: Pod, state: PodRuntimeState): boolean {
    const { killPod, kill, start } = planSync(pod, state, this.#options.probes)
    const waiting = this.#waiting.get(podUid(pod))
    return killPod || kill.length > 0 || start.some(({ container }) => waiting?.has(container.name) !== true)
  }

  #generate(
    pod: Pod,
    state: PodRuntimeState,
    extra: { readonly failure?: FailedVerdict | undefined; readonly isTerminating?: boolean },
  ): PodStatus {
    const { clock, nodeIps, probes, runtimeName, statuses } = this.#options
    return generateStatus({
      pod,
      state,
      previous: statuses.current(pod),
      waiting: this.#waiting.get(podUid(pod)) ?? new Map(),
      probes,
      runtimeName: runtimeName(),
      nodeIps: nodeIps(),
      nowMs: clock.now(),
      isTerminating: extra.isTerminating === true,
      failure: extra.failure,
    })
  }

  #tell(
    pod: Pod,
    state: PodRuntimeState,
    extra: { readonly failure?: FailedVerdict | undefined; readonly isTerminating?: boolean },
  ): PodStatus {
    const known = this.#options.statuses.current(pod)
    if (isOver(known, state)) return known
    const status = this.#generate(pod, state, extra)
    this.#options.statuses.set(pod, status)
    return status
  }

  async #perform(
    pod: Pod,
    state: PodRuntimeState,
    plan: SyncPlan,
    prepared: { readonly cgroup: string; readonly ready: Awaited<ReturnType<VolumeManager['setUp']>> },
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { killer, events, logger } = this.#options
    if (plan.killPod) {
      if (plan.newSandboxAttempt !== undefined)
        events.podEvent(pod, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.')
      await killer.killPod(pod, state, {}, signal)
      if (plan.newSandboxAttempt === undefined) return undefined
    }
    const podIp = state.sandboxes[0]?.ips[0] ?? ''
    for (const { record, message, reason } of plan.kill) await killer.kill(pod, record, podIp, { message, reason }, signal)
    if (plan.start.length === 0) return undefined
    const sandbox =
      plan.newSandboxAttempt === undefined
        ? {
            id: plan.sandboxId ?? '',
            ips: state.sandboxes[0]?.ips ?? [],
            config: await this.#sandboxConfig(pod, state.sandboxes[0]?.attempt ?? 0, prepared.cgroup),
          }
        : await this.#createSandbox(pod, plan.newSandboxAttempt, prepared.cgroup, signal)
    let retryAfterMs: number | undefined
    const waiting = this.#waiting.get(podUid(pod)) ?? new Map<string, WaitingReason>()
    this.#waiting.set(podUid(pod), waiting)
    for (const start of plan.start) {
      const { name } = start.container
      try {
        await this.#options.starter.start({ pod, start, record: newest(state, name), state, sandbox, volumes: prepared.ready }, signal)
        waiting.delete(name)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof WaitingError)) throw error
        waiting.set(name, { reason: error.reason, message: error.message })
        retryAfterMs = minimum(retryAfterMs, error.retryAfterMs)
        logger.debug({ pod: podKey(pod), container: name, reason: error.reason, message: error.message }, 'Container does not start')
      }
    }
    return retryAfterMs
  }

  async #sandboxConfig(pod: Pod, attempt: number, cgroup: string): Promise<CriInput<PodSandboxConfig>> {
    return await this.#options.configurator.sandboxConfig(pod, attempt, this.#options.cgroups.runtimePath(cgroup))
  }

  async #createSandbox(
    pod: Pod,
    attempt: number,
    cgroup: string,
    signal: AbortSignal,
  ): Promise<{ id: string; ips: readonly string[]; config: CriInput<PodSandboxConfig> }> {
    const { configurator, cri, events } = this.#options
    try {
      const config = await this.#sandboxConfig(pod, attempt, cgroup)
      const runtimeHandler = await configurator.runtimeHandler(pod)
      const { podSandboxId: id } = await cri.runPodSandbox({ config, runtimeHandler }, { signal })
      const { sandboxes } = await this.read(pod, signal)
      return { id, ips: sandboxes.find((sandbox) => sandbox.id === id)?.ips ?? [], config }
    } catch (error) {
      signal.throwIfAborted()
      events.podEvent(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${criMessage(error)}`)
      throw error
    }
  }
}

/** True for a pod that has ended and of which the runtime knows nothing (any more): what was told of it is all that there is to tell. */
function isOver(status: PodStatus, state: PodRuntimeState): boolean {
  return isTerminalPhase(status.phase) && state.containers.length === 0 && state.sandboxes.length === 0
}

export function identity(pod: Pod): { readonly uid: string; readonly name: string; readonly namespace: string } {
  return { uid: podUid(pod), name: pod.metadata.name, namespace: pod.metadata.namespace ?? '' }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const minimum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.min(a, b)

/** Milliseconds until the pod's deadline; `undefined` without one. */
function deadlineIn(pod: Pod, status: PodStatus, nowMs: number): number | undefined {
  const { activeDeadlineSeconds } = pod.spec
  if (activeDeadlineSeconds === undefined || status.startTime === undefined) return undefined
  return Math.max(0, Date.parse(status.startTime) + activeDeadlineSeconds * 1000 - nowMs)
}

function deadlineFailure(pod: Pod, status: PodStatus, nowMs: number): FailedVerdict | undefined {
  return deadlineIn(pod, status, nowMs) === 0
    ? { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' }
    : undefined
}
