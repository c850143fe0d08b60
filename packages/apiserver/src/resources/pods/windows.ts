import type { PodSpec } from '@k3s/api/types/core/v1'
import { forbiddenField } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'

const podFields = [
  'securityContext.appArmorProfile',
  'securityContext.seLinuxOptions',
  'hostUsers',
  'hostPID',
  'hostIPC',
  'securityContext.seccompProfile',
  'securityContext.fsGroup',
  'securityContext.fsGroupChangePolicy',
  'securityContext.sysctls',
  'shareProcessNamespace',
  'securityContext.runAsUser',
  'securityContext.runAsGroup',
  'securityContext.supplementalGroups',
  'securityContext.supplementalGroupsPolicy',
  'securityContext.seLinuxChangePolicy',
] as const

const containerFields = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const

const kinds = ['initContainers', 'containers', 'ephemeralContainers'] as const

/** What pods of an operating system may not have. */
export function validateOsFields(spec: PodSpec, field: string): FieldError[] {
  const contexts = kinds.flatMap((kind) =>
    (spec[kind] ?? []).map(({ securityContext }, index) => ({ at: `${field}.${kind}[${index}].securityContext`, securityContext })),
  )
  if (spec.os?.name === 'linux') {
    const pod = { at: `${field}.securityContext`, securityContext: spec.securityContext }
    return [pod, ...contexts].flatMap(({ at, securityContext }) =>
      securityContext?.windowsOptions === undefined
        ? []
        : [forbiddenField(`${at}.windowsOptions`, 'windows options cannot be set for a linux pod')],
    )
  }
  if (spec.os?.name !== 'windows') return []
  const message = 'cannot be set for a windows pod'
  return [
    ...podFields.filter((name) => isSet(podValue(spec, name))).map((name) => forbiddenField(`${field}.${name}`, message)),
    ...contexts.flatMap(({ at, securityContext }) =>
      containerFields.filter((name) => securityContext?.[name] !== undefined).map((name) => forbiddenField(`${at}.${name}`, message)),
    ),
  ]
}

function podValue(spec: PodSpec, path: (typeof podFields)[number]): unknown {
  return path.split('.').reduce<unknown>((at, name) => (at as Readonly<Record<string, unknown>> | undefined)?.[name], spec) // objects on the way
}

/** Of hosts' namespaces and lists nothing is as good as none. */
const isSet = (value: unknown): boolean => value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0)
