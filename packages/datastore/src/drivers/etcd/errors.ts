/** What etcd answers when it refuses a request, as errors of a datastore. */
import { DatastoreError } from '../../errors.ts'
import type { DatastoreErrorCode } from '../../errors.ts'

/** gRPC's status codes, those that matter here. */
export const grpcCodes = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const

/** An error as grpc-js reports one. */
export interface GrpcError extends Error {
  readonly code: number
  readonly details: string
}

export function isGrpcError(error: unknown): error is GrpcError {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error && typeof error.details === 'string'
  )
}

/** What a failed request means for the one who sent it. */
export type Failure =
  /** etcd has decided: nothing was done. */
  | { readonly type: 'refused'; readonly error: DatastoreError }
  /** It never came to etcd, or was turned away before it was looked at. */
  | { readonly type: 'notDone'; readonly reason: string }
  /** There is no answer: it may have been done, or may still be. */
  | { readonly type: 'unanswered'; readonly reason: string }

const refusals: readonly (readonly [text: string, code: DatastoreErrorCode, message: string, hint?: string])[] = [
  ['mvcc: required revision has been compacted', 'Compacted', 'The revision is compacted'],
  ['mvcc: required revision is a future revision', 'FutureRevision', 'The revision is in the future'],
  [
    'mvcc: database space exceeded',
    'NoSpace',
    'etcd has used up its quota',
    'Compact and defragment it, then clear its alarm: "etcdctl alarm disarm"',
  ],
  ['requested lease not found', 'LeaseNotFound', 'Lease does not exist'],
  ['lease already exists', 'LeaseExists', 'Lease already exists'],
  ['request is too large', 'TooLarge', 'Request is larger than the limit of etcd', 'Raise its "--max-request-bytes"'],
  ['too many operations in txn request', 'TooLarge', 'Transaction has more operations than the limit of etcd', 'Raise its "--max-txn-ops"'],
  ['corrupt cluster', 'Damaged', 'The members of etcd do not hold the same data'],
  ['user name is empty', 'Unauthenticated', 'etcd asks for a user', userHint()],
  ['user name not found', 'Unauthenticated', 'etcd does not know the user', userHint()],
  ['permission denied', 'Unauthenticated', 'etcd denies the permission', userHint()],
  ['invalid auth token', 'Unauthenticated', 'etcd does not accept who we are', userHint()],
]

function userHint(): string {
  return 'Give a client certificate whose common name is a user with the role "root"; names and passwords are not supported'
}

/** Turned away before it was proposed, whatever it asked for. */
const notDone = ['etcdserver: no leader', 'etcdserver: too many requests', 'etcdserver: rpc not supported for learner']

/** Reads what grpc-js has thrown. */
export function readFailure(error: unknown): Failure {
  if (!isGrpcError(error)) return { type: 'unanswered', reason: error instanceof Error ? error.message : String(error) }
  const { code, details } = error
  const text = details.replace(/^etcdserver: /, '')
  const known = refusals.find(([start]) => text === start)
  if (known !== undefined) return { type: 'refused', error: new DatastoreError(known[1], known[2], { hint: known[3], cause: error }) }
  if (notDone.includes(details) || details.startsWith('No connection established')) return { type: 'notDone', reason: details }
  switch (code) {
    case grpcCodes.resourceExhausted: // grpc-js's own, of a message that is larger than it may be
    case grpcCodes.invalidArgument:
      return { type: 'refused', error: refusal(code === grpcCodes.invalidArgument ? 'InvalidArgument' : 'TooLarge', error) }
    case grpcCodes.permissionDenied:
    case grpcCodes.unauthenticated:
      return { type: 'refused', error: refusal('Unauthenticated', error) }
    case grpcCodes.dataLoss:
      return { type: 'refused', error: refusal('Damaged', error) }
    case grpcCodes.cancelled:
    case grpcCodes.unknown:
    case grpcCodes.deadlineExceeded:
    case grpcCodes.internal:
    case grpcCodes.unavailable:
      return { type: 'unanswered', reason: details }
    default:
      return { type: 'refused', error: refusal(code === grpcCodes.unimplemented ? 'Unavailable' : 'InvalidArgument', error) }
  }
}

function refusal(code: DatastoreErrorCode, error: GrpcError): DatastoreError {
  return new DatastoreError(code, `etcd refuses the request: ${error.details}`, { cause: error })
}
