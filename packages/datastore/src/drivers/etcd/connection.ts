import type { Clock, Logger } from '@k3s/lifecycle'
import { abortable } from '../../engine/abortable.ts'
import { DatastoreError } from '../../errors.ts'
import type { Message, MessageInput } from '../../etcd/messages.ts'
import type { MethodName, RequestOf, ResponseOf } from '../../etcd/services.ts'
import { diagnose } from './diagnose.ts'
import { Endpoint } from './endpoint.ts'
import type { EtcdStream } from './endpoint.ts'
import { readFailure } from './errors.ts'
import { equalTlsFiles, readTlsFiles } from './tls-files.ts'
import type { TlsFiles, TlsPaths } from './tls-files.ts'

/** How long a request waits for a connection before it fails: longer than an etcd that is back takes to be found. */
const connectTimeoutMs = 3000
/** How long an answer may take. etcd itself gives up after seven seconds. */
const answerTimeoutMs = 10_000
/** The same when another endpoint can be asked instead. */
const answerTimeoutOfManyMs = 3000
/** An endpoint that did not answer is asked last for this long. */
const avoidMs = 10_000
const pollMs = 20
const repeatDelayMs = 50

export interface ConnectionOptions {
  readonly endpoints: readonly string[]
  /** Absent: no TLS. */
  readonly tls: TlsPaths | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * What may be done when the answer to a request is lost:
 * - `always`: it changes nothing, or the same again changes nothing: it is sent until it is answered.
 * - `guarded`: its condition fails when it was done: it is sent again, but a refusal then says nothing.
 * - `never`: doing it twice would be wrong.
 */
export type Repeatable = 'always' | 'guarded' | 'never'

export interface CallResult<Name extends MethodName> {
  readonly answer: Message<ResponseOf<Name>>
  /** An earlier try has no answer: it may have been done as well, or instead. */
  readonly isRepeated: boolean
}

/** A stream that is the caller's to cancel. */
export interface OpenStream<Name extends MethodName> {
  readonly stream: EtcdStream<Name>
  /** Says that it went wrong: other endpoints are preferred for a while. */
  readonly avoid: () => void
  /** The version of the etcd at its other end, as `3.4.23`. */
  readonly readVersion: () => Promise<string>
}

/** A request that is under way. */
interface Pending {
  readonly repeatable: Repeatable
  readonly fail: (error: unknown) => void
}

/** The connections to one etcd, by all of its endpoints: requests go to the one that was good last, and to another when it is not. */
export class Connection implements AsyncDisposable {
  readonly #options: ConnectionOptions
  readonly #closing = new AbortController()
  readonly #pending = new Set<Pending>()
  #tls: TlsFiles | undefined
  #endpoints: readonly Endpoint[]
  #current = 0
  #connecting: Promise<Endpoint> | undefined
  #drained = (): void => {}

  private constructor(options: ConnectionOptions, tls: TlsFiles | undefined) {
    this.#options = options
    this.#tls = tls
    this.#endpoints = options.endpoints.map((address) => new Endpoint(address, tls))
  }

  /** Reads the TLS files. Connects with the first request. Throws `InvalidArgument` for files without use. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    return new Connection(options, options.tls === undefined ? undefined : await readTlsFiles(options.tls))
  }

  /** Aborts with the error that everything fails with from then on. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  get #names(): string {
    return this.#options.endpoints.join(', ')
  }

  /** Throws what etcd refuses it with, `Unavailable` when there is no answer, the signal's reason when that aborts. */
  async call<Name extends MethodName>(
    name: Name,
    request: MessageInput<RequestOf<Name>>,
    { repeatable, signal }: { readonly repeatable: Repeatable; readonly signal: AbortSignal | undefined },
  ): Promise<CallResult<Name>> {
    signal?.throwIfAborted()
    this.#checkOpen()
    const { clock } = this.#options
    const givesUpAtMs = clock.monotonic() + answerTimeoutMs
    let isRepeated = false
    for (;;) {
      let endpoint: Endpoint
      try {
        endpoint = await this.#ready(signal)
        this.#checkOpen()
      } catch (error) {
        throw isRepeated && repeatable === 'guarded' ? unanswered('the connection was lost', error) : error
      }
      const outcome = await this.#try(endpoint, name, request, repeatable, signal)
      if ('answer' in outcome) return { answer: outcome.answer, isRepeated }
      const { failure, cause } = outcome
      if (failure.type === 'refused')
        throw isRepeated && repeatable === 'guarded' ? unanswered('the connection was lost', cause) : failure.error
      this.#avoid(endpoint)
      if (failure.type === 'unanswered') {
        if (repeatable === 'never') throw unanswered(failure.reason, cause)
        isRepeated = true
      }
      if (clock.monotonic() + repeatDelayMs > givesUpAtMs)
        throw isRepeated && repeatable === 'guarded'
          ? unanswered(failure.reason, cause)
          : new DatastoreError('Unavailable', `etcd (${this.#names}) does not answer: ${failure.reason}`, { cause })
      await clock.sleep(repeatDelayMs, signal)
    }
  }

