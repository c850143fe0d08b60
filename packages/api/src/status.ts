import type { Status, StatusCause, StatusDetails } from './generated/types/meta/v1.ts'

/** Reasons of meta/v1 Status and the HTTP code of each; follows apimachinery's `StatusReason` constants. */
const codes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
  ServerTimeout: 500,
} as const

export type StatusReason = keyof typeof codes

export interface StatusErrorOptions extends ErrorOptions {
  readonly details?: StatusDetails | undefined
  /** Overrides the reason's own HTTP code. */
  readonly code?: number | undefined
  /** Sent as Retry-After and `details.retryAfterSeconds`. */
  readonly retryAfterSeconds?: number | undefined
  /** Of an expired list: the token with which the rest can be had, inconsistent with what came before. */
  readonly continue?: string | undefined
}

const brand = Symbol.for('@k3s/api/StatusError')

/** An error that a client sees as a meta/v1 Status. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  /** Empty when a server answered with a Status that names none. */
  readonly reason: StatusReason | ''
  readonly code: number
  readonly details: StatusDetails | undefined
  readonly continue: string | undefined

  constructor(reason: StatusReason | '', message: string, options: StatusErrorOptions = {}) {
    super(message, options)
    Object.defineProperty(this, brand, { value: true })
    this.reason = reason
    this.code = options.code ?? (reason === '' ? 500 : codes[reason])
    this.continue = options.continue
    this.details =
      options.retryAfterSeconds === undefined ? options.details : { ...options.details, retryAfterSeconds: options.retryAfterSeconds }
  }

  /** The wire form. */
  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.continue === undefined ? {} : { continue: this.continue },
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    }
  }
}

/** True for a {@link StatusError} of any copy of this package. */
export function isStatusError(error: unknown): error is StatusError {
  return typeof error === 'object' && error !== null && brand in error
}

/** True when `error` is a StatusError of one of `reasons`. */
export function hasReason(error: unknown, ...reasons: readonly StatusReason[]): error is StatusError {
  return isStatusError(error) && error.reason !== '' && reasons.includes(error.reason)
}

/** Turns a received Status into an error to throw. */
export function statusErrorOf(status: Status): StatusError {
  const reason = status.reason !== undefined && Object.hasOwn(codes, status.reason) ? (status.reason as StatusReason) : ''
  return new StatusError(reason, status.message ?? '', { code: status.code, details: status.details })
}

/** What an error is about: `resource` is plural; `group` empty for core. */
export interface ErrorSubject {
  readonly group?: string | undefined
  readonly resource: string
}

const label = (subject: ErrorSubject): string => (subject.group ? `${subject.resource}.${subject.group}` : subject.resource)
const detailsOf = (subject: ErrorSubject, name: string): StatusDetails => ({
  ...(name === '' ? {} : { name }),
  ...(subject.group ? { group: subject.group } : {}),
  kind: subject.resource,
})

export function notFound(subject: ErrorSubject, name: string): StatusError {
  return new StatusError('NotFound', `${label(subject)} "${name}" not found`, { details: detailsOf(subject, name) })
}

export function alreadyExists(subject: ErrorSubject, name: string): StatusError {
  return new StatusError('AlreadyExists', `${label(subject)} "${name}" already exists`, { details: detailsOf(subject, name) })
}

export function conflict(subject: ErrorSubject, name: string, why: string): StatusError {
  return new StatusError('Conflict', `Operation cannot be fulfilled on ${label(subject)} "${name}": ${why}`, {
    details: detailsOf(subject, name),
  })
}

export function forbidden(subject: ErrorSubject, name: string, why: string): StatusError {
  const what = name === '' ? `${label(subject)} is forbidden` : `${label(subject)} "${name}" is forbidden`
  return new StatusError('Forbidden', subject.resource === '' ? `forbidden: ${why}` : `${what}: ${why}`, {
    details: detailsOf(subject, name),
  })
}

export function badRequest(message: string): StatusError {
  return new StatusError('BadRequest', message)
}

// Unlike kube-apiserver, which tells all: a body of 3 MiB may be wrong in a million places. The second is in characters.
const maxCauses = 1000
const maxCausesLength = 1024 * 1024

/** As many of the causes as an answer has place for, and how many there are besides. */
function bounded(causes: readonly StatusCause[]): readonly StatusCause[] {
  let length = 0
  let count = 0
  for (const { message = '', field = '' } of causes) {
    length += message.length + field.length
    if (count > 0 && (length > maxCausesLength || count === maxCauses)) break
    count++
  }
  if (count === causes.length) return causes
  return [...causes.slice(0, count), { reason: 'FieldValueInvalid', message: `and ${causes.length - count} more`, field: '' }]
}

/** `kind` is the object's kind, as upstream's Invalid names it: `Pod "a" is invalid: spec.containers: Required value`. */
export function invalid(
  subject: { readonly group?: string | undefined; readonly kind: string },
  name: string,
  allCauses: readonly StatusCause[],
): StatusError {
  const causes = bounded(allCauses)
  const what = subject.group ? `${subject.kind}.${subject.group}` : subject.kind
  // As upstream: what two rules say alike is said once in the message and twice in the causes.
  const list = [...new Set(causes.map((cause) => `${cause.field ?? ''}: ${cause.message ?? ''}`))]
  const text = list.length === 1 ? list[0] : `[${list.join(', ')}]`
  return new StatusError('Invalid', `${what} "${name}" is invalid${list.length === 0 ? '' : `: ${text}`}`, {
    details: {
      ...(name === '' ? {} : { name }),
      ...(subject.group ? { group: subject.group } : {}),
      ...(subject.kind === '' ? {} : { kind: subject.kind }),
      causes: [...causes],
    },
  })
}
