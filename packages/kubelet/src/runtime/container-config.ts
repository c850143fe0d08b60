import { join } from 'node:path'
import type { Container, Pod } from '@k3s/api/types/core/v1'
import type { ContainerConfig, CriInput, LinuxContainerResources, Mount, Signal } from '@k3s/cri-client'
import { expandCommand } from '../config/environment.ts'
import { containerResources } from '../resources/linux-resources.ts'
import { containerAnnotations, containerLabels } from './labels.ts'
import { containerSecurityContext, type ContainerSecurityOptions, type ImageUser } from './security-context.ts'

export interface ContainerInput {
  readonly restartCount: number
  readonly env: ReadonlyMap<string, string>
  readonly mounts: readonly CriInput<Mount>[]
  /** The image as the runtime names it. */
  readonly imageRef: string
  readonly imageUser: ImageUser
  readonly memoryCapacity: number
  readonly minOomScoreAdj: number
  readonly security: ContainerSecurityOptions
  /** Changes nothing when undefined. */
  readonly pidsLimit?: number | undefined
}

/** What a container may use, as the runtime takes it. */
export function linuxResources(
  pod: Pod,
  container: Container,
  input: Pick<ContainerInput, 'memoryCapacity' | 'minOomScoreAdj'>,
): CriInput<LinuxContainerResources> {
  const { cpuShares, cpuPeriod, cpuQuota, memoryLimit, oomScoreAdj } = containerResources(
    pod,
    container,
    input.memoryCapacity,
    input.minOomScoreAdj,
  )
  return { cpuShares, cpuPeriod, cpuQuota, memoryLimitInBytes: memoryLimit, oomScoreAdj }
}

/** A container as the runtime is asked for it. */
export function containerConfig(pod: Pod, container: Container, input: ContainerInput): CriInput<ContainerConfig> {
  return {
    metadata: { name: container.name, attempt: input.restartCount },
    image: { image: input.imageRef, userSpecifiedImage: container.image ?? '' },
    command: expandCommand(container.command, input.env),
    args: expandCommand(container.args, input.env),
    workingDir: container.workingDir ?? '',
    envs: [...input.env].map(([key, value]) => ({ key, value: Buffer.from(value) })),
    mounts: input.mounts,
    labels: containerLabels(pod, container),
    annotations: containerAnnotations(pod, container, input.restartCount),
    logPath: join(container.name, `${input.restartCount}.log`),
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    linux: {
      resources: linuxResources(pod, container, input),
      securityContext: containerSecurityContext(pod, container, input.imageUser, input.security),
    },
    ...(container.lifecycle?.stopSignal === undefined ? {} : { stopSignal: stopSignal(container.lifecycle.stopSignal) }),
  }
}

/** Validation has only let through names that CRI has too. */
function stopSignal(name: string): Signal {
  return name as Signal // checked by the API server against the same list
}
