import type { Deployment } from '@k3s/api/types/apps/v1'
import { expect, it } from 'vitest'
import { templateWarnings } from './template-warnings.ts'

const warnings = templateWarnings<Deployment>(({ spec }) => spec.template, { namesPods: true })
const ofGeneration = (generation: number, name = 'web'): Deployment => ({
  metadata: { name, generation },
  spec: { selector: {}, template: { spec: { containers: [], imagePullSecrets: [{}] } } },
})
const found = 'spec.template.spec.imagePullSecrets[0].name: invalid empty name ""'

it('templateWarnings() tells of new templates, and of names that pods will have', () => {
  expect(warnings.onCreate(ofGeneration(1))).toEqual([found])
  expect(warnings.onCreate(ofGeneration(1, 'web.a'))).toEqual([expect.stringMatching(/^metadata\.name: this is used in Pod names/), found])
})

it('templateWarnings() tells of updates that count', () => {
  expect(warnings.onUpdate(ofGeneration(2), ofGeneration(1))).toEqual([found])
  expect(warnings.onUpdate(ofGeneration(1), ofGeneration(1))).toEqual([])
})
