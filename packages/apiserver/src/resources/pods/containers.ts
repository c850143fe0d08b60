import type {
  Container,
  ContainerPort,
  EnvVar,
  EphemeralContainer,
  HTTPGetAction,
  Lifecycle,
  PodSpec,
  Probe,
  SecurityContext,
  Volume,
} from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notFoundValue, notSupported, required, tooMany } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids, nonNegative, oneOf, portNumberOrName, requiredString } from '../../validation/fields.ts'
import {
  configMapKey,
  dns1123Label,
  dns1123Subdomain,
  envVarName,
  httpHeaderName,
  portName,
  portNumber,
  posixId,
} from '../../validation/names.ts'
import { validateRequirements } from '../shared/resource-validation.ts'
import { validateAppArmor, validateSeccomp } from './profiles.ts'
import type { PodRules } from './rules.ts'
import { validateMounts } from './mounts.ts'
import { validateFieldRef, validateNoBacksteps, validateResourceFieldRef } from './volumes.ts'

type AnyContainer = Container | EphemeralContainer

const protocols = ['SCTP', 'TCP', 'UDP']
const envFieldPaths = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]
const initMessage = 'may not be set for init containers without restartPolicy=Always'
const ephemeralMessage = 'cannot be set for an Ephemeral Container'

/** What all containers of a pod are checked against. */
export interface ContainerScope {
  readonly spec: PodSpec
  readonly volumes: ReadonlyMap<string, Volume>
  readonly claimNames: ReadonlySet<string>
  readonly rules: PodRules
}

