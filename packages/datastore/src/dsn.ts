import { DatastoreError } from './errors.ts'

/** Where a database server listens. */
export type ServerAddress = { readonly host: string; readonly port: number } | { readonly socketPath: string }

/** A database on a server, as a DSN names it. */
export interface ServerDsn {
  readonly address: ServerAddress
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  /** What follows `?`, the last of equal names. */
  readonly parameters: Readonly<Record<string, string>>
}

/** What a DSN names. */
export type ParsedDsn =
  | { readonly driver: 'memory' }
  | { readonly driver: 'sqlite'; readonly path: string }
  | ({ readonly driver: 'postgres' } & ServerDsn)
  | ({ readonly driver: 'mysql' } & ServerDsn)
  | {
      readonly driver: 'etcd'
      /** `HOST:PORT`, or `unix:PATH`; at least one. */
      readonly endpoints: readonly string[]
      /** Whether connections are encrypted. */
      readonly tls: boolean
    }

/** K3s's, for what a DSN leaves out. */
const defaultDatabase = 'kubernetes'
const etcdPort = 2379

/**
 * Reads a DSN in one of K3s's forms:
 *
 * ```
 * memory:
 * sqlite://PATH                                      parameters after ? have no effect: durability is not negotiable
 * postgres://USER:PASSWORD@HOST:PORT/DB?sslmode=…    also postgresql://
 * mysql://USER:PASSWORD@tcp(HOST:PORT)/DB            also unix(PATH), or HOST:PORT alone
 * https://HOST:PORT,https://HOST:PORT                etcd; http:// too; the scheme is said once or for each
 * unix://PATH                                        the etcd API on a socket
 * ```
 *
 * Throws `InvalidDsn`, and never repeats the DSN, which may hold a password.
 */
export function parseDsn(dsn: string): ParsedDsn {
  const match = /^([a-z][a-z0-9+.-]*):(\/\/)?(.*)$/is.exec(dsn)
  if (match === null || (match[2] === undefined && !/^(memory|sqlite):/i.test(dsn)))
    throw new DatastoreError('InvalidDsn', 'Invalid datastore endpoint: it is not a DSN of the form <scheme>://<authority>', {
      hint: 'Use for example "sqlite:///var/lib/rancher/k3s/server/db/datastore.db" or "postgres://user:password@host:5432/kubernetes"',
    })
  const [scheme, rest] = [(match[1] ?? '').toLowerCase(), match[3] ?? '']
  switch (scheme) {
    case 'memory':
      return { driver: 'memory' }
    case 'sqlite':
      return { driver: 'sqlite', path: sqlitePath(rest) }
    case 'postgres':
    case 'postgresql':
      return { driver: 'postgres', ...parsePostgres(rest) }
    case 'mysql':
      return { driver: 'mysql', ...parseMysql(rest) }
    case 'http':
    case 'https':
      return parseEtcd(scheme, rest)
    case 'unix':
    case 'unixs':
      return { driver: 'etcd', endpoints: [`unix:${required(rest, scheme, 'the path of a socket')}`], tls: scheme === 'unixs' }
    default:
      throw new DatastoreError('InvalidDsn', `Cannot open datastore: the scheme "${scheme}" is not one of ours`, {
        hint: 'Use "sqlite://", "postgres://", "mysql://", "https://" (etcd) or "memory:"',
      })
  }
}

function sqlitePath(rest: string): string {
  const path = rest.split('?', 1)[0] ?? ''
  if (path === '' || path.startsWith(':memory:') || path.includes('\0'))
    throw new DatastoreError('InvalidDsn', 'Invalid datastore endpoint: "sqlite://" must be followed by the path of a file', {
      hint: 'Use "memory:" for a datastore that is not stored',
    })
  return path.startsWith('file:') ? path.slice('file:'.length) : path
}

/** libpq's form of a URI, with one host. */
function parsePostgres(rest: string): ServerDsn {
  const { credentials, authority, database, parameters } = splitServer(rest, 'postgres')
  const [user = '', password] = credentials ?? []
  const socketPath = parameters['host']
  const named = authority === '' && socketPath?.startsWith('/') === true
  return {
    address: named ? { socketPath } : parseHost(authority === '' ? 'localhost' : authority, 5432, 'postgres'),
    user: user === '' ? 'postgres' : user,
    // K3s's default is for the default user only.
    password: password ?? (credentials === undefined ? 'postgres' : undefined),
    database,
    parameters,
  }
}

