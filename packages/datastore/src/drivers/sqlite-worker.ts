/**
 * The code of SQLite's worker threads: a datastore has one that writes, one that reads and, under load, one for checkpoints.
 * Not to be imported; `openDatastore` starts it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { append } from '@k3s/lifecycle'
import type { PackedItems } from '../engine/packed-list.ts'
import { DatastoreError } from '../errors.ts'
import { ByteWriter } from './byte-stream.ts'
import { writeError } from './sqlite/codec.ts'
import { loadSqlEngine } from './sqlite/database.ts'
import type { SqlDatabase, SqlEngine } from './sqlite/database.ts'
import type { Answer, CallMessage, CheckpointerCall, Loaded, ReaderCall, WorkerSettings, WriterCall } from './sqlite/messages.ts'
import { Reader } from './sqlite/reader.ts'
import { checkpoint, openCheckpointer } from './sqlite/schema.ts'
import { Statements } from './sqlite/store.ts'
import { Writer } from './sqlite/writer.ts'

/** Does one call; `sendPart` may be used before it returns. `afterwards` runs when the answer has been sent. */
type Handler<Body> = (call: Body, sendPart: (part: PackedItems) => void) => Done

interface Done {
  readonly value?: unknown
  /** Buffers in the value that are handed over rather than copied. */
  readonly transfer?: readonly ArrayBuffer[]
  readonly afterwards?: () => void
}

function writerHandler(engine: SqlEngine, path: string): Handler<WriterCall> {
  let writer: Writer | undefined
  const opened = (): Writer => {
    if (writer === undefined) throw new Error('Invariant broken: the writer is open')
    return writer
  }
  return (call) => {
    switch (call.method) {
      case 'open':
        writer = new Writer(engine, path, { toRestore: call.toRestore })
        return { value: writer.position }
      case 'commit': {
        const value = opened().commit(call.batchId, call.payload)
        return { value, transfer: [value.result.buffer], afterwards: () => opened().keepLogSmall() }
      }
      case 'compactSlice':
        return { value: opened().compactSlice(), afterwards: () => opened().keepLogSmall() }
      case 'beginRestore':
        opened().beginRestore()
        return {}
      case 'restoreItems':
        opened().restoreItems(call.payload)
        return { afterwards: () => opened().keepLogSmall() }
      case 'finishRestore':
        opened().finishRestore(call.revision, call.leases)
        return {}
      default:
        writer?.close()
        writer = undefined
        return {}
    }
  }
}

function readerHandler(engine: SqlEngine, path: string): { readonly handle: Handler<ReaderCall>; readonly endTurn: () => void } {
  let reader: Reader | undefined
  const opened = (): Reader => {
    if (reader === undefined) throw new Error('Invariant broken: the reader is open')
    return reader
  }
  const handle: Handler<ReaderCall> = (call, sendPart) => {
    switch (call.method) {
      case 'open':
        reader = new Reader(engine, path, { isAlone: call.isAlone })
        return { value: engine.name }
      case 'checkIntegrity':
        return { value: opened().checkIntegrity() }
      case 'list': {
        const value = opened().list(call.request, sendPart)
        return { value, transfer: value.last === undefined ? [] : [value.last.bytes.buffer] }
      }
      case 'readLog': {
        const value = opened().readLog(call.request)
        return { value, transfer: [value.events.buffer] }
      }
      case 'status':
        return { value: opened().status() }
      case 'findLease':
        return { value: opened().findLease(call.id) }
      case 'listLeases':
        return { value: opened().listLeases() }
      case 'dueLeases':
        return { value: opened().dueLeases(call.nowMs, call.limit) }
      default:
        reader?.close()
        reader = undefined
        return {}
    }
  }
  return { handle, endTurn: () => reader?.endTurn() }
}

function checkpointerHandler(engine: SqlEngine, path: string): Handler<CheckpointerCall> {
  let database: SqlDatabase | undefined
  let statements: Statements | undefined
  return (call) => {
    if (call.method === 'open') {
      database = openCheckpointer(engine, path)
      statements = new Statements(database)
    }
    if (call.method === 'checkpoint' && statements !== undefined) return { value: checkpoint(statements) }
    if (call.method === 'close') database?.close()
    return {}
  }
}

/** Answers wait this long for others to travel with: a message costs more than a small read. */
const turnMs = 1

/**
 * Calls come and answers go in batches. `endTurn` runs when nothing more is done for what has been called so far, and at least every
 * {@link turnMs} between two calls.
 */
function serve<Body>(port: MessagePort, handler: Handler<Body>, endTurn: () => void = () => {}): void {
  let answers: Answer[] = []
  let transfer: ArrayBuffer[] = []
  const add = (answer: Answer, buffers: readonly ArrayBuffer[] = []): void => {
    answers.push(answer)
    append(transfer, buffers)
  }
  const send = (): void => {
    if (answers.length > 0) port.postMessage(answers, transfer)
    answers = []
    transfer = []
  }
  const onCall = ({ call, body }: CallMessage): void => {
    let afterwards: (() => void) | undefined
    try {
      const onPart = (part: PackedItems): void => {
        add({ call, part }, [part.bytes.buffer])
        send()
      }
      const done = handler(body as Body, onPart) // the other side keeps roles apart
      add({ call, value: done.value }, done.transfer)
      afterwards = done.afterwards
    } catch (error) {
      if (error instanceof DatastoreError) {
        const to = new ByteWriter()
        writeError(to, error)
        add({ call, error: to.finish() })
      } else add({ call, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
    if (afterwards === undefined) return
    send()
    // A failure here ends the worker, which its owner reports.
    afterwards()
  }
  port.on('message', (calls: readonly CallMessage[]) => {
    let begun = performance.now()
    for (const call of calls) {
      onCall(call)
      if (performance.now() - begun < turnMs) continue
      endTurn()
      send()
      begun = performance.now()
    }
    endTurn()
    send()
  })
}

if (parentPort !== null) {
  const port = parentPort
  const { role, path, nativeBinding } = workerData as WorkerSettings // what openDatastore passes
  const engine = await loadSqlEngine(nativeBinding)
  port.postMessage({ loaded: true } satisfies Loaded)
  if (role === 'writer') serve(port, writerHandler(engine, path))
  else if (role === 'reader') {
    const { handle, endTurn } = readerHandler(engine, path)
    serve(port, handle, endTurn)
  } else serve(port, checkpointerHandler(engine, path))
}
