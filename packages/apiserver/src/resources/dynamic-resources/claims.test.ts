import type { DeviceClaim, ResourceClaim } from '@k3s/api/types/resource/v1'
import { namespaces } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { objectsOf, scopeOf, stored, textOf } from '../../../test/strategy-runs.ts'
import { adminProblems, validateClaim } from './claims.ts'
import { dropDeallocated, validateClaimStatus } from './claim-status.ts'
import { resourceClaimStrategy } from './strategy.ts'

const exactly = { deviceClassName: 'gpu.example.com', allocationMode: 'ExactCount', count: 1 }
const problems = (devices: DeviceClaim): string[] => validateClaim(devices, 'devices').map(textOf)
const label =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const unknown = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

describe('claims', () => {
  it.each<[string, DeviceClaim, string[]]>([
    ['requests without a name', { requests: [{ name: '', exactly }] }, [`devices.requests[0].name: Invalid value: "": ${label}`]],
    [
      'requests of nothing',
      { requests: [{ name: 'a' }] },
      ['devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required'],
    ],
    [
      'two requests of one name',
      {
        requests: [
          { name: 'a', exactly },
          { name: 'a', exactly },
        ],
      },
      ['devices.requests[1]: Duplicate value: "a"'],
    ],
    [
      'selectors without an expression',
      { requests: [{ name: 'a', exactly: { ...exactly, selectors: [{}] } }] },
      ['devices.requests[0].exactly.selectors[0].cel: Required value'],
    ],
    [
      'tolerations of nothing',
      { requests: [{ name: 'a', exactly: { ...exactly, tolerations: [{ operator: 'Exists', value: 'x', effect: 'Other' }] } }] },
      [
        'devices.requests[0].exactly.tolerations[0].value: Invalid value: "x": must be empty for operator `Exists`',
        'devices.requests[0].exactly.tolerations[0].effect: Unsupported value: "Other": supported values: "NoExecute", "NoSchedule", "None"',
      ],
    ],
    [
      'constraints on requests that there are not',
      { requests: [{ name: 'a', exactly }], constraints: [{ requests: ['a', 'b', 'a/b'], matchAttribute: 'model' }] },
      [
        `devices.constraints[0].requests[1]: Invalid value: "b": ${unknown}`,
        `devices.constraints[0].requests[2]: Invalid value: "a/b": ${unknown}`,
        'devices.constraints[0].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name separated by a slash',
      ],
    ],
    ['configurations of nothing', { config: [{}] }, ['devices.config[0].opaque: Required value']],
    [
      'parameters that are no object',
      { config: [{ opaque: { driver: 'd.example.com', parameters: [] } }] },
      ['devices.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object'],
    ],
  ])('refuse %s', (_what, devices, expected) => {
    expect(problems(devices)).toEqual(expected)
  })

  it('may have the access of administrators where the namespace says so', () => {
    const devices = { requests: [{ name: 'a', exactly: { ...exactly, adminAccess: true } }] }
    const within = (labels: Record<string, string>): string[] =>
      adminProblems(devices, scopeOf({ objects: objectsOf(stored(namespaces, { metadata: { name: 'default', labels }, spec: {} })) })).map(
        textOf,
      )
    expect(within({ 'resource.kubernetes.io/admin-access': 'true' })).toEqual([])
    expect(within({})).toEqual([
      'spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace',
    ])
  })
})

describe('the status of claims', () => {
  const claim = (status: ResourceClaim['status']): ResourceClaim => ({
    metadata: { name: 'c', namespace: 'default' },
    spec: { devices: { requests: [{ name: 'a', exactly }] } },
    status,
  })
  const result = { request: 'a', driver: 'd.example.com', pool: 'p', device: 'one' }
  const consumer = { resource: 'pods', name: 'p', uid: 'u' }

  it('may reserve only what is allocated', () => {
    expect(validateClaimStatus(claim({ reservedFor: [consumer] }), claim({})).map(textOf)).toEqual([
      'status.reservedFor: Forbidden: may not be specified when `allocated` is not set',
    ])
    expect(validateClaimStatus(claim({ reservedFor: [consumer], allocation: { devices: { results: [result] } } }), claim({}))).toEqual([])
  })

  it('may not allocate something else', () => {
    const [old, next] = [claim({ allocation: { devices: { results: [result] } } }), claim({ allocation: { devices: { results: [] } } })]
    expect(validateClaimStatus(next, old).map(textOf)).toEqual([
      expect.stringMatching(/^status.allocation: Invalid value: .*: field is immutable$/),
    ])
  })

  it('tells of allocated devices only', () => {
    const { request: _, ...device } = result
    expect(validateClaimStatus(claim({ devices: [device] }), claim({})).map(textOf)).toEqual([
      expect.stringMatching(/^status.devices\[0\]: Invalid value: .*: must be an allocated device in the claim$/),
    ])
    const freed = claim({ devices: [device] })
    dropDeallocated(freed, claim({ allocation: { devices: { results: [result] } }, devices: [device] }))
    expect(freed.status?.devices).toBeUndefined()
  })

  it('is no part of a new claim', () => {
    const created = claim({ reservedFor: [consumer] })
    resourceClaimStrategy.prepareForCreate?.(created, scopeOf())
    expect(created.status).toBeUndefined()
  })
})
