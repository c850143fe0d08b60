import type { RequestBody } from '../codec.ts'
import type { FlowClass } from '../flow-control/flow-control.ts'

/** One request, from the wire or from this process. */
export interface ApiCall {
  readonly method: string
  /** Percent-encoded, without query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Lower-case names. Empty in process. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The whole body; undefined when there is none. Throws RequestEntityTooLarge. May be called once. */
  readBody(): Promise<RequestBody | undefined>
  /** Aborts when the client goes away or the request takes too long. */
  readonly signal: AbortSignal
  /** Adds a Warning to the answer. */
  warn(message: string): void
  /** Adds a note to the audit event of the request; absent when nobody keeps them. */
  readonly annotate?: ((key: string, value: string) => void) | undefined
  /** Told, before the request runs or is turned away, by which flow schema and priority level. */
  readonly classified?: ((flow: FlowClass) => void) | undefined
  /** What is known of a request from the wire, for the audit log; absent in process. */
  readonly origin?: { readonly auditId: string; readonly uri: string; readonly sourceIps: readonly string[] } | undefined
  /** Product name of the client, for field managers. */
  readonly userAgent: string
}

/** One value of a header. */
export function headerOf(call: Pick<ApiCall, 'headers'>, name: string): string | undefined {
  const value = call.headers[name]
  return typeof value === 'string' ? value : value?.[0]
}
