import type { Container, Pod } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { scopeOf } from '../../../test/strategy-runs.ts'
import { podStrategy } from './strategy.ts'

const strategy = podStrategy({ isPod: true, allowPrivileged: true })
const main: Container = { name: 'main', image: 'nginx' }
const previous: Pod = {
  metadata: { name: 'web', namespace: 'default', labels: { a: 'b' } },
  spec: { containers: [main], nodeName: 'n' },
  status: { phase: 'Running' },
}
const prepared = (view: string, change: (pod: Pod) => void): Pod => {
  const pod = structuredClone(previous)
  change(pod)
  strategy.views?.[view]?.prepare?.(pod, previous, scopeOf())
  return pod
}

describe('views of pods', () => {
  it('ephemeral containers are all that their view changes', () => {
    const ephemeralContainers = [{ name: 'debug', image: 'busybox' }]
    const pod = prepared('ephemeralcontainers', (changed) => {
      changed.spec = { containers: [{ ...main, image: 'other' }], ephemeralContainers }
      changed.metadata.labels = { a: 'c' }
      changed.metadata.finalizers = ['example.com/a']
      delete changed.status
    })
    expect(pod).toEqual({ ...previous, spec: { ...previous.spec, ephemeralContainers } })
  })

  it('resources are all that a resize changes, container by container', () => {
    const resources = { requests: { cpu: '100m' } }
    const pod = prepared('resize', (changed) => {
      changed.spec = { containers: [{ ...main, image: 'other', resources }] }
      changed.status = {}
    })
    expect(pod).toEqual({ ...previous, spec: { ...previous.spec, containers: [{ ...main, resources }] } })
  })

  it('other containers are left for the rules to refuse', () => {
    const pod = prepared('resize', ({ spec }) => void spec.containers.push({ name: 'more', image: 'i' }))
    expect(pod.spec.containers).toHaveLength(2)
    expect(prepared('resize', ({ spec }) => void Object.assign(spec.containers[0] ?? {}, { name: 'x' })).spec.containers[0]?.name).toBe('x')
  })
})

describe('addresses of pods', () => {
  const settled = (status: Pod['status']): Pod['status'] => {
    const pod: Pod = { ...structuredClone(previous), status }
    strategy.defaults?.(pod)
    return pod.status
  }

  it('the first of many is the one that old clients know, and theirs counts when they differ', () => {
    expect(settled({ podIPs: [{ ip: '10.42.0.9' }, { ip: 'fd00::1' }] })).toMatchObject({ podIP: '10.42.0.9' })
    expect(settled({ podIP: '10.42.0.9' })).toMatchObject({ podIPs: [{ ip: '10.42.0.9' }] })
    expect(settled({ podIP: '10.42.0.9', podIPs: [{ ip: '10.42.0.1' }] })).toMatchObject({ podIPs: [{ ip: '10.42.0.9' }] })
  })
})
