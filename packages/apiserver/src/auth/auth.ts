/** Who makes a request. */
export interface UserInfo {
  readonly name: string
  readonly uid?: string | undefined
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined
}

/** What an authenticator may look at. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** DER of the client certificate that the TLS layer got, not yet verified. */
  readonly clientCertificate?: Uint8Array | undefined
  readonly remoteAddress?: string | undefined
  /** Adds a note to the audit event of the request; absent when nobody keeps them. */
  readonly annotate?: ((key: string, value: string) => void) | undefined
}

/** Undefined: these credentials are not mine. Throws a StatusError `Unauthorized` when they are mine and bad. */
export interface Authenticator {
  readonly name: string
  authenticate(
    credentials: Credentials,
    signal: AbortSignal,
  ): Promise<{ readonly user: UserInfo; readonly audiences?: readonly string[] | undefined } | undefined>
}

/** What a request wants to do, as SubjectAccessReview has it. */
export interface AccessAttributes {
  readonly user: UserInfo
  /** get, list, watch, create, update, patch, delete, deletecollection, … or the lower-case HTTP method for non-resource paths. */
  readonly verb: string
  readonly isResource: boolean
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** The URL's path for non-resource requests. */
  readonly path: string
  readonly fieldSelector?: string | undefined
  readonly labelSelector?: string | undefined
}

export interface Decision {
  /** `noOpinion` from all authorizers is a denial. */
  readonly decision: 'allow' | 'deny' | 'noOpinion'
  readonly reason: string
  /** Why somebody could not be asked. Unless the request is allowed, it fails with an internal error. */
  readonly error?: string | undefined
}

export interface Authorizer {
  readonly name: string
  /** Never rejects. An abort ends the waiting for somebody else's answer. */
  authorize(attributes: AccessAttributes, signal?: AbortSignal): Decision | Promise<Decision>
}
