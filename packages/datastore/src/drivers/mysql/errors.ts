import { DatastoreError } from '../../errors.ts'
import type { DatastoreErrorCode } from '../../errors.ts'

/** A server, as messages name it: never with a password. */
export interface ServerName {
  readonly address: string
  readonly user: string
  readonly database: string
}

/** Errors of the server by their numbers, which MySQL and MariaDB share below 1900. */
const codes: ReadonlyMap<number, DatastoreErrorCode> = new Map([
  // Access denied: to the server, by a plugin, to the database, to a table or command.
  ...[1044, 1045, 1130, 1142, 1227, 1251, 1275, 1396, 1524, 1698, 3118, 3159, 3955, 4151].map(
    (errno) => [errno, 'Unauthenticated'] as const,
  ),
  // Disk full, table full, disk quota.
  ...[1021, 1114, 1165].map((errno) => [errno, 'NoSpace'] as const),
  [1153, 'TooLarge'],
  // Deadlock (on Galera also: another node has changed the same rows), lock wait timeout, row changed since it was read.
  ...[1213, 1205, 1020].map((errno) => [errno, 'Unavailable'] as const),
  // Too many connections or locks, shutdown in progress, interrupted, killed, read only, not part of a Galera cluster that may write.
  ...[
    1040, 1041, 1047, 1053, 1077, 1080, 1129, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1206, 1223, 1226, 1290, 1317, 1792, 1836, 1927,
  ].map((errno) => [errno, 'Unavailable'] as const),
  // The server's own connection timeouts, told before it closes (MySQL 8), query execution was interrupted.
  ...[3024, 4031, 1969].map((errno) => [errno, 'Unavailable'] as const),
])

/** System errors inside of the server's: "Got error 28 from storage engine", "Error writing file (errno: 28 …)". */
const noSpaceText = /\b(?:errno|error):? "?(?:28|122)\b|No space left on device/i

/** Errors after which the connection is of no use. */
const lostErrnos = new Set([1053, 1077, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031])

/** What mysql2 gives: a server's error has `errno`, one of the network a `code` in words. */
interface MysqlFailure {
  readonly message: string
  readonly errno?: unknown
  readonly code?: unknown
  readonly fatal?: unknown
}

function isFailure(error: unknown): error is MysqlFailure {
  return error instanceof Error
}

/** The number that the server has given its error; undefined: it is none of the server's. */
export function serverErrno(error: unknown): number | undefined {
  // System errors have negative numbers.
  return isFailure(error) && typeof error.errno === 'number' && error.errno > 0 ? error.errno : undefined
}

/** Whether the connection is of no use after this failure. */
export function isConnectionLost(error: unknown): boolean {
  const errno = serverErrno(error)
  if (errno !== undefined) return lostErrnos.has(errno) || (isFailure(error) && error.fatal === true)
  return true
}

/** A failure as the datastore's callers see it. An error in our own SQL stays what it is. */
export function toDatastoreError(error: unknown, server: ServerName): unknown {
  if (error instanceof DatastoreError || !isFailure(error)) return error
  const errno = serverErrno(error)
  const options = { cause: error }
  if (errno === undefined)
    return new DatastoreError('Unavailable', `Cannot reach the database server at "${server.address}": ${reasonOf(error)}`, options)
  const code = noSpaceText.test(error.message) ? 'NoSpace' : codes.get(errno)
  switch (code) {
    case undefined:
      return error
    case 'Unauthenticated':
      return new DatastoreError(
        'Unauthenticated',
        `The database server at "${server.address}" refuses user "${server.user}": ${error.message}`,
        {
          ...options,
          hint:
            errno === 1044 || errno === 1142 || errno === 1227
              ? `Grant the user all rights on the database "${server.database}", and create the database if it does not exist`
              : 'Correct user and password of the datastore endpoint',
        },
      )
    case 'NoSpace':
      return new DatastoreError('NoSpace', `The database server at "${server.address}" has no space left: ${error.message}`, options)
    case 'TooLarge':
      return new DatastoreError('TooLarge', `A request is larger than the database server at "${server.address}" takes`, {
        ...options,
        hint: 'Raise max_allowed_packet of the server',
      })
    default:
      return new DatastoreError(code, `The database server at "${server.address}" cannot do it now: ${error.message}`, options)
  }
}

/** Node's message of a failed connection may be empty (several addresses were tried). */
function reasonOf({ message, code }: MysqlFailure): string {
  return message === '' ? String(code) : message
}
