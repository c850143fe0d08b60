import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EntryCount } from './klog.ts'
import type { Component } from './side.ts'

const file = join(import.meta.dirname, 'original-errors.txt')

/** Kinds of errors, by component, that a real kube-apiserver caused in any recorded run: what is rare may come on one side of a run only. */
export type RecordedErrors = ReadonlySet<string>

export const readRecorded = async (): Promise<RecordedErrors> =>
  new Set((await readFile(file, 'utf8')).split('\n').filter((line) => line !== '' && !line.startsWith('#')))

/** How a kind is written in the file. */
export const recordOf = (component: Component, { text }: EntryCount): string => `${component} ${text}`

/** Adds the kinds that the original caused in a run. */
export async function record(logs: readonly { readonly component: Component; readonly entries: readonly EntryCount[] }[]): Promise<void> {
  const kinds = logs.flatMap(({ component, entries }) =>
    entries.filter(({ severity, original }) => severity === 'E' && original > 0).map((entry) => recordOf(component, entry)),
  )
  const all = new Set([...(await readRecorded()), ...kinds])
  const head = '# Errors that were logged against a real kube-apiserver under churn; `pnpm churn --record` adds those of its run.'
  await writeFile(file, `${[head, ...[...all].toSorted()].join('\n')}\n`)
}
