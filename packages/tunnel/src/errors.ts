export type TunnelErrorCode = 'NoSession' | 'DialFailed' | 'NotAllowed' | 'SessionClosed' | 'Protocol'

const brand = Symbol.for('@k3s/tunnel/TunnelError')

/** Every failure of a tunnel. */
export class TunnelError extends Error {
  override readonly name = 'TunnelError'
  readonly code: TunnelErrorCode

  constructor(code: TunnelErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    Object.defineProperty(this, brand, { value: true })
    this.code = code
  }
}

/** True for a {@link TunnelError} of any copy of this package. */
export function isTunnelError(error: unknown): error is TunnelError {
  return typeof error === 'object' && error !== null && brand in error
}
