import { isDatastoreError } from '../errors.ts'
import type { OpenDatastoreOptions } from '../open.ts'
import { openSource, openTarget } from './open.ts'
import { readState } from './state.ts'
import { fill } from './target.ts'
import type { CopyOptions, CopySummary } from './target.ts'

export interface MigrateOptions extends CopyOptions {
  /** For opening the source. */
  readonly from?: OpenDatastoreOptions | undefined
  /** For opening the target. */
  readonly to?: OpenDatastoreOptions | undefined
}

/** How often a copy is begun anew when a compaction has overtaken it. */
const maxAttempts = 3

/**
 * Copies what the datastore `from` holds into the empty datastore `to`, whatever drivers they have: keys, values, revisions, versions, leases and their
 * deadlines; no history. The target is then at the source's revision, and its next write has the revision after it. The source is only read, and may be in
 * use (into etcd leases begin their time anew); what is written to it after the revision in the summary is not copied.
 *
 * Throws `NotEmpty` when the target holds something. After any other failure, a crash or an abort, the target is refused with `Incomplete` until a
 * migration into it, which starts over, has succeeded.
 */
export async function migrate(from: string, to: string, options: MigrateOptions = {}): Promise<CopySummary> {
  const { signal } = options
  await using source = await openSource(from, { signal, ...options.from })
  await using target = await openTarget(to, { signal, ...options.to })
  for (let attempt = 1; ; attempt++) {
    try {
      const state = await readState(source, 'the source', undefined, signal)
      return await fill(target, state, options)
    } catch (error) {
      if (attempt >= maxAttempts || !isDatastoreError(error) || error.code !== 'Compacted') throw error
    }
  }
}
