import { migrate } from '@k3s/datastore'
import { openOptions, required, runOnce, textOption, type DatastoreCommandContext } from './context.ts'
import { formatBytes, formatCount, Progress } from './progress.ts'

export async function runMigrate([from, to]: readonly (string | undefined)[], context: DatastoreCommandContext): Promise<void> {
  await runOnce(async (signal) => {
    const progress = new Progress(context.stderr)
    const open = openOptions(context, signal)
    const server = {
      caFile: textOption(context, 'toCafile'),
      certFile: textOption(context, 'toCertfile'),
      keyFile: textOption(context, 'toKeyfile'),
    }
    try {
      const { revision, items, leases, bytes } = await migrate(required(from, 'FROM'), required(to, 'TO'), {
        from: open,
        to: { ...open, server },
        onProgress: (now) => progress.report('Copying', now),
        signal,
      })
      progress.done()
      context.stdout.write(
        `Copied revision ${revision} with ${formatCount(items, 'key')} and ${formatCount(leases, 'lease')} (${formatBytes(bytes)})\n`,
      )
    } finally {
      progress.done()
    }
  })
}
