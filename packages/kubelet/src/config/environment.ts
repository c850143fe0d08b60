import type { ConfigMap, Container, EnvVarSource, Pod, Secret } from '@k3s/api/types/core/v1'
import { expand } from './expansion.ts'
import { fieldValue, resourceValue, type PodAddresses } from './downward.ts'

/** What a container's environment is made from. `get…` give `undefined` when the object does not exist and throw when it cannot be known. */
export interface EnvironmentSources {
  getConfigMap(namespace: string, name: string): Promise<ConfigMap | undefined>
  getSecret(namespace: string, name: string): Promise<Secret | undefined>
  readonly serviceEnv: ReadonlyMap<string, string>
  readonly addresses: PodAddresses
  /** The node's. */
  readonly allocatable: Readonly<Record<string, string>>
}

const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')

/** Variables of a container, in the order in which they are set. Throws what the status shows as CreateContainerConfigError. */
export async function makeEnvironment(pod: Pod, container: Container, sources: EnvironmentSources): Promise<Map<string, string>> {
  const namespace = pod.metadata.namespace ?? ''
  const env = new Map<string, string>()
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef !== undefined) {
      const object = await sources.getConfigMap(namespace, configMapRef.name ?? '')
      if (object === undefined && configMapRef.optional !== true) throw new Error(`configmap "${configMapRef.name ?? ''}" not found`)
      for (const [key, value] of Object.entries(object?.data ?? {})) env.set(prefix + key, value)
    } else if (secretRef !== undefined) {
      const object = await sources.getSecret(namespace, secretRef.name ?? '')
      if (object === undefined && secretRef.optional !== true) throw new Error(`secret "${secretRef.name ?? ''}" not found`)
      for (const [key, value] of Object.entries(object?.data ?? {})) env.set(prefix + key, decode(value))
    }
  }
  const result = new Map(env)
  for (const { name, value, valueFrom } of container.env ?? []) {
    const text =
      value !== undefined && value !== ''
        ? expand(value, [result, sources.serviceEnv])
        : valueFrom === undefined
          ? ''
          : await valueOf(pod, container, valueFrom, sources)
    if (text === undefined) continue // optional and absent
    result.set(name, text)
  }
  for (const [name, value] of sources.serviceEnv) if (!result.has(name)) result.set(name, value)
  return result
}

async function valueOf(pod: Pod, container: Container, source: EnvVarSource, sources: EnvironmentSources): Promise<string | undefined> {
  const namespace = pod.metadata.namespace ?? ''
  if (source.fieldRef !== undefined) return fieldValue(pod, source.fieldRef.fieldPath, sources.addresses)
  if (source.resourceFieldRef !== undefined) {
    const wanted = source.resourceFieldRef.containerName
    const named =
      wanted === undefined || wanted === ''
        ? container
        : [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(({ name }) => name === wanted)
    if (named === undefined) throw new Error(`container ${wanted ?? ''} not found`)
    return resourceValue(named, source.resourceFieldRef, sources.allocatable)
  }
  if (source.configMapKeyRef !== undefined) {
    const { name = '', key, optional } = source.configMapKeyRef
    const object = await sources.getConfigMap(namespace, name)
    const value = object?.data?.[key]
    if (value !== undefined) return value
    if (optional === true) return undefined
    if (object === undefined) throw new Error(`configmap "${name}" not found`)
    throw new Error(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`)
  }
  if (source.secretKeyRef !== undefined) {
    const { name = '', key, optional } = source.secretKeyRef
    const object = await sources.getSecret(namespace, name)
    const value = object?.data?.[key]
    if (value !== undefined) return decode(value)
    if (optional === true) return undefined
    if (object === undefined) throw new Error(`secret "${name}" not found`)
    throw new Error(`couldn't find key ${key} in Secret ${namespace}/${name}`)
  }
  throw new Error('invalid valueFrom: no supported source')
}

/** `command` and `args` with `$(VAR)` replaced. */
export function expandCommand(words: readonly string[] | undefined, env: ReadonlyMap<string, string>): string[] {
  return (words ?? []).map((word) => expand(word, [env]))
}
