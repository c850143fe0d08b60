import type { KubernetesObject } from '@k3s/api'
import type { ResourceRequest, WriteOptions } from './resource-request.ts'

/** Hooks for the registry that keep `metadata.managedFields`. */
export interface FieldTracking {
  ofCreate(): { track?(object: KubernetesObject): void }
  ofUpdate(): { track?(object: KubernetesObject, previous: KubernetesObject): void }
}

export function fieldTracking(request: ResourceRequest, options: WriteOptions): FieldTracking {
  void request
  void options
  return { ofCreate: () => ({}), ofUpdate: () => ({}) }
}
