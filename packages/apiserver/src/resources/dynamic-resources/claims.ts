import type {
  DeviceClaim,
  DeviceClaimConfiguration,
  DeviceConstraint,
  DeviceRequest,
  DeviceSubRequest,
  DeviceToleration,
  ExactDeviceRequest,
  OpaqueDeviceConfiguration,
} from '@k3s/api/types/resource/v1'
import { namespaces } from '@k3s/api/types/core/v1'
import type { FieldError, RequestScope } from '../../registry/strategy.ts'
import { forbiddenField, invalidValue, notSupported, required, tooLong } from '../../validation/field-error.ts'
import { invalids } from '../../validation/fields.ts'
import { dns1123Subdomain, labelValue, qualifiedName } from '../../validation/names.ts'
import { validateDriverName } from '../pods/volumes.ts'
import { validateList, validateSet } from './lists.ts'
import { fullyQualifiedNameProblems, labelProblems } from './names.ts'
import { validateSelectors } from './selectors.ts'

const maxRequests = 32
const maxAlternatives = 8
const maxConstraints = 32
/** Most configurations of a claim or class. */
export const maxConfigurations = 32
const maxParametersBytes = 10 * 1024
const adminLabel = 'resource.kubernetes.io/admin-access'
const modes = ['All', 'ExactCount']
const operators = ['Equal', 'Exists']
/** What a taint of a device may do, in the order of upstream's messages. */
export const taintEffects: readonly string[] = ['NoExecute', 'NoSchedule', 'None']
const oneKind = 'exactly one of `exactly` or `firstAvailable` is required'
const unknownRequest = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

/** What a claim asks for, by name; with the names of the alternatives of each. */
export type RequestNames = ReadonlyMap<string, ReadonlySet<string>>

export function requestNamesOf({ requests = [] }: DeviceClaim): RequestNames {
  return new Map(requests.map(({ name, firstAvailable = [] }) => [name, new Set(firstAvailable.map((sub) => sub.name))]))
}

function validateToleration({ key = '', operator = '', value = '', effect = '' }: DeviceToleration, field: string): FieldError[] {
  return [
    ...(key === '' ? [] : invalids(`${field}.key`, key, qualifiedName(key))),
    ...(operator === '' ? [required(`${field}.operator`)] : []),
    ...(operator !== '' && !operators.includes(operator) ? [notSupported(`${field}.operator`, operator, operators)] : []),
    ...(operator === 'Exists' && value !== '' ? [invalidValue(`${field}.value`, value, 'must be empty for operator `Exists`')] : []),
    ...(operator === 'Equal' ? invalids(`${field}.value`, value, labelValue(value)) : []),
    ...(effect !== '' && !taintEffects.includes(effect) ? [notSupported(`${field}.effect`, effect, taintEffects)] : []),
  ]
}

function validateCount({ allocationMode = '', count = 0 }: ExactDeviceRequest | DeviceSubRequest, field: string): FieldError[] {
  if (!modes.includes(allocationMode)) return [notSupported(`${field}.allocationMode`, allocationMode, modes)]
  if (allocationMode === 'All')
    return count === 0 ? [] : [invalidValue(`${field}.count`, count, "must not be specified when allocationMode is 'All'")]
  return count > 0 ? [] : [invalidValue(`${field}.count`, count, 'must be greater than zero')]
}

function validateWanted(request: ExactDeviceRequest | DeviceSubRequest, field: string): FieldError[] {
  const at = `${field}.deviceClassName`
  const { deviceClassName = '' } = request
  return [
    ...(deviceClassName === '' ? [required(at)] : invalids(at, deviceClassName, dns1123Subdomain(deviceClassName))),
    ...validateSelectors(request.selectors, `${field}.selectors`),
    ...validateCount(request, field),
    ...(request.tolerations ?? []).flatMap((toleration, index) => validateToleration(toleration, `${field}.tolerations[${index}]`)),
  ]
}

function validateRequest({ name, exactly, firstAvailable = [] }: DeviceRequest, field: string): FieldError[] {
  const errors = labelProblems(name, `${field}.name`)
  if (exactly === undefined && firstAvailable.length === 0) return [...errors, required(field, oneKind)]
  if (exactly !== undefined && firstAvailable.length > 0)
    return [...errors, invalidValue(field, null, `${oneKind}, but multiple fields are set`)]
  if (exactly !== undefined) return [...errors, ...validateWanted(exactly, `${field}.exactly`)]
  const set = { max: maxAlternatives, field: `${field}.firstAvailable`, keyOf: (sub: DeviceSubRequest) => sub.name }
  return [
    ...errors,
    ...validateSet(firstAvailable, set, (sub, at) => [...labelProblems(sub.name, `${at}.name`), ...validateWanted(sub, at)]),
  ]
}

