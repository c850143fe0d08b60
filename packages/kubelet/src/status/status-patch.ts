import { isDeepStrictEqual } from 'node:util'
import type { PodCondition, PodStatus } from '@k3s/api/types/core/v1'

/** Fields that the kubelet writes; all others are left alone. */
const fields = [
  'observedGeneration',
  'phase',
  'reason',
  'message',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'startTime',
  'qosClass',
  'initContainerStatuses',
  'containerStatuses',
  'ephemeralContainerStatuses',
] as const satisfies readonly (keyof PodStatus)[]

/** A strategic merge patch of the status that turns `current` into `wanted`; `undefined` when they say the same. */
export function statusPatch(current: PodStatus, wanted: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {}
  for (const field of fields) {
    if (isDeepStrictEqual(plain(current[field]), plain(wanted[field]))) continue
    const value = wanted[field]
    if (value === undefined) patch[field] = null
    // Addresses are merged by their ip: to drop one, the list is replaced as a whole.
    else if ((field === 'podIPs' || field === 'hostIPs') && (current[field] ?? []).length > 0 && Array.isArray(value))
      patch[field] = [{ $patch: 'replace' }, ...value]
    else patch[field] = value
  }
  const conditions = (wanted.conditions ?? [])
    .filter((condition) => !hasSame(current.conditions ?? [], condition))
    .map((condition) => ({ ...goneFields(current.conditions ?? [], condition), ...condition }))
  if (conditions.length > 0) patch['conditions'] = conditions
  return Object.keys(patch).length === 0 ? undefined : patch
}

function hasSame(conditions: readonly PodCondition[], wanted: PodCondition): boolean {
  const condition = conditions.find(({ type }) => type === wanted.type)
  return condition !== undefined && isDeepStrictEqual(plain(condition), plain(wanted))
}

/** Conditions are merged by their type: what one no longer says has to be taken out by name. */
function goneFields(conditions: readonly PodCondition[], wanted: PodCondition): Record<string, null> {
  const before = conditions.find(({ type }) => type === wanted.type) ?? {}
  return Object.fromEntries(Object.keys(before).flatMap((key) => (Object.hasOwn(wanted, key) ? [] : [[key, null]])))
}

/** Without absent fields and nulls, which JSON does not tell apart. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value, (_key, item: unknown) => (item === null ? undefined : item)))
}
