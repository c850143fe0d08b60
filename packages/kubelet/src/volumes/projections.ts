import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume, VolumeProjection } from '@k3s/api/types/core/v1'
import { fieldValue, resourceValue, type PodAddresses } from '../config/downward.ts'
import type { ProjectedFile } from './atomic-writer.ts'

/** What the content of volumes is made from. `get…` give `undefined` for what does not exist. */
export interface ProjectionSources {
  getConfigMap(namespace: string, name: string): Promise<ConfigMap | undefined>
  getSecret(namespace: string, name: string): Promise<Secret | undefined>
  /** A token of the pod's service account that is good for at least a fifth of its life. */
  getToken(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string>
  readonly addresses: PodAddresses
  /** The node's. */
  readonly allocatable: Readonly<Record<string, string>>
}

const defaultMode = 0o644

/** The files of a configMap, secret, downwardAPI or projected volume; `undefined` for every other kind. Throws when something it needs is not there. */
export async function projectVolume(pod: Pod, volume: Volume, sources: ProjectionSources): Promise<Map<string, ProjectedFile> | undefined> {
  const { configMap, secret, downwardAPI, projected } = volume
  if (configMap !== undefined)
    return await configMapFiles(pod, configMap.name ?? '', configMap, configMap.defaultMode ?? defaultMode, sources)
  if (secret !== undefined) return await secretFiles(pod, secret.secretName ?? '', secret, secret.defaultMode ?? defaultMode, sources)
  if (downwardAPI !== undefined) return downwardFiles(pod, downwardAPI.items ?? [], downwardAPI.defaultMode ?? defaultMode, sources)
  if (projected === undefined) return undefined
  const files = new Map<string, ProjectedFile>()
  for (const source of projected.sources ?? [])
    for (const [path, file] of await projectedFiles(pod, source, projected.defaultMode ?? defaultMode, sources)) files.set(path, file)
  return files
}

async function projectedFiles(
  pod: Pod,
  source: VolumeProjection,
  mode: number,
  sources: ProjectionSources,
): Promise<Map<string, ProjectedFile>> {
  const { configMap, secret, downwardAPI, serviceAccountToken } = source
  if (configMap !== undefined) return await configMapFiles(pod, configMap.name ?? '', configMap, mode, sources)
  if (secret !== undefined) return await secretFiles(pod, secret.name ?? '', secret, mode, sources)
  if (downwardAPI !== undefined) return downwardFiles(pod, downwardAPI.items ?? [], mode, sources)
  if (serviceAccountToken === undefined) return new Map() // trust bundles and pod certificates are not served here
  const { path, audience, expirationSeconds = 3600 } = serviceAccountToken
  const token = await sources.getToken(pod, audience, expirationSeconds)
  const owner = soleUser(pod)
  // Upstream keeps a token to its reader where it knows one; a group's bits are added with the volume's ownership.
  const isPrivate = owner !== undefined || pod.spec.securityContext?.fsGroup !== undefined
  return new Map([[path, { data: Buffer.from(token), mode: isPrivate ? 0o600 : mode, uid: owner }]])
}

/** The user that all containers run as, when it is one and said. */
function soleUser(pod: Pod): number | undefined {
  const users = new Set(
    [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(
      ({ securityContext }) => securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser,
    ),
  )
  const [only] = users
  return users.size === 1 ? only : undefined
}

interface Selection {
  readonly items?: readonly KeyToPath[] | undefined
  readonly optional?: boolean | undefined
}

async function configMapFiles(
  pod: Pod,
  name: string,
  selection: Selection,
  mode: number,
  sources: ProjectionSources,
): Promise<Map<string, ProjectedFile>> {
  const object = await sources.getConfigMap(pod.metadata.namespace ?? '', name)
  if (object === undefined) {
    if (selection.optional === true) return new Map()
    throw new Error(`configmap "${name}" not found`)
  }
  const data = new Map<string, Uint8Array>()
  for (const [key, value] of Object.entries(object.data ?? {})) data.set(key, Buffer.from(value))
  for (const [key, value] of Object.entries(object.binaryData ?? {})) data.set(key, Buffer.from(value, 'base64'))
  return pick(data, selection, mode, 'configmap')
}

async function secretFiles(
  pod: Pod,
  name: string,
  selection: Selection,
  mode: number,
  sources: ProjectionSources,
): Promise<Map<string, ProjectedFile>> {
  const object = await sources.getSecret(pod.metadata.namespace ?? '', name)
  if (object === undefined) {
    if (selection.optional === true) return new Map()
    throw new Error(`secret "${name}" not found`)
  }
  const data = new Map(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64')]))
  return pick(data, selection, mode, 'secret')
}

function pick(
  data: ReadonlyMap<string, Uint8Array>,
  { items, optional }: Selection,
  mode: number,
  what: string,
): Map<string, ProjectedFile> {
  if (items === undefined || items.length === 0) return new Map([...data].map(([key, bytes]) => [key, { data: bytes, mode }]))
  const files = new Map<string, ProjectedFile>()
  for (const { key, path, mode: own } of items) {
    const bytes = data.get(key)
    if (bytes === undefined) {
      if (optional === true) continue
      throw new Error(`${what} references non-existent ${what === 'secret' ? 'secret' : 'config'} key: ${key}`)
    }
    files.set(path, { data: bytes, mode: own ?? mode })
  }
  return files
}

function downwardFiles(
  pod: Pod,
  items: readonly DownwardAPIVolumeFile[],
  mode: number,
  sources: ProjectionSources,
): Map<string, ProjectedFile> {
  const files = new Map<string, ProjectedFile>()
  for (const { path, fieldRef, resourceFieldRef, mode: own } of items) {
    let value = ''
    if (fieldRef !== undefined) value = fieldValue(pod, fieldRef.fieldPath, sources.addresses)
    else if (resourceFieldRef !== undefined) {
      const name = resourceFieldRef.containerName
      const container = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((candidate) => candidate.name === name)
      if (container === undefined) throw new Error(`container ${name ?? ''} not found`)
      value = resourceValue(container, resourceFieldRef, sources.allocatable)
    }
    files.set(path, { data: Buffer.from(value), mode: own ?? mode })
  }
  return files
}