/** The form of Go's MySQL driver, `USER:PASSWORD@PROTOCOL(ADDRESS)/DB`, and the plain one of a URI. */
function parseMysql(rest: string): ServerDsn {
  const { credentials, authority, database, parameters } = splitServer(rest, 'mysql')
  const [user = '', password] = credentials ?? []
  const [, protocol, inner = ''] = /^([a-z0-9]+)\((.*)\)$/is.exec(authority) ?? []
  const address = ((): ServerAddress => {
    if (authority === '') return { socketPath: '/var/run/mysqld/mysqld.sock' }
    if (protocol === undefined) return parseHost(authority, 3306, 'mysql')
    if (protocol === 'unix') return { socketPath: inner }
    if (protocol === 'tcp') return parseHost(inner === '' ? '127.0.0.1' : inner, 3306, 'mysql')
    throw invalid('mysql', `the protocol "${protocol}" is neither "tcp" nor "unix"`)
  })()
  return { address, user: user === '' ? 'root' : user, password, database, parameters }
}

function splitServer(
  rest: string,
  scheme: string,
): {
  readonly credentials: readonly [user: string, password: string | undefined] | undefined
  readonly authority: string
  readonly database: string
  readonly parameters: Readonly<Record<string, string>>
} {
  const [, before = '', query = ''] = /^([^?]*)\??(.*)$/s.exec(rest) ?? []
  // A password may hold "@" and "/": the last "@" before the last "/" ends it, and parentheses hide the "/" of a socket's path.
  const slash = before.lastIndexOf('/')
  const inParentheses = slash < before.lastIndexOf(')')
  const path = slash === -1 || inParentheses ? '' : before.slice(slash + 1)
  const front = slash === -1 || inParentheses ? before : before.slice(0, slash)
  const at = front.lastIndexOf('@')
  const [user, ...password] = front.slice(0, Math.max(at, 0)).split(':')
  const decode = (text: string): string => decodeText(text, scheme)
  return {
    credentials: at === -1 ? undefined : [decode(user ?? ''), password.length === 0 ? undefined : decode(password.join(':'))],
    authority: front.slice(at + 1),
    database: path === '' ? defaultDatabase : decode(path),
    parameters: Object.fromEntries(new URLSearchParams(query)),
  }
}

function decodeText(text: string, scheme: string): string {
  // Go's MySQL driver takes user and password as they are.
  if (scheme === 'mysql' && !/%[0-9a-f]{2}/i.test(text)) return text
  try {
    return decodeURIComponent(text)
  } catch {
    if (scheme === 'mysql') return text
    throw invalid(scheme, 'a "%" is not followed by two hexadecimal digits; write a "%" of a password as "%25"')
  }
}

function parseHost(authority: string, defaultPort: number, scheme: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:,()[\]\s]+))(?::(\d+))?$/.exec(authority) ?? []
  const host = bracketed ?? plain
  const port = digits === undefined ? defaultPort : Number(digits)
  if (host === undefined || port < 1 || port > 65_535) throw invalid(scheme, 'its host must be HOST:PORT, with a port between 1 and 65535')
  return { host, port }
}

function parseEtcd(scheme: 'http' | 'https', rest: string): ParsedDsn {
  const endpoints = rest.split(',').map((part, index) => {
    const [, other, address = ''] = /^(?:([a-z]+):\/\/)?([^/]*)\/?$/i.exec(part.trim()) ?? []
    if (index > 0 && other !== undefined && other.toLowerCase() !== scheme)
      throw invalid(scheme, 'all endpoints of one etcd must have the same scheme')
    const { host, port } = parseHost(address, etcdPort, scheme)
    return `${host.includes(':') ? `[${host}]` : host}:${port}`
  })
  return { driver: 'etcd', endpoints, tls: scheme === 'https' }
}

function required(rest: string, scheme: string, what: string): string {
  if (rest === '') throw invalid(scheme, `"${scheme}://" must be followed by ${what}`)
  return rest
}

function invalid(scheme: string, reason: string): DatastoreError {
  return new DatastoreError('InvalidDsn', `Invalid datastore endpoint: ${reason}`, {
    hint: `The form is ${forms[scheme] ?? 'SCHEME://ADDRESS'}`,
  })
}

const forms: Readonly<Record<string, string>> = {
  postgres: '"postgres://USER:PASSWORD@HOST:PORT/DATABASE"',
  mysql: '"mysql://USER:PASSWORD@tcp(HOST:PORT)/DATABASE"',
  http: '"http://HOST:PORT,http://HOST:PORT"',
  https: '"https://HOST:PORT,https://HOST:PORT"',
}
