import { systemClock, type Clock } from '@k3s/lifecycle'
import { withRetries, type RemoteHook } from '../remote-hooks/remote-hook.ts'

/** How events are sent to a server. */
export interface SendOptions {
  /** Closed with the sink. */
  readonly hook: RemoteHook
  /** Milliseconds before the first retry of a request; default ten seconds. */
  readonly initialBackoffMs?: number | undefined
  readonly clock?: Clock | undefined
  readonly random?: (() => number) | undefined
}

const defaultInitialBackoffMs = 10_000

/** Sends events in one request, and up to four times more when that fails. Rejects with the last failure; an abort ends the waiting for another try. */
export async function sendEvents(events: readonly string[], options: SendOptions, signal: AbortSignal): Promise<void> {
  const { hook, initialBackoffMs = defaultInitialBackoffMs, clock = systemClock, random = Math.random } = options
  const body = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${events.join(',')}]}`
  await withRetries(() => hook.post(body), {
    initialDelayMs: initialBackoffMs,
    clock,
    random,
    // As upstream: there is hardly a failure after which it is no use to try again.
    shouldRetry: () => true,
    signal,
  })
}
