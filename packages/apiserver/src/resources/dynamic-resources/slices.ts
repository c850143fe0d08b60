import { addQuantities, compareQuantities, quantityNanos } from '@k3s/api'
import type {
  CapacityRequestPolicy,
  CapacityRequestPolicyRange,
  Counter,
  CounterSet,
  Device,
  DeviceAttribute,
  DeviceCapacity,
  DeviceTaint,
  ResourceSliceSpec,
} from '@k3s/api/types/resource/v1'
import type { NodeSelectorRequirement, NodeSelectorTerm } from '@k3s/api/types/core/v1'
import type { FieldError } from '../../registry/strategy.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { duplicate, forbiddenField, invalidValue, notSupported, required, tooLong } from '../../validation/field-error.ts'
import { immutable, invalids } from '../../validation/fields.ts'
import { dns1123Subdomain, labelValue, qualifiedName } from '../../validation/names.ts'
import { validateNodeSelector } from '../pods/scheduling.ts'
import { validateDriverName } from '../pods/volumes.ts'
import { taintEffects } from './claims.ts'
import { validateList, validateMap, validateSet } from './lists.ts'
import { labelProblems, maxQualifiedNameLength, poolNameProblems, qualifiedNameProblems } from './names.ts'

const maxDevices = 128
// With taints, counters or lists of values.
const maxAdvancedDevices = 64
const maxCounterSets = 8
const maxCounters = 32
const maxConsumptions = 2
const maxAttributes = 32
const maxAttributeValues = 48
const maxValueBytes = 64
const maxTaints = 16
const maxBindingConditions = 4
const maxValidValues = 10

const semver =
  /^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$/

const onNodes = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required'
const onDeviceNodes =
  'exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec'

/** Takes out of what is offered, in place, what upstream's defaults do not let in yet. */
export function dropDisabled({ devices = [] }: ResourceSliceSpec): void {
  for (const device of devices) {
    delete device.nodeAllocatableResourceMappings
    for (const attribute of Object.values(device.attributes ?? {})) {
      delete attribute.bools
      delete attribute.ints
      delete attribute.strings
      delete attribute.versions
    }
  }
}

/** Problems of what a driver offers; `previous` when it offered something before. */
export function validateSlice(spec: ResourceSliceSpec, previous: ResourceSliceSpec | undefined): FieldError[] {
  const { driver, pool } = spec
  const devices = { max: spec.devices?.some(isAdvanced) === true ? maxAdvancedDevices : maxDevices, field: 'spec.devices', keyOf: nameOf }
  const before = new Map(previous?.devices?.map((device) => [device.name, device]))
  return [
    ...validateDriverName(driver, 'spec.driver'),
    ...poolNameProblems(pool.name, 'spec.pool.name'),
    ...(pool.resourceSliceCount > 0
      ? []
      : [invalidValue('spec.pool.resourceSliceCount', pool.resourceSliceCount, 'must be greater than zero')]),
    ...(pool.generation < 0 ? [invalidValue('spec.pool.generation', pool.generation, 'must be greater than or equal to zero')] : []),
    ...(previous === undefined ? [] : unchangeable(spec, previous)),
    ...validateNodes(spec),
    ...(spec.sharedCounters !== undefined && spec.devices !== undefined
      ? [invalidValue('spec', '', 'only one of `sharedCounters` or `devices` is allowed')]
      : []),
    ...validateSet(spec.devices, devices, (device, at) =>
      validateDevice(device, { field: at, previous: before.get(device.name), hasNodes: spec.perDeviceNodeSelection === true }),
    ),
    ...validateSet(spec.sharedCounters, { max: maxCounterSets, field: 'spec.sharedCounters', keyOf: nameOf }, validateCounterSet),
  ]
}

const nameOf = ({ name }: { readonly name: string }): string => name

const isAdvanced = ({ taints = [], consumesCounters = [] }: Device): boolean => taints.length > 0 || consumesCounters.length > 0

function unchangeable(spec: ResourceSliceSpec, previous: ResourceSliceSpec): FieldError[] {
  return [
    ...immutable('spec.pool.name', spec.pool.name, previous.pool.name),
    ...immutable('spec.driver', spec.driver, previous.driver),
    ...immutable('spec.nodeName', spec.nodeName, previous.nodeName),
  ]
}

