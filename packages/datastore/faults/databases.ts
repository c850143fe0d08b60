import { startEtcd } from '../test/servers/etcd.ts'
import { startMariadb } from '../test/servers/mariadb.ts'
import { startPostgres } from '../test/servers/postgres.ts'

/** A database server of a run's own. */
export interface FaultsDatabase extends AsyncDisposable {
  readonly port: number
  /** Of a database by name, through a port that leads to the server. */
  readonly dsn: (name: string, port: number) => string
  /** Queries of a database so far (MariaDB: of all of them); asking may count too. */
  readonly queries: (name: string) => number
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
  readonly pause: () => void
  readonly resume: () => void
}

/** Starts `postgres`, `mariadb` or `etcd` (whose DSN is the same for every name and port), durable, the latter as a node of a cluster of two counts its rows. */
export async function startDatabase(name: string): Promise<FaultsDatabase> {
  if (name === 'postgres') {
    const server = await startPostgres({ isDurable: true })
    return {
      port: server.port,
      dsn: (database, port) => server.dsn(database).replace(`:${server.port}/`, `:${port}/`),
      queries: (database) =>
        Number(server.query('postgres', `select xact_commit + xact_rollback from pg_stat_database where datname = '${database}'`)),
      stop: server.stop,
      start: server.start,
      pause: server.pause,
      resume: server.resume,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  }
  if (name === 'etcd') {
    const server = await startEtcd()
    return {
      port: 0,
      dsn: () => server.dsn,
      queries: () => Number.NaN,
      stop: server.stop,
      start: server.start,
      pause: server.pause,
      resume: server.resume,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  }
  if (name !== 'mariadb') throw new Error(`Unknown database "${name}": postgres, mariadb or etcd`)
  const server = await startMariadb({ autoIncrementIncrement: 2 })
  return {
    port: server.port,
    dsn: (database, port) => server.dsn(database).replace(`:${server.port})`, `:${port})`),
    queries: () => Number(/\d+/.exec(server.sql("show global status like 'Questions'"))?.[0]),
    stop: server.stop,
    start: server.start,
    pause: server.pause,
    resume: server.resume,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
