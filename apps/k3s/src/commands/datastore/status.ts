import { readStatus } from '@k3s/datastore'
import { UsageError } from '../../errors.ts'
import { openOptions, runOnce, textOption, type DatastoreCommandContext } from './context.ts'
import { formatBytes } from './progress.ts'

export async function runStatus(_args: readonly (string | undefined)[], context: DatastoreCommandContext): Promise<void> {
  const format = textOption(context, 'output') ?? 'text'
  if (format !== 'text' && format !== 'json') throw new UsageError(`Cannot use "${format}" for --output: text or json is needed`)
  await runOnce(async (signal) => {
    const { driver, revision, compactRevision, keys, leases, sizeBytes } = await readStatus(
      context.datastore.dsn,
      openOptions(context, signal),
    )
    if (format === 'json') {
      context.stdout.write(`${JSON.stringify({ driver, revision, compactRevision, keys, leases, sizeBytes })}\n`)
      return
    }
    const rows = [
      ['Driver', driver],
      ['Revision', revision],
      ['Compact revision', compactRevision],
      ['Keys', keys],
      ['Leases', leases],
      ['Size', formatBytes(sizeBytes)],
    ] as const
    for (const [name, value] of rows) context.stdout.write(`${`${name}:`.padEnd(18)}${value}\n`)
  })
}
