import { isCriError } from '@k3s/cri-client'

/** Why a container is not started: the status shows reason and message in `state.waiting`. */
export class WaitingError extends Error {
  override readonly name = 'WaitingError'
  readonly reason: string
  /** Milliseconds after which another try makes sense; `undefined`: at the pod's next regular sync. */
  readonly retryAfterMs: number | undefined

  constructor(reason: string, message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }
}

/** A failure of the runtime in upstream's words: `rpc error: code = NotFound desc = …`; others by their message. */
export function criMessage(error: unknown): string {
  if (isCriError(error)) return `rpc error: code = ${grpcName(error.code)} desc = ${error.details}`
  return error instanceof Error ? error.message : String(error)
}

/** gRPC codes as Go prints them: `NotFound` for `NOT_FOUND`. */
function grpcName(code: string): string {
  return code
    .toLowerCase()
    .split('_')
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('')
}
