import { noLogger } from '@k3s/lifecycle'
import type { Logger } from '@k3s/lifecycle'
import type { ServerDsn } from '../dsn.ts'
import type { Backend, OpenMode } from '../engine/backend.ts'
import type { DatabaseServerOptions } from '../open.ts'
import { MysqlConnector } from './mysql/connect.ts'
import { MysqlDialect } from './mysql/dialect.ts'
import { HintMembers } from './mysql/hint-members.ts'
import { openSqlBackend } from './sql/backend.ts'
import type { SqlTimeouts } from './sql/timeouts.ts'

export interface MysqlOptions {
  readonly dsn: ServerDsn
  readonly server?: DatabaseServerOptions | undefined
  readonly mode?: OpenMode | undefined
  readonly logger?: Logger | undefined
  readonly timeouts?: SqlTimeouts | undefined
  /** Gives up opening. */
  readonly signal?: AbortSignal | undefined
}

/** Opens the log in a database of MySQL or MariaDB; the database is created when it is missing. */
export async function openMysql({ dsn, server = {}, mode, logger = noLogger, timeouts, signal }: MysqlOptions): Promise<Backend> {
  const connector = new MysqlConnector({ dsn, server, isReadOnly: mode === 'read' })
  const members = new HintMembers({ connect: () => connector.connect('general'), hints: server.hints, logger })
  if (mode !== 'read') await members.listen()
  const backend = await openSqlBackend(new MysqlDialect(connector, members), {
    mode,
    logger,
    maxConnections: server.maxConnections,
    timeouts,
    signal,
  })
  if (connector.traits?.isDurable === false)
    logger.warn(
      { server: connector.server.address },
      'Database server answers commits before they are on disk (innodb_flush_log_at_trx_commit is not 1)',
    )
  return backend
}
