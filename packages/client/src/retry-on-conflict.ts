import { hasReason } from '@k3s/api'
import { backoffDelay, systemClock, type Clock } from '@k3s/lifecycle'

export interface RetryOnConflictOptions {
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
  /** How often `work` is called at most. */
  readonly attempts?: number | undefined
}

// client-go's DefaultRetry: five tries, 10 ms apart.
const defaultAttempts = 5
const delay = { initialMs: 10, factor: 1, jitter: 0.1 }

/** Calls `work`, which reads an object, changes and writes it, again while it throws Conflict; rethrows the last Conflict and all else. */
export async function retryOnConflict<T>(work: () => Promise<T>, options: RetryOnConflictOptions = {}): Promise<T> {
  const { signal, clock = systemClock, attempts = defaultAttempts } = options
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= attempts || !hasReason(error, 'Conflict')) throw error
    }
    await clock.sleep(backoffDelay(attempt, delay), signal)
  }
}
