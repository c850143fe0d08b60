import { compareQuantities } from '@k3s/api'
import type { Pod, PodSecurityContext, PodSpec, PodTemplateSpec } from '@k3s/api/types/core/v1'
import type { ObjectMeta } from '@k3s/api/types/meta/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notFoundValue, notSupported, required, tooLong } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids, oneOf, optionalOneOf } from '../../validation/fields.ts'
import { validateIp } from '../shared/ip.ts'
import {
  dns1123Label,
  dns1123Subdomain,
  dns1123SubdomainWithUnderscore,
  posixId,
  qualifiedName,
  rangeError,
} from '../../validation/names.ts'
import { validateAnnotations, validateLabels } from '../../validation/object-meta.ts'
import { aggregateContainers, isHugePages, isPodLevelResource } from '../shared/resource-list.ts'
import { validateRequirements, validateResourceName } from '../shared/resource-validation.ts'
import {
  type ContainerScope,
  validateContainers,
  validateEphemeralContainers,
  validateImagePadding,
  validateInitContainers,
} from './containers.ts'
import { validateAppArmor, validateSeccomp, validateSeccompName } from './profiles.ts'
import type { PodRules } from './rules.ts'
import { validateAffinity, validateSpreadConstraints, validateTolerations } from './scheduling.ts'
import { validateVolumes } from './volumes.ts'
import { containerSeccomp, podSeccomp } from './warnings.ts'
import { validateOsFields } from './windows.ts'

const maxInt32 = 2147483647
const mirrorAnnotation = 'kubernetes.io/config.mirror'
const sysctlSegment = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const sysctlFormat = `^(${sysctlSegment}[\\./])*${sysctlSegment}$`
const sysctlPattern = new RegExp(sysctlFormat)
const maxNameservers = 3
const maxSearchPaths = 32
const maxSearchListLength = 2048

function validateSysctls(context: PodSecurityContext, spec: PodSpec, field: string): FieldError[] {
  const names = new Set<string>()
  return (context.sysctls ?? []).flatMap(({ name }, index) => {
    const at = `${field}[${index}].name`
    const errors: FieldError[] = []
    if (!name) errors.push(required(at))
    else if (name.length > 253 || !sysctlPattern.test(name))
      errors.push(invalidValue(at, name, `must have at most 253 characters and match regex ${sysctlFormat}`))
    else if (names.has(name)) errors.push(duplicate(at, name))
    names.add(name)
    const dotted = (name ?? '').replaceAll('/', '.')
    if (spec.hostNetwork === true && dotted.startsWith('net.'))
      errors.push(invalidValue(at, name, "may not be specified when 'hostNetwork' is true"))
    if (spec.hostIPC === true && /^(kernel\.(shm|msg|sem)|fs\.mqueue\.)/.test(dotted))
      errors.push(invalidValue(at, name, "may not be specified when 'hostIPC' is true"))
    return errors
  })
}

