import { compactDatastore } from '@k3s/datastore'
import { UsageError } from '../../errors.ts'
import { openOptions, runOnce, type DatastoreCommandContext } from './context.ts'
import { formatBytes } from './progress.ts'

export async function runCompact([argument]: readonly (string | undefined)[], context: DatastoreCommandContext): Promise<void> {
  if (argument !== undefined && !/^[1-9]\d{0,15}$/.test(argument))
    throw new UsageError(`Cannot use "${argument}" for REVISION: a number of 1 or more is needed`)
  await runOnce(async (signal) => {
    const { compactRevision, sizeBytes } = await compactDatastore(context.datastore.dsn, {
      ...openOptions(context, signal),
      revision: argument === undefined ? undefined : Number(argument),
    })
    context.stdout.write(`Compacted to revision ${compactRevision}; the datastore has ${formatBytes(sizeBytes)} now\n`)
  })
}
