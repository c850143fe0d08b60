import { decode, encode } from '../etcd/codec.ts'
import type { Message, MessageInput } from '../etcd/messages.ts'
import { methods } from '../etcd/services.ts'
import type { MethodName, RequestOf, ResponseOf } from '../etcd/services.ts'
import { snapshot } from '../snapshot/snapshot.ts'
import { etcdErrors, GrpcError } from './grpc-error.ts'
import type { GrpcMethod } from './grpc-server.ts'
import { framePrefixBytes } from './grpc-stream.ts'
import { answerHealth, watchHealth } from './health.ts'
import { KvService } from './kv.ts'
import { LeaseService } from './leases.ts'
import { MaintenanceService } from './maintenance.ts'
import type { Member } from './member.ts'
import { serveWatches } from './watch.ts'

export interface MethodOptions {
  /** Bytes above which a watch's events come in fragments. */
  readonly maxRequestBytes: number
  readonly maxTxnOperations: number
  readonly progressIntervalMs: number
  /** What the list of members shows. */
  readonly urls: () => readonly string[]
}

const authService = '/etcdserverpb.Auth/'

/** All methods of the API, by path. */
export function createMethods(member: Member, options: MethodOptions): (path: string) => GrpcMethod | undefined {
  const kv = new KvService(member, options.maxTxnOperations)
  const leases = new LeaseService(member)
  const maintenance = new MaintenanceService(member, snapshot)
  const table = new Map<string, GrpcMethod>()

  const unary = <Name extends MethodName>(
    name: Name,
    handle: (request: Message<RequestOf<Name>>) => Promise<MessageInput<ResponseOf<Name>>>,
  ): void => {
    const { path } = methods[name]
    const request: RequestOf<Name> = methods[name].request
    const response: ResponseOf<Name> = methods[name].response
    const answer = async (message: Buffer): Promise<Buffer> => encode(response, await handle(decode(request, message)), framePrefixBytes)
    table.set(path, { kind: 'unary', answer })
  }
  const stream = (name: MethodName, serve: Extract<GrpcMethod, { kind: 'stream' }>['serve']): void => {
    table.set(methods[name].path, { kind: 'stream', serve })
  }

  const range = async (message: Buffer): Promise<Buffer> => kv.range(decode('RangeRequest', message), framePrefixBytes)
  table.set(methods.range.path, { kind: 'unary', answer: range })
  unary('put', (request) => kv.put(request))
  unary('deleteRange', (request) => kv.deleteRange(request))
  unary('txn', (request) => kv.txn(request))
  unary('compact', (request) => kv.compact(request))
  stream('watch', (call) =>
    serveWatches(call, member, { maxFragmentBytes: options.maxRequestBytes, progressIntervalMs: options.progressIntervalMs }),
  )
  unary('leaseGrant', (request) => leases.grant(request))
  unary('leaseRevoke', (request) => leases.revoke(request))
  unary('leaseTimeToLive', (request) => leases.timeToLive(request))
  unary('leaseLeases', () => leases.leases())
  stream('leaseKeepAlive', (call) => leases.keepAlive(call))

  unary('status', () => maintenance.status())
  unary('alarm', (request) => maintenance.alarm(request))
  unary('defragment', () => maintenance.defragment())
  unary('hash', () => maintenance.hash())
  unary('hashKV', (request) => maintenance.hashKV(request))
  unary('moveLeader', (request) => maintenance.moveLeader(request))
  unary('downgrade', (request) => maintenance.downgrade(request))
  stream('snapshot', (call) => maintenance.snapshot(call))

  unary('memberList', async () => {
    const self = { id: member.memberId, name: member.name, peerUrls: options.urls(), clientUrls: options.urls() }
    // etcd's header has no revision here.
    return { header: member.header(0), members: [self] }
  })
  for (const name of ['memberAdd', 'memberRemove', 'memberUpdate', 'memberPromote'] as const) unary(name, refuseMembers)

  unary('authStatus', async () => ({ header: member.header(), authRevision: 1 }))
  unary('authDisable', async () => ({ header: member.header() }))

  const refuseAuth: GrpcMethod = { kind: 'unary', answer: () => Promise.reject(etcdErrors.authNotEnabled()) }
  table.set('/grpc.health.v1.Health/Check', { kind: 'unary', answer: () => answerHealth(member) })
  table.set('/grpc.health.v1.Health/Watch', { kind: 'stream', serve: (call) => watchHealth(call, member) })
  return (path) => table.get(path) ?? (path.startsWith(authService) ? refuseAuth : undefined)
}

function refuseMembers(): Promise<never> {
  return Promise.reject(new GrpcError('failedPrecondition', 'etcdserver: the servers of this datastore need no list: start or stop them'))
}
