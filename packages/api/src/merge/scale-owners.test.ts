import { describe, expect, it } from 'vitest'
import { ownersOfScaled, scaleOwners } from './scale-owners.ts'

const paths = { 'apps/v1': ['spec', 'replicas'] }
const replicas = { 'f:spec': { 'f:replicas': {} } }
const time = '2026-01-02T03:04:05Z'

const entry = (manager: string, fieldsV1: object, more: object = {}): object => ({
  manager,
  operation: 'Update',
  apiVersion: 'apps/v1',
  time,
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...more,
})

describe('scaleOwners', () => {
  it('shows who owns the replicas, as owners of a Scale', () => {
    const owners = scaleOwners(
      [entry('a', { 'f:spec': { 'f:replicas': {}, 'f:paused': {} } }), entry('b', { 'f:spec': { 'f:paused': {} } })],
      paths,
    )
    expect(owners).toEqual([entry('a', replicas, { apiVersion: 'autoscaling/v1' })])
  })

  it('knows nobody in versions that have no replicas', () => {
    expect(scaleOwners([entry('a', replicas, { apiVersion: 'apps/v2' })], paths)).toBeUndefined()
  })
})

describe('ownersOfScaled', () => {
  it('takes the replicas from who owns them no more, and gives them to the writer of the Scale', () => {
    const before = [entry('a', { 'f:spec': { 'f:replicas': {}, 'f:paused': {} } }), entry('b', replicas)]
    const written = [entry('c', replicas, { apiVersion: 'autoscaling/v1', subresource: 'scale' })]
    const { time: _, ...timeless } = entry('c', replicas, { subresource: 'scale' }) as Record<string, unknown>
    expect(ownersOfScaled(before, written, paths, 'apps/v1')).toEqual([timeless, entry('a', { 'f:spec': { 'f:paused': {} } })])
  })

  it('leaves the entry of an applier who still owns the replicas as it is', () => {
    const applied = entry('a', { 'f:spec': { 'f:replicas': {}, 'f:paused': {} } }, { operation: 'Apply' })
    const written = [entry('a', replicas, { operation: 'Apply', apiVersion: 'autoscaling/v1' })]
    expect(ownersOfScaled([applied], written, paths, 'apps/v1')).toEqual([applied])
  })

  it('forgets entries in versions that nobody knows', () => {
    expect(ownersOfScaled([entry('a', replicas, { apiVersion: 'apps/v0' })], [], paths, 'apps/v1')).toBeUndefined()
  })
})
