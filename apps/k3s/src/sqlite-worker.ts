import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { SqliteWorkerOptions } from '@k3s/datastore'

/** Where the bundle has the SQLite worker and its addon; undefined when the program runs from its sources. */
export function sqliteWorker(): SqliteWorkerOptions | undefined {
  const worker = join(import.meta.dirname, 'sqlite-worker.js')
  if (!existsSync(worker)) return undefined
  return { url: pathToFileURL(worker), nativeBinding: join(import.meta.dirname, 'better_sqlite3.node') }
}
