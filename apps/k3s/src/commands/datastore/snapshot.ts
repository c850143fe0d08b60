import { isDatastoreError, snapshot, type CopyProgress } from '@k3s/datastore'
import { openOptions, required, runOnce, type DatastoreCommandContext } from './context.ts'
import { formatBytes, formatCount, Progress } from './progress.ts'
import { checkWritable, writeFileWhole } from './snapshot-file.ts'

/** How often a snapshot is begun anew when a compaction has overtaken it. */
const maxAttempts = 3

export async function runSnapshot([argument]: readonly (string | undefined)[], context: DatastoreCommandContext): Promise<void> {
  const file = required(argument, 'FILE')
  const isForced = context.given['force'] === true
  checkWritable(file, isForced)
  await runOnce(async (signal) => {
    const progress = new Progress(context.stderr)
    let last: CopyProgress | undefined
    const onProgress = (now: CopyProgress): void => {
      last = now
      progress.report('Saving', now)
    }
    for (let attempt = 1; ; attempt++) {
      try {
        const chunks = snapshot(context.datastore.dsn, { from: openOptions(context, signal), onProgress, signal })
        const size = await writeFileWhole(file, chunks, isForced)
        progress.done()
        context.stdout.write(
          `Saved revision ${last?.revision ?? 0} with ${formatCount(last?.items ?? 0, 'key')} to "${file}" (${formatBytes(size)})\n`,
        )
        return
      } catch (error) {
        progress.done()
        if (attempt >= maxAttempts || !isDatastoreError(error) || error.code !== 'Compacted') throw error
      }
    }
  })
}
