import { expect, it } from 'vitest'
import { compareVersions } from './compare-versions.ts'

it('puts stable versions first, then betas and alphas, newer ones before older ones', () => {
  const names = ['foo10', 'v1alpha1', 'v2', 'v10beta3', 'foo1', 'v11alpha2', 'v1', 'v3beta1', 'v10', 'v12alpha1', 'v11beta2']
  expect(names.toSorted(compareVersions)).toEqual([
    'v10',
    'v2',
    'v1',
    'v11beta2',
    'v10beta3',
    'v3beta1',
    'v12alpha1',
    'v11alpha2',
    'v1alpha1',
    'foo1',
    'foo10',
  ])
})
