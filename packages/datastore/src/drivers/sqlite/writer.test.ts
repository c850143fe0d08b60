import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { Bytes } from '../../contract.ts'
import type { BatchResult, WriteRequest } from '../../engine/backend.ts'
import { ByteReader, ByteWriter } from '../byte-stream.ts'
import { readBatchResult, writeRequest } from './codec.ts'
import { loadSqlEngine } from './database.ts'
import type { SqlDatabase, SqlEngine } from './database.ts'
import { Writer } from './writer.ts'

const directory = mkdtempSync(join(tmpdir(), 'datastore-writer-'))
afterAll(() => rmSync(directory, { recursive: true }))

const engine = await loadSqlEngine(undefined)
let files = 0

/** An engine whose next commit fails as it does when the disk does: with the transaction done, or not. */
class FailingEngine implements SqlEngine {
  readonly name = engine.name
  failure: 'done' | 'not done' | undefined

  open(...parameters: Parameters<SqlEngine['open']>): SqlDatabase {
    const database = engine.open(...parameters)
    return {
      ...database,
      prepare: (sql) => {
        const statement = database.prepare(sql)
        if (sql !== 'commit') return statement
        return {
          ...statement,
          run: () => {
            const { failure } = this
            this.failure = undefined
            if (failure !== 'not done') statement.run()
            if (failure !== undefined) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' })
          },
        }
      },
    }
  }
}

function commit(writer: Writer, ...requests: readonly WriteRequest[]): BatchResult {
  const strings: Bytes[] = []
  const to = new ByteWriter({ written: strings })
  to.list(requests, (request) => writeRequest(to, request))
  return readBatchResult(new ByteReader(writer.commit('id', to.finish()).result, { strings }))
}

const put: WriteRequest = { type: 'update', key: Buffer.from('a'), value: Buffer.from('1'), leaseId: 0n, expectedRevision: undefined }
const grant: WriteRequest = { type: 'grantLease', id: 5n, ttlSeconds: 10, nowMs: 1000 }

it.each([
  { name: 'of keys', request: put, revision: 2, next: 3 },
  { name: 'of a lease', request: grant, revision: 1, next: 2 },
])(
  'a batch $name whose commit failed is answered as done when it was done, and as failed when it was not',
  ({ request, revision, next }) => {
    const failing = new FailingEngine()
    const done = new Writer(failing, join(directory, `${++files}.db`), { toRestore: false })
    failing.failure = 'done'
    const { outcomes, revision: newest } = commit(done, request)
    expect(outcomes).toHaveLength(1)
    expect(newest).toBe(revision)
    expect(commit(done, put).revision).toBe(next)
    done.close()

    const lost = new Writer(failing, join(directory, `${++files}.db`), { toRestore: false })
    failing.failure = 'not done'
    expect(() => commit(lost, request)).toThrowError(expect.objectContaining({ code: 'Unavailable' }))
    expect(lost.position.revision).toBe(1)
    expect(commit(lost, request).revision).toBe(revision)
    lost.close()
  },
)
