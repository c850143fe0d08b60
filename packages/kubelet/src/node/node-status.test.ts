import { describe, expect, test } from 'vitest'
import { memInfo } from './machine.ts'
import { allocatableOf, capacityOf, newNode, nodeStatus, type Health, type NodeFacts } from './node-status.ts'

const facts: NodeFacts = {
  nodeName: 'n',
  nodeIps: ['192.0.2.1', 'fd::1'],
  version: 'v1',
  machine: {
    cpus: 4,
    memoryBytes: 8 * 2 ** 30,
    swapBytes: 0,
    architecture: 'amd64',
    kernelVersion: '6.1',
    osImage: 'Debian',
    machineId: 'm',
    systemUuid: 's',
    bootId: 'b',
    hasAppArmor: false,
    minOomScoreAdj: 0,
  },
  rootDisk: { capacityBytes: 100 * 2 ** 30, availableBytes: 1, inodes: 1, inodesFree: 1 },
  maxPods: 110,
  reserved: { cpu: '500m', memory: '1Gi' },
  port: 10_250,
  runtimeVersion: 'containerd://1.6.20',
  images: [],
  runtimeHandlers: [],
}
const well: Health = { problems: [], memoryPressure: false, diskPressure: false, pidPressure: false }

test('capacity is the machine, allocatable what is left of it', () => {
  const capacity = capacityOf(facts)
  expect(capacity).toEqual({ cpu: '4', memory: '8388608Ki', 'ephemeral-storage': '104857600Ki', pods: '110' })
  expect(allocatableOf(capacity, facts.reserved)).toEqual({
    cpu: '3500m',
    memory: '7340032Ki',
    'ephemeral-storage': '104857600Ki',
    pods: '110',
  })
})

describe('nodeStatus()', () => {
  const at = (health: Health, previous = {}): ReturnType<typeof nodeStatus> => nodeStatus(facts, health, previous, 5000)
  test('is ready when there is no problem', () => {
    expect(at(well).conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason ?? ''}`)).toEqual([
      'MemoryPressure=False KubeletHasSufficientMemory',
      'DiskPressure=False KubeletHasNoDiskPressure',
      'PIDPressure=False KubeletHasSufficientPID',
      'Ready=True KubeletReady',
    ])
  })
  test('tells of problems and pressure', () => {
    const conditions = at({ ...well, problems: ['a', 'b'], diskPressure: true }).conditions ?? []
    expect(conditions.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'False', reason: 'KubeletNotReady', message: '[a, b]' })
    expect(conditions.find(({ type }) => type === 'DiskPressure')).toMatchObject({ status: 'True', message: 'kubelet has disk pressure' })
  })
  test('keeps what others wrote: extended resources, conditions, addresses; and times of what holds on', () => {
    const previous = {
      capacity: { 'example.com/gpu': '2' },
      addresses: [
        { type: 'ExternalIP', address: '203.0.113.1' },
        { type: 'InternalIP', address: 'old' },
      ],
      conditions: [
        { type: 'NetworkUnavailable', status: 'False' },
        { type: 'Ready', status: 'True', lastTransitionTime: 'then', lastHeartbeatTime: 'then' },
      ],
    }
    const status = at(well, previous)
    expect(status.allocatable).toMatchObject({ 'example.com/gpu': '2', cpu: '3500m' })
    expect(status.addresses?.map(({ address }) => address)).toEqual(['192.0.2.1', 'fd::1', '203.0.113.1', 'n'])
    expect(status.conditions?.[0]?.type).toBe('NetworkUnavailable')
    expect(status.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({
      lastTransitionTime: 'then',
      lastHeartbeatTime: '1970-01-01T00:00:05Z',
    })
  })
})

test('newNode() carries own labels below the well-known ones, taints and the provider', () => {
  const options = {
    nodeName: 'n',
    architecture: 'amd64',
    labels: { a: 'b', 'kubernetes.io/os': 'x' },
    annotations: {},
    taints: [{ key: 'k', effect: 'NoSchedule' }],
    providerId: 'k3s://n',
  }
  const node = newNode(options, {})
  expect(node.metadata.labels).toMatchObject({
    a: 'b',
    'kubernetes.io/os': 'linux',
    'kubernetes.io/hostname': 'n',
    'beta.kubernetes.io/arch': 'amd64',
  })
  expect(node.spec).toEqual({ providerID: 'k3s://n', taints: [{ key: 'k', effect: 'NoSchedule' }] })
})

test('memInfo() reads kilobytes', () => {
  expect(memInfo('MemTotal:       16 kB\nMemAvailable:    8 kB\n', 'MemAvailable')).toBe(8192)
})
