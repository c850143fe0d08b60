import { hasReason } from '@k3s/api'
import { pods, type Binding, type Pod, type PodCondition } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import type { Clock } from '@k3s/lifecycle'
import type { PodInfo } from './pod-info.ts'

/** All that a scheduler writes to pods. Every call throws what the API server answers. */
export class PodWriter {
  readonly #client: Client
  readonly #clock: Clock
  readonly #schedulerName: string

  constructor(client: Client, clock: Clock, schedulerName: string) {
    this.#client = client
    this.#clock = clock
    this.#schedulerName = schedulerName
  }

  async bind({ pod }: PodInfo, node: string, signal: AbortSignal): Promise<void> {
    const { name, namespace, uid } = pod.metadata
    const binding: Binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(uid === undefined ? {} : { uid }) },
      target: { kind: 'Node', name: node },
    }
    await this.#client.resource(pods).createSubresource(name, 'binding', binding, { namespace, signal })
  }

  /** Writes why the pod has no node, and the node where room is made for it; does nothing when the pod says so already. */
  async reportUnscheduled(
    pod: Pod,
    report: { readonly reason: 'Unschedulable' | 'SchedulerError'; readonly message: string; readonly nominatedNode: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { reason, message, nominatedNode } = report
    const known = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled')
    const isSaid = known?.status === 'False' && known.reason === reason && known.message === message
    const nominatedBefore = pod.status?.nominatedNodeName ?? ''
    if (isSaid && nominatedBefore === nominatedNode) return
    const condition = this.#condition(pod, { type: 'PodScheduled', status: 'False', reason, message })
    await this.#patchStatus(
      pod,
      {
        ...(isSaid ? {} : { conditions: [condition] }),
        ...(nominatedBefore === nominatedNode ? {} : { nominatedNodeName: nominatedNode === '' ? null : nominatedNode }),
      },
      signal,
    )
  }

  async clearNomination(pod: Pod, signal: AbortSignal): Promise<void> {
    await this.#patchStatus(pod, { nominatedNodeName: null }, signal)
  }

  /** Marks a victim and deletes it with its own grace period; a victim that is gone already is no error. */
  async evict(victim: Pod, signal: AbortSignal): Promise<void> {
    if (victim.metadata.deletionTimestamp !== undefined) return
    const { name, namespace, uid } = victim.metadata
    const message = `${this.#schedulerName}: preempting to accommodate a higher priority pod`
    const condition = this.#condition(victim, { type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message })
    try {
      await this.#patchStatus(victim, { conditions: [condition] }, signal)
      await this.#client.resource(pods).delete(name, { namespace, preconditions: { uid }, signal })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  #condition(pod: Pod, condition: PodCondition): PodCondition {
    const known = pod.status?.conditions?.find(({ type }) => type === condition.type)
    const now = new Date(this.#clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
    const { generation } = pod.metadata
    return {
      ...condition,
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      lastTransitionTime: known?.status === condition.status ? (known.lastTransitionTime ?? now) : now,
    }
  }

  async #patchStatus({ metadata }: Pod, status: unknown, signal: AbortSignal): Promise<void> {
    const { name, namespace, uid } = metadata
    const patch = { metadata: { uid }, status }
    await this.#client.resource(pods).patch(name, patch, { type: 'strategic', namespace, subresource: 'status', signal })
  }
}
