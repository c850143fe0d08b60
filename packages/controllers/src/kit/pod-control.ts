import { hasReason, isStatusError, type KubernetesObject } from '@k3s/api'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import type { EventRecorder } from './events.ts'

/** True when the server refused to create something because its namespace is being deleted. */
export function isNamespaceTerminating(error: unknown): boolean {
  return isStatusError(error) && (error.details?.causes ?? []).some(({ reason }) => reason === 'NamespaceTerminating')
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Creates and deletes pods for workloads, with upstream's events on the workload. */
export class PodControl {
  readonly #client: Client
  readonly #recorder: EventRecorder

  constructor(client: Client, recorder: EventRecorder) {
    this.#client = client
    this.#recorder = recorder
  }

  /** The created pod, or `undefined` when the namespace is going away: then nothing more needs to be done. */
  async create(pod: Pod, owner: KubernetesObject, signal: AbortSignal): Promise<Pod | undefined> {
    try {
      const created = await this.#client.resource(pods).create(pod, { signal })
      this.#recorder.event(owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`)
      return created
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined
      if (!signal.aborted && !hasReason(error, 'AlreadyExists'))
        this.#recorder.event(owner, 'Warning', 'FailedCreate', `Error creating: ${messageOf(error)}`)
      throw error
    }
  }

  /** False when the pod was gone already. */
  async delete(pod: Pod, owner: KubernetesObject, signal: AbortSignal): Promise<boolean> {
    const { name, namespace, uid } = pod.metadata
    try {
      await this.#client.resource(pods).delete(name, { namespace, preconditions: { uid }, signal })
      this.#recorder.event(owner, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`)
      return true
    } catch (error) {
      // A conflict means that another pod has the name now.
      if (hasReason(error, 'NotFound', 'Conflict')) return false
      if (!signal.aborted) this.#recorder.event(owner, 'Warning', 'FailedDelete', `Error deleting: ${messageOf(error)}`)
      throw error
    }
  }
}