function nodeNameProblems(name: string | undefined, field: string, whenEmpty: string): FieldError[] {
  if (name === undefined) return []
  return name === '' ? [invalidValue(field, name, whenEmpty)] : invalids(field, name, dns1123Subdomain(name))
}

const mustBeTrue = (value: boolean | undefined, field: string): FieldError[] =>
  value === false ? [invalidValue(field, value, 'must be either unset or set to true')] : []

/** A term as upstream's messages show it. */
function shownTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm): unknown {
  const shown = (list: readonly NodeSelectorRequirement[]): unknown =>
    list.length === 0 ? null : list.map(({ key, operator, values = null }) => ({ Key: key, Operator: operator, Values: values }))
  return { MatchExpressions: shown(matchExpressions), MatchFields: shown(matchFields) }
}

function validateNodes({ nodeName, nodeSelector, allNodes, perDeviceNodeSelection }: ResourceSliceSpec): FieldError[] {
  const named = [
    ...(nodeName === undefined || nodeName === '' ? [] : ['`nodeName`']),
    ...(nodeSelector === undefined ? [] : ['`nodeSelector`']),
    ...(allNodes === true ? ['`allNodes`'] : []),
    ...(perDeviceNodeSelection === true ? ['`perDeviceNodeSelection`'] : []),
  ]
  const terms = nodeSelector?.nodeSelectorTerms ?? []
  return [
    ...nodeNameProblems(nodeName, 'spec.nodeName', 'must be either unset or set to a non-empty string'),
    ...(nodeSelector === undefined ? [] : validateNodeSelector(nodeSelector, 'spec.nodeSelector')),
    ...(nodeSelector !== undefined && terms.length !== 1
      ? [
          invalidValue(
            'spec.nodeSelector.nodeSelectorTerms',
            terms.length === 0 ? null : terms.map(shownTerm),
            'must have exactly one node selector term',
          ),
        ]
      : []),
    ...mustBeTrue(allNodes, 'spec.allNodes'),
    ...mustBeTrue(perDeviceNodeSelection, 'spec.perDeviceNodeSelection'),
    ...(named.length === 0 ? [required('spec', onNodes)] : []),
    ...(named.length > 1 ? [invalidValue('spec', `{${named.join(', ')}}`, `${onNodes}, but multiple fields are set`)] : []),
  ]
}

function countersProblems(counters: Readonly<Record<string, Counter>> | undefined, field: string): FieldError[] {
  if (Object.keys(counters ?? {}).length === 0) return [required(field)]
  return validateMap(counters, { max: maxCounters, maxKey: 63, field }, { key: labelProblems, value: () => [] })
}

function validateCounterSet({ name, counters }: CounterSet, field: string): FieldError[] {
  return [
    ...(name === '' ? [required(`${field}.name`)] : labelProblems(name, `${field}.name`)),
    ...countersProblems(counters, `${field}.counters`),
  ]
}

interface DeviceContext {
  readonly field: string
  readonly previous: Device | undefined
  /** Devices of the slice say themselves where they are. */
  readonly hasNodes: boolean
}

function validateDevice(device: Device, { field, previous, hasNodes }: DeviceContext): FieldError[] {
  const { attributes = {}, capacity = {}, taints } = device
  const total = Object.keys(attributes).length + Object.keys(capacity).length
  const values = Object.keys(attributes).length
  const map = (name: string) => ({ max: Infinity, maxKey: maxQualifiedNameLength, field: `${field}.${name}` })
  const mayShare = device.allowMultipleAllocations === true
  const consumptions = { max: maxConsumptions, field: `${field}.consumesCounters`, keyOf: setOf }
  return [
    ...labelProblems(device.name, `${field}.name`),
    ...(total > maxAttributes
      ? [invalidValue(field, total, `the total number of attributes and capacities must not exceed ${maxAttributes}`)]
      : []),
    ...(values > maxAttributeValues
      ? [invalidValue(field, values, `the total number of attribute values must not exceed ${maxAttributeValues}`)]
      : []),
    ...validateMap(attributes, map('attributes'), { key: qualifiedNameProblems, value: validateAttribute }),
    ...validateMap(capacity, map('capacity'), {
      key: qualifiedNameProblems,
      value: (one, at) => validateCapacity(one, `${at}.requestPolicy`, mayShare),
    }),
    ...(previous !== undefined && semanticEqual(previous.taints, taints)
      ? []
      : validateList(taints, maxTaints, `${field}.taints`, validateTaint)),
    ...validateSet(device.consumesCounters, consumptions, ({ counterSet, counters }, at) => [
      ...(counterSet === '' ? [required(`${at}.counterSet`)] : labelProblems(counterSet, `${at}.counterSet`)),
      ...countersProblems(counters, `${at}.counters`),
    ]),
    ...(hasNodes ? validateDeviceNodes(device, field) : strayNodes(device, field)),
    ...bindingProblems(device, field),
  ]
}

