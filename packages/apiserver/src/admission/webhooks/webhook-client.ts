import { Agent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { Duplex } from 'node:stream'
import type { WebhookClientConfig } from '@k3s/api/types/admissionregistration/v1'
import type { WebhookDialer } from '../../custom-resources/conversion/webhook-converter.ts'
import { describeFailure, describeStatus } from './call-error.ts'

// A patch may be about as large as the largest request, and is written in base64.
const maxAnswerBytes = 8 * 1024 * 1024
// Connections are kept for webhooks that are called often; a configuration that nobody uses any more is forgotten after these many others.
const maxAgents = 100
const idleConnectionMs = 90_000
// Go's own bound.
const maxRedirects = 10

const redirectCodes: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

interface Endpoint {
  readonly url: URL
  readonly agent: Agent
  /** As messages have it: Services with their port. */
  readonly shownHost: string
}

/** Talks to webhooks over HTTP/1.1 with TLS. Connections are kept and used again. */
export class WebhookClient {
  readonly #dialer: WebhookDialer
  readonly #endpoints = new Map<string, Endpoint>()

  constructor(dialer: WebhookDialer) {
    this.#dialer = dialer
  }

  /**
   * POSTs a JSON text and resolves with the text of the answer. Rejects with an Error in the words of Go's client: when the webhook cannot be reached or
   * trusted, does not answer in time, answers with anything but success or with more than 8 MiB. Redirects are followed as Go's client follows them. `outer` ends the call, too.
   */
  async post(config: WebhookClientConfig, body: Buffer, { timeoutMs, outer }: PostOptions): Promise<string> {
    const timeout = AbortSignal.timeout(timeoutMs)
    const signal = outer === undefined ? timeout : AbortSignal.any([outer, timeout])
    let { url, agent, shownHost } = this.#endpointOf(config)
    let target = new URL(url)
    target.searchParams.set('timeout', `${Math.ceil(timeoutMs / 1000)}s`)
    let asked: Buffer | undefined = body
    try {
      for (let redirects = 0; ; redirects++) {
        const answer = await exchange(target, agent, asked, signal)
        if (typeof answer === 'string') return answer
        if (redirects >= maxRedirects) throw new Error(`stopped after ${maxRedirects} redirects`)
        // As Go's client: only 307 and 308 ask for the same again.
        if (!answer.repeats) asked = undefined
        target = new URL(answer.location, target)
        if (target.host !== url.host) shownHost = target.host
        if (target.protocol !== 'https:') throw new Error(`unsupported protocol scheme ${JSON.stringify(target.protocol.slice(0, -1))}`)
        if (target.host !== url.host) ({ url, agent, shownHost } = this.#endpointOf({ url: target.href, caBundle: config.caBundle }))
      }
    } catch (error) {
      if (outer?.aborted === true) throw outer.reason
      if (error instanceof AnswerError) throw error
      const why = timeout.aborted ? 'context deadline exceeded' : describeFailure(error)
      const shown = `${target.protocol}//${shownHost}${target.pathname}${target.search}`
      throw new Error(`${asked === undefined ? 'Get' : 'Post'} ${JSON.stringify(shown)}: ${why}`, { cause: error })
    }
  }

  /** Closes the connections that wait to be used again. */
  close(): void {
    for (const { agent } of this.#endpoints.values()) agent.destroy()
    this.#endpoints.clear()
  }

  #endpointOf(config: WebhookClientConfig): Endpoint {
    const key = JSON.stringify([config.url, config.service, config.caBundle])
    const known = this.#endpoints.get(key)
    if (known !== undefined) {
      // The newest stand last.
      this.#endpoints.delete(key)
      this.#endpoints.set(key, known)
      return known
    }
    const made = this.#make(config)
    this.#endpoints.set(key, made)
    const [oldest] = this.#endpoints
    if (this.#endpoints.size > maxAgents && oldest !== undefined) {
      oldest[1].agent.destroy()
      this.#endpoints.delete(oldest[0])
    }
    return made
  }

  #make({ url: text, service, caBundle }: WebhookClientConfig): Endpoint {
    const tls = caBundle === undefined || caBundle === '' ? {} : { ca: Buffer.from(caBundle, 'base64').toString('utf8') }
    if (service === undefined) {
      const url = new URL(text ?? '')
      const agent = new Agent({ keepAlive: true, timeout: idleConnectionMs, ...tls, ...serverName(url.hostname) })
      return { url, agent, shownHost: url.host }
    }
    const { name, namespace, path = '/', port = 443 } = service
    const host = `${name}.${namespace}.svc`
    const url = new URL(`https://${host}:${port}${path === '' ? '/' : path}`)
    const dial = (signal: AbortSignal): Promise<Duplex> => this.#dialer.dialService({ namespace, name, port }, signal)
    return { url, agent: dialingAgent(dial, { ...tls, servername: host }), shownHost: `${host}:${port}` }
  }
}

export interface PostOptions {
  readonly timeoutMs: number
  /** Of the request that the webhook is asked about. */
  readonly outer?: AbortSignal | undefined
}

/** An answer came, but it is no success. */
class AnswerError extends Error {
  override readonly name = 'AnswerError'
}

/** Addresses are no names. */
function serverName(hostname: string): { readonly servername?: string } {
  return isIP(hostname.replace(/^\[(.*)\]$/, '$1')) === 0 ? { servername: hostname } : {}
}

/** Speaks TLS over streams that come from elsewhere. */
function dialingAgent(dial: (signal: AbortSignal) => Promise<Duplex>, tls: { readonly ca?: string; readonly servername: string }): Agent {
  const agent = new Agent({ keepAlive: true, timeout: idleConnectionMs })
  agent.createConnection = (options, callback) => {
    // The request's own.
    const opening = dial(options.signal ?? new AbortController().signal).then((socket) => {
      const secure = tlsConnect({ socket, ALPNProtocols: ['http/1.1'], ...tls })
      // When the stream below ends without a word, so does the connection.
      socket.once('close', () => secure.destroy())
      socket.once('error', (error) => secure.destroy(error))
      return secure
    })
    opening.then(
      (secure) => callback?.(null, secure),
      // There is no stream to hand on.
      (error: unknown) => callback?.(error instanceof Error ? error : new Error(String(error)), undefined as unknown as Duplex),
    )
    return undefined
  }
  return agent
}

/** Where an answer sends us, and whether to ask the same there. */
interface Redirect {
  readonly location: string
  readonly repeats: boolean
}

/** One request: a POST, or without a body a GET. */
function exchange(url: URL, agent: Agent, body: Buffer | undefined, signal: AbortSignal): Promise<string | Redirect> {
  return new Promise((resolve, reject) => {
    const content = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
    const headers = { accept: 'application/json, */*', 'user-agent': 'kube-apiserver-admission', ...content }
    const request = httpsRequest(url, { method: body === undefined ? 'GET' : 'POST', agent, signal, headers }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxAnswerBytes) response.destroy(new AnswerError(`the answer is longer than ${maxAnswerBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const { statusCode = 0 } = response
        const { location = '' } = response.headers
        if (statusCode >= 200 && statusCode <= 206) resolve(text)
        else if (location !== '' && redirectCodes.has(statusCode)) resolve({ location, repeats: statusCode === 307 || statusCode === 308 })
        else reject(new AnswerError(describeStatus(statusCode, text)))
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}
