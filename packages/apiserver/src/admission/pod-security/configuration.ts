import { parse } from 'yaml'
import type { Namespace } from '@k3s/api/types/core/v1'
import { isObject } from '../../json.ts'
import type { PodSecurityLevel } from './checks.ts'

/** A level as of a version: `latest` or `v1.N`; all are judged by the newest rules. */
export interface LevelVersion {
  readonly level: PodSecurityLevel
  readonly version: string
}

/** What a namespace demands of its pods: what is refused, what is noted in the audit log, what is warned about. */
export interface PodSecurityPolicy {
  readonly enforce: LevelVersion
  readonly audit: LevelVersion
  readonly warn: LevelVersion
}

/** What counts for namespaces that say nothing, and who is let off: upstream's PodSecurityConfiguration. */
export interface PodSecurityConfiguration {
  readonly defaults: PodSecurityPolicy
  readonly exemptions: {
    readonly usernames: readonly string[]
    readonly namespaces: readonly string[]
    readonly runtimeClasses: readonly string[]
  }
}

export const labelPrefix = 'pod-security.kubernetes.io/'
/** From the least strict on. */
export const levelNames: readonly PodSecurityLevel[] = ['privileged', 'baseline', 'restricted']
const modes = ['enforce', 'audit', 'warn'] as const

const privileged: LevelVersion = { level: 'privileged', version: 'latest' }

/** Nothing is demanded of namespaces that say nothing. */
export const defaultPodSecurity: PodSecurityConfiguration = {
  defaults: { enforce: privileged, audit: privileged, warn: privileged },
  exemptions: { usernames: [], namespaces: [], runtimeClasses: [] },
}

/** As upstream writes it. */
export const levelText = ({ level, version }: LevelVersion): string => `${level}:${version}`

/** Negative when `left` is less strict. */
export const compareLevels = (left: PodSecurityLevel, right: PodSecurityLevel): number =>
  levelNames.indexOf(left) - levelNames.indexOf(right)

export const isFullyPrivileged = (policy: PodSecurityPolicy): boolean => modes.every((mode) => policy[mode].level === 'privileged')

const isLevel = (text: unknown): text is PodSecurityLevel => levelNames.some((name) => name === text)

/** True for what may stand as a version. */
export const isVersion = (text: unknown): text is string => typeof text === 'string' && /^(?:latest|v1\.(?:0|[1-9]\d*))$/.test(text)

/** What the labels of a namespace demand. A wrong level enforces the strictest, and notes and warns of nothing, as upstream has it. */
export function policyOf(namespace: Namespace | undefined, defaults: PodSecurityPolicy): PodSecurityPolicy {
  const labels = namespace?.metadata.labels ?? {}
  const read = (mode: (typeof modes)[number], fallback: PodSecurityLevel): LevelVersion => {
    const level = labels[labelPrefix + mode]
    const version = labels[`${labelPrefix}${mode}-version`]
    return {
      level: level === undefined ? defaults[mode].level : isLevel(level) ? level : fallback,
      version: version === undefined ? defaults[mode].version : isVersion(version) ? version : 'latest',
    }
  }
  const enforce = read('enforce', 'restricted')
  const warn = read('warn', 'privileged')
  // Who is to be refused more than warned of is warned of as much.
  const isRaised =
    labels[`${labelPrefix}warn`] === undefined && isLevel(labels[`${labelPrefix}enforce`]) && compareLevels(enforce.level, warn.level) > 0
  const raised = { level: enforce.level, version: labels[`${labelPrefix}warn-version`] === undefined ? enforce.version : warn.version }
  return { enforce, audit: read('audit', 'privileged'), warn: isRaised ? raised : warn }
}

const versions = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `pod-security.admission.config.k8s.io/${version}`)

/** Reads a PodSecurityConfiguration: an object, or YAML or JSON. Throws a TypeError that names the field that is wrong. */
export function parsePodSecurityConfiguration(given: unknown): PodSecurityConfiguration {
  const document: unknown = typeof given === 'string' ? parse(given) : given
  if (!isObject(document) || document['kind'] !== 'PodSecurityConfiguration' || !versions.some((one) => one === document['apiVersion']))
    throw new TypeError(`must be a PodSecurityConfiguration of ${versions.join(', ')}`)
  const { defaults = {}, exemptions = {} } = document
  if (!isObject(defaults)) throw new TypeError('defaults: must be an object')
  if (!isObject(exemptions)) throw new TypeError('exemptions: must be an object')
  refuseUnknown(document, '', ['kind', 'apiVersion', 'defaults', 'exemptions'])
  refuseUnknown(defaults, 'defaults.', [...modes, ...modes.map((mode) => `${mode}-version`)])
  refuseUnknown(exemptions, 'exemptions.', ['usernames', 'namespaces', 'runtimeClasses'])
  const read = (mode: (typeof modes)[number]): LevelVersion => {
    const level = defaults[mode] || 'privileged'
    const version = defaults[`${mode}-version`] || 'latest'
    if (!isLevel(level)) throw new TypeError(`defaults.${mode}: must be one of ${levelNames.join(', ')}`)
    if (!isVersion(version)) throw new TypeError(`defaults.${mode}-version: must be "latest" or "v1.x"`)
    return { level, version }
  }
  const names = (field: keyof PodSecurityConfiguration['exemptions']): readonly string[] => {
    const value = exemptions[field] ?? []
    if (!Array.isArray(value) || !value.every((one) => typeof one === 'string' && one !== ''))
      throw new TypeError(`exemptions.${field}: must be a list of names`)
    if (new Set(value).size < value.length) throw new TypeError(`exemptions.${field}: each name may be there once`)
    return value
  }
  return {
    defaults: { enforce: read('enforce'), audit: read('audit'), warn: read('warn') },
    exemptions: { usernames: names('usernames'), namespaces: names('namespaces'), runtimeClasses: names('runtimeClasses') },
  }
}

/** A field that is misspelt would protect nothing. */
function refuseUnknown(fields: object, prefix: string, known: readonly string[]): void {
  const odd = Object.keys(fields).find((name) => !known.includes(name))
  if (odd !== undefined) throw new TypeError(`${prefix}${odd}: unknown field`)
}
