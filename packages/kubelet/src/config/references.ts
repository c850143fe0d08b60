import type { Container, Pod } from '@k3s/api/types/core/v1'
import { podContainers } from '../pods/pod-facts.ts'

/** Names in the pod's namespace of the objects that it is made from. */
export interface References {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
}

export function referencesOf(pod: Pod): References {
  const configMaps = new Set<string>()
  const secrets = new Set<string>()
  const add = (set: Set<string>, name: string | undefined): void => {
    if (name !== undefined && name !== '') set.add(name)
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) add(secrets, name)
  for (const { configMap, secret, projected } of pod.spec.volumes ?? []) {
    add(configMaps, configMap?.name)
    add(secrets, secret?.secretName)
    for (const source of projected?.sources ?? []) {
      add(configMaps, source.configMap?.name)
      add(secrets, source.secret?.name)
    }
  }
  const addContainer = ({ env = [], envFrom = [] }: Container): void => {
    for (const { configMapRef, secretRef } of envFrom) {
      add(configMaps, configMapRef?.name)
      add(secrets, secretRef?.name)
    }
    for (const { valueFrom } of env) {
      add(configMaps, valueFrom?.configMapKeyRef?.name)
      add(secrets, valueFrom?.secretKeyRef?.name)
    }
  }
  for (const { container } of podContainers(pod)) addContainer(container)
  return { configMaps, secrets }
}
