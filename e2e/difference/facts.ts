import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Area } from './case.ts'
import type { Answer } from './normalise.ts'
import type { Answers } from './run.ts'

const folder = join(import.meta.dirname, 'facts')
const fileOf = (area: Area): string => join(folder, `${area.name}.json.gz`)

/** Keeps what a real server answered: one line a case. */
export async function writeFacts(area: Area, answers: Answers): Promise<void> {
  const lines = area.cases.map(({ name }) => JSON.stringify([name, answers.get(name)]))
  await mkdir(folder, { recursive: true })
  await writeFile(fileOf(area), gzipSync(lines.join('\n'), { level: 9 }))
}

/** What was kept, by case. Rejects when the area was never recorded. */
export async function readFacts(area: Area): Promise<Answers> {
  const text = gunzipSync(await readFile(fileOf(area))).toString()
  return new Map(text.split('\n').map((line) => JSON.parse(line) as [string, readonly Answer[]])) // written above
}
