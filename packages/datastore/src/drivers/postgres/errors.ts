import { DatastoreError } from '../../errors.ts'

/** PostgreSQL's code of an error (SQLSTATE); undefined for one of the network or of this program. */
export function sqlState(error: unknown): string | undefined {
  const code = errorCode(error)
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && 'severity' in (error as object) ? code : undefined // has a code: an object
}

function errorCode(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Codes, or classes of them, of failures that may go away by themselves. */
const passing = [
  '08', // connection exceptions
  '25006', // the server is a standby, as during a failover
  '25P03', // held the lock too long: this process was frozen
  '40', // rolled back by the server: deadlocks and the like
  '53', // short of connections, memory, but see 53100
  '55P03', // another member has held the lock too long
  '57', // shut down, starting, canceled
  '58', // the server's own input and output
]

const codes: Readonly<Record<string, DatastoreError['code']>> = {
  '28000': 'Unauthenticated',
  '28P01': 'Unauthenticated',
  '42501': 'Unauthenticated',
  '53100': 'NoSpace',
}

/** A failure of PostgreSQL or of the network as a typed error that names the server; anything else as it is. */
export function toDatastoreError(error: unknown, address: string, isConnecting = false): unknown {
  if (error instanceof DatastoreError) return error
  const reason = reasonOf(error)
  const state = sqlState(error)
  if (state !== undefined) {
    const code = codes[state] ?? (passing.some((start) => state.startsWith(start)) ? 'Unavailable' : undefined)
    if (code === undefined) return error
    if (code === 'Unauthenticated')
      return new DatastoreError('Unauthenticated', `PostgreSQL at ${address} refuses this user: ${reason}`, {
        hint: 'Check user, password and rights in the datastore endpoint',
        cause: error,
      })
    return new DatastoreError(code, `PostgreSQL at ${address}: ${reason}`, { cause: error })
  }
  // pg's own words for a password that is missing.
  if (isConnecting && reason.startsWith('SASL'))
    return new DatastoreError('Unauthenticated', `PostgreSQL at ${address} asks for a password`, {
      hint: 'Give user and password in the datastore endpoint',
      cause: error,
    })
  const isOfNetwork = errorCode(error) !== undefined || /^(Connection terminated|timeout expired|Client )|SSL/.test(reason)
  if (!isConnecting && !isOfNetwork) return error
  return new DatastoreError('Unavailable', `Cannot reach PostgreSQL at ${address}: ${reason}`, { cause: error })
}

function reasonOf(error: unknown): string {
  // Of several addresses of a host each has an error of its own.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}
