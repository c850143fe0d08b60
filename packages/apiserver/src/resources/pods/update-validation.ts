import type { Affinity, ContainerStatus, NodeAffinity, NodeSelectorTerm, Pod, PodSpec } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { describeDifference } from '../shared/difference.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { immutable, invalids } from '../../validation/fields.ts'
import { ipFamilyOf, validateIp } from '../shared/ip.ts'
import { dns1123Subdomain, qualifiedName, rangeError } from '../../validation/names.ts'
import { computeQosClass } from '../shared/resource-list.ts'
import { validateTolerations } from './scheduling.ts'

const maxInt32 = 2147483647
const mirrorAnnotation = 'kubernetes.io/config.mirror'
const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/'

const updatable = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',')

/** Problems of a change of the annotations that the kubelet acts on. */
export function validateAnnotationsUpdate(pod: Pod, previous: Pod): FieldError[] {
  const [now, then] = [pod.metadata.annotations ?? {}, previous.metadata.annotations ?? {}]
  const errors: FieldError[] = []
  for (const [key, value] of Object.entries(then)) {
    if (now[key] === value) continue
    if (key.startsWith(appArmorPrefix))
      errors.push(forbiddenField(`metadata.annotations[${key}]`, 'may not remove or update AppArmor annotations'))
    if (key === mirrorAnnotation)
      errors.push(forbiddenField(`metadata.annotations[${key}]`, 'may not remove or update mirror pod annotation'))
  }
  for (const key of Object.keys(now)) {
    if (key in then) continue
    if (key.startsWith(appArmorPrefix)) errors.push(forbiddenField(`metadata.annotations[${key}]`, 'may not add AppArmor annotations'))
    if (key === mirrorAnnotation) errors.push(forbiddenField(`metadata.annotations[${key}]`, 'may not add mirror pod annotation'))
  }
  return errors
}

function validateImages(spec: PodSpec, kind: 'containers' | 'initContainers'): FieldError[] {
  return (spec[kind] ?? []).flatMap(({ image = '' }, index) => {
    const field = `spec.${kind}[${index}].image`
    if (image === '') return [required(field)]
    return image === image.trim() ? [] : [invalidValue(field, image, 'must not have leading or trailing whitespace')]
  })
}

function validateAddedTolerations(spec: PodSpec, previous: PodSpec): FieldError[] {
  const isKept = (previous.tolerations ?? []).every((old) =>
    (spec.tolerations ?? []).some((toleration) => semanticEqual({ ...old, tolerationSeconds: toleration.tolerationSeconds }, toleration)),
  )
  if (!isKept) return [forbiddenField('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds')]
  return validateTolerations(spec.tolerations, 'spec.tolerations')
}

