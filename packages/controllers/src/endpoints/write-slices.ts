import { hasReason } from '@k3s/api'
import { endpointslices, type EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { Client } from '@k3s/client'
import type { Expectations } from '../kit/expectations.ts'
import { isNamespaceTerminating } from '../kit/pod-control.ts'
import { managedByLabel, serviceNameLabel, type SlicesPlan } from './slices-plan.ts'

/** Carries a plan out. A created slice has no fixed name, so that each is expected under `key` until the cache shows it. */
export async function writeSlices(
  client: Client,
  plan: SlicesPlan,
  expectations: Expectations,
  key: string,
  signal: AbortSignal,
): Promise<void> {
  const resource = client.resource(endpointslices)
  expectations.expectCreations(key, plan.create.length)
  const results = await Promise.allSettled(plan.create.map((slice) => resource.create(slice, { signal })))
  for (const result of results) if (result.status === 'rejected') expectations.creationObserved(key)
  for (const result of results) if (result.status === 'rejected' && !isNamespaceTerminating(result.reason)) throw result.reason
  for (const slice of plan.update) await resource.update(slice, { signal })
  for (const { metadata } of plan.remove) {
    const { name, namespace, uid } = metadata
    await resource.delete(name, { namespace, preconditions: { uid }, signal }).catch((error: unknown) => {
      if (!hasReason(error, 'NotFound', 'Conflict')) throw error
    })
  }
}

/** Makes an index function: slices that `manager` keeps, by `namespace/name` of their Service. */
export function sliceKeysOf(manager: string): (slice: EndpointSlice) => readonly string[] {
  return ({ metadata }) => {
    const name = metadata.labels?.[serviceNameLabel]
    return name === undefined || metadata.labels?.[managedByLabel] !== manager ? [] : [`${metadata.namespace ?? ''}/${name}`]
  }
}
