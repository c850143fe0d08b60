import { alreadyExists, conflict, isStatusError, notFound, StatusError, type ErrorSubject } from '@k3s/api'
import { DatastoreError, isDatastoreError, type DatastoreErrorCode } from '@k3s/datastore'
import type { Logger } from '@k3s/lifecycle'

/** Every failure becomes a meta/v1 Status here and nowhere else. */

/** What the failed operation was about. */
export interface ErrorContext extends ErrorSubject {
  /** Absent for collections. */
  readonly name?: string | undefined
  /** A watch or list started from this resourceVersion. */
  readonly requestedRevision?: number | undefined
  readonly operation?: 'watch' | 'list' | 'continue' | undefined
}

export const staleObjectMessage = 'the object has been modified; please apply your changes to the latest version and try again'

/** Text that upstream gives when a `continue` token is older than the history that is kept. */
export const staleContinueMessage =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.'

/** A revision that the datastore or the cache has not reached. The client may try again in a second. */
export function tooLargeResourceVersion(requested: number, current: number): StatusError {
  return new StatusError('Timeout', `Timeout: Too large resource version: ${requested}, current: ${current}`, {
    details: { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] },
    retryAfterSeconds: 1,
  })
}

/** A revision whose history is gone; `oldest` is the oldest that is still there. */
export function tooOldResourceVersion(requested: number, oldest: number): StatusError {
  return new StatusError('Expired', `too old resource version: ${requested} (${oldest})`)
}

/** An exact list at a revision whose history is gone. */
export function expiredList(): StatusError {
  return new StatusError('Expired', 'The resourceVersion for the provided list is too old.')
}

/** 429 or 503 answers that tell when to come again. */
export function unavailable(what: string, cause: unknown): StatusError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new StatusError('ServiceUnavailable', `${what} is unavailable: ${why}`, { cause, retryAfterSeconds: 1 })
}

/** Upstream's answer to a method that a path does not take. */
export function methodNotAllowed(): StatusError {
  return new StatusError('MethodNotAllowed', 'the server does not allow this method on the requested resource', { details: {} })
}

/** What upstream answers in plain text, not with a Status. */
export class PlainTextError extends StatusError {
  /** What goes over the wire, with its line end. */
  readonly text: string

  constructor(status: StatusError, text: string) {
    super(status.reason, status.message, { details: status.details, cause: status.cause })
    this.text = text
  }
}

/** Upstream's answer to a path below nothing that is served. */
export const pathNotServed = (): PlainTextError => new PlainTextError(pathNotFound(), '404 page not found\n')

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** A text in which no browser finds HTML. */
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>]/g, (character) => escapes[character] ?? '')

/** Upstream's answer to a request that it could not begin to answer: nobody could say whether it is allowed, or note that it came. */
export function notAnswered(uri: string, why: string): PlainTextError {
  return new PlainTextError(internalError(why), `${escapeHtml(`Internal Server Error: ${JSON.stringify(uri)}: ${why}`)}\n`)
}

/** Upstream's answer to a path that nothing serves. */
export function pathNotFound(): StatusError {
  return new StatusError('NotFound', 'the server could not find the requested resource', { details: {} })
}

/** As upstream joins messages: one by itself, several in brackets, each once. */
export function joinErrors(messages: readonly string[]): string {
  const [first = '', ...others] = new Set(messages)
  return others.length === 0 ? first : `[${[first, ...others].join(', ')}]`
}

/** A failure that is not the client's fault. */
export const internalError = (message: string, cause?: unknown): StatusError =>
  new StatusError('InternalError', `Internal error occurred: ${message}`, { cause, details: { causes: [{ message }] } })

type Mapping = (error: DatastoreError, context: ErrorContext) => StatusError

/** One line for every code of a datastore: a new code does not compile without one. */
const mappings: Readonly<Record<DatastoreErrorCode, Mapping>> = {
  KeyExists: (_error, context) => alreadyExists(context, context.name ?? ''),
  RevisionConflict: (error, context) =>
    error.current === undefined ? notFound(context, context.name ?? '') : conflict(context, context.name ?? '', staleObjectMessage),
  Compacted: (error, context) =>
    context.operation === 'continue'
      ? new StatusError('Expired', staleContinueMessage)
      : context.operation === 'list'
        ? expiredList()
        : tooOldResourceVersion(context.requestedRevision ?? 0, error.revision ?? 0),
  FutureRevision: (error, context) => tooLargeResourceVersion(context.requestedRevision ?? 0, error.revision ?? 0),
  TooLarge: (error) => new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${error.message}`, { cause: error }),
  NoSpace: (error) => unavailable('datastore', error),
  Locked: (error) => unavailable('datastore', error),
  Unavailable: (error) => unavailable('datastore', error),
  Closed: (error) => unavailable('datastore', error),
  LeaseNotFound: (error) => internalError(error.message, error),
  LeaseExists: (error) => internalError(error.message, error),
  InvalidArgument: (error) => internalError(error.message, error),
  InvalidDsn: (error) => internalError(error.message, error),
  Unauthenticated: (error) => internalError(error.message, error),
  ForeignSchema: (error) => internalError(error.message, error),
  NewerSchema: (error) => internalError(error.message, error),
  Incomplete: (error) => internalError(error.message, error),
  NotEmpty: (error) => internalError(error.message, error),
  Damaged: (error) => internalError(error.message, error),
}

/** Every code that a datastore may answer with; for tests. */
export const mappedDatastoreCodes: readonly string[] = Object.keys(mappings)

/** The StatusError that a client gets for `error`. */
export function toStatusError(error: unknown, context: ErrorContext = { resource: '' }): StatusError {
  if (isStatusError(error)) return error
  if (isDatastoreError(error)) return mappings[error.code](error, context)
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new StatusError('Timeout', 'Timeout: request did not complete within the requested timeout', { cause: error, details: {} })
  if (error instanceof DOMException && error.name === 'AbortError')
    return new StatusError('Timeout', 'Timeout: request did not complete within requested timeout - context canceled', {
      cause: error,
      details: {},
    })
  return internalError(error instanceof Error ? error.message : String(error), error)
}

/** A failure that no code expects: what upstream calls a panic. */
export function isUnforeseen(error: unknown): boolean {
  return !isStatusError(error) && !isDatastoreError(error) && !(error instanceof DOMException)
}

/** Logs what is our fault, once, with its chain of causes. Answers that are the client's fault are not logged. */
export function reportError(error: StatusError, logger: Logger, fields: Readonly<Record<string, unknown>>): void {
  if (error.reason !== 'InternalError') return
  logger.error({ ...fields, err: error.cause ?? error }, 'Request failed')
}
