import { expect, it } from 'vitest'
import type { BatchResult, WriteRequest } from '../../engine/backend.ts'
import { DatastoreError } from '../../errors.ts'
import { ByteReader, ByteWriter } from '../byte-stream.ts'
import { readBatchResult, readRequest, writeBatchResult, writeRequest } from './codec.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const item = { key: bytes('k'), value: bytes('v'), createRevision: 2, modRevision: 2 ** 53 - 1, version: 3, leaseId: 2n ** 63n - 1n }
const range = { start: bytes('a'), end: bytes('') }

it.each<WriteRequest>([
  { type: 'create', key: bytes('a'), value: bytes(''), leaseId: 1n },
  { type: 'update', key: bytes('a'), value: bytes('x'), leaseId: 0n, expectedRevision: 0 },
  { type: 'update', key: bytes('a'), value: bytes('x'), leaseId: 0n, expectedRevision: undefined },
  { type: 'delete', key: bytes('a'), expectedRevision: 7 },
  { type: 'compact', revision: 5 },
  { type: 'grantLease', id: 9n, ttlSeconds: 1.5, nowMs: 1e12 },
  { type: 'keepLease', id: 9n, nowMs: 1e12 },
  { type: 'revokeLease', id: 9n, nowMs: undefined },
  {
    type: 'txn',
    txn: {
      compare: [
        { range: { start: bytes('a'), end: undefined }, target: 'value', result: 'less', operand: bytes('z') },
        { range, target: 'lease', result: 'notEqual', operand: 4n },
      ],
      success: [
        { type: 'put', key: bytes('a'), value: bytes('1'), leaseId: 3n, keepValue: true, keepLease: false, previous: true },
        { type: 'delete', range, previous: true },
      ],
      failure: [
        { type: 'list', range, options: { revision: 4, limit: 2, keysOnly: true, countOnly: false } },
        { type: 'txn', txn: { compare: [], success: [], failure: [] } },
      ],
    },
  },
])('a request of type $type comes out as it went in', (request) => {
  const to = new ByteWriter({ capacity: 1 })
  writeRequest(to, request)
  const from = new ByteReader(to.finish())
  expect(readRequest(from)).toEqual(request)
  expect(from.isAtEnd).toBe(true)
})

it('a batch result comes out as it went in', () => {
  const result: BatchResult = {
    revision: 12,
    compactRevision: 3,
    log: [
      { revision: 11, events: [{ type: 'put', item, previous: item }] },
      { revision: 12, events: [{ type: 'delete', item, previous: undefined }] },
    ],
    outcomes: [
      { type: 'written', revision: 11, previous: item },
      { type: 'written', revision: 10, previous: undefined },
      { type: 'lease', lease: { id: 5n, ttlSeconds: 0.5 }, deadlineMs: 17 },
      {
        type: 'txn',
        result: {
          succeeded: true,
          revision: 12,
          results: [
            { type: 'put', previous: item },
            { type: 'delete', deleted: 1, previous: [item] },
            { type: 'list', result: { revision: 12, count: 3, more: true, items: [item] } },
            { type: 'txn', result: { succeeded: false, revision: 12, results: [] } },
          ],
        },
      },
    ],
  }
  const to = new ByteWriter({ capacity: 1 })
  writeBatchResult(to, result)
  expect(readBatchResult(new ByteReader(to.finish()))).toEqual(result)
})

it('an error keeps its code, hint, revision and present version', () => {
  const error = new DatastoreError('RevisionConflict', 'Key is elsewhere', { hint: 'Read again', revision: 9, current: item })
  const to = new ByteWriter()
  writeBatchResult(to, { revision: 9, compactRevision: 0, log: [], outcomes: [{ type: 'failed', error }] })
  const [outcome] = readBatchResult(new ByteReader(to.finish())).outcomes
  const { code, message, hint, revision, current } = error
  expect(outcome).toMatchObject({ type: 'failed', error: { code, message, hint, revision, current } })
})
