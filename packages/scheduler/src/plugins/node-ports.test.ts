import type { ContainerPort } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { testCluster, testNode, testPod, testPodInfo } from '../../test/cluster.ts'
import { isRejection } from '../framework.ts'
import { nodePorts } from './node-ports.ts'

const withPort = (port: Partial<ContainerPort>) => ({ containers: [{ name: 'c', ports: [{ containerPort: 80, ...port }] }] })

describe('nodePorts', () => {
  it.each<[string, Partial<ContainerPort>, Partial<ContainerPort>, boolean]>([
    ['the same port', { hostPort: 80 }, { hostPort: 80 }, false],
    ['another port', { hostPort: 80 }, { hostPort: 81 }, true],
    ['another protocol', { hostPort: 80 }, { hostPort: 80, protocol: 'UDP' }, true],
    ['another address', { hostPort: 80, hostIP: '10.0.0.1' }, { hostPort: 80, hostIP: '10.0.0.2' }, true],
    ['the same address', { hostPort: 80, hostIP: '10.0.0.1' }, { hostPort: 80, hostIP: '10.0.0.1' }, false],
    ['all addresses in use', { hostPort: 80 }, { hostPort: 80, hostIP: '10.0.0.1' }, false],
    ['all addresses wanted', { hostPort: 80, hostIP: '10.0.0.1' }, { hostPort: 80, hostIP: '0.0.0.0' }, false],
    ['no host port in use', {}, { hostPort: 80 }, true],
  ])('with %s', (_case, used, wanted, fits) => {
    const existing = testPod({ ...withPort(used), nodeName: 'n' })
    const cluster = testCluster([testNode('n')], [existing])
    const check = nodePorts.prepareFilter?.(testPodInfo(withPort(wanted)), cluster)
    const verdict = () => check === undefined || isRejection(check) || check.check(cluster.node('n')!) === undefined
    expect(verdict()).toBe(fits)
    cluster.removePod(existing.metadata.uid ?? '')
    expect(verdict()).toBe(true)
  })

  it('has nothing to say of pods without host ports', () => {
    expect(nodePorts.prepareFilter?.(testPodInfo(withPort({})), testCluster([testNode('n')]))).toBeUndefined()
  })
})
