import { hasReason, isStatusError } from '@k3s/api'
import { createRestTransport, loadKubeconfig } from '@k3s/client'
import type { Clock, Logger } from '@k3s/lifecycle'

/** A server that is told or asked by POST of one object, as a kubeconfig describes it. */
export interface RemoteHook extends AsyncDisposable {
  /** Posts an object, or text that is JSON already, and gives the answer. Rejects with a StatusError. */
  post(body: object | string, signal?: AbortSignal): Promise<unknown>
}

export interface RemoteHookOptions {
  readonly logger?: Logger | undefined
  /** Default 30 s, as upstream. */
  readonly timeoutMs?: number | undefined
}

const defaultTimeoutMs = 30_000

/** Reads a kubeconfig file and reaches the server of its current context when the first body is posted. Rejects when the file cannot be read or is wrong. */
export async function openRemoteHook(kubeconfig: string, options: RemoteHookOptions = {}): Promise<RemoteHook> {
  const { logger, timeoutMs = defaultTimeoutMs } = options
  const config = await loadKubeconfig(kubeconfig)
  const transport = createRestTransport({ ...config, logger, userAgent: 'k3s-apiserver', timeouts: { requestMs: timeoutMs } })
  // The kubeconfig names the whole address.
  const path = new URL(config.server).pathname === '/' ? '/' : ''
  return {
    post: async (body, signal) => {
      const sent = typeof body === 'string' ? Buffer.from(body) : body
      return (await transport.request({ method: 'POST', path, body: sent, contentType: 'application/json', signal })).body
    },
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  }
}

export interface HookRetries {
  readonly initialDelayMs: number
  /** Attempts in all; default 5. */
  readonly attempts?: number | undefined
  readonly clock: Pick<Clock, 'sleep'>
  /** 0 to 1, for delays that differ. */
  readonly random: () => number
  readonly shouldRetry: (error: unknown) => boolean
  readonly signal: AbortSignal
}

// Upstream's.
const defaultAttempts = 5
const retryFactor = 1.5
const retryJitter = 0.2

/** Tries again with upstream's delays what fails for a reason that `shouldRetry` takes for passing; rejects with the last failure. An abort ends the waiting, and that failure stands. */
export async function withRetries<T>(work: () => Promise<T>, retries: HookRetries): Promise<T> {
  const { initialDelayMs, attempts = defaultAttempts, clock, random, shouldRetry, signal } = retries
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= attempts || !shouldRetry(error) || signal.aborted) throw error
      try {
        await clock.sleep(initialDelayMs * retryFactor ** (attempt - 1) * (1 + retryJitter * random()), signal)
      } catch {
        throw error // the sleep was aborted
      }
    }
  }
}

/** Failures that upstream takes for passing when it asks for a decision. */
export function isPassing(error: unknown): boolean {
  if ((['InternalError', 'Timeout', 'TooManyRequests'] as const).some((reason) => hasReason(error, reason))) return true
  return isStatusError(error) && (error.details?.retryAfterSeconds ?? 0) > 0
}