function validatePorts(ports: readonly ContainerPort[], field: string): FieldError[] {
  const errors: FieldError[] = []
  const names = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const at = `${field}[${index}]`
    if (port.name) {
      const problems = portName(port.name)
      if (problems.length > 0) append(errors, invalids(`${at}.name`, port.name, problems))
      else if (names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name))
      else names.add(port.name)
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`))
    else append(errors, invalids(`${at}.containerPort`, port.containerPort, portNumber(port.containerPort)))
    if (port.hostPort) append(errors, invalids(`${at}.hostPort`, port.hostPort, portNumber(port.hostPort)))
    append(errors, oneOf(`${at}.protocol`, port.protocol, protocols))
  }
  return errors
}

function validateValueFrom(variable: EnvVar, field: string): FieldError[] {
  const source = variable.valueFrom
  if (source === undefined) return []
  const errors: FieldError[] = []
  if (source.fieldRef !== undefined) append(errors, validateFieldRef(source.fieldRef, envFieldPaths, `${field}.fieldRef`))
  if (source.resourceFieldRef !== undefined)
    append(errors, validateResourceFieldRef(source.resourceFieldRef, `${field}.resourceFieldRef`, false))
  for (const kind of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const ref = source[kind]
    if (ref === undefined) continue
    append(errors, invalids(`${field}.${kind}.name`, ref.name ?? '', dns1123Subdomain(ref.name ?? '')))
    if (!ref.key) errors.push(required(`${field}.${kind}.key`))
    else append(errors, invalids(`${field}.${kind}.key`, ref.key, configMapKey(ref.key)))
  }
  const file = source.fileKeyRef
  if (file !== undefined) {
    const at = `${field}.fileKeyRef`
    errors.push(
      ...(file.key ? invalids(`${at}.key`, file.key, envVarName(file.key)) : [required(`${at}.key`)]),
      ...(file.volumeName ? invalids(`${at}.volumeName`, file.volumeName, dns1123Label(file.volumeName)) : [required(`${at}.volumeName`)]),
      ...(file.path ? validateNoBacksteps(file.path, `${at}.path`) : [required(`${at}.path`)]),
    )
  }
  const sources = Object.values(source).filter((value) => value !== undefined).length
  if (sources === 0)
    errors.push(
      invalidValue(field, '', 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'),
    )
  else if (variable.value) errors.push(invalidValue(field, '', 'may not be specified when `value` is not empty'))
  else if (sources > 1) errors.push(invalidValue(field, '', 'may not have more than one field specified at a time'))
  return errors
}

function validateEnv(container: AnyContainer, field: string): FieldError[] {
  const errors: FieldError[] = []
  for (const [index, variable] of (container.env ?? []).entries()) {
    const at = `${field}.env[${index}]`
    if (!variable.name) errors.push(required(`${at}.name`))
    else append(errors, invalids(`${at}.name`, variable.name, envVarName(variable.name)))
    append(errors, validateValueFrom(variable, `${at}.valueFrom`))
  }
  for (const [index, source] of (container.envFrom ?? []).entries()) {
    const at = `${field}.envFrom[${index}]`
    if (source.prefix) append(errors, invalids(`${at}.prefix`, source.prefix, envVarName(source.prefix)))
    for (const kind of ['configMapRef', 'secretRef'] as const) {
      const ref = source[kind]
      if (ref === undefined) continue
      if (!ref.name) errors.push(required(`${at}.${kind}.name`))
      else append(errors, invalids(`${at}.${kind}.name`, ref.name, dns1123Subdomain(ref.name)))
    }
    if (source.configMapRef === undefined && source.secretRef === undefined) {
      errors.push(invalidValue(`${field}.envFrom`, '', 'must specify one of: `configMapRef` or `secretRef`'))
    } else if (source.configMapRef !== undefined && source.secretRef !== undefined) {
      errors.push(invalidValue(`${field}.envFrom`, '', 'may not have more than one field specified at a time'))
    }
  }
  return errors
}

function validateHttpGet(action: HTTPGetAction, field: string): FieldError[] {
  return [
    ...requiredString(`${field}.path`, action.path),
    ...portNumberOrName(`${field}.port`, action.port),
    ...(action.scheme === 'HTTP' || action.scheme === 'HTTPS'
      ? []
      : [notSupported(`${field}.scheme`, action.scheme ?? '', ['HTTP', 'HTTPS'])]),
    ...(action.httpHeaders ?? []).flatMap(({ name }) => invalids(`${field}.httpHeaders`, name, httpHeaderName(name))),
  ]
}

/** Probes and lifecycle handlers. */
interface Handler {
  readonly exec?: { readonly command?: readonly string[] | undefined } | undefined
  readonly httpGet?: HTTPGetAction | undefined
  readonly tcpSocket?: { readonly port: number | string } | undefined
  readonly grpc?: { readonly port: number } | undefined
  readonly sleep?: { readonly seconds: number } | undefined
}

function validateHandler(handler: Handler, grace: number | undefined, field: string): FieldError[] {
  const errors: FieldError[] = []
  let count = 0
  const only = (name: string, check: () => readonly FieldError[]): void => {
    if (count > 0) errors.push(forbiddenField(`${field}.${name}`, 'may not specify more than 1 handler type'))
    else append(errors, check())
    count += 1
  }
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler
  if (exec !== undefined) only('exec', () => ((exec.command ?? []).length === 0 ? [required(`${field}.exec.command`)] : []))
  if (httpGet !== undefined) only('httpGet', () => validateHttpGet(httpGet, `${field}.httpGet`))
  if (tcpSocket !== undefined) only('tcpSocket', () => portNumberOrName(`${field}.tcpSocket.port`, tcpSocket.port))
  if (grpc !== undefined) only('grpc', () => portNumberOrName(`${field}.grpc.port`, grpc.port))
  if (sleep !== undefined) {
    only('sleep', () =>
      grace !== undefined && (sleep.seconds < 0 || sleep.seconds > grace)
        ? [invalidValue(`${field}.sleep`, sleep.seconds, `must be non-negative and less than terminationGracePeriodSeconds (${grace})`)]
        : [],
    )
  }
  if (count === 0) errors.push(required(field, 'must specify a handler type'))
  return errors
}

function validateProbe(
  probe: Probe | undefined,
  kind: 'liveness' | 'readiness' | 'startup',
  grace: number | undefined,
  field: string,
): FieldError[] {
  if (probe === undefined) return []
  const errors = validateHandler(probe, grace, field)
  for (const name of ['initialDelaySeconds', 'timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const) {
    append(errors, nonNegative(`${field}.${name}`, probe[name]))
  }
  const own = probe.terminationGracePeriodSeconds
  if (own !== undefined && own <= 0) errors.push(invalidValue(`${field}.terminationGracePeriodSeconds`, own, 'must be greater than 0'))
  if (kind === 'readiness') {
    if (own !== undefined) errors.push(invalidValue(`${field}.terminationGracePeriodSeconds`, own, 'must not be set for readinessProbes'))
  } else if (probe.successThreshold !== 1) errors.push(invalidValue(`${field}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'))
  return errors
}

function validateLifecycle(lifecycle: Lifecycle | undefined, grace: number | undefined, field: string): FieldError[] {
  if (lifecycle === undefined) return []
  return [
    ...(lifecycle.postStart === undefined ? [] : validateHandler(lifecycle.postStart, grace, `${field}.postStart`)),
    ...(lifecycle.preStop === undefined ? [] : validateHandler(lifecycle.preStop, grace, `${field}.preStop`)),
  ]
}

