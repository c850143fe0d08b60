import { request as httpsRequest } from 'node:https'
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { Clock } from '@k3s/lifecycle'
import { isObject } from '../../../json.ts'

/** Reads a document over HTTPS. Rejects for every status but 200. */
export type FetchDocument = (url: string, options: { readonly ca: string | undefined; readonly signal: AbortSignal }) => Promise<unknown>

const timeoutMs = 10_000
const maxBytes = 1024 * 1024
// A token with an unknown key makes us look for new ones; so often, whoever sends such tokens.
const minRefreshMs = 10_000
const discoveryPath = '/.well-known/openid-configuration'

/** GET over HTTPS, with a limit of time and size. Redirects are not followed. */
export const fetchOverHttps: FetchDocument = (url, { ca, signal }) =>
  new Promise((resolve, reject) => {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const asked = httpsRequest(url, {
      ...(ca === undefined ? {} : { ca }),
      signal: limited,
      agent: false,
      headers: { accept: 'application/json' },
    })
    asked.once('error', reject)
    asked.once('response', (answer) => {
      const chunks: Buffer[] = []
      let size = 0
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) asked.destroy(new Error(`the document at ${url} has more than ${maxBytes} bytes`))
        else chunks.push(chunk)
      })
      answer.once('error', reject)
      answer.once('end', () => {
        if (answer.statusCode !== 200) {
          reject(new Error(`the answer from ${url} has status ${answer.statusCode}`))
          return
        }
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')))
        } catch (cause) {
          reject(new Error(`the document at ${url} is no JSON`, { cause }))
        }
      })
    })
    asked.end()
  })

export interface IssuerKeysOptions {
  readonly url: string
  readonly discoveryURL: string | undefined
  readonly ca: string | undefined
  readonly fetch: FetchDocument
  readonly clock: Pick<Clock, 'now'>
}

/** The keys of an issuer, found by its discovery document and read again when a token names one that is not known. */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions
  #known: JWTVerifyGetKey | undefined
  #refreshing: Promise<JWTVerifyGetKey> | undefined
  #lastRefresh = Number.NEGATIVE_INFINITY

  constructor(options: IssuerKeysOptions) {
    this.#options = options
  }

  /** The key for a token's header. Rejects when the issuer cannot be asked or has no such key. */
  readonly get: JWTVerifyGetKey = async (header, token) => {
    const known = this.#known ?? (await this.#refresh())
    try {
      return await known(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#options.clock.now() - this.#lastRefresh < minRefreshMs) throw error
      return await (
        await this.#refresh()
      )(header, token)
    }
  }

  /** One at a time, whoever waits for it; a failure is not repeated for every token that comes. */
  #refresh(): Promise<JWTVerifyGetKey> {
    if (this.#refreshing !== undefined) return this.#refreshing
    const now = this.#options.clock.now()
    if (this.#known === undefined && now - this.#lastRefresh < minRefreshMs / 10)
      return Promise.reject(new Error('oidc: authenticator not initialized'))
    this.#lastRefresh = now
    this.#refreshing = this.#load().finally(() => (this.#refreshing = undefined))
    return this.#refreshing
  }

  async #load(): Promise<JWTVerifyGetKey> {
    const { url, discoveryURL, ca, fetch } = this.#options
    const options = { ca, signal: new AbortController().signal }
    const document = await fetch(discoveryURL ?? url.replace(/\/$/, '') + discoveryPath, options)
    if (!isObject(document) || typeof document['jwks_uri'] !== 'string') throw new Error(`the document of issuer ${url} names no keys`)
    if (document['issuer'] !== url)
      throw new Error(`oidc: issuer did not match: expected ${JSON.stringify(url)} got ${JSON.stringify(document['issuer'])}`)
    if (!document['jwks_uri'].startsWith('https://')) throw new Error(`the keys of issuer ${url} are not served over HTTPS`)
    const keys = await fetch(document['jwks_uri'], options)
    this.#known = createLocalJWKSet(keys as JSONWebKeySet) // which checks it
    return this.#known
  }
}
