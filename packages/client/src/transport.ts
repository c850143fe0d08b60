/** One request to a Kubernetes API server, in or out of process. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Absolute and already percent-encoded: `/api/v1/namespaces/default/pods/a`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[]>> | undefined
  /** An object (sent as JSON by remote transports, handed over as it is in process: the caller must not change it afterwards) or encoded bytes. */
  readonly body?: unknown
  /** Of the body; default `application/json`. */
  readonly contentType?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ApiResponse {
  /** 200, 201 or 202; every other status is thrown as a StatusError. */
  readonly status: number
  /** The decoded object; shared and deeply frozen when the transport is in-process. */
  readonly body: unknown
}

/** One event of a watch as the API server sends it; `ERROR` events are thrown as StatusErrors instead. */
export interface ApiWatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  /** Shared and deeply frozen when the transport is in-process. */
  readonly object: unknown
}

/**
 * How a client reaches an API server: over HTTPS, or in the same process without TLS or JSON. The whole request pipeline
 * (authorization, admission, audit) runs either way; who the user is belongs to the transport.
 * Failures are thrown as StatusErrors; a server that cannot be reached as one of reason `ServiceUnavailable` with the `cause` kept.
 */
export interface ApiTransport {
  request(request: ApiRequest): Promise<ApiResponse>
  /** A GET with `watch=true` in its query. Ends without error when the server ends it (its timeout) or the signal aborts. */
  watch(request: ApiRequest): AsyncIterable<ApiWatchEvent>
}
