import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { describe, expect, it } from 'vitest'
import { isConditionTrue } from './conditions.ts'
import { planStatus } from './plan-status.ts'

function definition(plural: string, kind: string, more: Partial<CustomResourceDefinition['spec']['names']> = {}): CustomResourceDefinition {
  return {
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List`, ...more },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  }
}

/** All steps until nothing more is to be done. */
function settle(one: CustomResourceDefinition, others: readonly CustomResourceDefinition[] = []): CustomResourceDefinition[] {
  const steps = [one]
  for (let last = one; ; steps.push(last)) {
    const next = planStatus(last, others, '2026-01-01T00:00:00Z')
    if (next === undefined) return steps
    last = next
    expect(steps.length).toBeLessThan(10)
  }
}

describe('the status of a definition', () => {
  it('has its names accepted first, and is established then', () => {
    const [, first, second, ...rest] = settle(definition('widgets', 'Widget'))
    expect(rest).toEqual([])
    expect(first?.status?.acceptedNames?.plural).toBe('widgets')
    expect(first !== undefined && isConditionTrue(first, 'Established')).toBe(false)
    expect(second !== undefined && isConditionTrue(second, 'Established')).toBe(true)
  })

  it('keeps what others have taken out of the accepted names', () => {
    const other = settle(definition('widgets', 'Widget', { shortNames: ['w'] })).at(-1)
    const late = settle(definition('wodgets', 'Wodget', { shortNames: ['w'] }), other === undefined ? [] : [other]).at(-1)
    expect(late?.status?.conditions?.find(({ type }) => type === 'NamesAccepted')).toMatchObject({
      status: 'False',
      reason: 'ShortNamesConflict',
      message: '"w" is already in use',
    })
    expect(late?.status?.acceptedNames).toMatchObject({ plural: 'wodgets', kind: 'Wodget' })
    expect(late !== undefined && isConditionTrue(late, 'Established')).toBe(false)
  })

  it('says why a group of the project needs an approval', () => {
    const one = { ...definition('widgets', 'Widget'), metadata: { name: 'widgets.example.k8s.io' } }
    one.spec.group = 'example.k8s.io'
    const last = settle(one).at(-1)
    expect(last?.status?.conditions?.find(({ type }) => type === 'KubernetesAPIApprovalPolicyConformant')).toMatchObject({
      status: 'False',
      reason: 'MissingAnnotation',
    })
  })
})
