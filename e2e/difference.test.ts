import { beforeAll, describe, expect, it } from 'vitest'
import { areas } from './difference/corpus/index.ts'
import { exceptions } from './difference/exceptions.ts'
import { readFacts } from './difference/facts.ts'
import { findingsOf } from './difference/findings.ts'
import { nameOf, readOpen } from './difference/known-open.ts'
import { report } from './difference/report.ts'
import { newRun, runAreas, type Answers } from './difference/run.ts'
import { startOurs } from './difference/targets/ours.ts'

const requests = areas.flatMap(({ cases }) => cases).reduce((sum, { steps }) => sum + steps.length, 0)

describe('answers to the requests that a real kube-apiserver was asked', () => {
  let ours: Answers

  beforeAll(async () => {
    await using server = await startOurs()
    ours = await runAreas(areas, server, newRun())
  })

  it('are many, and no more than thirty kinds of differences are excused', () => {
    expect(requests).toBeGreaterThanOrEqual(1500)
    expect(exceptions.length).toBeLessThanOrEqual(30)
  })

  it.each(areas)('are equal to its recorded ones: $name', async (area) => {
    const findings = findingsOf([area], await readFacts(area), ours)
    const known = await readOpen()
    const open = findings.filter(({ exception }) => exception === undefined)
    const unknown = open.filter((finding) => !known.has(nameOf(finding)))
    expect(unknown.length === 0 ? '' : report(unknown, area.cases.length)).toBe('')
    const different = new Set(open.map(nameOf))
    const cases = new Set(area.cases.map(({ name }) => name))
    expect([...known].filter((name) => cases.has(name.split(' / ')[0] ?? '') && !different.has(name))).toEqual([])
  })
})
