import { describe, expect, it } from 'vitest'
import { mergeConfiguration, schemaOf } from '../index.ts'

const deployment = schemaOf('apps/v1', 'Deployment')!
const pod = schemaOf('v1', 'Pod')!
const head = { apiVersion: 'v1', kind: 'Pod' }

describe('mergeConfiguration()', () => {
  it('sets what is named and keeps the rest', () => {
    const live = { metadata: { labels: { a: '1' } }, spec: { replicas: 1, paused: true } }
    expect(mergeConfiguration(live, { metadata: { labels: { b: '2' } }, spec: { replicas: 3 } }, deployment)).toEqual({
      metadata: { labels: { a: '1', b: '2' } },
      spec: { replicas: 3, paused: true },
    })
    expect(live.spec.replicas).toBe(1)
  })

  it('merges lists by their keys', () => {
    const live = { ...head, spec: { containers: [{ name: 'a', image: 'x' }] } }
    const wanted = { ...head, spec: { containers: [{ name: 'b', image: 'y' }], initContainers: [{ name: 'i' }] } }
    expect(mergeConfiguration(live, wanted, pod)).toMatchObject({
      spec: {
        containers: [
          { name: 'a', image: 'x' },
          { name: 'b', image: 'y' },
        ],
        initContainers: [{ name: 'i' }],
      },
    })
  })

  it('refuses what is unknown, and what can only be replaced as a whole', () => {
    expect(() => mergeConfiguration(head, { ...head, spec: { what: 1 } }, pod)).toThrow(
      'failed to convert patch object to typed object: .spec.what: field not declared in schema',
    )
    expect(() => mergeConfiguration(head, { ...head, spec: { containers: [{ name: 'a', args: ['x'] }] } }, pod)).toThrow(
      'invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args',
    )
  })
})
