import { dirname } from 'node:path'
import { restore, verifySnapshot } from '@k3s/datastore'
import { dataDirError } from '../../explain.ts'
import { makeFolder } from '../../files.ts'
import { openOptions, required, runOnce, type DatastoreCommandContext } from './context.ts'
import { formatCount, Progress } from './progress.ts'
import { readFileChunks } from './snapshot-file.ts'

export async function runRestore([argument]: readonly (string | undefined)[], context: DatastoreCommandContext): Promise<void> {
  const file = required(argument, 'FILE')
  await runOnce(async (signal) => {
    const progress = new Progress(context.stderr)
    try {
      await verifySnapshot(readFileChunks(file), { onProgress: (now) => progress.report('Checking', now), signal })
      const { dsn, isDefault } = context.datastore
      if (isDefault) makeDataFolder(dsn)
      const { revision, items, leases } = await restore(dsn, readFileChunks(file), {
        ...openOptions(context, signal),
        onProgress: (now) => progress.report('Restoring', now),
      })
      progress.done()
      context.stdout.write(`Restored revision ${revision} with ${formatCount(items, 'key')} and ${formatCount(leases, 'lease')}\n`)
    } finally {
      progress.done()
    }
  })
}

/** The folder of the file in the data directory, which a server that has never run has not made yet. */
function makeDataFolder(dsn: string): void {
  const folder = dirname(dsn.slice('sqlite://'.length))
  try {
    makeFolder(folder)
  } catch (cause) {
    throw dataDirError(folder, cause)
  }
}
