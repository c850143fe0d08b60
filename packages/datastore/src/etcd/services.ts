import { decode, encode } from './codec.ts'
import type { Message, MessageInput, MessageName } from './messages.ts'

/** The methods of the etcd v3 API. Those of Auth that only make sense with authentication are known by the prefix of their path alone. */
export const methods = {
  range: { path: '/etcdserverpb.KV/Range', request: 'RangeRequest', response: 'RangeResponse', kind: 'unary' },
  put: { path: '/etcdserverpb.KV/Put', request: 'PutRequest', response: 'PutResponse', kind: 'unary' },
  deleteRange: { path: '/etcdserverpb.KV/DeleteRange', request: 'DeleteRangeRequest', response: 'DeleteRangeResponse', kind: 'unary' },
  txn: { path: '/etcdserverpb.KV/Txn', request: 'TxnRequest', response: 'TxnResponse', kind: 'unary' },
  compact: { path: '/etcdserverpb.KV/Compact', request: 'CompactionRequest', response: 'CompactionResponse', kind: 'unary' },
  watch: { path: '/etcdserverpb.Watch/Watch', request: 'WatchRequest', response: 'WatchResponse', kind: 'bidi' },
  leaseGrant: { path: '/etcdserverpb.Lease/LeaseGrant', request: 'LeaseGrantRequest', response: 'LeaseGrantResponse', kind: 'unary' },
  leaseRevoke: { path: '/etcdserverpb.Lease/LeaseRevoke', request: 'LeaseRevokeRequest', response: 'LeaseRevokeResponse', kind: 'unary' },
  leaseKeepAlive: {
    path: '/etcdserverpb.Lease/LeaseKeepAlive',
    request: 'LeaseKeepAliveRequest',
    response: 'LeaseKeepAliveResponse',
    kind: 'bidi',
  },
  leaseTimeToLive: {
    path: '/etcdserverpb.Lease/LeaseTimeToLive',
    request: 'LeaseTimeToLiveRequest',
    response: 'LeaseTimeToLiveResponse',
    kind: 'unary',
  },
  leaseLeases: { path: '/etcdserverpb.Lease/LeaseLeases', request: 'LeaseLeasesRequest', response: 'LeaseLeasesResponse', kind: 'unary' },
  memberAdd: { path: '/etcdserverpb.Cluster/MemberAdd', request: 'MemberAddRequest', response: 'MemberAddResponse', kind: 'unary' },
  memberRemove: {
    path: '/etcdserverpb.Cluster/MemberRemove',
    request: 'MemberRemoveRequest',
    response: 'MemberRemoveResponse',
    kind: 'unary',
  },
  memberUpdate: {
    path: '/etcdserverpb.Cluster/MemberUpdate',
    request: 'MemberUpdateRequest',
    response: 'MemberUpdateResponse',
    kind: 'unary',
  },
  memberList: { path: '/etcdserverpb.Cluster/MemberList', request: 'MemberListRequest', response: 'MemberListResponse', kind: 'unary' },
  memberPromote: {
    path: '/etcdserverpb.Cluster/MemberPromote',
    request: 'MemberPromoteRequest',
    response: 'MemberPromoteResponse',
    kind: 'unary',
  },
  alarm: { path: '/etcdserverpb.Maintenance/Alarm', request: 'AlarmRequest', response: 'AlarmResponse', kind: 'unary' },
  status: { path: '/etcdserverpb.Maintenance/Status', request: 'StatusRequest', response: 'StatusResponse', kind: 'unary' },
  defragment: { path: '/etcdserverpb.Maintenance/Defragment', request: 'DefragmentRequest', response: 'DefragmentResponse', kind: 'unary' },
  hash: { path: '/etcdserverpb.Maintenance/Hash', request: 'HashRequest', response: 'HashResponse', kind: 'unary' },
  hashKV: { path: '/etcdserverpb.Maintenance/HashKV', request: 'HashKVRequest', response: 'HashKVResponse', kind: 'unary' },
  snapshot: { path: '/etcdserverpb.Maintenance/Snapshot', request: 'SnapshotRequest', response: 'SnapshotResponse', kind: 'serverStream' },
  moveLeader: { path: '/etcdserverpb.Maintenance/MoveLeader', request: 'MoveLeaderRequest', response: 'MoveLeaderResponse', kind: 'unary' },
  downgrade: { path: '/etcdserverpb.Maintenance/Downgrade', request: 'DowngradeRequest', response: 'DowngradeResponse', kind: 'unary' },
  authEnable: { path: '/etcdserverpb.Auth/AuthEnable', request: 'AuthEnableRequest', response: 'AuthEnableResponse', kind: 'unary' },
  authDisable: { path: '/etcdserverpb.Auth/AuthDisable', request: 'AuthDisableRequest', response: 'AuthDisableResponse', kind: 'unary' },
  authStatus: { path: '/etcdserverpb.Auth/AuthStatus', request: 'AuthStatusRequest', response: 'AuthStatusResponse', kind: 'unary' },
  authenticate: {
    path: '/etcdserverpb.Auth/Authenticate',
    request: 'AuthenticateRequest',
    response: 'AuthenticateResponse',
    kind: 'unary',
  },
} as const

/** The name of a method. */
export type MethodName = keyof typeof methods
/** The message that a method is called with. */
export type RequestOf<Name extends MethodName> = (typeof methods)[Name]['request']
/** The message that a method answers with. */
export type ResponseOf<Name extends MethodName> = (typeof methods)[Name]['response']

/** A method in the form that grpc-js takes, for its `makeClientConstructor` and `Client.make…Request`. */
export interface EtcdMethod<Request extends MessageName, Response extends MessageName> {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestSerialize: (request: MessageInput<Request>) => Buffer
  readonly requestDeserialize: (bytes: Buffer) => Message<Request>
  readonly responseSerialize: (response: MessageInput<Response>) => Buffer
  readonly responseDeserialize: (bytes: Buffer) => Message<Response>
}

/** The grpc-js definition of a method. The bytes fields of what it deserializes share the memory of their message. */
export function etcdMethod<Name extends MethodName>(name: Name): EtcdMethod<RequestOf<Name>, ResponseOf<Name>> {
  const { path, kind } = methods[name]
  const request: RequestOf<Name> = methods[name].request
  const response: ResponseOf<Name> = methods[name].response
  return {
    path,
    requestStream: kind === 'bidi',
    responseStream: kind !== 'unary',
    requestSerialize: (message) => encode(request, message),
    requestDeserialize: (bytes) => decode(request, bytes),
    responseSerialize: (message) => encode(response, message),
    responseDeserialize: (bytes) => decode(response, bytes),
  }
}