/** Problems of the name of a request, or of one of its alternatives: `request/alternative`. */
export function requestReferenceProblems(name: string, field: string, known: RequestNames): FieldError[] {
  const [first = '', second, ...more] = name.split('/')
  if (more.length > 0) return [invalidValue(field, name, unknownRequest)]
  const alternatives = known.get(first)
  const isKnown = alternatives !== undefined && (second === undefined || alternatives.has(second))
  return [
    ...labelProblems(first, field),
    ...(second === undefined ? [] : labelProblems(second, field)),
    ...(isKnown ? [] : [invalidValue(field, name, unknownRequest)]),
  ]
}

/** Problems of the names of requests that a constraint or configuration is about. */
export function requestReferences(names: readonly string[] | undefined, field: string, known: RequestNames): FieldError[] {
  return validateSet(names, { max: maxRequests, field, keyOf: (name) => name }, (name, at) => requestReferenceProblems(name, at, known))
}

function validateConstraint(
  { requests, matchAttribute, distinctAttribute }: DeviceConstraint,
  field: string,
  known: RequestNames,
): FieldError[] {
  const errors = requestReferences(requests, `${field}.requests`, known)
  if (matchAttribute !== undefined) return [...errors, ...fullyQualifiedNameProblems(matchAttribute, `${field}.matchAttribute`)]
  if (distinctAttribute !== undefined) return [...errors, ...fullyQualifiedNameProblems(distinctAttribute, `${field}.distinctAttribute`)]
  // The words are upstream's.
  return [...errors, required(field, 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set')]
}

/** Problems of a JSON object that only a driver understands. */
export function rawObjectProblems(value: unknown, field: string, maxBytes: number): FieldError[] {
  if (value === undefined || value === null) return [required(field)]
  if (Buffer.byteLength(JSON.stringify(value)) > maxBytes) return [tooLong(field, maxBytes)]
  return typeof value === 'object' && !Array.isArray(value) ? [] : [invalidValue(field, '<value omitted>', 'must be a valid JSON object')]
}

/** Problems of what a driver is told. */
export function validateConfiguration(
  { opaque }: { readonly opaque?: OpaqueDeviceConfiguration | undefined },
  field: string,
): FieldError[] {
  if (opaque === undefined) return [required(`${field}.opaque`)]
  return [
    ...validateDriverName(opaque.driver, `${field}.opaque.driver`),
    ...rawObjectProblems(opaque.parameters, `${field}.opaque.parameters`, maxParametersBytes),
  ]
}

/** Problems of what a claim asks for. */
export function validateClaim(devices: DeviceClaim, field: string): FieldError[] {
  const known = requestNamesOf(devices)
  const set = { max: maxRequests, field: `${field}.requests`, keyOf: ({ name }: DeviceRequest) => name }
  return [
    ...validateSet(devices.requests, set, validateRequest),
    ...validateList(devices.constraints, maxConstraints, `${field}.constraints`, (constraint, at) =>
      validateConstraint(constraint, at, known),
    ),
    ...validateList(devices.config, maxConfigurations, `${field}.config`, (config: DeviceClaimConfiguration, at) => [
      ...requestReferences(config.requests, `${at}.requests`, known),
      ...validateConfiguration(config, at),
    ]),
  ]
}

/** Only in namespaces that say so may a claim have access that others are denied. Upstream names the same place for claims and for their templates. */
export function adminProblems({ requests = [] }: DeviceClaim, scope: RequestScope): FieldError[] {
  const asking = requests.findIndex(({ exactly }) => exactly?.adminAccess === true)
  if (asking < 0) return []
  const labels = scope.objects.get(namespaces, '', scope.namespace)?.metadata.labels ?? {}
  if (labels[adminLabel] === 'true') return []
  return [
    forbiddenField(
      `spec.devices.requests[${asking}].adminAccess`,
      `admin access to devices requires the \`${adminLabel}: true\` label on the containing namespace`,
    ),
  ]
}
