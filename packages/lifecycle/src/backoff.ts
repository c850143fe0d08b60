import { systemClock, type Clock } from './clock.ts'

export interface BackoffOptions {
  /** First delay in milliseconds. */
  readonly initialMs?: number | undefined
  /** Upper bound of a delay in milliseconds. */
  readonly maxMs?: number | undefined
  readonly factor?: number | undefined
  /** Part of a delay that is random, 0 to 1: 0.2 spreads it over ±20 %. */
  readonly jitter?: number | undefined
  /** Uniform in [0, 1). */
  readonly random?: (() => number) | undefined
}

// 0.2 of jitter is enough to spread a fleet's reconnects; 30 s keeps a returned server from waiting long.
const defaults = { initialMs: 100, maxMs: 30_000, factor: 2, jitter: 0.2, random: Math.random }

/** Delay in milliseconds before try number `attempt` (0 is the first retry). */
export function backoffDelay(attempt: number, options: BackoffOptions = {}): number {
  const {
    initialMs = defaults.initialMs,
    maxMs = defaults.maxMs,
    factor = defaults.factor,
    jitter = defaults.jitter,
    random = defaults.random,
  } = options
  const base = Math.min(maxMs, initialMs * factor ** attempt)
  return base * (1 + jitter * (2 * random() - 1))
}

export interface RetryOptions extends BackoffOptions {
  readonly signal: AbortSignal
  readonly clock?: Clock | undefined
  /** Decides whether an error is worth another try; default: all are. */
  readonly isRetryable?: ((error: unknown) => boolean) | undefined
  /** Told of each failed try before the wait. */
  readonly onRetry?: ((error: unknown, attempt: number) => void) | undefined
}

/** Calls `work` until it resolves. Rethrows what is not retryable; rejects with the signal's reason on abort. */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const clock = options.clock ?? systemClock
  for (let attempt = 0; ; attempt++) {
    options.signal.throwIfAborted()
    try {
      return await work(attempt)
    } catch (error) {
      options.signal.throwIfAborted()
      if (options.isRetryable?.(error) === false) throw error
      options.onRetry?.(error, attempt)
    }
    await clock.sleep(backoffDelay(attempt, options), options.signal)
  }
}
