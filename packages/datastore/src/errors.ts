import type { KeyValue } from './contract.ts'

export type DatastoreErrorCode =
  | 'KeyExists'
  | 'RevisionConflict'
  | 'Compacted'
  | 'FutureRevision'
  | 'LeaseNotFound'
  | 'LeaseExists'
  | 'TooLarge'
  | 'InvalidArgument'
  | 'InvalidDsn'
  | 'Unauthenticated'
  | 'ForeignSchema'
  | 'NewerSchema'
  | 'NoSpace'
  | 'Locked'
  /** A restore or migration into it was not finished. */
  | 'Incomplete'
  /** What is to be filled holds data already. */
  | 'NotEmpty'
  /** A snapshot, or stored data, contradicts itself or its checksums. */
  | 'Damaged'
  | 'Unavailable'
  | 'Closed'

const brand = Symbol.for('@k3s/datastore/DatastoreError')

export interface DatastoreErrorOptions extends ErrorOptions {
  /** What to do about it, one sentence. */
  readonly hint?: string | undefined
  /** The revision that the error is about: the newest for `FutureRevision`, the compact revision for `Compacted`. */
  readonly revision?: number | undefined
  /** The version found, for `RevisionConflict` and `KeyExists`; absent when the key does not exist. */
  readonly current?: KeyValue | undefined
}

/** Every failure of a datastore. */
export class DatastoreError extends Error {
  override readonly name = 'DatastoreError'
  readonly code: DatastoreErrorCode
  readonly hint: string | undefined
  readonly revision: number | undefined
  readonly current: KeyValue | undefined

  constructor(code: DatastoreErrorCode, message: string, options: DatastoreErrorOptions = {}) {
    super(message, options)
    Object.defineProperty(this, brand, { value: true })
    this.code = code
    this.hint = options.hint
    this.revision = options.revision
    this.current = options.current
  }
}

/** True for a {@link DatastoreError} of any copy of this package. */
export function isDatastoreError(error: unknown): error is DatastoreError {
  return typeof error === 'object' && error !== null && brand in error
}
