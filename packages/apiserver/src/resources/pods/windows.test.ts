import type { PodSpec } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { validateOsFields } from './windows.ts'

const found = (spec: Partial<PodSpec>): readonly (string | undefined)[] =>
  validateOsFields({ containers: [{ name: 'c', securityContext: { privileged: false, windowsOptions: {} } }], ...spec }, 'spec').map(
    ({ field, message }) => `${field}: ${message}`,
  )

it('windows pods have nothing of Linux, in upstream’s order', () => {
  const securityContext = { runAsUser: 1, seLinuxOptions: {}, sysctls: [] }
  expect(found({ os: { name: 'windows' }, hostPID: true, hostUsers: false, securityContext })).toEqual(
    ['securityContext.seLinuxOptions', 'hostUsers', 'hostPID', 'securityContext.runAsUser', 'containers[0].securityContext.privileged'].map(
      (name) => `spec.${name}: Forbidden: cannot be set for a windows pod`,
    ),
  )
})

it('linux pods have nothing of Windows', () => {
  expect(found({ os: { name: 'linux' }, securityContext: { windowsOptions: {} } })).toEqual(
    ['securityContext', 'containers[0].securityContext'].map(
      (at) => `spec.${at}.windowsOptions: Forbidden: windows options cannot be set for a linux pod`,
    ),
  )
})

it('pods of no system are free', () => {
  expect(found({ hostPID: true })).toEqual([])
})
