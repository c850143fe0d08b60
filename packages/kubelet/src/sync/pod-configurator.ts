import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runtimeclasses } from '@k3s/api/types/node/v1'
import type { Container, Pod, Secret, Service } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import type { CriInput, PodSandboxConfig } from '@k3s/cri-client'
import { parseResolvConf, podDns } from '../config/dns.ts'
import { makeEnvironment } from '../config/environment.ts'
import { hostNetworkHostsFile, podHostsFile } from '../config/hosts-file.ts'
import type { ObjectStore } from '../config/object-store.ts'
import { serviceEnv } from '../config/service-env.ts'
import type { PodEvents } from '../events.ts'
import { podDomain, podHostname } from '../pods/pod-facts.ts'
import { sandboxConfig } from '../runtime/sandbox-config.ts'
import type { TokenSource } from '../volumes/token-source.ts'
import type { VolumeSources } from '../volumes/volume-manager.ts'

export interface PodConfiguratorOptions {
  readonly client: Client
  readonly objects: ObjectStore
  readonly tokens: TokenSource
  readonly events: PodEvents
  readonly services: () => readonly Service[]
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  /** The host's resolv.conf. */
  readonly resolvConf: string
  readonly podLogsDir: string
  readonly rootDir: string
  readonly nodeIps: () => readonly string[]
  readonly allocatable: () => Readonly<Record<string, string>>
  readonly memoryCapacity: number
  readonly minOomScoreAdj: number
  readonly hasAppArmor: boolean
}

/** Gathers what a pod's sandbox and containers are configured with. */
export class PodConfigurator {
  readonly #options: PodConfiguratorOptions

  constructor(options: PodConfiguratorOptions) {
    this.#options = options
  }

  async sandboxConfig(pod: Pod, attempt: number, cgroupParent: string): Promise<CriInput<PodSandboxConfig>> {
    const { clusterDns, clusterDomain, podLogsDir, resolvConf, rootDir } = this.#options
    // Read each time: the host's network may have changed since.
    const host = parseResolvConf(resolvConf === '' ? '' : await readFile(resolvConf, 'utf8'))
    return sandboxConfig(pod, {
      attempt,
      dns: podDns(pod, { clusterDns, clusterDomain, host }),
      clusterDomain,
      podLogsDir,
      seccompDir: join(rootDir, 'seccomp'),
      cgroupParent,
    })
  }

  /** Empty: the runtime's default. */
  async runtimeHandler(pod: Pod): Promise<string> {
    const name = pod.spec.runtimeClassName
    if (name === undefined || name === '') return ''
    return (await this.#options.client.resource(runtimeclasses).get(name)).handler
  }

  async environment(pod: Pod, container: Container, podIps: readonly string[]): Promise<Map<string, string>> {
    const { allocatable, nodeIps, objects, services } = this.#options
    const hostIps = nodeIps()
    return await makeEnvironment(pod, container, {
      getConfigMap: (namespace, name) => objects.getConfigMap(namespace, name),
      getSecret: (namespace, name) => objects.getSecret(namespace, name),
      serviceEnv: serviceEnv(services(), pod.metadata.namespace ?? '', pod.spec.enableServiceLinks !== false),
      addresses: { hostIps, podIps: pod.spec.hostNetwork === true ? hostIps : podIps },
      allocatable: allocatable(),
    })
  }

  volumeSources(pod: Pod, podIps: readonly string[]): VolumeSources {
    const { allocatable, nodeIps, objects, tokens } = this.#options
    const hostIps = nodeIps()
    return {
      getConfigMap: (namespace, name) => objects.getConfigMap(namespace, name),
      getSecret: (namespace, name) => objects.getSecret(namespace, name),
      getToken: (owner, audience, expirationSeconds) => tokens.get(owner, audience, expirationSeconds),
      addresses: { hostIps, podIps: pod.spec.hostNetwork === true ? hostIps : podIps },
      allocatable: allocatable(),
    }
  }

  /** Text of /etc/hosts; `undefined` leaves the runtime's own. */
  async hostsFile(pod: Pod, podIps: readonly string[]): Promise<string | undefined> {
    const aliases = pod.spec.hostAliases
    if (pod.spec.hostNetwork === true) return hostNetworkHostsFile(await readFile('/etc/hosts', 'utf8'), aliases)
    if (podIps.length === 0) return undefined
    const name = pod.spec.hostnameOverride ?? podHostname(pod)
    return podHostsFile(podIps, name, podDomain(pod, this.#options.clusterDomain), aliases)
  }

  limits(): { readonly memoryCapacity: number; readonly minOomScoreAdj: number } {
    const { memoryCapacity, minOomScoreAdj } = this.#options
    return { memoryCapacity, minOomScoreAdj }
  }

  security(): { readonly seccompDir: string; readonly hasAppArmor: boolean } {
    const { hasAppArmor, rootDir } = this.#options
    return { seccompDir: join(rootDir, 'seccomp'), hasAppArmor }
  }

  /** The pod's pull secrets that exist; tells of those that do not. */
  async pullSecrets(pod: Pod): Promise<readonly Secret[]> {
    const { events, objects } = this.#options
    const found: Secret[] = []
    const missing: string[] = []
    for (const { name = '' } of pod.spec.imagePullSecrets ?? []) {
      const secret = await objects.getSecret(pod.metadata.namespace ?? '', name).catch(() => undefined) // told of below
      if (secret === undefined) missing.push(name)
      else found.push(secret)
    }
    if (missing.length > 0)
      events.podEvent(
        pod,
        'Warning',
        'FailedToRetrieveImagePullSecret',
        `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`,
      )
    return found
  }
}
