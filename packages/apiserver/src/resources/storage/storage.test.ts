import type { CSIDriver, CSIDriverSpec, StorageClass } from '@k3s/api/types/storage/v1'
import { describe, expect, it } from 'vitest'
import { createProblems, scopeOf } from '../../../test/strategy-runs.ts'
import { csiDriverStrategy, storageClassStrategy } from './strategy.ts'

const metadata = { name: 'csi.example.com', creationTimestamp: '2024-05-01T11:00:00Z' }
const driverOf = (spec: CSIDriverSpec): CSIDriver => ({ metadata: { ...metadata }, spec: { attachRequired: true, ...spec } })

describe('CSI drivers', () => {
  it.each<[string, CSIDriverSpec, string[]]>([
    [
      'tokens in secrets without tokens',
      { serviceAccountTokenInSecrets: false },
      ['spec.serviceAccountTokenInSecrets: Invalid value: false: serviceAccountTokenInSecrets is set but no tokenRequests are specified'],
    ],
    [
      'tokens that are too short or too long, and of one audience',
      { tokenRequests: [{ audience: 'a', expirationSeconds: 599 }, { audience: 'a' }, { audience: 'b', expirationSeconds: 2 ** 32 + 1 }] },
      [
        'spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes',
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
        'spec.tokenRequests[2].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds',
      ],
    ],
  ])('refuse %s', (_what, spec, expected) => {
    expect(createProblems(csiDriverStrategy, driverOf(spec))).toEqual(expected)
  })

  it('warn of tokens that may end up in logs, when they change', () => {
    const [before, after] = [driverOf({}), driverOf({ tokenRequests: [{ audience: '' }] })]
    const warning = expect.stringMatching(/^spec\.serviceAccountTokenInSecrets is unset/)
    expect(csiDriverStrategy.warningsOnCreate?.(after)).toEqual([warning])
    expect(csiDriverStrategy.update?.warnings?.(after, before)).toEqual([warning])
    expect(csiDriverStrategy.update?.warnings?.(after, after)).toEqual([])
    expect(
      csiDriverStrategy.warningsOnCreate?.(driverOf({ tokenRequests: [{ audience: '' }], serviceAccountTokenInSecrets: true })),
    ).toEqual([])
  })

  it('lose the field of an alpha feature unless they have it', () => {
    const driver = driverOf({ preventPodSchedulingIfMissing: true })
    const [created, updated] = [structuredClone(driver), structuredClone(driver)]
    csiDriverStrategy.prepareForCreate?.(created, scopeOf())
    csiDriverStrategy.update?.prepare?.(updated, driver, scopeOf())
    expect([created.spec, updated.spec]).toEqual([driverOf({}).spec, driver.spec])
  })
})

describe('storage classes', () => {
  const problems = (allowedTopologies: StorageClass['allowedTopologies']): unknown =>
    createProblems(storageClassStrategy, { metadata: { ...metadata }, provisioner: 'example.com/disk', allowedTopologies })

  it('refuse topologies that say the same', () => {
    const zone = (values: string[]) => ({ matchLabelExpressions: [{ key: 'zone', values }] })
    expect(problems([zone(['a', 'b']), zone(['b'])])).toEqual([])
    expect(problems([zone(['a', 'b']), zone(['b', 'a'])])).toEqual(['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""'])
    expect(problems([{}])).toEqual(['allowedTopologies[0].matchLabelExpressions: Duplicate value: ""'])
  })

  it('refuse topologies without values, and with keys that stand twice', () => {
    expect(
      problems([
        {
          matchLabelExpressions: [
            { key: 'a', values: [] },
            { key: 'a', values: ['x', 'x'] },
          ],
        },
      ]),
    ).toEqual([
      'allowedTopologies[0].matchLabelExpressions[0].values: Required value',
      'allowedTopologies[0].matchLabelExpressions[1].values[1]: Duplicate value: "x"',
      'allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "a"',
    ])
  })
})
