import { closeSync, openSync, readSync } from 'node:fs'
import { compare, verify, type CopyProgress, type Verifiable } from '@k3s/datastore'
import { FatalError } from '../../errors.ts'
import { openOptions, runOnce, type DatastoreCommandContext } from './context.ts'
import { formatCount, Progress } from './progress.ts'
import { readFileChunks } from './snapshot-file.ts'

export async function runVerify([first, second]: readonly (string | undefined)[], context: DatastoreCommandContext): Promise<void> {
  await runOnce(async (signal) => {
    const options = openOptions(context, signal)
    const subject = (text: string): Verifiable =>
      isDsn(text) ? { dsn: text, options } : isSqlite(text) ? { dsn: `sqlite://${text}`, options } : { snapshot: readFileChunks(text) }
    const progress = new Progress(context.stderr)
    const onProgress = (now: CopyProgress): void => progress.report('Checking', now)
    const one = subject(first ?? context.datastore.dsn)
    try {
      const report = await (second === undefined
        ? verify(one, { onProgress, signal })
        : compare(one, subject(second), { onProgress, signal }))
      progress.done()
      for (const problem of report.problems) context.stdout.write(`${problem}\n`)
      if (report.problems.length > 0)
        throw new FatalError(second === undefined ? 'The datastore or snapshot is not as it should be' : 'The two differ')
      const { revision, items, leases, revisions } = report
      const counts = [
        formatCount(items, 'key'),
        formatCount(leases, 'lease'),
        ...(revisions === 0 ? [] : [`${formatCount(revisions, 'revision')} of history`]),
      ]
      context.stdout.write(
        `${second === undefined ? 'No problem found' : 'No difference found'}: revision ${revision}, ${counts.join(', ')}\n`,
      )
    } finally {
      progress.done()
    }
  })
}

/** Anything with a scheme; a path that has a colon in its first part is written as `./a:b`. */
function isDsn(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(text)
}

/** Whether a file begins as SQLite's do; a file that cannot be read is looked at later. */
function isSqlite(path: string): boolean {
  const begin = Buffer.alloc(16)
  try {
    const file = openSync(path, 'r')
    try {
      readSync(file, begin)
    } finally {
      closeSync(file)
    }
  } catch {
    return false // its reader tells why
  }
  return begin.toString('latin1') === 'SQLite format 3\0'
}
