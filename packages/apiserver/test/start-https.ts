import { request as httpsRequest, type RequestOptions } from 'node:https'
import { connect, type ClientHttp2Session } from 'node:http2'
import { createCa, issueCertificate, type KeyPair } from '@k3s/pki'
import { onTestFinished } from 'vitest'
import type { ApiServerOptions, Listening } from '../src/index.ts'
import { startServer, type TestServer } from './start-server.ts'

export interface HttpsServer extends TestServer {
  readonly listening: Listening
  readonly ca: KeyPair
  readonly adminCertificate: KeyPair
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: () => Record<string, unknown>
}

/** A server on a port of its own, whose CA signs its certificate and its clients'. */
export async function startHttps(options: Partial<ApiServerOptions> = {}): Promise<HttpsServer> {
  const ca = await createCa('test-ca')
  const [own, adminCertificate] = await Promise.all([
    issueCertificate(ca, { commonName: 'server', sans: ['127.0.0.1'], usages: ['server'] }),
    issueCertificate(ca, { commonName: 'admin', organizations: ['system:masters'], usages: ['client'] }),
  ])
  const started = await startServer({ clientCa: () => ca.cert, ...options })
  const listening = await started.server.listen({ port: 0, tls: own })
  return { ...started, listening, ca, adminCertificate }
}

/** One request over HTTP/1.1. */
export function ask(
  { listening, ca }: HttpsServer,
  path: string,
  options: RequestOptions & { readonly body?: string | Buffer | undefined } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(`${listening.url}${path}`, { ca: ca.cert, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('latin1')
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: () => JSON.parse(text) as Record<string, unknown>,
        })
      })
    })
    request.on('error', reject)
    request.end(options.body)
  })
}

/** An HTTP/2 session as the administrator, closed with the test. */
export function openSession({ listening, ca, adminCertificate }: HttpsServer): ClientHttp2Session {
  const session = connect(listening.url, { ca: ca.cert, ...adminCertificate })
  onTestFinished(() => session.destroy())
  return session
}

/** The lines of a streamed answer as they come. */
export async function* lines(stream: AsyncIterable<Buffer>): AsyncGenerator<Record<string, unknown>> {
  let rest = ''
  for await (const chunk of stream) {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) yield JSON.parse(part) as Record<string, unknown>
  }
}
