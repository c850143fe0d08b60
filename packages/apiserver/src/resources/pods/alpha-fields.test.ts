import type { Container, Pod } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { scopeOf } from '../../../test/strategy-runs.ts'
import type { ResourceStrategy } from '../../registry/strategy.ts'
import { cronJobStrategy } from '../cron-jobs/strategy.ts'
import { daemonSetStrategy } from '../daemon-sets/strategy.ts'
import { deploymentStrategy } from '../deployments/strategy.ts'
import { jobStrategy } from '../jobs/strategy.ts'
import { podTemplateStrategy } from '../pod-templates/strategy.ts'
import { replicaSetStrategy } from '../replica-sets/strategy.ts'
import { replicationControllerStrategy } from '../replication-controllers/strategy.ts'
import { statefulSetStrategy } from '../stateful-sets/strategy.ts'
import { podStrategy } from './strategy.ts'

const strategy = podStrategy({ isPod: true, allowPrivileged: true })
const main: Container = { name: 'main', image: 'nginx' }

describe('fields of alpha features', () => {
  const alpha: Pod = {
    metadata: { name: 'web' },
    spec: {
      containers: [{ ...main, lifecycle: { stopSignal: 'SIGUSR1' } }],
      initContainers: [{ ...main, lifecycle: { stopSignal: 'SIGUSR1', preStop: { sleep: { seconds: 1 } } } }],
      volumes: [
        {
          name: 'v',
          projected: {
            sources: [
              { clusterTrustBundle: { name: 'b', path: 'b' } },
              { podCertificate: { signerName: 'a.b/c', keyType: 'ED25519' } },
              { configMap: { name: 'c' } },
            ],
          },
        },
      ],
      schedulingGroup: {},
    },
  }
  const plain = {
    containers: [main],
    initContainers: [{ ...main, lifecycle: { preStop: { sleep: { seconds: 1 } } } }],
    volumes: [{ name: 'v', projected: { sources: [{}, {}, { configMap: { name: 'c' } }] } }],
  }

  it('are dropped unless they are there already', () => {
    const created = structuredClone(alpha)
    strategy.prepareForCreate?.(created, scopeOf())
    expect(created.spec).toEqual(plain)
    const updated = structuredClone(alpha)
    strategy.update?.prepare?.(updated, alpha, scopeOf())
    expect(updated.spec).toEqual(alpha.spec)
  })

  it('are dropped from a status', () => {
    const mounts = [{ name: 'v', mountPath: '/v', volumeStatus: { image: { imageRef: 'i' } } }]
    const previous: Pod = { metadata: { name: 'web' }, spec: { containers: [main] } }
    const status = {
      containerStatuses: [{ name: 'a', image: 'i', imageID: '', ready: true, restartCount: 0, volumeMounts: mounts }],
      nodeAllocatableResourceClaimStatuses: [{ resourceClaimName: 'c', containers: [], resources: {} }],
    }
    const updated: Pod = { ...structuredClone(previous), status: structuredClone(status) }
    strategy.status?.prepare?.(updated, previous, scopeOf())
    expect(updated.status).toMatchObject({ containerStatuses: [{ volumeMounts: [{ name: 'v', mountPath: '/v' }] }] })
    expect(JSON.stringify(updated.status)).not.toMatch(/volumeStatus|nodeAllocatable/)
    const kept: Pod = { ...structuredClone(previous), status: structuredClone(status) }
    strategy.status?.prepare?.(kept, { ...previous, status }, scopeOf())
    expect(kept.status).toMatchObject(status)
  })

  // Each kind has its template somewhere else.
  const template = { spec: alpha.spec }
  const object = (inner: object) => ({ metadata: { name: 'web' }, ...inner }) as never // of the kind that the strategy is for
  it.each<[string, { prepareForCreate?: unknown; update?: unknown }, () => object]>([
    ['replica sets', replicaSetStrategy, () => ({ spec: { template } })],
    ['deployments', deploymentStrategy, () => ({ spec: { template } })],
    ['stateful sets', statefulSetStrategy, () => ({ spec: { template } })],
    ['daemon sets', daemonSetStrategy, () => ({ spec: { template } })],
    ['replication controllers', replicationControllerStrategy, () => ({ spec: { template } })],
    ['jobs', jobStrategy, () => ({ spec: { template, manualSelector: true } })],
    ['cron jobs', cronJobStrategy, () => ({ spec: { jobTemplate: { spec: { template } } } })],
    ['pod templates', podTemplateStrategy, () => ({ template })],
  ])('are dropped from the templates of %s', (_kind, rules, make) => {
    const { prepareForCreate, update } = rules as Pick<ResourceStrategy, 'prepareForCreate' | 'update'>
    const alphaFields = /stopSignal|schedulingGroup|clusterTrustBundle|podCertificate/
    const given = structuredClone(object(make()))
    const dropped = structuredClone(given)
    prepareForCreate?.(dropped, scopeOf())
    expect(JSON.stringify(dropped)).not.toMatch(alphaFields)
    const kept = structuredClone(given)
    update?.prepare?.(kept, given, scopeOf())
    expect(kept).toMatchObject(make())
    const late = structuredClone(given)
    update?.prepare?.(late, dropped, scopeOf())
    expect(JSON.stringify(late)).not.toMatch(alphaFields)
  })
})
