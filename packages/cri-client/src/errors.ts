/** The gRPC status of a failed call; `UNKNOWN` is what containerd says for most failures of its own. */
export type CriErrorCode =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED'

const brand = Symbol.for('@k3s/cri-client/CriError')

/** Every failure of a call to the runtime, and of its streams. */
export class CriError extends Error {
  override readonly name = 'CriError'
  readonly code: CriErrorCode
  /** What the runtime itself said, without our prefix; the kubelet puts it into events and statuses. */
  readonly details: string

  constructor(code: CriErrorCode, message: string, options: ErrorOptions & { readonly details?: string | undefined } = {}) {
    super(message, options)
    Object.defineProperty(this, brand, { value: true })
    this.code = code
    this.details = options.details ?? message
  }
}

/** True for a {@link CriError} of any copy of this package; with `code`, only for one of that code. */
export function isCriError(error: unknown, code?: CriErrorCode): error is CriError {
  return typeof error === 'object' && error !== null && brand in error && (code === undefined || ('code' in error && error.code === code))
}
