import { isDatastoreError } from '../errors.ts'
import type { DatastoreErrorCode } from '../errors.ts'

/** gRPC's status codes, those that etcd answers with. */
export const grpcCodes = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

/** What a call ends with when it fails: a gRPC status. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError'
  readonly code: number

  constructor(code: keyof typeof grpcCodes, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = grpcCodes[code]
  }
}

/** etcd's errors in its words, which clients compare. */
export const etcdErrors = {
  emptyKey: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: key is not provided'),
  keyNotFound: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: key not found'),
  valueProvided: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: value is provided'),
  leaseProvided: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: lease is provided'),
  tooManyOperations: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: too many operations in txn request'),
  duplicateKey: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: duplicate key given in txn request'),
  invalidSortOption: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: invalid sort option'),
  compacted: (): GrpcError => new GrpcError('outOfRange', 'etcdserver: mvcc: required revision has been compacted'),
  futureRevision: (): GrpcError => new GrpcError('outOfRange', 'etcdserver: mvcc: required revision is a future revision'),
  noSpace: (): GrpcError => new GrpcError('resourceExhausted', 'etcdserver: mvcc: database space exceeded'),
  leaseNotFound: (): GrpcError => new GrpcError('notFound', 'etcdserver: requested lease not found'),
  leaseExists: (): GrpcError => new GrpcError('failedPrecondition', 'etcdserver: lease already exists'),
  leaseTtlTooLarge: (): GrpcError => new GrpcError('outOfRange', 'etcdserver: too large lease TTL'),
  requestTooLarge: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: request is too large'),
  authNotEnabled: (): GrpcError => new GrpcError('failedPrecondition', 'etcdserver: authentication is not enabled'),
  badLeaderTransferee: (): GrpcError => new GrpcError('failedPrecondition', 'etcdserver: bad leader transferee'),
  invalidDowngradeTarget: (): GrpcError => new GrpcError('invalidArgument', 'etcdserver: invalid downgrade target version'),
  noDowngrade: (): GrpcError => new GrpcError('failedPrecondition', 'etcdserver: no inflight downgrade job'),
  stopped: (): GrpcError => new GrpcError('unavailable', 'etcdserver: server stopped'),
} as const

const byCode: Readonly<Partial<Record<DatastoreErrorCode, () => GrpcError>>> = {
  Compacted: etcdErrors.compacted,
  FutureRevision: etcdErrors.futureRevision,
  LeaseNotFound: etcdErrors.leaseNotFound,
  LeaseExists: etcdErrors.leaseExists,
  TooLarge: etcdErrors.requestTooLarge,
  NoSpace: etcdErrors.noSpace,
  Closed: etcdErrors.stopped,
}

/** The status of any error of a handler: of the datastore's in etcd's words, where etcd has the same error. */
export function toGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error
  if (!isDatastoreError(error)) {
    const message = error instanceof Error ? error.message : String(error)
    return new GrpcError(error instanceof RangeError ? 'internal' : 'unknown', message, { cause: error })
  }
  const known = byCode[error.code]
  if (known !== undefined) return known()
  const code = error.code === 'Unavailable' ? 'unavailable' : error.code === 'InvalidArgument' ? 'invalidArgument' : 'unknown'
  return new GrpcError(code, `etcdserver: ${error.message}`, { cause: error })
}
