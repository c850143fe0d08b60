import { quantityMilli } from '@k3s/api'
import type { Container, ContainerPort, PodAffinityTerm, PodSpec, Volume } from '@k3s/api/types/core/v1'
import type { ObjectMeta } from '@k3s/api/types/meta/v1'
import { deprecatedNodeLabels } from '../nodes/deprecated-labels.ts'

interface Placed<T> {
  readonly at: string
  readonly value: T
}

/** What users are warned of about pods and templates of pods that are valid. `field` is where the template is; empty for a pod. */
export function podWarnings(spec: PodSpec, metadata: Pick<ObjectMeta, 'annotations'>, field = ''): readonly string[] {
  const at = field === '' ? 'spec' : `${field}.spec`
  const annotations = field === '' ? 'metadata.annotations' : `${field}.metadata.annotations`
  const containers: readonly Placed<Container>[] = [
    ...(spec.initContainers ?? []).map((value, index) => ({ at: `${at}.initContainers[${index}]`, value })),
    ...(spec.containers ?? []).map((value, index) => ({ at: `${at}.containers[${index}]`, value })),
    ...(spec.ephemeralContainers ?? []).map((value, index) => ({ at: `${at}.ephemeralContainers[${index}]`, value })),
  ]
  return [
    ...placementWarnings(spec, at),
    ...deprecatedAnnotations
      .filter(([key]) => metadata.annotations?.[key] !== undefined)
      .map(([key, message]) => `${annotations}[${key}]: ${message}`),
    ...(spec.volumes ?? []).flatMap((volume, index) => volumeWarnings(volume, `${at}.volumes[${index}]`)),
    ...repeated((spec.hostAliases ?? []).map(({ ip }) => ip)).map(
      ([index, ip]) => `${at}.hostAliases[${index}].ip: duplicate ip ${quoted(ip)}`,
    ),
    ...secretWarnings(spec, `${at}.imagePullSecrets`),
    ...fractions(spec.overhead, `${at}.overhead`),
    ...seccompWarnings(spec, podSeccomp, metadata, annotations),
    ...containers.flatMap(({ at: place, value: { name, securityContext, resources, env = [] } }) => [
      ...seccompWarnings({ securityContext }, `${containerSeccomp}${name}`, metadata, annotations),
      ...fractions(resources?.limits, `${place}.resources.limits`),
      ...fractions(resources?.requests, `${place}.resources.requests`),
      ...envWarnings(env, `${place}.env`),
    ]),
    ...portWarnings(
      containers.flatMap(({ at: place, value }) =>
        (value.ports ?? []).map((port, index) => ({ at: `${place}.ports[${index}]`, value: port })),
      ),
    ),
    ...((spec.terminationGracePeriodSeconds ?? 0) < 0
      ? [`${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`]
      : []),
    ...affinityWarnings(spec, `${at}.affinity`),
  ]
}

const quoted = (text: string): string => JSON.stringify(text)

const deprecatedAnnotations: readonly (readonly [key: string, message: string])[] = [
  ['scheduler.alpha.kubernetes.io/critical-pod', 'non-functional in v1.16+; use the "priorityClassName" field instead'],
  ['security.alpha.kubernetes.io/sysctls', 'non-functional in v1.11+; use the "sysctls" field instead'],
  ['security.alpha.kubernetes.io/unsafe-sysctls', 'non-functional in v1.11+; use the "sysctls" field instead'],
]

/** The annotation that was a pod's profile before there was a field, and what those of its containers begin with. */
export const podSeccomp = 'seccomp.security.alpha.kubernetes.io/pod'
export const containerSeccomp = 'container.seccomp.security.alpha.kubernetes.io/'

const nullSelector = 'a null labelSelector results in matching no pod'

function placementWarnings({ nodeSelector = {}, affinity, topologySpreadConstraints = [] }: PodSpec, at: string): string[] {
  const node = affinity?.nodeAffinity
  const required = `${at}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`
  const preferred = `${at}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution`
  const keys: readonly Placed<string>[] = [
    ...(node?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []).flatMap(({ matchExpressions = [] }, index) =>
      matchExpressions.map(({ key }, position) => ({ at: `${required}[${index}].matchExpressions[${position}].key`, value: key })),
    ),
    ...(node?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ preference: { matchExpressions = [] } }, index) =>
      matchExpressions.map(({ key }, position) => ({
        at: `${preferred}[${index}].preference.matchExpressions[${position}].key`,
        value: key,
      })),
    ),
  ]
  const isDeprecated = ({ at: place, value }: Placed<string>): string[] => {
    const message = deprecatedNodeLabels.get(value)
    return message === undefined ? [] : [`${place}: ${value} is ${message}`]
  }
  return [
    ...Object.keys(nodeSelector).flatMap((key) => {
      const message = deprecatedNodeLabels.get(key)
      return message === undefined ? [] : [`${at}.nodeSelector[${key}]: ${message}`]
    }),
    ...keys.flatMap(isDeprecated),
    ...topologySpreadConstraints.flatMap(({ topologyKey, labelSelector }, index) => {
      const place = `${at}.topologySpreadConstraints[${index}]`
      return [
        ...isDeprecated({ at: `${place}.topologyKey`, value: topologyKey }),
        ...(labelSelector === undefined ? [`${place}.labelSelector: ${nullSelector}`] : []),
      ]
    }),
  ]
}