function validateProbes(container: AnyContainer, grace: number | undefined, field: string): FieldError[] {
  return [
    ...validateLifecycle(container.lifecycle, grace, `${field}.lifecycle`),
    ...validateProbe(container.livenessProbe, 'liveness', grace, `${field}.livenessProbe`),
    ...validateProbe(container.readinessProbe, 'readiness', grace, `${field}.readinessProbe`),
    ...validateProbe(container.startupProbe, 'startup', grace, `${field}.startupProbe`),
  ]
}

function validateSecurityContext(context: SecurityContext | undefined, field: string, scope: ContainerScope): FieldError[] {
  if (context === undefined) return []
  const errors: FieldError[] = []
  if (context.privileged === true && !scope.rules.allowPrivileged)
    errors.push(forbiddenField(`${field}.privileged`, 'disallowed by cluster policy'))
  for (const name of ['runAsUser', 'runAsGroup'] as const) {
    const id = context[name]
    if (id !== undefined) append(errors, invalids(`${field}.${name}`, id, posixId(id)))
  }
  if (context.procMount !== undefined) {
    if (!['Default', 'Unmasked'].includes(context.procMount))
      errors.push(notSupported(`${field}.procMount`, context.procMount, ['Default', 'Unmasked']))
    if (scope.spec.hostUsers !== false && context.procMount === 'Unmasked') {
      errors.push(invalidValue(`${field}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`'))
    }
  }
  append(errors, validateSeccomp(context.seccompProfile, `${field}.seccompProfile`))
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged === true)
      errors.push(invalidValue(field, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'))
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN') === true) {
      errors.push(invalidValue(field, context, 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'))
    }
  }
  append(errors, validateAppArmor(context.appArmorProfile, `${field}.appArmorProfile`))
  return errors
}

function validateResizePolicy(container: AnyContainer, field: string, podRestartPolicy: string | undefined): FieldError[] {
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [index, policy] of (container.resizePolicy ?? []).entries()) {
    if (seen.has(policy.resourceName)) errors.push(duplicate(`${field}[${index}]`, policy.resourceName))
    seen.add(policy.resourceName)
    errors.push(
      ...oneOf(field, policy.resourceName, ['cpu', 'memory']),
      ...oneOf(field, policy.restartPolicy, ['NotRequired', 'RestartContainer']),
    )
    if (podRestartPolicy === 'Never' && policy.restartPolicy !== 'NotRequired') {
      errors.push(invalidValue(field, policy.restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
    }
  }
  return errors
}

/** What is asked of containers of every kind. */
function validateCommon(container: AnyContainer, field: string, scope: ContainerScope): FieldError[] {
  return [
    ...(container.name ? invalids(`${field}.name`, container.name, dns1123Label(container.name)) : [required(`${field}.name`)]),
    ...requiredString(`${field}.image`, container.image),
    ...oneOf(`${field}.terminationMessagePolicy`, container.terminationMessagePolicy, ['File', 'FallbackToLogsOnError']),
    ...validatePorts(container.ports ?? [], `${field}.ports`),
    ...validateEnv(container, field),
    ...validateMounts(container, field, scope.volumes),
    ...oneOf(`${field}.imagePullPolicy`, container.imagePullPolicy, ['Always', 'IfNotPresent', 'Never']),
    ...validateRequirements(container.resources, scope.claimNames, `${field}.resources`),
    ...validateResizePolicy(container, `${field}.resizePolicy`, scope.spec.restartPolicy),
    ...validateSecurityContext(container.securityContext, `${field}.securityContext`, scope),
  ]
}

function validateRestartRules(container: Container, field: string): FieldError[] {
  const errors: FieldError[] = []
  const { restartPolicy, restartPolicyRules: rules = [] } = container
  if (restartPolicy === undefined) {
    return rules.length === 0 ? [] : [required(`${field}.restartPolicy`, 'must specify restartPolicy when restart rules are used')]
  }
  const policies = ['Always', 'Never', 'OnFailure']
  if (!policies.includes(restartPolicy)) errors.push(notSupported(`${field}.restartPolicy`, restartPolicy, policies))
  if (rules.length > 20) errors.push(tooMany(`${field}.restartPolicyRules`, rules.length, 20))
  for (const [index, rule] of rules.entries()) {
    const at = `${field}.restartPolicyRules[${index}]`
    const actions = ['Restart', 'RestartAllContainers']
    if (!actions.includes(rule.action)) errors.push(notSupported(`${at}.action`, rule.action, actions))
    if (rule.exitCodes === undefined) errors.push(required(`${at}.exitCodes`, 'must be specified'))
    else {
      if (!['In', 'NotIn'].includes(rule.exitCodes.operator))
        errors.push(notSupported(`${at}.exitCodes.operator`, rule.exitCodes.operator, ['In', 'NotIn']))
      const count = rule.exitCodes.values?.length ?? 0
      if (count > 255) errors.push(tooMany(`${at}.exitCodes.values`, count, 255))
    }
  }
  return errors
}

function hostPortConflicts(containers: readonly Container[], field: string): FieldError[] {
  const taken = new Set<string>()
  return containers.flatMap((container, index) =>
    (container.ports ?? []).flatMap((port, portIndex) => {
      if (!port.hostPort) return []
      const key = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`
      if (taken.has(key)) return [duplicate(`${field}[${index}].ports[${portIndex}].hostPort`, key)]
      taken.add(key)
      return []
    }),
  )
}

/** Problems of the regular containers. */
export function validateContainers(scope: ContainerScope, field: string): FieldError[] {
  const containers = scope.spec.containers ?? []
  if (containers.length === 0) return [required(field)]
  const grace = scope.spec.terminationGracePeriodSeconds
  const names = new Set<string>()
  const errors = containers.flatMap((container, index) => {
    const at = `${field}[${index}]`
    const own = validateCommon(container, at, scope)
    if (names.has(container.name)) own.push(duplicate(`${at}.name`, container.name))
    names.add(container.name)
    append(own, validateProbes(container, grace, at), validateRestartRules(container, at))
    return own
  })
  return [...errors, ...hostPortConflicts(containers, field)]
}

/** Problems of the init containers; those with restartPolicy Always are sidecars and may do what regular containers may. */
export function validateInitContainers(scope: ContainerScope, field: string): FieldError[] {
  const grace = scope.spec.terminationGracePeriodSeconds
  const names = new Set((scope.spec.containers ?? []).map(({ name }) => name))
  return (scope.spec.initContainers ?? []).flatMap((container, index) => {
    const at = `${field}[${index}]`
    const isSidecar = container.restartPolicy === 'Always'
    const own = [...validateCommon(container, at, scope), ...validateRestartRules(container, at)]
    if (names.has(container.name)) own.push(duplicate(`${at}.name`, container.name))
    else if (container.name) names.add(container.name)
    append(own, hostPortConflicts([container], field))
    if (isSidecar) append(own, validateProbes(container, grace, at))
    else {
      for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
        if (container[name] !== undefined) own.push(forbiddenField(`${at}.${name}`, initMessage))
      }
      for (const [policyIndex, policy] of (container.resizePolicy ?? []).entries()) {
        if (policy.restartPolicy !== 'RestartContainer') continue
        const policyField = `${at}.resizePolicy[${policyIndex}].restartPolicy`
        own.push(invalidValue(policyField, policy.restartPolicy, "must not be set to 'RestartContainer' for non-sidecar initContainers"))
      }
    }
    return own
  })
}

/** Problems of the ephemeral containers: no ports, probes, resources; names differ from all others. */
export function validateEphemeralContainers(scope: ContainerScope, field: string): FieldError[] {
  const others = new Set([...(scope.spec.containers ?? []), ...(scope.spec.initContainers ?? [])].map(({ name }) => name))
  const names = new Set(others)
  return (scope.spec.ephemeralContainers ?? []).flatMap((container, index) => {
    const at = `${field}[${index}]`
    const own = [...validateCommon(container, at, scope), ...validateImagePadding(container, at)]
    if (names.has(container.name)) own.push(duplicate(`${at}.name`, container.name))
    names.add(container.name)
    const target = container.targetContainerName ?? ''
    if (target !== '' && !others.has(target)) own.push(notFoundValue(`${at}.targetContainerName`, target))
    for (const name of [
      'ports',
      'resources',
      'livenessProbe',
      'readinessProbe',
      'startupProbe',
      'lifecycle',
      'restartPolicy',
      'resizePolicy',
    ] as const) {
      const value = container[name]
      if (value !== undefined && (typeof value === 'string' || Object.keys(value).length > 0))
        own.push(forbiddenField(`${at}.${name}`, ephemeralMessage))
    }
    for (const [mountIndex, mount] of (container.volumeMounts ?? []).entries()) {
      if (mount.subPath) own.push(forbiddenField(`${at}.volumeMounts[${mountIndex}].subPath`, ephemeralMessage))
      if (mount.subPathExpr) own.push(forbiddenField(`${at}.volumeMounts[${mountIndex}].subPathExpr`, ephemeralMessage))
    }
    return own
  })
}

/** Images of pods (not of templates) have no white space around them. */
export function validateImagePadding(container: AnyContainer, field: string): FieldError[] {
  const image = container.image ?? ''
  return image === image.trim() ? [] : [invalidValue(`${field}.image`, image, 'must not have leading or trailing whitespace')]
}
