import type { KubernetesObject } from '@k3s/api'
import type { ResourceStrategy } from '../registry/strategy.ts'
import { configMapStrategy } from './config-maps/strategy.ts'
import { deploymentStrategy } from './deployments/strategy.ts'
import { endpointSliceStrategy } from './endpoint-slices/strategy.ts'
import { eventStrategy } from './events/strategy.ts'
import { leaseStrategy } from './leases/strategy.ts'
import { namespaceStrategy } from './namespaces/strategy.ts'
import { nodeStrategy } from './nodes/strategy.ts'
import { podStrategy } from './pods/strategy.ts'
import { replicaSetStrategy } from './replica-sets/strategy.ts'
import { secretStrategy } from './secrets/strategy.ts'
import { serviceAccountStrategy } from './service-accounts/strategy.ts'
import { ServiceAllocators } from './services/allocators.ts'
import { serviceStrategy } from './services/strategy.ts'

export interface BuiltInStrategyOptions {
  /** Ranges of cluster IPs, one or one of each family; the first is the default family. */
  readonly serviceCidrs: readonly string[]
  /** Both included. Default: 30000 to 32767. */
  readonly nodePortRange?: { readonly first: number; readonly last: number } | undefined
  /** Default true, as in K3s. */
  readonly allowPrivileged?: boolean | undefined
  /** 0 to 1; default Math.random. */
  readonly random?: (() => number) | undefined
}

// A strategy is only ever given objects of its own type: the registry looks it up by that.
const erase = <T extends KubernetesObject>(strategy: ResourceStrategy<T>): ResourceStrategy => strategy as unknown as ResourceStrategy

/** The rules of all resources that a server has without CRDs. Throws a TypeError when a range is no CIDR. */
export function builtInStrategies(options: BuiltInStrategyOptions): readonly ResourceStrategy[] {
  const allocators = new ServiceAllocators(options)
  return [
    erase(podStrategy({ isPod: true, allowPrivileged: options.allowPrivileged ?? true })),
    erase(nodeStrategy),
    erase(serviceStrategy(allocators)),
    erase(namespaceStrategy),
    erase(configMapStrategy),
    erase(secretStrategy),
    erase(serviceAccountStrategy(undefined)),
    erase(eventStrategy),
    erase(leaseStrategy),
    erase(endpointSliceStrategy),
    erase(deploymentStrategy),
    erase(replicaSetStrategy),
  ]
}
