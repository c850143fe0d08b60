import { systemClock } from '@k3s/lifecycle'
import { parseDsn } from '../dsn.ts'
import { DatastoreError } from '../errors.ts'
import { openBackend, openDatastore, openEtcdTarget } from '../open.ts'
import type { OpenDatastoreOptions } from '../open.ts'
import { backendSource, datastoreSource } from './state.ts'
import type { StateSource } from './state.ts'
import type { RestoreTarget } from './target.ts'

/** Opens what a DSN names to be read only, beside whatever has it open: nothing in it expires and nothing is compacted by this. The caller disposes of it. */
export async function openSource(dsn: string, options: OpenDatastoreOptions = {}): Promise<StateSource> {
  if (parseDsn(dsn).driver !== 'etcd') return backendSource(await openBackend(dsn, options, 'read'))
  const datastore = await openDatastore(dsn, options)
  const source = datastoreSource(datastore, () => (options.clock ?? systemClock).now())
  return { ...source, [Symbol.asyncDispose]: () => datastore[Symbol.asyncDispose]() }
}

/** Opens what a DSN names to be filled, also when an earlier restore was not finished. The caller disposes of it. */
export async function openTarget(dsn: string, options: OpenDatastoreOptions = {}): Promise<RestoreTarget> {
  const parsed = parseDsn(dsn)
  if (parsed.driver === 'memory')
    throw new DatastoreError('InvalidArgument', 'Cannot fill a datastore in memory by its name: it would go as soon as it is filled', {
      hint: 'Use openRestored()',
    })
  return parsed.driver === 'etcd' ? openEtcdTarget(parsed, options) : openBackend(dsn, options, 'restore')
}
