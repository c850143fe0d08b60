import { jobs, type Job } from '@k3s/api/types/batch/v1'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import { createTtlAfterFinishedController, expiryOf } from './ttl-after-finished-controller.ts'

const job = (ttlSecondsAfterFinished: number | undefined, endedAt: string | undefined): Job => ({
  metadata: { name: `ttl-${ttlSecondsAfterFinished}`, namespace: 'default' },
  spec: { template: {}, ...(ttlSecondsAfterFinished === undefined ? {} : { ttlSecondsAfterFinished }) },
  status: endedAt === undefined ? {} : { conditions: [{ type: 'Failed', status: 'True', lastTransitionTime: endedAt }] },
})

describe('ttl-after-finished controller', () => {
  it.each([
    ['runs', job(5, undefined), undefined],
    ['has no TTL', job(undefined, '2026-01-01T00:00:00Z'), undefined],
    ['has ended', job(5, '2026-01-01T00:00:00Z'), Date.parse('2026-01-01T00:00:05Z')],
  ])('expiryOf() of a Job that %s', (_, one, expected) => {
    expect(expiryOf(one)).toBe(expected)
  })

  it('deletes Jobs when their time has come', async () => {
    await using world = await startWorld((context) => [createTtlAfterFinishedController(context)])
    const now = new Date().toISOString()
    for (const seconds of [0, 1, 3600]) world.server.put(jobs, job(seconds, now))
    const deleted = (): readonly string[] =>
      world.server
        .all(jobs)
        .filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
        .map(({ metadata }) => metadata.name)
    await world.eventually(() => deleted().join() === 'ttl-0,ttl-1')
    // A foreground deletion: the pods go first.
    expect(world.server.peek(jobs, 'default/ttl-0')?.metadata.finalizers).toEqual(['foregroundDeletion'])
  })
})