function validatePodSecurityContext(spec: PodSpec, field: string): FieldError[] {
  const context = spec.securityContext
  if (context === undefined) return []
  const errors: FieldError[] = []
  for (const name of ['fsGroup', 'runAsUser', 'runAsGroup'] as const) {
    const id = context[name]
    if (id !== undefined) append(errors, invalids(`${field}.${name}`, id, posixId(id)))
  }
  for (const [index, group] of (context.supplementalGroups ?? []).entries())
    append(errors, invalids(`${field}.supplementalGroups[${index}]`, group, posixId(group)))
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    errors.push(invalidValue(`${field}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled'))
  }
  errors.push(
    ...validateSysctls(context, spec, `${field}.sysctls`),
    ...optionalOneOf(`${field}.fsGroupChangePolicy`, context.fsGroupChangePolicy, ['Always', 'OnRootMismatch']),
    ...validateSeccomp(context.seccompProfile, `${field}.seccompProfile`),
    ...validateAppArmor(context.appArmorProfile, `${field}.appArmorProfile`),
    ...optionalOneOf(`${field}.supplementalGroupsPolicy`, context.supplementalGroupsPolicy, ['Merge', 'Strict']),
    ...optionalOneOf(`${field}.seLinuxChangePolicy`, context.seLinuxChangePolicy, ['MountOption', 'Recursive']),
  )
  return errors
}

function validateDnsConfig(spec: PodSpec, field: string): FieldError[] {
  const config = spec.dnsConfig
  if (spec.dnsPolicy === 'None') {
    if (config === undefined) return [required(field, 'must provide `dnsConfig` when `dnsPolicy` is None')]
    if ((config.nameservers ?? []).length === 0)
      return [required(`${field}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None')]
  }
  if (config === undefined) return []
  const { nameservers = [], searches = [], options = [] } = config
  const errors: FieldError[] = []
  if (nameservers.length > maxNameservers)
    errors.push(invalidValue(`${field}.nameservers`, nameservers, `must not have more than ${maxNameservers} nameservers`))
  for (const [index, server] of nameservers.entries()) append(errors, validateIp(`${field}.nameservers[${index}]`, server))
  if (searches.length > maxSearchPaths)
    errors.push(invalidValue(`${field}.searches`, searches, `must not have more than ${maxSearchPaths} search paths`))
  if (searches.join(' ').length > maxSearchListLength) {
    errors.push(
      invalidValue(
        `${field}.searches`,
        searches,
        `must not have more than ${maxSearchListLength} characters (including spaces) in the search list`,
      ),
    )
  }
  for (const [index, search] of searches.entries()) {
    if (search === '.') continue
    const name = search.replace(/\.$/, '')
    append(errors, invalids(`${field}.searches[${index}]`, name, dns1123SubdomainWithUnderscore(name)))
  }
  for (const [index, { name }] of options.entries()) if (!name) errors.push(required(`${field}.options[${index}]`, 'must not be empty'))
  return errors
}

function validateResourceClaims(spec: PodSpec, field: string): FieldError[] {
  const names = new Set<string>()
  return (spec.resourceClaims ?? []).flatMap((claim, index) => {
    const at = `${field}[${index}]`
    const errors: FieldError[] = []
    if (!claim.name) errors.push(required(`${at}.name`))
    else if (names.has(claim.name)) errors.push(duplicate(`${at}.name`, claim.name))
    else append(errors, invalids(`${at}.name`, claim.name, dns1123Label(claim.name)))
    names.add(claim.name)
    const { resourceClaimName, resourceClaimTemplateName } = claim
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      errors.push(invalidValue(at, claim, 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'))
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      errors.push(invalidValue(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'))
    }
    if (resourceClaimName !== undefined)
      append(errors, invalids(`${at}.resourceClaimName`, resourceClaimName, dns1123Subdomain(resourceClaimName)))
    if (resourceClaimTemplateName !== undefined) {
      append(errors, invalids(`${at}.resourceClaimTemplateName`, resourceClaimTemplateName, dns1123Subdomain(resourceClaimTemplateName)))
    }
    return errors
  })
}

function validatePodLevelResources(spec: PodSpec, claimNames: ReadonlySet<string>, field: string): FieldError[] {
  const { resources } = spec
  if (resources === undefined) return []
  const errors: FieldError[] =
    resources.claims === undefined ? [] : [forbiddenField(`${field}.claims`, 'claims may not be set for Resources at pod-level')]
  errors.push(
    ...validateRequirements(resources, claimNames, field, (name, at) => {
      const own = validateResourceName(name, at)
      return own.length > 0 || isPodLevelResource(name) ? own : [notSupported(at, name, ['cpu', 'hugepages-', 'memory'])]
    }),
  )
  if (errors.length > 0) return errors
  for (const [name, amount] of Object.entries(aggregateContainers(spec, 'requests'))) {
    const own = resources.requests?.[name]
    if (own !== undefined && compareQuantities(amount, own) > 0) {
      errors.push(
        invalidValue(`${field}.requests[${name}]`, own, `must be greater than or equal to aggregate container requests of ${amount}`),
      )
    }
  }
  for (const [name, amount] of Object.entries(aggregateContainers(spec, 'limits'))) {
    const own = resources.limits?.[name]
    if (isHugePages(name) && own !== undefined && compareQuantities(amount, own) > 0) {
      errors.push(invalidValue(`${field}.limits[${name}]`, own, `must be greater than or equal to aggregate container limits of ${amount}`))
    }
  }
  for (const [index, container] of (spec.containers ?? []).entries()) {
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const own = resources.limits?.[name]
      if (own !== undefined && compareQuantities(limit, own) > 0) {
        errors.push(
          invalidValue(`${field}.containers[${index}][${name}].limits`, limit, `must be less than or equal to pod limits of ${own}`),
        )
      }
    }
  }
  return errors
}

function validateHostNetwork(spec: PodSpec, field: string, rules: PodRules): FieldError[] {
  if (spec.hostNetwork !== true) return []
  return (spec.containers ?? []).flatMap((container, index) =>
    (container.ports ?? []).flatMap((port, portIndex) => {
      const hostPort = port.hostPort ?? 0
      return (rules.isPod || hostPort !== 0) && hostPort !== port.containerPort
        ? [
            invalidValue(
              `${field}.containers[${index}].ports[${portIndex}].hostPort`,
              hostPort,
              'must match `containerPort` when `hostNetwork` is true',
            ),
          ]
        : []
    }),
  )
}

function validateHostUsers(spec: PodSpec, field: string): FieldError[] {
  if (spec.hostUsers !== false) return []
  const message = 'when `hostUsers` is false'
  return [
    ...(spec.hostNetwork === true ? [forbiddenField(`${field}.hostNetwork`, message)] : []),
    ...(spec.hostPID === true ? [forbiddenField(`${field}.HostPID`, message)] : []),
    ...(spec.hostIPC === true ? [forbiddenField(`${field}.HostIPC`, message)] : []),
    ...(['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((kind) =>
      (spec[kind] ?? []).flatMap((container, index) =>
        (container.volumeDevices ?? []).length > 0 ? [forbiddenField(`${field}.${kind}[${index}].volumeDevices`, message)] : [],
      ),
    ),
  ]
}

function validateHostname(spec: PodSpec, field: string): FieldError[] {
  const name = spec.hostnameOverride
  if (name === undefined) return []
  const at = `${field}.hostnameOverride`
  return [
    ...(spec.setHostnameAsFQDN === true ? [forbiddenField(at, 'may not be specified when setHostnameAsFQDN is true')] : []),
    ...(spec.hostNetwork === true ? [forbiddenField(at, 'may not be specified when hostNetwork is true')] : []),
    ...(name.length > 64 ? [tooLong(at, 64)] : []),
    ...invalids(at, name, dns1123Subdomain(name)),
  ]
}

function validateScheduling(spec: PodSpec, field: string): FieldError[] {
  const gates = new Set<string>()
  return [
    ...validateAffinity(spec.affinity, `${field}.affinity`),
    ...validateDnsConfig(spec, `${field}.dnsConfig`),
    ...(spec.readinessGates ?? []).flatMap(({ conditionType }, index) =>
      invalids(`${field}.readinessGates[${index}].conditionType`, conditionType, qualifiedName(conditionType)),
    ),
    ...(spec.schedulingGates ?? []).flatMap(({ name }, index) => {
      const at = `${field}.schedulingGates[${index}]`
      const errors = invalids(at, name, qualifiedName(name))
      if (gates.has(name)) errors.push(duplicate(at, name))
      gates.add(name)
      return errors
    }),
    ...validateSpreadConstraints(spec.topologySpreadConstraints, `${field}.topologySpreadConstraints`),
  ]
}

function validateNames(spec: PodSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  const check = (name: 'serviceAccountName' | 'nodeName' | 'priorityClassName' | 'runtimeClassName', always = false): void => {
    const value = spec[name]
    if (value !== undefined && (value !== '' || always)) append(errors, invalids(`${field}.${name}`, value, dns1123Subdomain(value)))
  }
  check('serviceAccountName')
  check('nodeName')
  const deadline = spec.activeDeadlineSeconds
  if (deadline !== undefined && (deadline < 1 || deadline > maxInt32))
    errors.push(invalidValue(`${field}.activeDeadlineSeconds`, deadline, rangeError(1, maxInt32)))
  for (const name of ['hostname', 'subdomain'] as const) {
    const value = spec[name]
    if (value) append(errors, invalids(`${field}.${name}`, value, dns1123Label(value)))
  }
  append(errors, validateTolerations(spec.tolerations, `${field}.tolerations`))
  for (const [index, alias] of (spec.hostAliases ?? []).entries()) {
    append(errors, validateIp(`${field}.hostAliases[${index}].ip`, alias.ip))
    for (const [nameIndex, name] of (alias.hostnames ?? []).entries()) {
      append(errors, invalids(`${field}.hostAliases[${index}].hostnames[${nameIndex}]`, name, dns1123Subdomain(name)))
    }
  }
  check('priorityClassName')
  check('runtimeClassName', true)
  append(errors, optionalOneOf(`${field}.preemptionPolicy`, spec.preemptionPolicy, ['PreemptLowerPriority', 'Never']))
  if (spec.overhead !== undefined) append(errors, validateRequirements({ limits: spec.overhead }, new Set(), `${field}.overhead`))
  if (spec.os !== undefined) {
    if (!spec.os.name) errors.push(required(`${field}.os.name`))
    else if (!['linux', 'windows'].includes(spec.os.name)) errors.push(notSupported(`${field}.os`, spec.os.name, ['linux', 'windows']))
    else append(errors, validateOsFields(spec, field))
  }
  return errors
}

function validateFileKeyRefs(spec: PodSpec, field: string): FieldError[] {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]))
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((kind) =>
    (spec[kind] ?? []).flatMap((container, index) =>
      (container.env ?? []).flatMap((variable, envIndex) => {
        const name = variable.valueFrom?.fileKeyRef?.volumeName
        if (name === undefined) return []
        const at = `${field}.${kind}[${index}].env[${envIndex}].valueFrom.fileKeyRef.volumeName`
        const volume = volumes.get(name)
        if (volume === undefined) return [notFoundValue(at, name)]
        return volume.emptyDir === undefined ? [invalidValue(at, name, 'referenced volume must be of type emptyDir')] : []
      }),
    ),
  )
}

/** Problems of a pod's spec, in upstream's order. `metadata` is the pod's own; templates have no name yet. */
export function validatePodSpec(spec: PodSpec, metadata: ObjectMeta | undefined, field: string, rules: PodRules): FieldError[] {
  const errors: FieldError[] = []
  if (spec.terminationGracePeriodSeconds === undefined) errors.push(required(`${field}.terminationGracePeriodSeconds`))
  const { errors: volumeErrors, known } = validateVolumes(spec.volumes ?? [], metadata?.name || undefined, `${field}.volumes`, rules)
  const claimNames = new Set((spec.resourceClaims ?? []).map(({ name }) => name))
  const scope: ContainerScope = { spec, volumes: known, claimNames, rules }
  errors.push(
    ...volumeErrors,
    ...validateResourceClaims(spec, `${field}.resourceClaims`),
    ...validateContainers(scope, `${field}.containers`),
    ...validateInitContainers(scope, `${field}.initContainers`),
    ...validateEphemeralContainers(scope, `${field}.ephemeralContainers`),
    ...validatePodLevelResources(spec, claimNames, `${field}.resources`),
    ...validateHostNetwork(spec, field, rules),
    ...oneOf(`${field}.restartPolicy`, spec.restartPolicy, ['Always', 'OnFailure', 'Never']),
    ...oneOf(`${field}.dnsPolicy`, spec.dnsPolicy, ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']),
    ...validateLabels(spec.nodeSelector, `${field}.nodeSelector`),
    ...validatePodSecurityContext(spec, `${field}.securityContext`),
    ...validateScheduling(spec, field),
    ...validateHostUsers(spec, field),
    ...validateHostname(spec, field),
    ...validateNames(spec, field),
    ...validateFileKeyRefs(spec, field),
  )
  return errors
}

/** Problems of annotations that mean something for a pod. */
export function validatePodAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  spec: PodSpec,
  field: string,
): FieldError[] {
  const errors: FieldError[] = []
  const mirror = annotations?.[mirrorAnnotation]
  if (mirror !== undefined && !spec.nodeName)
    errors.push(invalidValue(`${field}[${mirrorAnnotation}]`, mirror, 'must set spec.nodeName if mirror pod annotation is set'))
  const cost = annotations?.['controller.kubernetes.io/pod-deletion-cost']
  if (cost !== undefined && (!/^([-]?[1-9]\d*|0)$/.test(cost) || Number(cost) > maxInt32 || Number(cost) < -maxInt32 - 1)) {
    errors.push(invalidValue(`${field}[controller.kubernetes.io/pod-deletion-cost]`, cost, 'must be a 32bit integer'))
  }
  const profiles = Object.entries(annotations ?? {}).filter(([key]) => key === podSeccomp || key.startsWith(containerSeccomp))
  for (const [key, profile] of profiles.toSorted(([one], [other]) => Number(other === podSeccomp) - Number(one === podSeccomp)))
    append(errors, validateSeccompName(profile, `${field}.${key}`))
  return errors
}

/** Problems of a pod by itself, without its metadata's general rules. */
export function validatePod(pod: Pod, rules: PodRules): FieldError[] {
  const errors = [
    ...validatePodAnnotations(pod.metadata.annotations, pod.spec, 'metadata.annotations'),
    ...validatePodSpec(pod.spec, pod.metadata, 'spec', rules),
  ]
  if (!pod.spec.serviceAccountName) {
    for (const [index, volume] of (pod.spec.volumes ?? []).entries()) {
      for (const [source, projection] of (volume.projected?.sources ?? []).entries()) {
        if (projection.serviceAccountToken === undefined) continue
        errors.push(
          forbiddenField(
            `spec.volumes[${index}].projected.sources[${source}].serviceAccountToken`,
            'must not be specified when serviceAccountName is not set',
          ),
        )
      }
    }
  }
  for (const kind of ['containers', 'initContainers'] as const) {
    for (const [index, container] of (pod.spec[kind] ?? []).entries())
      append(errors, validateImagePadding(container, `spec.${kind}[${index}]`))
  }
  return errors
}

/** What only a new pod is asked. */
export function validatePodCreate(pod: Pod): FieldError[] {
  const errors: FieldError[] = []
  if ((pod.spec.ephemeralContainers ?? []).length > 0) errors.push(forbiddenField('spec.ephemeralContainers', 'cannot be set on create'))
  if (pod.spec.nodeName && (pod.spec.schedulingGates ?? []).length > 0) {
    errors.push(forbiddenField('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'))
  }
  return errors
}

/** Problems of the labels and annotations of a template. */
export function validateTemplateMetadata({ metadata, spec = { containers: [] } }: PodTemplateSpec, field: string): FieldError[] {
  return [
    ...validateLabels(metadata?.labels, `${field}.labels`),
    ...validateAnnotations(metadata?.annotations, `${field}.annotations`),
    ...validatePodAnnotations(metadata?.annotations, spec, `${field}.annotations`),
  ]
}

/** Problems of the template of a workload. */
export function validatePodTemplate(template: PodTemplateSpec, field: string, rules: PodRules): FieldError[] {
  const spec = template.spec ?? { containers: [] }
  return [
    ...validateLabels(template.metadata?.labels, `${field}.labels`),
    ...validateAnnotations(template.metadata?.annotations, `${field}.annotations`),
    ...validatePodAnnotations(template.metadata?.annotations, spec, `${field}.annotations`),
    ...validatePodSpec(spec, undefined, `${field}.spec`, rules),
    ...((spec.ephemeralContainers ?? []).length > 0
      ? [forbiddenField(`${field}.spec.ephemeralContainers`, 'ephemeral containers not allowed in pod template')]
      : []),
  ]
}
