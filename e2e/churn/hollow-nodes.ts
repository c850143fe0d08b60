import { setTimeout as sleep } from 'node:timers/promises'
import { hasReason, isStatusError } from '@k3s/api'
import { leases } from '@k3s/api/types/coordination/v1'
import { nodes, pods, type Node, type Pod } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory, createRestTransport, type Client, type RestTransport } from '@k3s/client'
import type { Side } from './side.ts'

/** A pod says by these how it would run: for how many seconds, and with which code it ends. Without them it runs until it is deleted. */
export const secondsAnnotation = 'churn/seconds'
export const exitCodeAnnotation = 'churn/exit-code'

// A kubelet's own intervals.
const leaseMs = 10_000
const leaseSeconds = 40
const statusMs = 60_000
// What starting and ending containers takes.
const startMs = 700
const endMs = 500
const retryMs = 2000
const leaseNamespace = 'kube-node-lease'

/**
 * Nodes that run nothing: each registers itself, renews its lease, and moves the pods that are bound to it as a kubelet would, through the API and with a
 * kubelet's rights. Runs until the signal aborts; what is refused is told to the side's log and tried again.
 */
export async function runHollowNodes(side: Side, names: readonly string[], signal: AbortSignal): Promise<void> {
  await Promise.all(names.map((name) => runNode(side, name, signal)))
}

async function runNode(side: Side, name: string, signal: AbortSignal): Promise<void> {
  const identity = await side.credentials(`system:node:${name}`, ['system:nodes'])
  await using transport: RestTransport = createRestTransport({ ...identity, userAgent: `hollow-node/${name}` })
  const client = createClient(transport)
  const complain = (what: string, error: unknown): void => {
    if (!signal.aborted) side.said['hollow-nodes'].push(`error: ${what}: ${isStatusError(error) ? error.message : String(error)}`)
  }
  const factory = createInformerFactory(client)
  const informer = factory.informer(pods, { fieldSelector: `spec.nodeName=${name}` })
  const kubelet = new HollowKubelet({ client, name, signal, complain })
  informer.addHandler({
    add: (pod) => kubelet.look(pod),
    update: (_, pod) => kubelet.look(pod),
    delete: (pod) => kubelet.forget(pod),
  })
  await kubelet.register()
  await Promise.all([
    factory.run({ signal, ready: () => {} }),
    repeat(leaseMs, signal, () => kubelet.renewLease()),
    repeat(statusMs, signal, () => kubelet.sayReady()),
  ])
  kubelet.stop()
}

/** Calls at once and then every so often, until the signal aborts. */
async function repeat(everyMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work()
    await sleep(everyMs, undefined, { signal }).catch(() => {}) // aborted
  }
}

interface KubeletOptions {
  readonly client: Client
  readonly name: string
  readonly signal: AbortSignal
  readonly complain: (what: string, error: unknown) => void
}

/** What is next for a pod. */
type Step = 'start' | 'finish' | 'end'

class HollowKubelet {
  readonly #options: KubeletOptions
  /** The next step of each pod, by its uid. */
  readonly #timers = new Map<string, { readonly step: Step; readonly timer: NodeJS.Timeout }>()
  #addresses = 1

  constructor(options: KubeletOptions) {
    this.#options = options
  }

