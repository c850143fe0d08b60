import type { KubernetesObject } from '@k3s/api'

/** The answer to a binding or an eviction that was done. */
export function successStatus(): KubernetesObject {
  // A Status is no object: its metadata is a ListMeta and has no name.
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } as unknown as KubernetesObject
}