const setOf = ({ counterSet }: { readonly counterSet: string }): string => counterSet

function validateDeviceNodes({ nodeName, nodeSelector, allNodes }: Device, field: string): FieldError[] {
  const named = [
    ...(nodeName === undefined || nodeName === '' ? [] : ['`nodeName`']),
    ...(nodeSelector === undefined ? [] : ['`nodeSelector`']),
    ...(allNodes === true ? ['`allNodes`'] : []),
  ]
  return [
    ...nodeNameProblems(nodeName, `${field}.nodeName`, 'must not be empty'),
    ...(nodeSelector === undefined ? [] : validateNodeSelector(nodeSelector, `${field}.nodeSelector`)),
    ...mustBeTrue(allNodes, `${field}.allNodes`),
    ...(named.length === 0 ? [required(field, onDeviceNodes)] : []),
    ...(named.length > 1 ? [invalidValue(field, `{${named.join(', ')}}`, onDeviceNodes)] : []),
  ]
}

function strayNodes({ nodeName, nodeSelector, allNodes }: Device, field: string): FieldError[] {
  if (nodeName === undefined && nodeSelector === undefined && allNodes === undefined) return []
  const why =
    '`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec'
  return [invalidValue(field, null, why)]
}

function validateAttribute(attribute: DeviceAttribute, field: string): FieldError[] {
  const { bool, int, string, version } = attribute
  const present = [bool, int, string, version].filter((value) => value !== undefined)
  const long = (value: string | undefined, at: string): FieldError[] =>
    value !== undefined && Buffer.byteLength(value) > maxValueBytes ? [tooLong(at, maxValueBytes)] : []
  return [
    ...long(string, `${field}.string`),
    ...(version !== undefined && !semver.test(version)
      ? [invalidValue(`${field}.version`, version, 'must be a string compatible with semver.org spec 2.0.0')]
      : []),
    ...long(version, `${field}.version`),
    ...(present.length === 1 ? [] : [invalidValue(field, present.length === 0 ? '' : attribute, 'exactly one value must be specified')]),
  ]
}

function validateCapacity({ value, requestPolicy }: DeviceCapacity, field: string, mayShare: boolean): FieldError[] {
  if (requestPolicy === undefined) return []
  return mayShare ? validatePolicy(requestPolicy, value, field) : [forbiddenField(field, 'allowMultipleAllocations must be true')]
}

