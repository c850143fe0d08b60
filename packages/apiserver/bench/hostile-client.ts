/** Sends what it is told to and tells what came back, and is the webhook that the server asks: the thread beside the server that `hostile.ts` measures. */
import { request, type IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import type { HostileInput } from '../test/hostile-inputs.ts'
import { everyInput, hostileScenes } from './hostile-scenes.ts'

/** What to send: a place in what `everyInput` gives, or an input without a body. */
export type Shot = number | Omit<HostileInput, 'name' | 'body'>

export interface Reply {
  readonly status: number
  /** Of the Status that the answer is; empty when it is none. */
  readonly reason: string
  readonly bytes: number
}

export interface ClientData {
  readonly size: number
  readonly url: string
  readonly caBundle: string
  readonly cert: string
  readonly key: string
}

const { size, url, caBundle, cert, key } = workerData as ClientData // see hostile.ts

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer) // no encoding was set
  return Buffer.concat(chunks)
}

function send({ method, path, contentType, headers: more, body: make }: Omit<HostileInput, 'name'>): Promise<Reply> {
  const body = make?.()
  return new Promise((resolve) => {
    const headers = { ...more, ...(contentType === undefined ? {} : { 'content-type': contentType }), 'content-length': body?.length ?? 0 }
    const failed = (error: Error): void => resolve({ status: 0, reason: error.message, bytes: 0 })
    const sent = request(url, { method, path, headers, agent: false, timeout: 70_000 }, (response) => {
      bytesOf(response).then((bytes) => {
        const text = bytes.toString()
        const reason = /"kind":"Status".*?"reason":"(\w+)"/s.exec(text.slice(0, 10_000))?.[1] ?? ''
        resolve({ status: response.statusCode ?? 0, reason, bytes: text.length })
      }, failed)
    })
    sent.on('timeout', () => sent.destroy(new Error('timeout')))
    sent.on('error', failed)
    sent.end(body)
  })
}

interface Review {
  readonly apiVersion: string
  readonly kind: string
  readonly request: { readonly uid: string; readonly desiredAPIVersion?: string; readonly objects?: readonly object[] }
}

function answerOf({ apiVersion, kind, request: { uid, desiredAPIVersion, objects = [] } }: Review): object {
  const convertedObjects = objects.map((object) => ({ ...object, apiVersion: desiredAPIVersion }))
  const own = kind === 'ConversionReview' ? { result: { status: 'Success' }, convertedObjects } : { allowed: true }
  return { apiVersion, kind, response: { uid, ...own } }
}

const webhook = createServer({ cert, key }, (asked, response) => {
  void bytesOf(asked).then((bytes) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answerOf(JSON.parse(bytes.toString()) as Review))) // of the server
  })
})
webhook.listen(0, '127.0.0.1', () => {
  const { port } = webhook.address() as AddressInfo // it listens on a port
  const inputs = everyInput(size, hostileScenes(size, { url: `https://127.0.0.1:${port}/`, caBundle }))
  parentPort?.on('message', (shot: Shot) => {
    const input = typeof shot === 'number' ? inputs[shot] : shot
    if (input !== undefined) void send(input).then((reply) => parentPort?.postMessage(reply))
  })
  parentPort?.postMessage(port)
})
