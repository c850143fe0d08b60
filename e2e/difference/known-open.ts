import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Finding } from './findings.ts'

/**
 * Requests whose answers still differ outside of the exceptions: work to be done, one line each. The test fails when one of them becomes equal, or
 * another different, so that the list only ever gets shorter.
 */
const file = join(import.meta.dirname, 'open.txt')

export const nameOf = ({ one, step }: Finding): string => `${one.name} / ${step.name}`

/** Names of requests that are known to differ. */
export async function readOpen(): Promise<ReadonlySet<string>> {
  return new Set((await readFile(file, 'utf8')).split('\n').filter((line) => line !== ''))
}

/** Takes what differs now as what is known. */
export async function writeOpen(findings: readonly Finding[]): Promise<void> {
  const names = findings.filter(({ exception }) => exception === undefined).map(nameOf)
  await writeFile(
    file,
    names
      .toSorted()
      .map((name) => `${name}\n`)
      .join(''),
  )
}
