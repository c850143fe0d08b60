/**
 * The messages of the etcd v3 API, as a table: message, field, type and number. `codec.ts` encodes and decodes by it; the types below follow from it.
 *
 * | Type | Here | On the wire |
 * |---|---|---|
 * | `int64`, `uint64`, `uint32` | number, refused beyond ±(2^53 - 1) | the same |
 * | `clamped` | number, brought to the nearest safe integer: a client may well ask for "as many as there are" | int64 |
 * | `id`, `uid` | bigint | int64, uint64 |
 * | `enum` | number, see {@link enums} | enum |
 * | `bool`, `bytes`, `string` | boolean, Uint8Array, string | the same |
 * | a message's name | that message, or undefined | message |
 *
 * KeyValue's `lease` is called `leaseId`, so that a decoded one is the contract's KeyValue, and one of those can be encoded.
 *
 * `repeated` is an array. `oneof` is a field whose presence matters even when it is zero; others that are absent are zero, empty or false.
 */
export const messages = {
  KeyValue: {
    key: 'bytes 1',
    createRevision: 'int64 2',
    modRevision: 'int64 3',
    version: 'int64 4',
    value: 'bytes 5',
    leaseId: 'id 6',
  },
  Event: { type: 'enum 1', kv: 'KeyValue 2', prevKv: 'KeyValue 3' },

  ResponseHeader: { clusterId: 'uid 1', memberId: 'uid 2', revision: 'int64 3', raftTerm: 'uint64 4' },

  RangeRequest: {
    key: 'bytes 1',
    rangeEnd: 'bytes 2',
    limit: 'clamped 3',
    revision: 'clamped 4',
    sortOrder: 'enum 5',
    sortTarget: 'enum 6',
    serializable: 'bool 7',
    keysOnly: 'bool 8',
    countOnly: 'bool 9',
    minModRevision: 'clamped 10',
    maxModRevision: 'clamped 11',
    minCreateRevision: 'clamped 12',
    maxCreateRevision: 'clamped 13',
  },
  RangeResponse: { header: 'ResponseHeader 1', kvs: 'repeated KeyValue 2', more: 'bool 3', count: 'int64 4' },
  PutRequest: {
    key: 'bytes 1',
    value: 'bytes 2',
    lease: 'id 3',
    prevKv: 'bool 4',
    ignoreValue: 'bool 5',
    ignoreLease: 'bool 6',
  },
  PutResponse: { header: 'ResponseHeader 1', prevKv: 'KeyValue 2' },
  DeleteRangeRequest: { key: 'bytes 1', rangeEnd: 'bytes 2', prevKv: 'bool 3' },
  DeleteRangeResponse: { header: 'ResponseHeader 1', deleted: 'int64 2', prevKvs: 'repeated KeyValue 3' },
  RequestOp: {
    requestRange: 'RangeRequest 1',
    requestPut: 'PutRequest 2',
    requestDeleteRange: 'DeleteRangeRequest 3',
    requestTxn: 'TxnRequest 4',
  },
  ResponseOp: {
    responseRange: 'RangeResponse 1',
    responsePut: 'PutResponse 2',
    responseDeleteRange: 'DeleteRangeResponse 3',
    responseTxn: 'TxnResponse 4',
  },
  Compare: {
    result: 'enum 1',
    target: 'enum 2',
    key: 'bytes 3',
    version: 'oneof clamped 4',
    createRevision: 'oneof clamped 5',
    modRevision: 'oneof clamped 6',
    value: 'oneof bytes 7',
    lease: 'oneof id 8',
    rangeEnd: 'bytes 64',
  },
  TxnRequest: { compare: 'repeated Compare 1', success: 'repeated RequestOp 2', failure: 'repeated RequestOp 3' },
  TxnResponse: { header: 'ResponseHeader 1', succeeded: 'bool 2', responses: 'repeated ResponseOp 3' },
  CompactionRequest: { revision: 'clamped 1', physical: 'bool 2' },
  CompactionResponse: { header: 'ResponseHeader 1' },

  WatchRequest: { createRequest: 'WatchCreateRequest 1', cancelRequest: 'WatchCancelRequest 2', progressRequest: 'WatchProgressRequest 3' },
  WatchCreateRequest: {
    key: 'bytes 1',
    rangeEnd: 'bytes 2',
    startRevision: 'clamped 3',
    progressNotify: 'bool 4',
    filters: 'repeated enum 5',
    prevKv: 'bool 6',
    watchId: 'int64 7',
    fragment: 'bool 8',
  },
  WatchCancelRequest: { watchId: 'int64 1' },
  WatchProgressRequest: {},
  WatchResponse: {
    header: 'ResponseHeader 1',
    watchId: 'int64 2',
    created: 'bool 3',
    canceled: 'bool 4',
    compactRevision: 'int64 5',
    cancelReason: 'string 6',
    fragment: 'bool 7',
    events: 'repeated Event 11',
  },

  LeaseGrantRequest: { ttl: 'clamped 1', id: 'id 2' },
  LeaseGrantResponse: { header: 'ResponseHeader 1', id: 'id 2', ttl: 'int64 3', error: 'string 4' },
  LeaseRevokeRequest: { id: 'id 1' },
  LeaseRevokeResponse: { header: 'ResponseHeader 1' },
  LeaseKeepAliveRequest: { id: 'id 1' },
  LeaseKeepAliveResponse: { header: 'ResponseHeader 1', id: 'id 2', ttl: 'int64 3' },
  LeaseTimeToLiveRequest: { id: 'id 1', keys: 'bool 2' },
  LeaseTimeToLiveResponse: { header: 'ResponseHeader 1', id: 'id 2', ttl: 'int64 3', grantedTtl: 'int64 4', keys: 'repeated bytes 5' },
  LeaseLeasesRequest: {},
  LeaseStatus: { id: 'id 1' },
  LeaseLeasesResponse: { header: 'ResponseHeader 1', leases: 'repeated LeaseStatus 2' },

  Member: { id: 'uid 1', name: 'string 2', peerUrls: 'repeated string 3', clientUrls: 'repeated string 4', isLearner: 'bool 5' },
  MemberAddRequest: { peerUrls: 'repeated string 1', isLearner: 'bool 2' },
  MemberAddResponse: { header: 'ResponseHeader 1', member: 'Member 2', members: 'repeated Member 3' },
  MemberRemoveRequest: { id: 'uid 1' },
  MemberRemoveResponse: { header: 'ResponseHeader 1', members: 'repeated Member 2' },
  MemberUpdateRequest: { id: 'uid 1', peerUrls: 'repeated string 2' },
  MemberUpdateResponse: { header: 'ResponseHeader 1', members: 'repeated Member 2' },
  MemberListRequest: { linearizable: 'bool 1' },
  MemberListResponse: { header: 'ResponseHeader 1', members: 'repeated Member 2' },
  MemberPromoteRequest: { id: 'uid 1' },
  MemberPromoteResponse: { header: 'ResponseHeader 1', members: 'repeated Member 2' },

  AlarmRequest: { action: 'enum 1', memberId: 'uid 2', alarm: 'enum 3' },
  AlarmMember: { memberId: 'uid 1', alarm: 'enum 2' },
  AlarmResponse: { header: 'ResponseHeader 1', alarms: 'repeated AlarmMember 2' },
  StatusRequest: {},
  StatusResponse: {
    header: 'ResponseHeader 1',
    version: 'string 2',
    dbSize: 'int64 3',
    leader: 'uid 4',
    raftIndex: 'uint64 5',
    raftTerm: 'uint64 6',
    raftAppliedIndex: 'uint64 7',
    errors: 'repeated string 8',
    dbSizeInUse: 'int64 9',
    isLearner: 'bool 10',
    storageVersion: 'string 11',
    dbSizeQuota: 'int64 12',
    downgradeInfo: 'DowngradeInfo 13',
  },
  DowngradeInfo: { enabled: 'bool 1', targetVersion: 'string 2' },
  DefragmentRequest: {},
  DefragmentResponse: { header: 'ResponseHeader 1' },
  HashRequest: {},
  HashResponse: { header: 'ResponseHeader 1', hash: 'uint32 2' },
  HashKVRequest: { revision: 'clamped 1' },
  HashKVResponse: { header: 'ResponseHeader 1', hash: 'uint32 2', compactRevision: 'int64 3', hashRevision: 'int64 4' },
  SnapshotRequest: {},
  SnapshotResponse: { header: 'ResponseHeader 1', remainingBytes: 'uint64 2', blob: 'bytes 3', version: 'string 4' },
  MoveLeaderRequest: { targetId: 'uid 1' },
  MoveLeaderResponse: { header: 'ResponseHeader 1' },
  DowngradeRequest: { action: 'enum 1', version: 'string 2' },
  DowngradeResponse: { header: 'ResponseHeader 1', version: 'string 2' },

  AuthEnableRequest: {},
  AuthEnableResponse: { header: 'ResponseHeader 1' },
  AuthDisableRequest: {},
  AuthDisableResponse: { header: 'ResponseHeader 1' },
  AuthStatusRequest: {},
  AuthStatusResponse: { header: 'ResponseHeader 1', enabled: 'bool 2', authRevision: 'uint64 3' },
  AuthenticateRequest: { name: 'string 1', password: 'string 2' },
  AuthenticateResponse: { header: 'ResponseHeader 1', token: 'string 2' },
} as const

