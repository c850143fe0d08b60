import { DatastoreError, type DatastoreErrorCode } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
import { mappedDatastoreCodes, reportError, toStatusError } from './errors.ts'

const pod = { resource: 'pods', name: 'a' }
const key = { key: new Uint8Array(), value: new Uint8Array(), createRevision: 1, modRevision: 2, version: 1, leaseId: 0n }

describe('toStatusError()', () => {
  it.each<[DatastoreErrorCode, number, string]>([
    ['KeyExists', 409, 'pods "a" already exists'],
    ['TooLarge', 413, 'Request entity too large: limit is x'],
    ['NoSpace', 503, 'datastore is unavailable: x'],
    ['Locked', 503, 'datastore is unavailable: x'],
    ['Unavailable', 503, 'datastore is unavailable: x'],
    ['Closed', 503, 'datastore is unavailable: x'],
    ['LeaseNotFound', 500, 'Internal error occurred: x'],
    ['LeaseExists', 500, 'Internal error occurred: x'],
    ['InvalidArgument', 500, 'Internal error occurred: x'],
    ['InvalidDsn', 500, 'Internal error occurred: x'],
    ['Unauthenticated', 500, 'Internal error occurred: x'],
    ['ForeignSchema', 500, 'Internal error occurred: x'],
    ['NewerSchema', 500, 'Internal error occurred: x'],
    ['Incomplete', 500, 'Internal error occurred: x'],
    ['NotEmpty', 500, 'Internal error occurred: x'],
    ['Damaged', 500, 'Internal error occurred: x'],
    ['RevisionConflict', 404, 'pods "a" not found'],
    ['Compacted', 410, 'too old resource version: 5 (9)'],
    ['FutureRevision', 504, 'Timeout: Too large resource version: 5, current: 9'],
  ])('maps %s to %d', (code, status, message) => {
    const mapped = toStatusError(new DatastoreError(code, 'x', { revision: 9 }), { ...pod, requestedRevision: 5 })
    expect([mapped.code, mapped.message]).toEqual([status, message])
    expect(mappedDatastoreCodes).toContain(code)
  })

  it('tells a conflict from a missing object, and a list from a watch', () => {
    const conflict = toStatusError(new DatastoreError('RevisionConflict', 'x', { current: key }), pod)
    expect(conflict.message).toBe(
      'Operation cannot be fulfilled on pods "a": the object has been modified; please apply your changes to the latest version and try again',
    )
    const compacted = new DatastoreError('Compacted', 'x', { revision: 9 })
    expect(toStatusError(compacted, { ...pod, operation: 'list' }).message).toBe('The resourceVersion for the provided list is too old.')
    expect(toStatusError(compacted, { ...pod, operation: 'continue' }).message).toMatch(/^The provided continue parameter is too old/)
  })

  it('keeps causes, and has a test for every code', () => {
    const cause = new Error('why')
    expect(toStatusError(cause)).toMatchObject({ code: 500, message: 'Internal error occurred: why', cause })
    expect(mappedDatastoreCodes).toHaveLength(19)
  })

  it('turns the end of a request’s time into a Timeout', () => {
    expect(toStatusError(new DOMException('x', 'TimeoutError'))).toMatchObject({ code: 504, reason: 'Timeout' })
  })
})

describe('reportError()', () => {
  it('logs our own faults and not the client’s', () => {
    const logged: unknown[] = []
    const logger = { debug() {}, info() {}, warn() {}, error: (fields: unknown) => void logged.push(fields), child: () => logger }
    reportError(toStatusError(new DatastoreError('KeyExists', 'x'), pod), logger, {})
    const cause = new Error('bug')
    reportError(toStatusError(cause), logger, { path: '/x' })
    expect(logged).toEqual([{ path: '/x', err: cause }])
  })
})
