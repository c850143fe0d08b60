import { beforeAll, describe, expect, it } from 'vitest'
import { areas } from './difference/corpus/index.ts'
import { exceptions } from './difference/exceptions.ts'
import { readFacts } from './difference/facts.ts'
import { findingsOf } from './difference/findings.ts'
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
    const open = findings.filter(({ exception }) => exception === undefined)
    expect(open.length === 0 ? '' : report(open, area.cases.length)).toBe('')
  })
})
