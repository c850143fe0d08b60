import { milliQuantity, quantityMilli, quantityNanos, quantityOf, quantityValue, type Quantity } from '@k3s/api'
import type { ContainerImage, Node, NodeAddress, NodeCondition, NodeStatus, Taint } from '@k3s/api/types/core/v1'
import type { RuntimeHandler } from '@k3s/cri-client'
import { formatTime } from '../pods/pod-facts.ts'
import type { DiskUsage, Machine } from './machine.ts'

/** Amounts that are kept from pods: for the system, and what the eviction manager wants left. */
export type Reserved = Readonly<Record<string, Quantity>>

export interface NodeFacts {
  readonly nodeName: string
  readonly nodeIps: readonly string[]
  /** `KUBELET` of `kubectl version`: `v1.36.3+k3s1`. */
  readonly version: string
  readonly machine: Machine
  readonly rootDisk: DiskUsage
  readonly maxPods: number
  readonly reserved: Reserved
  /** Where the kubelet's server listens. */
  readonly port: number
  /** `containerd://1.7.1`. */
  readonly runtimeVersion: string
  readonly images: readonly ContainerImage[]
  readonly runtimeHandlers: readonly RuntimeHandler[]
}

export interface Health {
  /** Why pods cannot run here; empty when they can. */
  readonly problems: readonly string[]
  readonly memoryPressure: boolean
  readonly diskPressure: boolean
  readonly pidPressure: boolean
}

export function capacityOf({ machine, rootDisk, maxPods }: Pick<NodeFacts, 'machine' | 'rootDisk' | 'maxPods'>): Record<string, Quantity> {
  const kibi = (bytes: number): Quantity => `${Math.floor(bytes / 1024)}Ki`
  return {
    cpu: String(machine.cpus),
    memory: kibi(machine.memoryBytes),
    'ephemeral-storage': kibi(rootDisk.capacityBytes),
    pods: String(maxPods),
  }
}

/** What is left for pods. */
export function allocatableOf(capacity: Readonly<Record<string, Quantity>>, reserved: Reserved): Record<string, Quantity> {
  return Object.fromEntries(
    Object.entries(capacity).map(([name, total]) => {
      const less = reserved[name]
      if (less === undefined || quantityNanos(less) === 0n) return [name, total]
      if (name === 'cpu') return [name, milliQuantity(Math.max(0, quantityMilli(total) - quantityMilli(less)))]
      const left = Math.max(0, quantityValue(total) - quantityValue(less))
      return [name, name === 'memory' ? `${Math.floor(left / 1024)}Ki` : quantityOf(left, 'decimalSI')]
    }),
  )
}

/** Labels that every node has; those with `beta` are old names that clients still read. */
export function nodeLabels(nodeName: string, architecture: string): Record<string, string> {
  return {
    'beta.kubernetes.io/arch': architecture,
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': architecture,
    'kubernetes.io/hostname': nodeName,
    'kubernetes.io/os': 'linux',
  }
}

export interface NewNode {
  readonly nodeName: string
  readonly architecture: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly providerId: string | undefined
}

/** The object that a node registers with. Labels and taints of the configuration count here and never again. */
export function newNode(options: NewNode, status: NodeStatus): Node {
  const { nodeName, architecture, labels, annotations, taints, providerId } = options
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: nodeName,
      labels: { ...labels, ...nodeLabels(nodeName, architecture) },
      annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true', ...annotations },
    },
    spec: {
      ...(providerId === undefined ? {} : { providerID: providerId }),
      ...(taints.length === 0 ? {} : { taints: [...taints] }),
    },
    status,
  }
}

function addressesOf({ nodeIps, nodeName }: NodeFacts, existing: readonly NodeAddress[]): NodeAddress[] {
  // A cloud controller may have told of others.
  const others = existing.filter(({ type }) => type !== 'InternalIP' && type !== 'Hostname')
  return [...nodeIps.map((address) => ({ type: 'InternalIP', address })), ...others, { type: 'Hostname', address: nodeName }]
}

/** The node's status by what is known now. Times of conditions that hold on are kept from `previous`. */
export function nodeStatus(facts: NodeFacts, health: Health, previous: NodeStatus, nowMs: number): NodeStatus {
  const { machine, version, runtimeVersion, images, port } = facts
  const ownCapacity = capacityOf(facts)
  // Extended resources belong to whoever patched them in; they may be allocated whole.
  const extended = Object.fromEntries(Object.entries(previous.capacity ?? {}).filter(([name]) => name.includes('/')))
  const allocatable = allocatableOf(ownCapacity, facts.reserved)
  const own = ownConditions(health)
  const ownTypes = new Set(own.map(({ type }) => type))
  return {
    capacity: { ...extended, ...ownCapacity },
    allocatable: { ...extended, ...allocatable },
    conditions: [
      ...(previous.conditions ?? []).filter(({ type }) => !ownTypes.has(type)),
      ...own.map((condition) => withTimes(condition, previous.conditions ?? [], nowMs)),
    ],
    addresses: addressesOf(facts, previous.addresses ?? []),
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
    nodeInfo: {
      machineID: machine.machineId,
      systemUUID: machine.systemUuid,
      bootID: machine.bootId,
      kernelVersion: machine.kernelVersion,
      osImage: machine.osImage,
      containerRuntimeVersion: runtimeVersion,
      kubeletVersion: version,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: machine.architecture,
      ...(machine.swapBytes > 0 ? { swap: { capacity: machine.swapBytes } } : {}),
    },
    images: [...images],
    ...(facts.runtimeHandlers.length === 0
      ? {}
      : {
          runtimeHandlers: facts.runtimeHandlers.map(({ name, features }) => ({
            name,
            features: {
              recursiveReadOnlyMounts: features?.recursiveReadOnlyMounts === true,
              userNamespaces: features?.userNamespaces === true,
            },
          })),
        }),
  }
}

type Verdict = Required<Pick<NodeCondition, 'type' | 'status' | 'reason' | 'message'>>

function ownConditions({ problems, memoryPressure, diskPressure, pidPressure }: Health): Verdict[] {
  const pressure = (type: string, has: boolean, yes: readonly [string, string], no: readonly [string, string]): Verdict => ({
    type,
    status: has ? 'True' : 'False',
    reason: (has ? yes : no)[0],
    message: `kubelet has ${(has ? yes : no)[1]}`,
  })
  return [
    pressure(
      'MemoryPressure',
      memoryPressure,
      ['KubeletHasInsufficientMemory', 'insufficient memory available'],
      ['KubeletHasSufficientMemory', 'sufficient memory available'],
    ),
    pressure('DiskPressure', diskPressure, ['KubeletHasDiskPressure', 'disk pressure'], ['KubeletHasNoDiskPressure', 'no disk pressure']),
    pressure(
      'PIDPressure',
      pidPressure,
      ['KubeletHasInsufficientPID', 'insufficient PID available'],
      ['KubeletHasSufficientPID', 'sufficient PID available'],
    ),
    problems.length === 0
      ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : {
          type: 'Ready',
          status: 'False',
          reason: 'KubeletNotReady',
          message: problems.length === 1 ? (problems[0] ?? '') : `[${problems.join(', ')}]`,
        },
  ]
}

function withTimes(verdict: Verdict, previous: readonly NodeCondition[], nowMs: number): NodeCondition {
  const before = previous.find(({ type }) => type === verdict.type)
  const now = formatTime(nowMs)
  return {
    ...verdict,
    lastHeartbeatTime: now,
    lastTransitionTime: before?.status === verdict.status ? (before.lastTransitionTime ?? now) : now,
  }
}
