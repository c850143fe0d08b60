/** The code of SQLite's worker threads, of which a datastore has two: one writes, one reads. Not to be imported; `openDatastore` starts it. */
import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { DatastoreError } from '../errors.ts'
import { ByteWriter } from './byte-stream.ts'
import { writeError } from './sqlite/codec.ts'
import { loadSqlEngine } from './sqlite/database.ts'
import type { SqlEngine } from './sqlite/database.ts'
import type { Answer, CallMessage, ReaderCall, WorkerSettings, WriterCall } from './sqlite/messages.ts'
import { Reader } from './sqlite/reader.ts'
import { Writer } from './sqlite/writer.ts'

/** Does one call; `sendPart` may be used before it returns. `afterwards` runs when the answer has been sent. */
type Handler<Call> = (
  call: Call,
  sendPart: (part: Uint8Array<ArrayBuffer>) => void,
) => { readonly value?: unknown; readonly afterwards?: () => void }

function writerHandler(engine: SqlEngine, path: string): Handler<WriterCall> {
  let writer: Writer | undefined
  const opened = (): Writer => {
    if (writer === undefined) throw new Error('Invariant broken: the writer is open')
    return writer
  }
  return (call) => {
    switch (call.method) {
      case 'open':
        writer = new Writer(engine, path)
        return { value: writer.position }
      case 'commit':
        return { value: opened().commit(call.batchId, call.payload), afterwards: () => opened().checkpoint() }
      case 'compactSlice':
        return { value: opened().compactSlice() }
      default:
        writer?.close()
        writer = undefined
        return {}
    }
  }
}

function readerHandler(engine: SqlEngine, path: string): Handler<ReaderCall> {
  let reader: Reader | undefined
  const opened = (): Reader => {
    if (reader === undefined) throw new Error('Invariant broken: the reader is open')
    return reader
  }
  return (call, sendPart) => {
    switch (call.method) {
      case 'open':
        reader = new Reader(engine, path)
        return { value: engine.name }
      case 'list':
        return { value: opened().list(call.request, sendPart) }
      case 'readLog':
        return { value: opened().readLog(call.request) }
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
}

function serve<Call>(port: MessagePort, handler: Handler<Call>): void {
  const send = (answer: Answer): void => {
    const bytes = 'part' in answer ? answer.part : 'error' in answer ? answer.error : 'value' in answer ? answer.value : undefined
    port.postMessage(answer, bytes instanceof Uint8Array ? [bytes.buffer as ArrayBuffer] : []) // a ByteWriter's own
  }
  port.on('message', ({ call, body }: CallMessage) => {
    let afterwards: (() => void) | undefined
    try {
      const done = handler(body as Call, (part) => send({ call, part })) // the other side keeps roles apart
      send({ call, value: done.value })
      afterwards = done.afterwards
    } catch (error) {
      if (error instanceof DatastoreError) {
        const to = new ByteWriter()
        writeError(to, error)
        send({ call, error: to.finish() })
      } else send({ call, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
      return
    }
    // A failure here ends the worker, which its owner reports.
    afterwards?.()
  })
}

if (parentPort !== null) {
  const port = parentPort
  const { role, path, nativeBinding } = workerData as WorkerSettings // what openDatastore passes
  const engine = await loadSqlEngine(nativeBinding)
  if (role === 'writer') serve(port, writerHandler(engine, path))
  else serve(port, readerHandler(engine, path))
}
