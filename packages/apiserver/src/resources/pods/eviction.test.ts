import { conflict } from '@k3s/api'
import type { Pod } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import type { SubresourceRequest } from '../../registry/strategy.ts'
import { podEviction } from './eviction.ts'

/** Pods as they are read one after another, each changed before it is written as often as `races` says. */
function requestOn(
  pod: Pod,
  { races, preconditions }: { readonly races: number; readonly preconditions?: { readonly resourceVersion: string } },
) {
  const deleted: unknown[] = []
  let version = 1
  let left = races
  const read = (): Pod => structuredClone({ ...pod, metadata: { ...pod.metadata, resourceVersion: String(version) } })
  const operations = {
    get: async () => read(),
    guaranteedUpdate: async (_type: unknown, _at: unknown, change: (object: Pod) => void) => {
      if (left-- > 0) version++
      const object = read()
      change(object)
      version++
      return read()
    },
    delete: async (_type: unknown, _at: unknown, options: { readonly resourceVersion?: string }) => {
      if (options.resourceVersion !== undefined && options.resourceVersion !== String(version))
        throw conflict({ resource: 'pods' }, 'a', 'late')
      deleted.push(options)
      return pod
    },
  }
  const body = { metadata: { name: 'a' }, deleteOptions: preconditions === undefined ? undefined : { preconditions } }
  // All that an eviction looks at.
  const request = { name: 'a', body, scope: { namespace: 'default', now: '2026-01-01T00:00:00Z', dryRun: false }, operations } as unknown
  return { deleted, evict: () => podEviction.handle(request as SubresourceRequest) }
}

const pending: Pod = { metadata: { name: 'a', namespace: 'default' }, spec: { containers: [] }, status: { phase: 'Pending' } }

describe('an eviction of a pod that has not started', () => {
  it('is tried again when the pod changes meanwhile', async () => {
    const { evict, deleted } = requestOn(pending, { races: 3 })
    expect(await evict()).toMatchObject({ status: 'Success' })
    expect(deleted).toHaveLength(1)
  })

  it('fails with Conflict when the client named a version, and when the pod never rests', async () => {
    const named = requestOn(pending, { races: 1, preconditions: { resourceVersion: '1' } })
    await expect(named.evict()).rejects.toMatchObject({ reason: 'Conflict' })
    const restless = requestOn(pending, { races: 1000 })
    await expect(restless.evict()).rejects.toMatchObject({ reason: 'Conflict' })
    expect([...named.deleted, ...restless.deleted]).toEqual([])
  })
})
