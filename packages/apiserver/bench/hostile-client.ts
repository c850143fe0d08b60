/** Sends what it is told to and tells what came back: the thread beside the server that `hostile.ts` measures. */
import { request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

export interface Shot {
  readonly method: string
  readonly path: string
  readonly contentType: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body: Uint8Array | undefined
}

export interface Reply {
  readonly status: number
  /** Of the Status that the answer is; empty when it is none. */
  readonly reason: string
  readonly bytes: number
}

const url = String(workerData)

function send({ method, path, contentType, headers: more, body }: Shot): Promise<Reply> {
  return new Promise((resolve) => {
    const headers = { ...more, ...(contentType === undefined ? {} : { 'content-type': contentType }), 'content-length': body?.length ?? 0 }
    const sent = request(url, { method, path, headers, agent: false, timeout: 70_000 }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const reason = /"kind":"Status".*?"reason":"(\w+)"/s.exec(text)?.[1] ?? ''
        resolve({ status: response.statusCode ?? 0, reason, bytes: text.length })
      })
    })
    sent.on('timeout', () => sent.destroy(new Error('timeout')))
    sent.on('error', (error) => resolve({ status: 0, reason: error.message, bytes: 0 }))
    sent.end(body)
  })
}

parentPort?.on('message', (shot: Shot) => void send(shot).then((reply) => parentPort?.postMessage(reply)))