  /** Makes the node and says that it is Ready; tries until it is allowed to. */
  async register(): Promise<void> {
    const { client, name, signal } = this.#options
    const node: Node = {
      metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'amd64' } },
      spec: {},
    }
    while (!signal.aborted) {
      if (await this.#try(`register node ${name}`, () => client.resource(nodes).create(node))) break
      await sleep(retryMs)
    }
    await this.sayReady()
  }

  async sayReady(): Promise<void> {
    const { client, name } = this.#options
    const now = timestamp()
    const condition = (type: string, status: string, reason: string): object => ({
      type,
      status,
      reason,
      message: reason,
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    })
    const resources = { cpu: '16', memory: '32Gi', 'ephemeral-storage': '100Gi', pods: '110' }
    const status = {
      capacity: resources,
      allocatable: resources,
      addresses: [
        { type: 'InternalIP', address: '192.0.2.10' },
        { type: 'Hostname', address: name },
      ],
      conditions: [
        condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory'),
        condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure'),
        condition('PIDPressure', 'False', 'KubeletHasSufficientPID'),
        condition('Ready', 'True', 'KubeletReady'),
      ],
      nodeInfo: nodeInfo(name),
    }
    await this.#try(`status of node ${name}`, () =>
      client.resource(nodes).patch(name, { status }, { type: 'strategic', subresource: 'status' }),
    )
  }

  async renewLease(): Promise<void> {
    const { client, name } = this.#options
    const spec = { holderIdentity: name, leaseDurationSeconds: leaseSeconds, renewTime: timestamp().replace('Z', '.000000Z') }
    const at = { name, namespace: leaseNamespace }
    await this.#try(`lease of node ${name}`, async () => {
      const { metadata } = await client
        .resource(leases)
        .get(name, at)
        .catch(ifNotFound(() => ({ metadata: undefined })))
      if (metadata === undefined) await client.resource(leases).create({ metadata: at, spec })
      else await client.resource(leases).update({ metadata, spec })
    })
  }

  /** Plans what a pod needs next. */
  look(pod: Pod): void {
    const { uid = '', deletionTimestamp, annotations = {} } = pod.metadata
    const phase = pod.status?.phase
    const isOver = phase === 'Succeeded' || phase === 'Failed'
    const seconds = annotations[secondsAnnotation]
    if (deletionTimestamp !== undefined) this.#plan(uid, 'end', endMs, () => this.#end(pod))
    else if (isOver) this.#cancel(uid)
    else if (phase !== 'Running') this.#plan(uid, 'start', startMs, () => this.#start(pod))
    else if (seconds !== undefined) this.#plan(uid, 'finish', Number(seconds) * 1000, () => this.#finish(pod))
  }

  forget({ metadata: { uid = '' } }: Pod): void {
    this.#cancel(uid)
  }

  stop(): void {
    for (const uid of this.#timers.keys()) this.#cancel(uid)
  }

  #cancel(uid: string): void {
    clearTimeout(this.#timers.get(uid)?.timer)
    this.#timers.delete(uid)
  }

  /** A step that is planned already stays as it is. A failed one is tried again. */
  #plan(uid: string, step: Step, delayMs: number, work: () => Promise<boolean>): void {
    if (this.#timers.get(uid)?.step === step) return
    this.#cancel(uid)
    const run = async (): Promise<void> => {
      const isDone = await work()
      if (isDone || this.#options.signal.aborted || this.#timers.get(uid)?.timer !== planned.timer) return
      this.#cancel(uid)
      this.#plan(uid, step, retryMs, work)
    }
    const planned = { step, timer: setTimeout(() => void run(), delayMs) } // never rejects
    this.#timers.set(uid, planned)
  }

  #start(pod: Pod): Promise<boolean> {
    const now = timestamp()
    // .1 of a node's /24 is its bridge.
    this.#addresses = (this.#addresses % 253) + 1
    const podIP = `10.42.${this.#subnet()}.${this.#addresses + 1}`
    return this.#patch(pod, {
      phase: 'Running',
      startTime: now,
      hostIP: '192.0.2.10',
      hostIPs: [{ ip: '192.0.2.10' }],
      podIP,
      podIPs: [{ ip: podIP }],
      conditions: ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady'].map((type) => ({
        type,
        status: 'True',
        lastTransitionTime: now,
      })),
      containerStatuses: containersOf(pod, { running: { startedAt: now } }, { isReady: true }),
    })
  }

  #finish(pod: Pod): Promise<boolean> {
    return this.#patch(pod, over(pod, Number(pod.metadata.annotations?.[exitCodeAnnotation] ?? 0)))
  }

  async #end(pod: Pod): Promise<boolean> {
    const { client, name } = this.#options
    const { namespace, uid } = pod.metadata
    const phase = pod.status?.phase
    // A pod that never ran is deleted as it is.
    if (phase === 'Running') await this.#patch(pod, over(pod, 0))
    return this.#try(`delete pod of node ${name}`, () =>
      client.resource(pods).delete(pod.metadata.name, { namespace, gracePeriodSeconds: 0, preconditions: { uid } }).catch(ifGone),
    )
  }

  #patch(pod: Pod, status: object): Promise<boolean> {
    const { name, namespace, uid } = pod.metadata
    const { client } = this.#options
    return this.#try(`status of pod`, () =>
      client
        .resource(pods)
        .patch(name, { metadata: { uid }, status }, { namespace, type: 'strategic', subresource: 'status' })
        .catch(ifGone),
    )
  }

  #subnet(): number {
    return Number(/\d+$/.exec(this.#options.name)?.[0] ?? 0)
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      this.#options.complain(what, error)
      return false
    }
  }
}

const timestamp = (): string => `${new Date().toISOString().slice(0, 19)}Z`

const ifNotFound =
  <T>(otherwise: () => T) =>
  (error: unknown): T => {
    if (hasReason(error, 'NotFound')) return otherwise()
    throw error
  }

/** For a pod that is gone, or has become another of its name. */
const ifGone = (error: unknown): void => {
  if (!hasReason(error, 'NotFound', 'Conflict')) throw error
}

function containersOf(pod: Pod, state: object, { isReady }: { readonly isReady: boolean }): object[] {
  return (pod.spec?.containers ?? []).map(({ name, image = '' }) => ({
    name,
    image,
    imageID: `hollow://${image}`,
    containerID: `hollow://${pod.metadata.uid}/${name}`,
    ready: isReady,
    started: isReady,
    restartCount: 0,
    state,
  }))
}

/** The status of a pod whose containers ended. */
function over(pod: Pod, exitCode: number): object {
  const now = timestamp()
  const phase = exitCode === 0 ? 'Succeeded' : 'Failed'
  const reason = exitCode === 0 ? 'PodCompleted' : 'PodFailed'
  return {
    phase,
    conditions: [
      ...['Ready', 'ContainersReady'].map((type) => ({ type, status: 'False', reason, lastTransitionTime: now })),
      { type: 'PodReadyToStartContainers', status: 'False', lastTransitionTime: now },
    ],
    containerStatuses: containersOf(
      pod,
      {
        terminated: { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt: pod.status?.startTime ?? now, finishedAt: now },
      },
      { isReady: false },
    ),
  }
}

const nodeInfo = (name: string): object => ({
  machineID: name,
  systemUUID: name,
  bootID: name,
  kernelVersion: '6.0.0',
  osImage: 'hollow',
  containerRuntimeVersion: 'hollow://1.0.0',
  kubeletVersion: 'v1.36.3',
  kubeProxyVersion: '',
  operatingSystem: 'linux',
  architecture: 'amd64',
})
