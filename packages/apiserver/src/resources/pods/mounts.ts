import type { Container, EphemeralContainer, Volume } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notFoundValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { validateDescendingPath, validateNoBacksteps } from './volumes.ts'

type AnyContainer = Container | EphemeralContainer

const propagations = ['Bidirectional', 'HostToContainer', 'None']
const recursions = ['Disabled', 'Enabled', 'IfPossible']

/** Problems of a container's volume mounts and devices. `volumes` are the pod's sound volumes. */
export function validateMounts(container: AnyContainer, field: string, volumes: ReadonlyMap<string, Volume>): FieldError[] {
  const mounts = new Map((container.volumeMounts ?? []).map(({ name, mountPath }) => [name, mountPath]))
  const devices = new Map((container.volumeDevices ?? []).map(({ name, devicePath }) => [name, devicePath]))
  return [
    ...validateVolumeMounts(container, `${field}.volumeMounts`, volumes, devices),
    ...validateVolumeDevices(container, `${field}.volumeDevices`, volumes, mounts),
  ]
}

function validateVolumeMounts(
  container: AnyContainer,
  field: string,
  volumes: ReadonlyMap<string, Volume>,
  devices: ReadonlyMap<string, string>,
): FieldError[] {
  const errors: FieldError[] = []
  const paths = new Set<string>()
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const at = `${field}[${index}]`
    if (!mount.name) errors.push(required(`${at}.name`))
    if (!volumes.has(mount.name)) errors.push(notFoundValue(`${at}.name`, mount.name))
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`))
    if (paths.has(mount.mountPath)) errors.push(invalidValue(`${at}.mountPath`, mount.mountPath, 'must be unique'))
    paths.add(mount.mountPath)
    if (devices.has(mount.name)) errors.push(invalidValue(`${at}.name`, mount.name, 'must not already exist in volumeDevices'))
    if ([...devices.values()].includes(mount.mountPath)) {
      errors.push(invalidValue(`${at}.mountPath`, mount.mountPath, 'must not already exist as a path in volumeDevices'))
    }
    if (mount.subPath) append(errors, validateDescendingPath(mount.subPath, `${field}.subPath`))
    if (mount.subPathExpr) {
      if (mount.subPath) errors.push(invalidValue(`${at}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'))
      append(errors, validateDescendingPath(mount.subPathExpr, `${field}.subPathExpr`))
    }
    const { mountPropagation: propagation, recursiveReadOnly } = mount
    if (propagation !== undefined) {
      if (!propagations.includes(propagation)) errors.push(notSupported(`${field}.mountPropagation`, propagation, propagations))
      if (propagation === 'Bidirectional' && container.securityContext?.privileged !== true) {
        errors.push(
          forbiddenField(`${field}.mountPropagation`, 'Bidirectional mount propagation is available only to privileged containers'),
        )
      }
    }
    if (recursiveReadOnly === 'Enabled' || recursiveReadOnly === 'IfPossible') {
      if (mount.readOnly !== true) errors.push(forbiddenField(`${field}.recursiveReadOnly`, 'may only be specified when readOnly is true'))
      if (propagation !== undefined && propagation !== 'None') {
        errors.push(forbiddenField(`${field}.recursiveReadOnly`, 'may only be specified when mountPropagation is None or not specified'))
      }
    } else if (recursiveReadOnly !== undefined && recursiveReadOnly !== 'Disabled') {
      errors.push(notSupported(`${field}.recursiveReadOnly`, recursiveReadOnly, recursions))
    }
  }
  return errors
}

function validateVolumeDevices(
  container: AnyContainer,
  field: string,
  volumes: ReadonlyMap<string, Volume>,
  mounts: ReadonlyMap<string, string>,
): FieldError[] {
  const errors: FieldError[] = []
  const names = new Set<string>()
  const paths = new Set<string>()
  for (const [index, { name, devicePath }] of (container.volumeDevices ?? []).entries()) {
    const at = `${field}[${index}]`
    const volume = volumes.get(name)
    if (!name) errors.push(required(`${at}.name`))
    if (names.has(name)) errors.push(invalidValue(`${at}.name`, name, 'must be unique'))
    if (volume === undefined) errors.push(notFoundValue(`${at}.name`, name))
    else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined) {
      errors.push(invalidValue(`${at}.name`, name, 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'))
    }
    if (!devicePath) errors.push(required(`${at}.devicePath`))
    if (paths.has(devicePath)) errors.push(invalidValue(`${at}.devicePath`, devicePath, 'must be unique'))
    if (devicePath && validateNoBacksteps(devicePath, field).length > 0)
      errors.push(invalidValue(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"))
    else paths.add(devicePath)
    if (mounts.has(name)) errors.push(invalidValue(`${at}.name`, name, 'must not already exist in volumeMounts'))
    if ([...mounts.values()].includes(devicePath))
      errors.push(invalidValue(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'))
    if (name) names.add(name)
  }
  return errors
}