  async #try<Name extends MethodName>(
    endpoint: Endpoint,
    name: Name,
    request: MessageInput<RequestOf<Name>>,
    repeatable: Repeatable,
    signal: AbortSignal | undefined,
  ): Promise<
    { readonly answer: Message<ResponseOf<Name>> } | { readonly failure: ReturnType<typeof readFailure>; readonly cause: unknown }
  > {
    signal?.throwIfAborted()
    const timeoutMs = repeatable === 'always' && this.#endpoints.length > 1 ? answerTimeoutOfManyMs : answerTimeoutMs
    const { answer, cancel } = endpoint.call(name, request, timeoutMs)
    let stop: { readonly reason: unknown } | undefined
    const fail = (reason: unknown): void => {
      stop = { reason }
      cancel()
    }
    const pending: Pending = { repeatable, fail }
    const onAbort = (): void => fail(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#pending.add(pending)
    try {
      return { answer: await answer }
    } catch (cause) {
      if (stop !== undefined) throw stop.reason
      return { failure: readFailure(cause), cause }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#pending.delete(pending)
      if (this.#pending.size === 0) this.#drained()
    }
  }

  /** Opens a stream on an endpoint that is connected. */
  async stream<Name extends MethodName>(
    name: Name,
    { isForLog, signal }: { readonly isForLog: boolean; readonly signal: AbortSignal | undefined },
  ): Promise<OpenStream<Name>> {
    this.#checkOpen()
    const endpoint = await this.#ready(signal)
    return {
      stream: endpoint.stream(name, isForLog),
      avoid: () => this.#avoid(endpoint),
      readVersion: async () => (await endpoint.call('status', {}, answerTimeoutMs).answer).version,
    }
  }

  /** Which endpoint cannot be used, and why: to be thrown where nothing has worked yet. */
  async explain(error: unknown): Promise<DatastoreError> {
    const found = await Promise.all(this.#options.endpoints.map(async (address) => ({ address, ...(await diagnose(address, this.#tls)) })))
    const isTrust = found.some((diagnosis) => diagnosis.isTrust)
    const reasons = found.map(({ address, reason }) => `${address} ${reason}`).join('; ')
    return new DatastoreError(isTrust ? 'Unauthenticated' : 'Unavailable', `Cannot connect to etcd: ${reasons}`, {
      hint: isTrust ? 'Check the CA file, the certificate file and the key file of the datastore' : undefined,
      cause: found.find(({ cause }) => cause !== undefined)?.cause ?? error,
    })
  }

  /** Reads and requests that wait fail with `error`; writes that were sent are answered first. */
  async close(error: DatastoreError): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(error)
    for (const { repeatable, fail } of this.#pending) if (repeatable === 'always') fail(error)
    if (this.#pending.size > 0)
      await new Promise<void>((resolve) => {
        this.#drained = resolve
      })
    await this.#connecting?.catch(() => {}) // it ends with the abort
    for (const endpoint of this.#endpoints) endpoint.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(new DatastoreError('Closed', 'The datastore is closed'))
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw this.#closing.signal.reason
  }

  #avoid(endpoint: Endpoint): void {
    endpoint.avoidedUntilMs = this.#options.clock.monotonic() + avoidMs
  }

  /** The endpoint to use: a connected one, of those the one that was used last, or another when it should be avoided. */
  #pick(): Endpoint | undefined {
    const nowMs = this.#options.clock.monotonic()
    const count = this.#endpoints.length
    let avoided: Endpoint | undefined
    for (let offset = 0; offset < count; offset++) {
      const index = (this.#current + offset) % count
      const endpoint = this.#endpoints[index]
      if (endpoint?.isReady !== true) continue
      if (endpoint.avoidedUntilMs <= nowMs) {
        this.#current = index
        return endpoint
      }
      avoided ??= endpoint
    }
    return avoided
  }

  async #ready(signal: AbortSignal | undefined): Promise<Endpoint> {
    const endpoint = this.#pick()
    if (endpoint !== undefined) return endpoint
    // One loop for all that wait.
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return abortable(this.#connecting, signal)
  }

  async #connect(): Promise<Endpoint> {
    const { clock } = this.#options
    const givesUpAtMs = clock.monotonic() + connectTimeoutMs
    for (;;) {
      this.#checkOpen()
      const endpoint = this.#pick()
      if (endpoint !== undefined) return endpoint
      if (clock.monotonic() >= givesUpAtMs) break
      await clock.sleep(pollMs, this.#closing.signal)
    }
    await this.#reloadTls()
    throw new DatastoreError('Unavailable', `etcd cannot be reached: no connection to ${this.#names}`)
  }

  /** Certificates are renewed while we run: new ones are taken when the old ones do not connect any more. */
  async #reloadTls(): Promise<void> {
    if (this.#options.tls === undefined || this.#tls === undefined) return
    const tls = await readTlsFiles(this.#options.tls).catch(() => undefined) // being written, perhaps
    if (tls === undefined || equalTlsFiles(tls, this.#tls) || this.#closing.signal.aborted) return
    this.#options.logger.info({ endpoints: this.#names }, 'TLS files of the datastore have changed')
    this.#tls = tls
    for (const endpoint of this.#endpoints) endpoint.close()
    this.#endpoints = this.#options.endpoints.map((address) => new Endpoint(address, tls))
  }
}

function unanswered(reason: string, cause: unknown): DatastoreError {
  return new DatastoreError('Unavailable', `The write may have happened, etcd has not answered: ${reason}`, { cause })
}
