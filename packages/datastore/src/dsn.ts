import { DatastoreError } from './errors.ts'

/** What a DSN names. */
export type ParsedDsn = { readonly driver: 'memory' } | { readonly driver: 'sqlite'; readonly path: string }

const laterDrivers: Readonly<Record<string, string>> = {
  postgres: 'PostgreSQL',
  postgresql: 'PostgreSQL',
  mysql: 'MySQL',
  http: 'etcd',
  https: 'etcd',
  unix: 'etcd over a Unix socket',
  unixs: 'etcd over a Unix socket',
  nats: 'NATS',
  jetstream: 'NATS',
  litestream: 'Litestream',
}

/**
 * Reads a DSN in one of K3s's forms: `memory:`, `sqlite://PATH` (relative or absolute; `sqlite:PATH` too).
 * Parameters after `?` in a SQLite DSN are those of K3s's driver: they are accepted and have no effect, durability is not negotiable.
 * Throws `InvalidDsn`, and never repeats the DSN, which may hold a password.
 */
export function parseDsn(dsn: string): ParsedDsn {
  const match = /^([a-z][a-z0-9+.-]*):(\/\/)?(.*)$/is.exec(dsn)
  if (match === null || (match[2] === undefined && !/^(memory|sqlite):/i.test(dsn)))
    throw new DatastoreError('InvalidDsn', 'Invalid datastore endpoint: it is not a DSN of the form <scheme>://<authority>', {
      hint: 'Use for example "sqlite:///var/lib/rancher/k3s/server/db/datastore.db" or "memory:"',
    })
  const [scheme, rest] = [(match[1] ?? '').toLowerCase(), match[3] ?? '']
  if (scheme === 'memory') return { driver: 'memory' }
  if (scheme === 'sqlite') {
    const path = rest.split('?', 1)[0] ?? ''
    if (path === '' || path.startsWith(':memory:') || path.includes('\0'))
      throw new DatastoreError('InvalidDsn', 'Invalid datastore endpoint: "sqlite://" must be followed by the path of a file', {
        hint: 'Use "memory:" for a datastore that is not stored',
      })
    return { driver: 'sqlite', path: path.startsWith('file:') ? path.slice('file:'.length) : path }
  }
  const later = laterDrivers[scheme]
  if (later !== undefined)
    throw new DatastoreError('InvalidDsn', `Cannot open datastore: the scheme "${scheme}" (${later}) is not supported yet`, {
      hint: 'Use "sqlite://PATH" or "memory:"',
    })
  throw new DatastoreError('InvalidDsn', `Cannot open datastore: unknown scheme "${scheme}"`, { hint: 'Use "sqlite://PATH" or "memory:"' })
}
