import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Container, HTTPGetAction } from '@k3s/api/types/core/v1'
import type { IntOrString } from '@k3s/api'

/** A port by number or by its name in the container. Throws upstream's message for a name that no port has. */
export function resolvePort(port: IntOrString, container: Container): number {
  if (typeof port === 'number') return checkPort(port)
  const named = container.ports?.find(({ name }) => name === port)
  if (named !== undefined) return checkPort(named.containerPort)
  const number = Number(port)
  if (!Number.isInteger(number)) throw new Error(`couldn't find port: "${port}" in container`)
  return checkPort(number)
}

function checkPort(port: number): number {
  if (port <= 0 || port > 65_535) throw new Error(`invalid port number: ${port}`)
  return port
}

export const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** Address of an httpGet action; `defaultHost` is the pod's. */
export function actionUrl(action: HTTPGetAction, container: Container, defaultHost: string): URL {
  const host = action.host === undefined || action.host === '' ? defaultHost : action.host
  const scheme = (action.scheme ?? 'HTTP').toLowerCase()
  const path = action.path === undefined || action.path === '' ? '/' : action.path.replace(/^(?!\/)/, '/')
  return new URL(`${scheme}://${bracketed(host)}:${resolvePort(action.port, container)}${path}`)
}

export interface HttpAnswer {
  readonly status: number
  /** The first 10 KiB. */
  readonly body: string
  /** Set when the server sends elsewhere. */
  readonly location: string | undefined
}

const maxBodyBytes = 10 * 1024

/** One GET without following redirects or checking certificates: what a probe or hook needs. Rejects on abort and on time-out. */
export async function httpGet(url: URL, action: HTTPGetAction, timeoutMs: number, signal: AbortSignal): Promise<HttpAnswer> {
  const headers: Record<string, string[]> = {}
  for (const { name, value } of action.httpHeaders ?? []) (headers[name.toLowerCase()] ??= []).push(value)
  headers['user-agent'] ??= ['kube-probe/1.36']
  headers['accept'] ??= ['*/*']
  const { host, ...others } = headers
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  return await new Promise<HttpAnswer>((resolve, reject) => {
    const options = {
      method: 'GET',
      signal: limit,
      // One connection a probe, as upstream: a kept one would not notice a server that no longer accepts.
      agent: false as const,
      headers: { ...others, ...(host === undefined ? {} : { host: host[0] ?? '' }), connection: 'close' },
      rejectUnauthorized: false,
    }
    const onAnswer = (answer: IncomingMessage): void => {
      const chunks: Buffer[] = []
      let size = 0
      const finish = (): void =>
        resolve({
          status: answer.statusCode ?? 0,
          body: Buffer.concat(chunks).subarray(0, maxBodyBytes).toString('utf8'),
          location: answer.headers.location,
        })
      answer.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size >= maxBodyBytes) {
          finish()
          answer.destroy()
        }
      })
      answer.on('end', finish)
      answer.on('error', reject)
    }
    const sent = url.protocol === 'https:' ? httpsRequest(url, options, onAnswer) : httpRequest(url, options, onAnswer)
    sent.on('error', (error) =>
      reject(
        signal.aborted
          ? (signal.reason as Error) // whatever the owner aborted with
          : new Error(
              limit.aborted
                ? `Get "${url.href}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
                : `Get "${url.href}": ${dialMessage(error, url.hostname, Number(url.port))}`,
              { cause: error },
            ),
      ),
    )
    sent.end()
  })
}

/** Go's words for a failed connection. */
export function dialMessage(error: unknown, host: string, port: number): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const address = `dial tcp ${bracketed(host.replaceAll(/[[\]]/g, ''))}:${port}: connect`
  if (code === 'ECONNREFUSED') return `${address}: connection refused`
  if (code === 'EHOSTUNREACH') return `${address}: no route to host`
  return error instanceof Error ? error.message : String(error)
}
