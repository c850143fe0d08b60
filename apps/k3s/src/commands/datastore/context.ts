import type { OpenDatastoreOptions } from '@k3s/datastore'
import { UsageError } from '../../errors.ts'
import { datastoreError } from '../../explain.ts'
import type { DatastoreOptions } from '../../server/server-options.ts'
import { sqliteWorker } from '../../sqlite-worker.ts'
import { withStopSignal } from '../run-until-signal.ts'

export interface Output {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** What a command of the group gets besides its arguments. */
export interface DatastoreCommandContext {
  /** The datastore of this server, by the flags, the configuration file and the environment. */
  readonly datastore: DatastoreOptions
  /** Options of the command itself, as commander reads them. */
  readonly given: Readonly<Record<string, unknown>>
  /** For results. */
  readonly stdout: Output
  /** For progress. */
  readonly stderr: Output
}

/** For opening the datastore of this server, or another one that is reached in the same way. */
export function openOptions({ datastore }: DatastoreCommandContext, signal: AbortSignal): OpenDatastoreOptions {
  return { server: datastore.server, sqliteWorker: sqliteWorker(), signal }
}

/** A text given by an option of the command itself. */
export function textOption({ given }: DatastoreCommandContext, name: string): string | undefined {
  const value = given[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** An argument that commander has required. */
export function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new UsageError(`Missing ${name}`)
  return value
}

/**
 * Runs one-off work. SIGINT and SIGTERM abort it: it then fails, after it has cleaned up; a second one ends the process at once.
 * Failures of datastores become sentences.
 */
export async function runOnce(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  await withStopSignal('Stopped by', async (signal) => {
    try {
      await work(signal)
    } catch (error) {
      throw datastoreError(error)
    }
  })
}