/** The values of the API's enumerations. */
export const enums = {
  EventType: { put: 0, delete: 1 },
  SortOrder: { none: 0, ascend: 1, descend: 2 },
  SortTarget: { key: 0, version: 1, create: 2, mod: 3, value: 4 },
  CompareResult: { equal: 0, greater: 1, less: 2, notEqual: 3 },
  CompareTarget: { version: 0, create: 1, mod: 2, value: 3, lease: 4 },
  FilterType: { noput: 0, nodelete: 1 },
  AlarmType: { none: 0, nospace: 1, corrupt: 2 },
  AlarmAction: { get: 0, activate: 1, deactivate: 2 },
  DowngradeAction: { validate: 0, enable: 1, cancel: 2 },
} as const

type Table = typeof messages

/** The name of a message. */
export type MessageName = keyof Table

interface Scalars {
  readonly bytes: Uint8Array
  readonly string: string
  readonly bool: boolean
  readonly enum: number
  readonly int64: number
  readonly uint64: number
  readonly uint32: number
  readonly clamped: number
  readonly id: bigint
  readonly uid: bigint
}

type DecodedField<Spec> = Spec extends `repeated ${infer T} ${number}`
  ? readonly DecodedType<T>[]
  : Spec extends `oneof ${infer T} ${number}`
    ? DecodedType<T> | undefined
    : Spec extends `${infer T} ${number}`
      ? T extends MessageName
        ? Message<T> | undefined
        : DecodedType<T>
      : never
type DecodedType<T> = T extends MessageName ? Message<T> : T extends keyof Scalars ? Scalars[T] : never

type InputField<Spec> = Spec extends `repeated ${infer T} ${number}`
  ? readonly InputType<T>[]
  : Spec extends `oneof ${infer T} ${number}`
    ? InputType<T>
    : Spec extends `${infer T} ${number}`
      ? InputType<T>
      : never
type InputType<T> = T extends MessageName ? MessageInput<T> : T extends keyof Scalars ? Scalars[T] : never

/** A message as it is decoded: every field is there, submessages and members of a `oneof` may be undefined. */
export type Message<Name extends MessageName> = { readonly [Field in keyof Table[Name]]: DecodedField<Table[Name][Field]> }

/** A message to be encoded: what is absent or undefined is not sent. */
export type MessageInput<Name extends MessageName> = {
  readonly [Field in keyof Table[Name]]?: InputField<Table[Name][Field]> | undefined
}
