import type {
  AllocatedDeviceStatus,
  AllocationResult,
  DeviceRequestAllocationResult,
  NetworkDeviceData,
  ResourceClaim,
} from '@k3s/api/types/resource/v1'
import type { FieldError } from '../../registry/strategy.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { forbiddenField, invalidValue, notSupported, required, tooLong, tooMany } from '../../validation/field-error.ts'
import { immutable } from '../../validation/fields.ts'
import { validateConditions } from '../../validation/conditions.ts'
import { validateNodeSelector } from '../pods/scheduling.ts'
import { validateDriverName } from '../pods/volumes.ts'
import { canonicalIp } from '../shared/ip.ts'
import {
  maxConfigurations,
  rawObjectProblems,
  requestNamesOf,
  requestReferenceProblems,
  requestReferences,
  validateConfiguration,
  type RequestNames,
} from './claims.ts'
import { validateList, validateSet } from './lists.ts'
import { labelProblems, poolNameProblems, uuidProblems } from './names.ts'
import { bindingProblems } from './slices.ts'

const maxConsumers = 256
const maxResults = 32
const maxConditions = 8
const maxDataBytes = 10 * 1024
const maxAddresses = 16
const maxInterfaceNameBytes = 256
const maxHardwareAddressBytes = 128
const sources = ['FromClaim', 'FromClass']

// As upstream shows the id of a device.
const opaqueId = { Driver: {}, Pool: {}, Device: {}, ShareID: {} }

const idOf = ({ driver, pool, device, shareID = '' }: AllocatedDeviceStatus | DeviceRequestAllocationResult): string =>
  `${driver}/${pool}/${device}${shareID === '' ? '' : `/${shareID}`}`

const idsOf = (allocation: AllocationResult | undefined): ReadonlySet<string> => new Set((allocation?.devices?.results ?? []).map(idOf))

/** Takes out of a claim's status, in place, the devices that were allocated before and no longer are. */
export function dropDeallocated({ status }: ResourceClaim, previous: ResourceClaim): void {
  if (status?.devices === undefined) return
  const [now, then] = [idsOf(status.allocation), idsOf(previous.status?.allocation)]
  const left = status.devices.filter((device) => now.has(idOf(device)) || !then.has(idOf(device)))
  if (left.length === 0) delete status.devices
  else status.devices = left
}

/** Problems of an update of a claim's status. */
export function validateClaimStatus(claim: ResourceClaim, previous: ResourceClaim): FieldError[] {
  const { allocation, reservedFor = [], devices } = claim.status ?? {}
  const old = previous.status ?? {}
  const known = requestNamesOf(claim.spec.devices ?? {})
  const allocated = idsOf(allocation)
  const isNew = reservedFor.some((consumer) => !(old.reservedFor ?? []).some((other) => semanticEqual(other, consumer)))
  const errors = [
    ...validateSet(reservedFor, { max: maxConsumers, field: 'status.reservedFor', keyOf: ({ uid }) => uid }, (consumer, at) =>
      (['resource', 'name', 'uid'] as const).flatMap((part) => (consumer[part] === '' ? [required(`${at}.${part}`)] : [])),
    ),
    ...validateSet(devices, { max: Infinity, field: 'status.devices', keyOf: idOf }, (device, at) => validateDevice(device, at, allocated)),
  ]
  if (reservedFor.length > 0 && allocation === undefined)
    errors.push(forbiddenField('status.reservedFor', 'may not be specified when `allocated` is not set'))
  else if (claim.metadata.deletionTimestamp !== undefined && isNew)
    errors.push(
      forbiddenField('status.reservedFor', 'new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set'),
    )
  if (allocation === undefined) return errors
  return old.allocation === undefined
    ? [...errors, ...validateAllocation(allocation, known)]
    : [...errors, ...immutable('status.allocation', allocation, old.allocation)]
}

function validateAllocation({ devices = {}, nodeSelector }: AllocationResult, known: RequestNames): FieldError[] {
  const field = 'status.allocation'
  return [
    ...validateList(devices.results, maxResults, `${field}.devices.results`, (result, at) => [
      ...requestReferenceProblems(result.request, `${at}.request`, known),
      ...validateDriverName(result.driver, `${at}.driver`),
      ...poolNameProblems(result.pool, `${at}.pool`),
      ...labelProblems(result.device, `${at}.device`),
      ...bindingProblems(result, at),
      ...(result.shareID === undefined ? [] : uuidProblems(result.shareID, `${at}.shareID`)),
    ]),
    ...validateList(devices.config, 2 * maxConfigurations, `${field}.devices.config`, (config, at) => [
      ...sourceProblems(config.source, `${at}.source`),
      ...requestReferences(config.requests, `${at}.requests`, known),
      ...validateConfiguration(config, at),
    ]),
    ...(nodeSelector === undefined ? [] : validateNodeSelector(nodeSelector, `${field}.nodeSelector`)),
  ]
}

function sourceProblems(source: string, field: string): FieldError[] {
  if (source === '') return [required(field)]
  return sources.includes(source) ? [] : [notSupported(field, source, sources)]
}

function validateDevice(device: AllocatedDeviceStatus, field: string, allocated: ReadonlySet<string>): FieldError[] {
  const { conditions = [] } = device
  return [
    ...validateDriverName(device.driver, `${field}.driver`),
    ...poolNameProblems(device.pool, `${field}.pool`),
    ...labelProblems(device.device, `${field}.device`),
    ...(device.shareID === undefined ? [] : uuidProblems(device.shareID, `${field}.shareID`)),
    ...(allocated.has(idOf(device)) ? [] : [invalidValue(field, opaqueId, 'must be an allocated device in the claim')]),
    ...(conditions.length > maxConditions ? [tooMany(`${field}.conditions`, conditions.length, maxConditions)] : []),
    ...validateConditions(conditions, `${field}.conditions`),
    ...(device.data === undefined ? [] : rawObjectProblems(device.data, `${field}.data`, maxDataBytes)),
    ...(device.networkData === undefined ? [] : validateNetworkData(device.networkData, `${field}.networkData`)),
  ]
}

function validateNetworkData({ interfaceName = '', hardwareAddress = '', ips }: NetworkDeviceData, field: string): FieldError[] {
  return [
    ...(Buffer.byteLength(interfaceName) > maxInterfaceNameBytes ? [tooLong(`${field}.interfaceName`, maxInterfaceNameBytes)] : []),
    ...(Buffer.byteLength(hardwareAddress) > maxHardwareAddressBytes ? [tooLong(`${field}.hardwareAddress`, maxHardwareAddressBytes)] : []),
    ...validateSet(ips, { max: maxAddresses, field: `${field}.ips`, keyOf: (ip) => ip }, addressProblems),
  ]
}

/** An address with the length of its network. */
function addressProblems(value: string, field: string): FieldError[] {
  const [address = '', length = ''] = value.split('/')
  const canonical = canonicalIp(address)
  if (canonical === undefined || !/^\d{1,3}$/.test(length) || Number(length) > (address.includes(':') ? 128 : 32))
    return [invalidValue(field, value, 'must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)')]
  const wanted = `${canonical}/${address.includes(':') && !canonical.includes(':') ? Number(length) - 96 : Number(length)}`
  return value === wanted ? [] : [invalidValue(field, value, `must be in canonical form (${JSON.stringify(wanted)})`)]
}
