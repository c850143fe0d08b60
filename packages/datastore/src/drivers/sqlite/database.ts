/** The little of SQLite that the driver uses, on better-sqlite3 or, where its addon cannot be loaded, on `node:sqlite`. */
export type SqlValue = number | string | null | Uint8Array
export type SqlRow = readonly SqlValue[]

export interface SqlStatement {
  get(...parameters: SqlValue[]): SqlRow | undefined
  all(...parameters: SqlValue[]): readonly SqlRow[]
  /** No other statement may run on the connection before the iteration ends. */
  iterate(...parameters: SqlValue[]): Iterable<SqlRow>
  run(...parameters: SqlValue[]): void
}

export interface SqlDatabase {
  exec(sql: string): void
  prepare(sql: string): SqlStatement
  close(): void
}

export interface OpenOptions {
  readonly readonly?: boolean | undefined
  /** How long to wait for another connection's lock. */
  readonly busyTimeoutMs: number
}

/** Opens files; which library is used was decided once. */
export interface SqlEngine {
  readonly name: 'better-sqlite3' | 'node:sqlite'
  open(path: string, options: OpenOptions): SqlDatabase
}

export async function loadSqlEngine(nativeBinding: string | undefined): Promise<SqlEngine> {
  try {
    return await loadBetterSqlite(nativeBinding)
  } catch {
    // Not installed, or no addon for this platform: Node's own serves as well, if less fast.
    return loadNodeSqlite()
  }
}

async function loadBetterSqlite(nativeBinding: string | undefined): Promise<SqlEngine> {
  const { default: Database } = await import('better-sqlite3')
  const addon = nativeBinding === undefined ? {} : { nativeBinding }
  new Database(':memory:', addon).close()
  return {
    name: 'better-sqlite3',
    open(path, { readonly = false, busyTimeoutMs }) {
      const database = new Database(path, { ...addon, readonly, timeout: busyTimeoutMs })
      return {
        exec: (sql) => void database.exec(sql),
        prepare(sql) {
          const statement = database.prepare<SqlValue[], SqlRow>(sql)
          if (statement.reader) statement.raw(true)
          return {
            get: (...parameters) => statement.get(...parameters),
            all: (...parameters) => statement.all(...parameters),
            iterate: (...parameters) => statement.iterate(...parameters),
            run: (...parameters) => void statement.run(...parameters),
          }
        },
        close: () => void database.close(),
      }
    },
  }
}

export async function loadNodeSqlite(): Promise<SqlEngine> {
  const { DatabaseSync } = await import('node:sqlite')
  return {
    name: 'node:sqlite',
    open(path, { readonly = false, busyTimeoutMs }) {
      const database = new DatabaseSync(path, { readOnly: readonly, timeout: busyTimeoutMs })
      return {
        exec: (sql) => database.exec(sql),
        prepare(sql) {
          const statement = database.prepare(sql)
          statement.setReturnArrays(true)
          // With setReturnArrays the rows are arrays, which the types do not know; no column of ours holds a bigint.
          const asRow = (row: unknown): SqlRow | undefined => row as SqlRow | undefined
          return {
            get: (...parameters) => asRow(statement.get(...parameters)),
            all: (...parameters) => statement.all(...parameters) as unknown as SqlRow[],
            iterate: (...parameters) => statement.iterate(...parameters) as unknown as Iterable<SqlRow>,
            run: (...parameters) => void statement.run(...parameters),
          }
        },
        close: () => database.close(),
      }
    },
  }
}

const primaryCodes: Readonly<Record<number, string>> = {
  5: 'BUSY',
  8: 'READONLY',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  26: 'NOTADB',
}

/** SQLite's primary result code without its prefix, such as `FULL`; undefined for another error. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('errcode' in error && typeof error.errcode === 'number') return primaryCodes[error.errcode & 0xff]
  if ('code' in error && typeof error.code === 'string') return /^SQLITE_([A-Z]+)/.exec(error.code)?.[1]
  return undefined
}
