import { isDeepStrictEqual } from 'node:util'
import { hasReason } from '@k3s/api'
import { nodes, type Node, type NodeStatus, type Taint } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { backoffDelay, type Clock, type Logger } from '@k3s/lifecycle'
import type { NodeEvents } from '../events.ts'
import { fieldManager } from '../pods/pod-facts.ts'
import { newNode, nodeLabels, nodeStatus, type Health, type NodeFacts } from './node-status.ts'

export interface NodeReporterOptions {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  readonly events: NodeEvents
  readonly nodeName: string
  readonly architecture: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly providerId: string | undefined
  readonly facts: () => Promise<NodeFacts>
  readonly health: () => Promise<Health>
}

// Upstream's nodeStatusUpdateFrequency and nodeStatusReportFrequency.
const checkMs = 10_000
const reportMs = 300_000

/** Registers this node and keeps its status true: looked at every 10 s, told when it has changed or five minutes have passed. */
export class NodeReporter {
  readonly #options: NodeReporterOptions
  #node: Node | undefined
  #lastReportAt = -Infinity
  #wake: () => void = () => {}

  constructor(options: NodeReporterOptions) {
    this.#options = options
  }

  /** The Node object as it was last seen; `undefined` before the registration. */
  get node(): Node | undefined {
    return this.#node
  }

  /** Reads the node from the API server: what a cache says may be too old to turn a pod away. */
  async refresh(signal: AbortSignal): Promise<Node> {
    this.#node = await this.#options.client.resource(nodes).get(this.#options.nodeName, { signal })
    return this.#node
  }

  /** Looks now instead of in up to ten seconds. */
  check(): void {
    this.#wake()
  }

  /** Tries until the API server has the node. */
  async register(signal: AbortSignal): Promise<void> {
    const { clock, logger, nodeName } = this.#options
    for (let failures = 0; ; failures++) {
      signal.throwIfAborted()
      try {
        this.#node = await this.#createOrReconcile(signal)
        return
      } catch (err) {
        signal.throwIfAborted()
        logger.warn({ err, node: nodeName }, 'Cannot register node')
      }
      await clock.sleep(backoffDelay(failures, { initialMs: 200, maxMs: 7000 }), signal)
    }
  }

  /** Reports until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      try {
        await this.report(signal)
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Cannot update node status')
      }
      const woken = Promise.withResolvers<void>()
      this.#wake = woken.resolve
      const timer = new AbortController()
      const sleeping = clock.sleep(checkMs, AbortSignal.any([signal, timer.signal])).catch(() => {}) // ended by us
      await Promise.race([sleeping, woken.promise])
      timer.abort()
    }
  }

  /** Looks once and tells what is new. */
  async report(signal: AbortSignal): Promise<void> {
    const { client, clock, facts, health, nodeName } = this.#options
    const api = client.resource(nodes)
    const node = await api.get(nodeName, { signal }).catch(async (error: unknown) => {
      if (hasReason(error, 'NotFound')) return await this.#createOrReconcile(signal) // somebody deleted it: upstream waits for a restart
      throw error
    })
    this.#node = node
    const status = nodeStatus(await facts(), await health(), node.status ?? {}, clock.now())
    const isDue = clock.monotonic() - this.#lastReportAt >= reportMs
    if (!isDue && isDeepStrictEqual(comparable(status), comparable(node.status ?? {}))) return
    this.#tellTransitions(node.status ?? {}, status)
    this.#node = await api.patch(
      nodeName,
      { status: statusPatch(node.status ?? {}, status) },
      { type: 'strategic', subresource: 'status', fieldManager, signal },
    )
    this.#lastReportAt = clock.monotonic()
  }

  async #createOrReconcile(signal: AbortSignal): Promise<Node> {
    const { client, clock, facts, health, nodeName, architecture, providerId } = this.#options
    const api = client.resource(nodes)
    const status = nodeStatus(await facts(), await health(), {}, clock.now())
    try {
      return await api.create(newNode(this.#options, status), { fieldManager, signal })
    } catch (error) {
      if (!hasReason(error, 'AlreadyExists')) throw error
    }
    const existing = await api.get(nodeName, { signal })
    const labels = nodeLabels(nodeName, architecture)
    const isLabelled = Object.entries(labels).every(([key, value]) => existing.metadata.labels?.[key] === value)
    const needsProvider = providerId !== undefined && (existing.spec.providerID ?? '') === ''
    if (isLabelled && !needsProvider) return existing
    const patch = { metadata: { labels }, ...(needsProvider ? { spec: { providerID: providerId } } : {}) }
    return await api.patch(nodeName, patch, { type: 'strategic', fieldManager, signal })
  }

  #tellTransitions(before: NodeStatus, after: NodeStatus): void {
    const { events, logger, nodeName } = this.#options
    for (const { type, status, reason = '' } of after.conditions ?? []) {
      const previous = before.conditions?.find((condition) => condition.type === type)
      if (previous?.status === status) continue
      const name = type === 'Ready' ? (status === 'True' ? 'NodeReady' : 'NodeNotReady') : reason.replace(/^Kubelet/, 'Node')
      events.nodeEvent('Normal', name, `Node ${nodeName} status is now: ${name}`)
      if (type === 'Ready') logger.info({ node: nodeName, status, reason }, 'Node readiness changed')
    }
  }
}

/** What makes a report worth sending: all but the heartbeats. */
function comparable(status: NodeStatus): unknown {
  const conditions = (status.conditions ?? [])
    .map((condition) => ({ ...condition, lastHeartbeatTime: undefined }))
    .toSorted((a, b) => (a.type < b.type ? -1 : 1))
  const { capacity, allocatable, addresses, daemonEndpoints, nodeInfo, images, runtimeHandlers = [] } = status
  return JSON.parse(
    JSON.stringify({ capacity, allocatable, addresses, daemonEndpoints, nodeInfo, images, runtimeHandlers, conditions }),
  ) as unknown
}

/** Lists without a merge key replace what was there; addresses are merged by type, which would keep two of one type apart. */
function statusPatch(before: NodeStatus, after: NodeStatus): Record<string, unknown> {
  const addresses = isDeepStrictEqual(before.addresses, after.addresses)
    ? {}
    : { addresses: [{ $patch: 'replace' }, ...(after.addresses ?? [])] }
  return { ...after, ...(before.addresses === undefined ? {} : addresses) }
}