function validatePolicy(
  { default: amount, validValues = [], validRange }: CapacityRequestPolicy,
  capacity: string,
  field: string,
): FieldError[] {
  if (validValues.length > 0 && validRange !== undefined)
    return [forbiddenField(field, 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time')]
  if (validValues.length > 0)
    return amount === undefined
      ? [required(`${field}.default`, 'required when validValues is defined')]
      : validateValues(validValues, { amount, capacity, field: `${field}.validValues` })
  if (validRange === undefined) return []
  return amount === undefined
    ? [required(`${field}.default`, 'required when validRange is defined')]
    : validateRange(validRange, { amount, capacity, field: `${field}.validRange` })
}

interface Amounts {
  readonly amount: string
  readonly capacity: string
  readonly field: string
}

const wholes = (quantity: string): bigint => {
  const nanos = quantityNanos(quantity)
  // As Go: up to the next integer.
  return nanos / 1_000_000_000n + (nanos % 1_000_000_000n > 0n ? 1n : 0n)
}

function validateValues(values: readonly string[], { amount, capacity, field }: Amounts): FieldError[] {
  const unsorted = values
    .slice(1)
    .flatMap((value, index) =>
      compareQuantities(values[index] ?? value, value) > 0
        ? [invalidValue(`${field}[${index + 1}]`, value, 'values must be sorted in ascending order')]
        : [],
    )
  const isListed = values.length <= maxValidValues && values.some((value) => compareQuantities(value, amount) === 0)
  return [
    ...unsorted,
    ...validateSet(values, { max: maxValidValues, field, keyOf: (value) => String(wholes(value)) }, (value, at) =>
      compareQuantities(value, capacity) > 0 ? [invalidValue(at, value, `option is larger than capacity value: ${capacity}`)] : [],
    ),
    ...(isListed ? [] : [invalidValue(field, amount, 'default value is not valid according to the requestPolicy')]),
  ]
}

function validateRange(range: Partial<CapacityRequestPolicyRange>, { amount, capacity, field }: Amounts): FieldError[] {
  const { min, max, step } = range
  if (min === undefined) return [required(`${field}.min`, 'required when validRange is defined')]
  const above = (left: string, right: string): boolean => compareQuantities(left, right) > 0
  const errors: FieldError[] = []
  if (above(min, capacity)) errors.push(invalidValue(`${field}.min`, min, `min is larger than capacity value: ${capacity}`))
  if (above(min, amount)) errors.push(invalidValue(`${field}.min`, amount, `default is less than min: ${min}`))
  if (max !== undefined) {
    if (above(min, max)) errors.push(invalidValue(`${field}.max`, min, `min is larger than max: ${max}`))
    if (above(max, capacity)) errors.push(invalidValue(`${field}.max`, max, `max is larger than capacity value: ${capacity}`))
    if (above(amount, max)) errors.push(invalidValue(`${field}.max`, amount, `default is more than max: ${max}`))
  }
  if (step === undefined) return errors
  const next = addQuantities(min, step)
  if (above(next, capacity)) errors.push(invalidValue(`${field}.step`, step, `one step ${next} is larger than capacity value: ${capacity}`))
  const size = wholes(step)
  for (const value of max === undefined ? [amount] : [amount, max])
    // Unlike kube-apiserver, which divides by a step of nothing and fails.
    if (size === 0n || (wholes(value) - wholes(min)) % size !== 0n)
      errors.push(invalidValue(`${field}.step`, value, `value is not a multiple of a given step (${step}) from (${min})`))
  return errors
}

function validateTaint({ key, value = '', effect }: DeviceTaint, field: string): FieldError[] {
  return [
    ...invalids(`${field}.key`, key, qualifiedName(key)),
    ...(value === '' ? [] : invalids(`${field}.value`, value, labelValue(value))),
    ...(effect === '' ? [required(`${field}.effect`)] : []),
    ...(effect !== '' && !taintEffects.includes(effect) ? [notSupported(`${field}.effect`, effect, taintEffects)] : []),
  ]
}

/** Problems of the conditions that must hold, and must not, before a pod is bound. */
export function bindingProblems(
  {
    bindingConditions: wanted = [],
    bindingFailureConditions: unwanted = [],
  }: { readonly bindingConditions?: readonly string[] | undefined; readonly bindingFailureConditions?: readonly string[] | undefined },
  field: string,
): FieldError[] {
  const [good, bad] = [`${field}.bindingConditions`, `${field}.bindingFailureConditions`]
  const repeated = (list: readonly string[], at: string): FieldError[] =>
    list.flatMap((one, index) => (list.indexOf(one) < index ? [duplicate(`${at}[${index}]`, one)] : []))
  const name = (one: string, at: string): FieldError[] => invalids(at, one, qualifiedName(one))
  const overlapping = unwanted.flatMap((one, index) => [
    ...(unwanted.indexOf(one) < index ? [duplicate(`${bad}[${index}]`, one)] : []),
    ...(wanted.includes(one)
      ? [invalidValue(`${bad}[${index}]`, one, 'bindingFailureConditions must not overlap with bindingConditions')]
      : []),
  ])
  return [
    ...validateList(wanted, maxBindingConditions, good, name),
    ...validateList(unwanted, maxBindingConditions, bad, name),
    ...repeated(wanted, good),
    ...overlapping,
    ...(wanted.length === 0 && unwanted.length > 0
      ? [invalidValue(good, null, 'bindingConditions are required to use bindingFailureConditions')]
      : []),
    ...(unwanted.length === 0 && wanted.length > 0
      ? [invalidValue(bad, null, 'bindingFailureConditions are required to use bindingConditions')]
      : []),
  ]
}
