import type { IncomingMessage } from 'node:http'
import { StatusError, statusErrorOf } from '@k3s/api'
import type { Status } from '@k3s/api/types/meta/v1'
import type { ApiResponse, ApiWatchEvent } from '@k3s/client'
import { readAll, type Backend } from '../aggregation/backend.ts'
import type { RequestBody } from '../codec.ts'
import { deepFreeze } from '../deep-freeze.ts'
import { isObject } from '../json.ts'
import type { ConnectTarget } from '../pipeline/answer.ts'
import type { ApiCall } from '../pipeline/api-call.ts'

/** What components of this process send to an aggregated API server, and how they see its answers. */

// Lists of the largest clusters have less.
const maxBytes = 256 * 1024 * 1024
// One event of a watch: twice the size that an object may have.
const maxEventBytes = 6 * 1024 * 1024

/** Sends the call on and decodes the answer. Throws the server's Status, or ServiceUnavailable. */
export async function requestAggregated(backend: Backend, target: ConnectTarget, call: ApiCall): Promise<ApiResponse> {
  const answer = await send(backend, target, call)
  const body = await readAll(answer, maxBytes).catch((error: unknown) => Promise.reject(unreadable(error)))
  return { status: answer.statusCode ?? 0, body: deepFreeze(decode(body)) }
}

/** The events of a watch, until the server ends it or the call's signal aborts. Throws what an ERROR event says. */
export async function* watchAggregated(backend: Backend, target: ConnectTarget, call: ApiCall): AsyncGenerator<ApiWatchEvent, void, void> {
  const answer = await send(backend, target, call)
  try {
    let rest = ''
    answer.setEncoding('utf8')
    for await (const chunk of answer as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > maxEventBytes) throw new StatusError('InternalError', 'an event of the watch is too long')
      for (const line of lines) if (line !== '') yield eventOf(JSON.parse(line))
    }
  } catch (error) {
    if (!call.signal.aborted) throw error
  } finally {
    answer.destroy()
  }
}

function eventOf(event: unknown): ApiWatchEvent {
  if (!isObject(event)) throw new StatusError('InternalError', 'the watch sent something that is no event')
  if (event['type'] === 'ERROR') throw statusErrorOf(event['object'] as Status) // what ERROR events have
  return deepFreeze(event) as unknown as ApiWatchEvent // the server's own form of events
}

async function send(backend: Backend, target: ConnectTarget, call: ApiCall): Promise<IncomingMessage> {
  const body = encode(await call.readBody())
  const headers = {
    accept: 'application/json',
    'user-agent': call.userAgent,
    ...(body === undefined ? {} : { 'content-type': body.contentType }),
  }
  let answer: IncomingMessage
  try {
    answer = await backend.send(target, { method: call.method, headers, body: body?.bytes }, call.signal)
  } catch (error) {
    call.signal.throwIfAborted()
    throw unreadable(error)
  }
  if ((answer.statusCode ?? 500) < 400) return answer
  const refused = decode(await readAll(answer, maxBytes).catch(() => Buffer.alloc(0)))
  if (isObject(refused) && refused['kind'] === 'Status') throw statusErrorOf(refused)
  throw new StatusError('', typeof refused === 'string' ? refused.trim() : 'the aggregated server refused the request', {
    code: answer.statusCode ?? 500,
  })
}

function encode(body: RequestBody | undefined): { readonly bytes: Buffer; readonly contentType: string } | undefined {
  if (body === undefined) return undefined
  const { contentType } = body
  return { contentType, bytes: 'bytes' in body ? body.bytes : Buffer.from(JSON.stringify(body.object)) }
}

function decode(bytes: Buffer): unknown {
  const text = bytes.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return text // an error of a proxy in between
  }
}

const unreadable = (cause: unknown): StatusError =>
  cause instanceof StatusError
    ? cause
    : new StatusError('ServiceUnavailable', `error trying to reach service: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      })
