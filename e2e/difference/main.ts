import { parseArgs } from 'node:util'
import { areas } from './corpus/index.ts'
import { readFacts, writeFacts } from './facts.ts'
import { findingsOf } from './findings.ts'
import { writeOpen } from './known-open.ts'
import { report } from './report.ts'
import { newRun, runAreas, type Answers } from './run.ts'
import { startOurs } from './targets/ours.ts'
import { existingServer, startReal } from './targets/real.ts'

const { values } = parseArgs({
  options: {
    record: { type: 'boolean', default: false },
    facts: { type: 'boolean', default: false },
    area: { type: 'string', multiple: true },
    case: { type: 'string' },
    'take-open': { type: 'boolean', default: false },
    server: { type: 'string' },
    pki: { type: 'string' },
  },
})

const chosen = areas
  .filter(({ name }) => values.area === undefined || values.area.includes(name))
  .map((area) => (values.case === undefined ? area : { ...area, cases: area.cases.filter(({ name }) => name.includes(values.case ?? '')) }))

async function realAnswers(): Promise<Answers> {
  if (values.facts) return new Map((await Promise.all(chosen.map(readFacts))).flatMap((facts) => [...facts]))
  const { server, pki } = values
  await using real = server === undefined ? await startReal() : await existingServer(server, pki ?? '.')
  const answers = await runAreas(chosen, real, newRun())
  if (values.record) for (const area of chosen) await writeFacts(area, answers)
  return answers
}

async function ourAnswers(): Promise<Answers> {
  await using ours = await startOurs()
  return await runAreas(chosen, ours, newRun())
}

const expected = await realAnswers()
const actual = await ourAnswers()
const findings = findingsOf(chosen, expected, actual)
if (values['take-open']) await writeOpen(findings)
const requests = chosen.flatMap(({ cases }) => cases).reduce((sum, { steps }) => sum + steps.length, 0)
console.log(report(findings, requests))
process.exitCode = findings.some(({ exception }) => exception === undefined) ? 1 : 0