/** Volumes that no kubelet mounts any more, in the order in which upstream asks for them. */
const goneVolumes: readonly (readonly [type: keyof Volume, message: string, shown?: string])[] = [
  ['photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['gitRepo', 'deprecated in v1.11, and disabled by default in v1.33+'],
  ['scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['flocker', 'deprecated in v1.22, non-functional in v1.25+'],
  ['storageos', 'deprecated in v1.22, non-functional in v1.25+', 'storageOS'],
  ['quobyte', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['rbd', 'deprecated in v1.28, non-functional in v1.31+'],
]

function volumeWarnings(volume: Volume, at: string): string[] {
  return goneVolumes.filter(([type]) => volume[type] !== undefined).map(([type, message, shown]) => `${at}.${shown ?? type}: ${message}`)
}

/** Values that stood before, with their positions. */
function repeated(values: readonly string[]): (readonly [index: number, value: string])[] {
  return values.flatMap((value, index) => (values.indexOf(value) < index ? [[index, value] as const] : []))
}

function secretWarnings({ imagePullSecrets = [] }: PodSpec, at: string): string[] {
  const names = imagePullSecrets.map(({ name = '' }) => name)
  return [
    ...repeated(names).map(([index, name]) => `${at}[${index}].name: duplicate name ${quoted(name)}`),
    ...names.flatMap((name, index) => (name === '' ? [`${at}[${index}].name: invalid empty name ""`] : [])),
  ]
}

function fractions(amounts: Readonly<Record<string, string>> | undefined, at: string): string[] {
  return ['memory', 'ephemeral-storage'].flatMap((name) => {
    const amount = amounts?.[name]
    if (amount === undefined || quantityMilli(amount) % 1000 === 0) return []
    return [`${at}[${name}]: fractional byte value ${quoted(amount)} is invalid, must be an integer`]
  })
}

function seccompWarnings(
  { securityContext }: Pick<PodSpec, 'securityContext'> | Pick<Container, 'securityContext'>,
  key: string,
  { annotations = {} }: Pick<ObjectMeta, 'annotations'>,
  at: string,
): string[] {
  if (securityContext?.seccompProfile !== undefined || annotations[key] === undefined) return []
  return [`${at}[${key}]: non-functional in v1.27+; use the "seccompProfile" field instead`]
}

/** A variable may build on the one before it; one that hides it is lost when the list is applied. */
function envWarnings(env: NonNullable<Container['env']>, at: string): string[] {
  const seen = new Set<string>()
  return env.flatMap(({ name, value = '', valueFrom }, index) => {
    if (seen.size < seen.add(name).size) return []
    const before = `$(${name})`
    const builds = valueFrom === undefined && value !== before && value.includes(before)
    return builds ? [] : [`${at}[${index}]: hides previous definition of ${quoted(name)}, which may be dropped when using apply`]
  })
}

function portWarnings(ports: readonly Placed<ContainerPort>[]): string[] {
  const warnings: string[] = []
  const byPort = new Map<string, Placed<ContainerPort>[]>()
  for (const placed of ports) {
    const { at, value: port } = placed
    const key = `${port.containerPort}/${port.protocol ?? ''}`
    const others = byPort.get(key) ?? []
    for (const other of others) {
      const problem = clashOf(port, other.value)
      if (problem !== undefined) warnings.push(`${at}: ${problem} port definition with ${other.at}`)
    }
    byPort.set(key, [...others, placed])
  }
  const byName = new Map<string, string>()
  for (const { at, value } of ports) {
    if (!value.name) continue
    const other = byName.get(value.name)
    if (other === undefined) byName.set(value.name, at)
    else
      warnings.push(
        `${at}: duplicate port name ${quoted(value.name)} with ${other}, services and probes that select ports by name will use ${other}`,
      )
  }
  return warnings
}

function clashOf(port: ContainerPort, other: ContainerPort): string | undefined {
  const [host, otherHost] = [port.hostPort ?? 0, other.hostPort ?? 0]
  const [ip, otherIp] = [port.hostIP ?? '', other.hostIP ?? '']
  if (ip === otherIp && host === otherHost) return 'duplicate'
  if (host === 0 || otherHost === 0) return 'overlapping'
  return host === otherHost && (ip === '') !== (otherIp === '') ? 'dangerously ambiguous' : undefined
}

function affinityWarnings({ affinity }: PodSpec, at: string): string[] {
  return (['podAffinity', 'podAntiAffinity'] as const).flatMap((kind) => {
    const required = `${at}.${kind}.requiredDuringSchedulingIgnoredDuringExecution`
    const preferred = `${at}.${kind}.preferredDuringSchedulingIgnoredDuringExecution`
    const terms: readonly Placed<PodAffinityTerm>[] = [
      ...(affinity?.[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((value, index) => ({
        at: `${required}[${index}]`,
        value,
      })),
      ...(affinity?.[kind]?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }, index) => ({
        at: `${preferred}[${index}].podAffinityTerm`,
        value: podAffinityTerm,
      })),
    ]
    return terms.filter(({ value }) => value.labelSelector === undefined).map((term) => `${term.at}.labelSelector: ${nullSelector}`)
  })
}
