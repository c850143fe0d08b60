import type { AppArmorProfile, SeccompProfile } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, notSupported, required, tooLong } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { validateDescendingPath } from './volumes.ts'

const types = ['Localhost', 'RuntimeDefault', 'Unconfined']
/** Longest path of a profile, bytes: PATH_MAX without its terminator. */
const maxProfileLength = 4095

/** Problems of a seccomp profile of a pod or container. */
export function validateSeccomp(profile: SeccompProfile | undefined, field: string): FieldError[] {
  if (profile === undefined) return []
  const errors: FieldError[] = []
  if (!profile.type) errors.push(required(`${field}.type`, 'type is required when seccompProfile is set'))
  else if (!types.includes(profile.type)) errors.push(notSupported(`${field}.type`, profile.type, types))
  if (profile.type === 'Localhost') {
    if (profile.localhostProfile === undefined)
      errors.push(required(`${field}.localhostProfile`, 'must be set when seccomp type is Localhost'))
    else append(errors, validateDescendingPath(profile.localhostProfile, `${field}.localhostProfile`))
  } else if (profile.localhostProfile !== undefined) {
    errors.push(invalidValue(`${field}.localhostProfile`, profile, 'can only be set when seccomp type is Localhost'))
  }
  return errors
}

const localPrefix = 'localhost/'

/** Problems of a seccomp profile as annotations name it. */
export function validateSeccompName(name: string, field: string): FieldError[] {
  if (['runtime/default', 'docker/default', 'unconfined'].includes(name)) return []
  if (name.startsWith(localPrefix)) return validateDescendingPath(name.slice(localPrefix.length), field)
  return [invalidValue(field, name, 'must be a valid seccomp profile')]
}

/** Problems of an AppArmor profile of a pod or container. */
export function validateAppArmor(profile: AppArmorProfile | undefined, field: string): FieldError[] {
  if (profile === undefined) return []
  const local = profile.localhostProfile
  if (profile.type === 'Localhost') {
    const errors: FieldError[] = []
    if (local === undefined) return [required(`${field}.localhostProfile`, 'must be set when AppArmor type is Localhost')]
    if (local.trim() !== local) errors.push(invalidValue(`${field}.localhostProfile`, local, 'must not be padded with whitespace'))
    else if (local === '') errors.push(required(`${field}.localhostProfile`, 'must be set when AppArmor type is Localhost'))
    if (local.length > maxProfileLength) errors.push(tooLong(`${field}.localhostProfile`, maxProfileLength))
    return errors
  }
  if (profile.type === 'RuntimeDefault' || profile.type === 'Unconfined') {
    return local === undefined ? [] : [invalidValue(`${field}.localhostProfile`, local, 'can only be set when AppArmor type is Localhost')]
  }
  return profile.type
    ? [notSupported(`${field}.type`, profile.type, types)]
    : [required(`${field}.type`, 'type is required when appArmorProfile is set')]
}
