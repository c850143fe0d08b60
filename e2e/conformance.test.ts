import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sectionOf, withSection } from './conformance/report.ts'
import { outcomesOf } from './conformance/run.ts'
import { readTests, tiers, type ConformanceTest } from './conformance/tests.ts'

const tests: readonly ConformanceTest[] = ['one', 'two', 'three'].map((name) => ({
  tier: 'A',
  capability: name === 'one' ? 'Leases' : 'Events',
  name: `[sig-x] ${name} works [Conformance]`,
}))
const spec = (name: string, rest: object) => ({
  LeafNodeType: 'It',
  ContainerHierarchyTexts: ['[sig-x] ' + name],
  LeafNodeText: 'works [Conformance]',
  RunTime: 2e9,
  ...rest,
})
const report = JSON.stringify([
  {
    SpecReports: [
      spec('one', { State: 'passed' }),
      spec('two', { State: 'timedout', Failure: { Message: 'too slow\nby far' } }),
      spec('three', { State: 'skipped' }),
      { LeafNodeType: 'ReportAfterSuite', LeafNodeText: '', State: 'passed', RunTime: 1 },
    ],
  },
])

describe('the list of conformance tests', () => {
  it('gives each of 446 tests a tier and a capability, 110 of them that of the API server alone', async () => {
    const listed = await readTests()
    expect(new Set(listed.map(({ name }) => name)).size).toBe(446)
    expect(listed.filter(({ tier, capability, name }) => tiers[tier] === undefined || capability === '?' || !name.endsWith(']'))).toEqual(
      [],
    )
    expect(listed.filter(({ tier }) => tier === 'A').length).toBe(110)
  })
})

describe('a run', () => {
  it('takes for failed what did not pass, and for not run what was left out', () => {
    expect(outcomesOf(report, tests)).toMatchObject([
      { state: 'passed', seconds: 2, message: '' },
      { state: 'failed', message: 'too slow\nby far' },
      { state: 'not run' },
    ])
  })

  it('is told by capability, with the first line of each failure', () => {
    const section = sectionOf(outcomesOf(report, tests), 'Facts.')
    expect(section.split('\n')).toEqual([
      'Facts.',
      '',
      '| Capability | Passed | Failed | Not run |',
      '| --- | --- | --- | --- |',
      '| Events | 0 | 1 | 1 |',
      '| Leases | 1 | 0 | 0 |',
      '| **All** | **1** | **1** | **1** |',
      '',
      'Failed:',
      '',
      '- [sig-x] two works [Conformance]: too slow',
    ])
  })

  it('replaces its own section of the document and leaves the others', () => {
    const both = withSection(withSection('', 'Tier C', 'old'), 'Tier A', 'first')
    const again = withSection(both, 'Tier C', 'new')
    expect(again).toMatch(/^# Conformance\n[\s\S]*\n## Tier A\n\nfirst\n\n## Tier C\n\nnew\n$/)
    expect(withSection(again, 'Tier C', 'new')).toBe(again)
  })

  it('says what it cannot run, and fails, where there is no suite', () => {
    const main = join(import.meta.dirname, 'conformance/main.ts')
    const { status, stderr } = spawnSync(process.execPath, ['--conditions=@k3s/source', main, '--programs', '/nowhere'], {
      encoding: 'utf8',
    })
    expect(status).toBe(2)
    expect(stderr).toContain('NOT RUN: 110 conformance tests of Kubernetes 1.36.3, because there is no /nowhere/e2e.test')
    expect(stderr).toContain('5 of Watch semantics')
  })
})
