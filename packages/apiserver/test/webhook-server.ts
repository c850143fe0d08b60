import { createServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ValidatingWebhook } from '@k3s/api/types/admissionregistration/v1'
import type { KubernetesObject } from '@k3s/api'
import { createCa, issueCertificate } from '@k3s/pki'
import { onTestFinished } from 'vitest'

/** What the server sends to a webhook. */
export interface ReviewRequest {
  readonly uid: string
  readonly kind: object
  readonly resource: { readonly group: string; readonly version: string; readonly resource: string }
  readonly subResource?: string
  readonly name?: string
  readonly namespace?: string
  readonly operation: string
  readonly userInfo: object
  readonly object: KubernetesObject | null
  readonly oldObject: KubernetesObject | null
  readonly dryRun: boolean
  readonly options: object | null
}

export interface Call {
  readonly path: string
  readonly query: string
  readonly review: { readonly apiVersion: string; readonly request: ReviewRequest }
  readonly connection: object
}

export interface WebhookServer {
  readonly port: number
  readonly caBundle: string
  readonly calls: readonly Call[]
  /** A webhook that is reached at a path of this server. */
  webhook(name: string, path: string, more?: Partial<ValidatingWebhook>): ValidatingWebhook
}

/** What a path answers: fields of the response besides the uid; or whatever it writes by itself. */
export type Answer = (
  request: ReviewRequest,
  http: { readonly request: IncomingMessage; readonly response: ServerResponse },
) => object | undefined

/** The patch of a response. */
export const patchOf = (...operations: readonly object[]): object => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
})

/** All writes of config maps. */
export const configMapRule = { operations: ['CREATE', 'UPDATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }

/** Webhooks on a port of their own, closed with the test. A path without an answer allows everything. */
export async function startWebhooks(
  answers: Readonly<Record<string, Answer>> = {},
  { sans = ['127.0.0.1'] }: { readonly sans?: readonly string[] } = {},
): Promise<WebhookServer> {
  const ca = await createCa('webhook-ca')
  const { cert, key } = await issueCertificate(ca, { commonName: 'webhook', sans, usages: ['server'] })
  const calls: Call[] = []
  const server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const url = new URL(request.url ?? '', 'https://localhost')
      if (request.method !== 'POST') {
        response.writeHead(400).end()
        return
      }
      const review = JSON.parse(Buffer.concat(chunks).toString()) as Call['review'] // what the server sends
      calls.push({ path: url.pathname, query: url.search, review, connection: request.socket })
      const answer = answers[url.pathname] ?? (() => ({ allowed: true }))
      const fields = answer(review.request, { request, response })
      if (fields === undefined) return
      response.setHeader('content-type', 'application/json')
      const { apiVersion } = review
      response.end(JSON.stringify({ kind: 'AdmissionReview', apiVersion, response: { uid: review.request.uid, ...fields } }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // it listens on a port
  const caBundle = Buffer.from(ca.cert).toString('base64')
  return {
    port,
    caBundle,
    calls,
    webhook: (name, path, more = {}) => ({
      name: `${name}.example.com`,
      clientConfig: { url: `https://127.0.0.1:${port}${path}`, caBundle },
      rules: [configMapRule],
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      ...more,
    }),
  }
}