/** Terms of a gated pod may get more requirements but lose none. */
function validateNodeAffinityMutation(affinity: NodeAffinity | undefined, previous: NodeAffinity | undefined, field: string): FieldError[] {
  const at = `${field}.requiredDuringSchedulingIgnoredDuringExecution`
  const terms = affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  const old = previous?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  if (old.length === 0) return []
  if (terms.length !== old.length)
    return [invalidValue(`${at}.nodeSelectorTerms`, terms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed')]
  const isNarrower = (now: NodeSelectorTerm, then: NodeSelectorTerm): boolean =>
    (['matchExpressions', 'matchFields'] as const).every((kind) =>
      (then[kind] ?? []).every((item, index) => semanticEqual(item, now[kind]?.[index])),
    )
  const isEmptyTerm = (term: NodeSelectorTerm): boolean => semanticEqual(term, {})
  return terms.flatMap((term, index) => {
    const before = old[index] ?? {}
    return isNarrower(term, before) && !(isEmptyTerm(before) && !isEmptyTerm(term))
      ? []
      : [invalidValue(`${at}.nodeSelectorTerms[${index}]`, term, 'only additions are allowed (no mutations or deletions)')]
  })
}

const withNodeAffinity = (affinity: Affinity | undefined, nodeAffinity: NodeAffinity | undefined): Affinity | undefined =>
  affinity === undefined && nodeAffinity === undefined ? undefined : { ...affinity, nodeAffinity }

/** Problems of a plain update of a pod: little may change. */
export function validatePodUpdate(pod: Pod, previous: Pod): FieldError[] {
  const { spec } = pod
  const old = previous.spec
  const errors = validateAnnotationsUpdate(pod, previous)
  for (const kind of ['containers', 'initContainers'] as const) {
    if ((spec[kind] ?? []).length !== (old[kind] ?? []).length) {
      errors.push(forbiddenField(`spec.${kind}`, 'pod updates may not add or remove containers'))
      return errors
    }
    append(errors, validateImages(spec, kind))
  }
  const deadline = spec.activeDeadlineSeconds
  if (deadline !== undefined) {
    if (deadline < 0 || deadline > maxInt32)
      return [...errors, invalidValue('spec.activeDeadlineSeconds', deadline, rangeError(0, maxInt32))]
    if (old.activeDeadlineSeconds !== undefined && old.activeDeadlineSeconds < deadline) {
      return [...errors, invalidValue('spec.activeDeadlineSeconds', deadline, 'must be less than or equal to previous value')]
    }
  } else if (old.activeDeadlineSeconds !== undefined) {
    errors.push(invalidValue('spec.activeDeadlineSeconds', null, 'must not update from a positive integer to nil value'))
  }
  append(errors, validateAddedTolerations(spec, old))
  for (const [index, { name }] of (spec.schedulingGates ?? []).entries()) {
    if (old.schedulingGates?.some((gate) => gate.name === name) === true) continue
    errors.push(forbiddenField(`spec.schedulingGates[${index}].name`, `only deletion is allowed, but found new scheduling gate '${name}'`))
  }
  if (semanticEqual(spec, old)) return errors
  const munged = mungeUpdatable(spec, old)
  if ((old.schedulingGates ?? []).length > 0) {
    const selector = munged.nodeSelector ?? {}
    for (const [key, value] of Object.entries(old.nodeSelector ?? {})) {
      if (selector[key] === value) continue
      errors.push(
        invalidValue('spec.nodeSelector', selector, 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'),
      )
      break
    }
    munged.nodeSelector = old.nodeSelector
    append(errors, validateNodeAffinityMutation(spec.affinity?.nodeAffinity, old.affinity?.nodeAffinity, 'spec.affinity.nodeAffinity'))
    munged.affinity = withNodeAffinity(munged.affinity, old.affinity?.nodeAffinity)
  }
  if (!semanticEqual(munged, old)) {
    errors.push(forbiddenField('spec', `pod updates may not change fields other than ${updatable}\n${describeDifference(old, munged)}`))
  }
  return errors
}

/** The new spec with the fields that may change taken from the old one: equal to the old one when nothing else changed. */
function mungeUpdatable(spec: PodSpec, old: PodSpec): PodSpec {
  const withOldImages = <C extends { image?: string | undefined }>(now: readonly C[] | undefined, then: readonly C[] | undefined): C[] =>
    (now ?? []).map((container, index) => ({ ...container, image: then?.[index]?.image }))
  const munged: PodSpec = {
    ...spec,
    containers: withOldImages(spec.containers, old.containers),
    initContainers: withOldImages(spec.initContainers, old.initContainers),
    activeDeadlineSeconds: old.activeDeadlineSeconds,
    schedulingGates: old.schedulingGates,
    tolerations: old.tolerations,
  }
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1) {
    munged.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds
  }
  return munged
}

/** Whether a container that ended with `exitCode` may run again. */
function mayRestart(name: string, spec: PodSpec, exitCode: number): boolean {
  const sidecar = spec.initContainers?.find((container) => container.name === name)
  const container = spec.containers.find((candidate) => candidate.name === name) ?? sidecar
  for (const rule of container?.restartPolicyRules ?? []) {
    const isListed = rule.exitCodes?.values?.includes(exitCode) ?? false
    if (rule.exitCodes !== undefined && isListed === (rule.exitCodes.operator === 'In')) return true
  }
  const policy = container?.restartPolicy ?? (sidecar !== undefined && spec.restartPolicy === 'Always' ? 'OnFailure' : spec.restartPolicy)
  return policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0)
}

function validateTransitions(
  statuses: readonly ContainerStatus[] | undefined,
  previous: readonly ContainerStatus[] | undefined,
  field: string,
  mayRun: (name: string, exitCode: number) => boolean,
): FieldError[] {
  return (previous ?? []).flatMap((old, index) => {
    const ended = old.state?.terminated
    const now = statuses?.find(({ name }) => name === old.name)
    if (ended === undefined || now === undefined || now.state?.terminated !== undefined || mayRun(old.name, ended.exitCode)) return []
    return [forbiddenField(`${field}[${index}].state`, 'may not be transitioned to non-terminated state')]
  })
}

function validateAddresses(
  addresses: readonly { readonly ip: string }[] | undefined,
  old: readonly { readonly ip: string }[] | undefined,
  field: string,
): FieldError[] {
  const ips = (addresses ?? []).map(({ ip }) => ip)
  const kept = (old ?? []).map(({ ip }) => ip)
  const errors = ips.flatMap((ip, index) => validateIp(`${field}[${index}]`, ip, kept))
  if (ips.length > 1 && (ips.length > 2 || ipFamilyOf(ips[0] ?? '') === ipFamilyOf(ips[1] ?? ''))) {
    errors.push(invalidValue(field, addresses, 'may specify no more than one IP for each IP family'))
  }
  return errors
}

/** Problems of a new status of a pod. */
export function validatePodStatus(pod: Pod, previous: Pod): FieldError[] {
  const [status, old] = [pod.status ?? {}, previous.status ?? {}]
  const errors = validateAnnotationsUpdate(pod, previous)
  for (const [index, condition] of (status.conditions ?? []).entries()) {
    if ((condition.observedGeneration ?? 0) < 0) {
      errors.push(
        invalidValue(`status.conditions[${index}].observedGeneration`, condition.observedGeneration, 'must be a non-negative integer'),
      )
    }
    if (['PodScheduled', 'Ready', 'Initialized'].includes(condition.type)) continue
    append(errors, invalids(`status.conditions[${index}].Type`, condition.type, qualifiedName(condition.type)))
  }
  const nominated = status.nominatedNodeName ?? ''
  if (nominated !== '' && nominated !== (old.nominatedNodeName ?? '')) {
    append(errors, invalids('status.nominatedNodeName', nominated, dns1123Subdomain(nominated)))
    if (previous.spec.nodeName)
      errors.push(forbiddenField('status.nominatedNodeName', 'may not be set on pods that are already bound to a node'))
  }
  if ((status.observedGeneration ?? 0) < 0)
    errors.push(invalidValue('status.observedGeneration', status.observedGeneration, 'must be a non-negative integer'))
  append(errors, immutable('status.qosClass', status.qosClass ?? '', old.qosClass ?? ''))
  const { spec } = previous
  const restartsAll = [...spec.containers, ...(spec.initContainers ?? [])].some(
    ({ restartPolicyRules }) => restartPolicyRules?.some(({ action }) => action === 'RestartAllContainers') === true,
  )
  if (!restartsAll) {
    const check = (name: string, exitCode: number): boolean => mayRestart(name, spec, exitCode)
    errors.push(
      ...validateTransitions(status.containerStatuses, old.containerStatuses, 'status.containerStatuses', check),
      ...validateTransitions(status.initContainerStatuses, old.initContainerStatuses, 'status.initContainerStatuses', check),
    )
  }
  errors.push(
    ...validateTransitions(
      status.ephemeralContainerStatuses,
      old.ephemeralContainerStatuses,
      'status.ephemeralContainerStatuses',
      () => false,
    ),
    ...validateAddresses(status.podIPs, old.podIPs, 'status.podIPs'),
  )
  if ((status.hostIPs ?? []).length > 0) {
    const first = status.hostIPs?.[0]?.ip
    if (status.hostIP !== first) errors.push(invalidValue('status.hostIPs[0].ip', first, 'must be equal to `hostIP`'))
    append(errors, validateAddresses(status.hostIPs, old.hostIPs, 'status.hostIPs'))
  }
  return errors
}

/** Problems of new ephemeral containers: those that exist may neither change nor go. */
export function validateEphemeralUpdate(pod: Pod, previous: Pod): FieldError[] {
  if (previous.metadata.annotations?.[mirrorAnnotation] !== undefined)
    return [forbiddenField('', 'static pods do not support ephemeral containers')]
  const field = 'spec.ephemeralContainers'
  return [
    ...validateAnnotationsUpdate(pod, previous),
    ...(previous.spec.ephemeralContainers ?? []).flatMap((old) => {
      const now = pod.spec.ephemeralContainers?.find(({ name }) => name === old.name)
      if (now === undefined) return [forbiddenField(field, `existing ephemeral containers "${old.name}" may not be removed\n`)]
      return semanticEqual(old, now)
        ? []
        : [forbiddenField(field, `existing ephemeral containers "${old.name}" may not be changed\n${describeDifference(old, now)}`)]
    }),
  ]
}

const dropCpuAndMemory = (list: Readonly<Record<string, string>> | undefined): Record<string, string> =>
  Object.fromEntries(Object.entries(list ?? {}).filter(([name]) => name !== 'cpu' && name !== 'memory'))

/** Problems of a resize: CPU and memory of containers may change, nothing may be removed, the QoS class stays. */
export function validateResize(pod: Pod, previous: Pod): FieldError[] {
  if (previous.metadata.annotations?.[mirrorAnnotation] !== undefined) return [forbiddenField('', 'static pods cannot be resized')]
  if (previous.spec.os?.name === 'windows') return [forbiddenField('', 'windows pods cannot be resized')]
  const errors: FieldError[] = []
  const oldClass = previous.status?.qosClass || computeQosClass(previous)
  if (oldClass !== computeQosClass(pod))
    errors.push(invalidValue('spec', pod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'))
  for (const kind of ['containers', 'initContainers'] as const) {
    const [now, then] = [pod.spec[kind] ?? [], previous.spec[kind] ?? []]
    if (now.length !== then.length) return [...errors, forbiddenField(`spec.${kind}`, `${kind} may not be added or removed on resize`)]
    for (const [index, container] of now.entries()) {
      if (container.name !== then[index]?.name)
        errors.push(forbiddenField(`spec.${kind}[${index}].name`, `${kind} may not be renamed or reordered on resize`))
    }
    if (errors.length > 0) return errors
  }
  for (const kind of ['initContainers', 'containers'] as const) {
    for (const [index, container] of (pod.spec[kind] ?? []).entries()) {
      const then = previous.spec[kind]?.[index]
      for (const list of ['requests', 'limits'] as const) {
        const removed = Object.keys(then?.resources?.[list] ?? {}).some((name) => container.resources?.[list]?.[name] === undefined)
        if (removed) errors.push(forbiddenField(`spec.${kind}[${index}].resources.${list}`, `resource ${list} cannot be removed`))
      }
      const other = (list: 'requests' | 'limits'): boolean =>
        !semanticEqual(dropCpuAndMemory(container.resources?.[list]), dropCpuAndMemory(then?.resources?.[list]))
      if (other('requests') || other('limits') || !semanticEqual(container.resources?.claims, then?.resources?.claims)) {
        errors.push(
          kind === 'containers'
            ? forbiddenField('spec', 'only cpu and memory resources are mutable')
            : forbiddenField(`spec.initContainers[${index}]`, 'only cpu and memory resources for init or sidecar containers are mutable'),
        )
      }
    }
  }
  return errors
}
