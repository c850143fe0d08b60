import { randomUUID, timingSafeEqual } from 'node:crypto'
import { StatusError } from '@k3s/api'
import { type Node, nodes, type Pod, pods, type Secret, secrets, type ServiceAccount, serviceaccounts } from '@k3s/api/types/core/v1'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import type { Clock } from '@k3s/lifecycle'
import type { ObjectReader, ResourceOperations } from '../../registry/strategy.ts'
import type { UserInfo } from '../auth.ts'
import type { SigningKeys, TokenKey } from './signing-keys.ts'
import type { TokenAuthenticator, TokenIdentity } from './token-authenticator.ts'

/** Issuer of the tokens in Secrets, which never expire. */
const legacyIssuer = 'kubernetes/serviceaccount'
/** Upstream's grace for clocks that differ and objects that are going, seconds. */
const leewaySeconds = 60

interface Reference {
  readonly name: string
  readonly uid: string
}

/** What a bound token says of its owner, in the claim `kubernetes.io`. */
interface BoundClaims {
  readonly namespace: string
  readonly serviceaccount: Reference
  readonly pod?: Reference | undefined
  readonly node?: Reference | undefined
  readonly secret?: Reference | undefined
  readonly warnafter?: number | undefined
}

export interface IssueRequest {
  readonly account: ServiceAccount
  readonly audiences: readonly string[]
  readonly expirationSeconds: number
  /** After this many seconds the token is stale, though still valid. */
  readonly warnAfterSeconds?: number | undefined
  /** The token dies with the object it is bound to: one of pod (with its node), node, secret. */
  readonly pod?: Pod | undefined
  readonly node?: Pick<Node, 'metadata'> | undefined
  readonly secret?: Secret | undefined
}

export interface ServiceAccountTokenOptions {
  readonly keys: SigningKeys
  /** The first signs; tokens of all are accepted. */
  readonly issuers: readonly string[]
  /** Audiences of the API server; the first issuer when absent. */
  readonly audiences?: readonly string[] | undefined
  /** Tokens that are asked for longer live this long; default: as long as is asked. */
  readonly maxExpirationSeconds?: number | undefined
  /** Whether tokens of kubelets' pods live a year, though stale after an hour; default true. */
  readonly extendsExpiration?: boolean | undefined
  readonly objects: ObjectReader
  readonly clock: Pick<Clock, 'now'>
  /** Present: Secrets tell the day on which their token was last used. */
  readonly operations?: Pick<ResourceOperations, 'guaranteedUpdate'> | undefined
}

const unauthorized = (why: string): StatusError => new StatusError('Unauthorized', why)
const invalidated = (): StatusError => unauthorized('service account token has been invalidated')
const referenceOf = ({ metadata }: { readonly metadata: { readonly name: string; readonly uid?: string | undefined } }): Reference => ({
  name: metadata.name,
  uid: metadata.uid ?? '',
})

// Of the annotations in audit events.
const notePrefix = 'authentication.k8s.io'
type Annotate = (key: string, value: string) => void

// Of the size of tokens: a few megabytes at most.
const maxRemembered = 2048
const lastUsedLabel = 'kubernetes.io/legacy-token-last-used'
const invalidSinceLabel = 'kubernetes.io/legacy-token-invalid-since'

/** Issues and verifies tokens of service accounts. */
export class ServiceAccountTokens implements TokenAuthenticator {
  readonly name = 'ServiceAccount'
  readonly #options: ServiceAccountTokenOptions
  /** Tokens whose signature was found good: verifying one takes longer than a small request. What they are bound to is looked at every time. */
  readonly #verified = new Map<string, JWTPayload>()
  #verifiedBy: readonly TokenKey[] = []

  constructor(options: ServiceAccountTokenOptions) {
    this.#options = options
  }

  /** Audiences of the API server itself. */
  get audiences(): readonly string[] {
    return this.#options.audiences ?? this.#options.issuers.slice(0, 1)
  }

  /** Infinity: no bound. */
  get maxExpirationSeconds(): number {
    return this.#options.maxExpirationSeconds ?? Infinity
  }

  get extendsExpiration(): boolean {
    return this.#options.extendsExpiration ?? true
  }

  get issuer(): string {
    return this.#options.issuers[0] ?? ''
  }

  get keys(): readonly TokenKey[] {
    return this.#options.keys.verifying
  }

  /** A new token. Its `exp` is `expirationSeconds` from now. */
  async issue(request: IssueRequest): Promise<string> {
    const { account, pod, node, secret } = request
    const now = Math.floor(this.#options.clock.now() / 1000)
    const claims: BoundClaims = {
      namespace: account.metadata.namespace ?? '',
      ...(node === undefined ? {} : { node: referenceOf(node) }),
      ...(pod === undefined ? {} : { pod: referenceOf(pod) }),
      ...(secret === undefined ? {} : { secret: referenceOf(secret) }),
      serviceaccount: referenceOf(account),
      ...(request.warnAfterSeconds === undefined ? {} : { warnafter: now + request.warnAfterSeconds }),
    }
    return this.#sign({
      iss: this.issuer,
      sub: subjectOf(account),
      aud: [...request.audiences],
      exp: now + request.expirationSeconds,
      iat: now,
      nbf: now,
      jti: randomUUID(),
      'kubernetes.io': claims,
    })
  }

  /** The token of a Secret of type `kubernetes.io/service-account-token`: it dies with the Secret. */
  async issueForSecret(account: ServiceAccount, secret: Secret): Promise<string> {
    const prefix = 'kubernetes.io/serviceaccount'
    return this.#sign({
      iss: legacyIssuer,
      sub: subjectOf(account),
      [`${prefix}/namespace`]: account.metadata.namespace,
      [`${prefix}/secret.name`]: secret.metadata.name,
      [`${prefix}/service-account.name`]: account.metadata.name,
      [`${prefix}/service-account.uid`]: account.metadata.uid,
    })
  }

  async authenticateToken(
    token: string,
    audiences: readonly string[] | undefined,
    _signal?: AbortSignal,
    annotate: Annotate = () => {},
  ): Promise<TokenIdentity | undefined> {
    const issuer = issuerOf(token)
    if (issuer === undefined || (issuer !== legacyIssuer && !this.#options.issuers.includes(issuer))) return undefined
    const payload = await this.#verify(token)
    const wanted = audiences ?? this.audiences
    const named = typeof payload.aud === 'string' ? [payload.aud] : (payload.aud ?? [])
    if (named.length === 0) annotate(`${notePrefix}/legacy-token`, payload.sub ?? '')
    const own = named.length === 0 ? this.audiences : named
    const shared = own.filter((audience) => wanted.includes(audience))
    if (shared.length === 0) {
      throw unauthorized(`token audiences ${JSON.stringify(own)} is invalid for the target audiences ${JSON.stringify(wanted)}`)
    }
    const user = issuer === legacyIssuer ? await this.#legacyUser(payload, token, annotate) : this.#boundUser(payload, annotate)
    return { user, audiences: shared }
  }

  #sign(payload: JWTPayload): Promise<string> {
    const { id, algorithm, privateKey } = this.#options.keys.signing
    return new SignJWT(payload).setProtectedHeader({ alg: algorithm, kid: id }).sign(privateKey)
  }

  async #verify(token: string): Promise<JWTPayload> {
    const keys = this.#options.keys.verifying
    if (keys !== this.#verifiedBy) {
      this.#verifiedBy = keys
      this.#verified.clear()
    }
    const known = this.#verified.get(token)
    if (known !== undefined && this.#isTimely(known)) return known
    const payload = await this.#verifySignature(token, keys)
    if (this.#verified.size >= maxRemembered) this.#verified.clear()
    // Keys that were replaced meanwhile vouch for nothing.
    if (keys === this.#verifiedBy) this.#verified.set(token, payload)
    return payload
  }

  #isTimely({ exp, nbf }: JWTPayload): boolean {
    const now = this.#options.clock.now() / 1000
    return (exp === undefined || exp > now - leewaySeconds) && (nbf === undefined || nbf <= now + leewaySeconds)
  }

  async #verifySignature(token: string, keys: readonly TokenKey[]): Promise<JWTPayload> {
    const { kid } = decodeProtectedHeader(token)
    const named = keys.filter(({ id }) => id === kid)
    const currentDate = new Date(this.#options.clock.now())
    for (const key of named.length > 0 ? named : keys) {
      try {
        const { payload } = await jwtVerify(token, key.publicKey, {
          algorithms: [key.algorithm],
          clockTolerance: leewaySeconds,
          currentDate,
        })
        return payload
      } catch (error) {
        if (error instanceof errors.JWTExpired) throw unauthorized('service account token has expired')
        if (error instanceof errors.JWTClaimValidationFailed) throw unauthorized('service account token is not valid yet')
        // Another key may have signed it.
        if (!(error instanceof errors.JOSEError || error instanceof TypeError)) throw error
      }
    }
    throw unauthorized('invalid signature, no keys found')
  }

  #account(namespace: string, name: string, uid: string): ServiceAccount {
    const account = this.#options.objects.get(serviceaccounts, namespace, name)
    if (account === undefined) throw unauthorized(`serviceaccounts "${name}" not found`)
    if (account.metadata.uid !== uid) throw unauthorized(`service account UID (${account.metadata.uid}) does not match claim (${uid})`)
    if (this.#isGone(account)) throw unauthorized(`service account ${namespace}/${name} has been deleted`)
    return account
  }

  /** Deleted, and longer ago than clocks differ. */
  #isGone({ metadata }: { readonly metadata: { readonly deletionTimestamp?: string | undefined } }): boolean {
    return (
      metadata.deletionTimestamp !== undefined && Date.parse(metadata.deletionTimestamp) < this.#options.clock.now() - leewaySeconds * 1000
    )
  }

  #check(object: Pod | Secret | Node | undefined, claim: Reference, what: string): void {
    if (object === undefined || this.#isGone(object)) throw invalidated()
    if (object.metadata.uid !== claim.uid) {
      throw unauthorized(
        `${what} UID (${object.metadata.uid}) does not match service account ${what.toLowerCase()} ref claim (${claim.uid})`,
      )
    }
  }

  #boundUser(payload: JWTPayload, annotate: Annotate): UserInfo {
    // Signed by us: the claim has the shape that `issue` gave it.
    const claims = payload['kubernetes.io'] as BoundClaims | undefined
    if (claims?.serviceaccount === undefined) throw unauthorized('service account token claims could not be validated')
    const { namespace, serviceaccount, pod, node, secret, warnafter = 0 } = claims
    const { objects } = this.#options
    this.#account(namespace, serviceaccount.name, serviceaccount.uid)
    if (secret !== undefined) this.#check(objects.get(secrets, namespace, secret.name), secret, 'secret')
    if (pod !== undefined) this.#check(objects.get(pods, namespace, pod.name), pod, 'pod')
    else if (node !== undefined) this.#check(objects.get(nodes, '', node.name), node, 'node')
    const now = Math.floor(this.#options.clock.now() / 1000)
    if (warnafter !== 0 && now > warnafter)
      annotate(`${notePrefix}/stale-token`, `subject: ${payload.sub}, seconds after warning threshold: ${now - warnafter}`)
    const prefix = 'authentication.kubernetes.io'
    return {
      ...userOf(namespace, serviceaccount),
      extra: {
        ...(payload.jti === undefined ? {} : { [`${prefix}/credential-id`]: [`JTI=${payload.jti}`] }),
        ...(node === undefined
          ? {}
          : { [`${prefix}/node-name`]: [node.name], ...(node.uid === '' ? {} : { [`${prefix}/node-uid`]: [node.uid] }) }),
        ...(pod === undefined ? {} : { [`${prefix}/pod-name`]: [pod.name], [`${prefix}/pod-uid`]: [pod.uid] }),
      },
    }
  }

  /** Labels the Secret with the day, once a day. That it cannot be written is no reason to refuse the token. */
  async #noteUse({ metadata }: Secret): Promise<void> {
    const { operations, clock } = this.#options
    const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
    const today = dayOf(clock.now())
    const noted = metadata.labels?.[lastUsedLabel]
    // Another server's clock may be ahead.
    if (operations === undefined || noted === today || noted === dayOf(clock.now() + 24 * 3_600_000)) return
    const at = { namespace: metadata.namespace ?? '', name: metadata.name }
    await operations
      .guaranteedUpdate(secrets, at, (secret) => {
        if (secret.metadata.uid === metadata.uid) secret.metadata.labels = { ...secret.metadata.labels, [lastUsedLabel]: today }
      })
      .catch(() => {})
  }

  async #legacyUser(payload: JWTPayload, token: string, annotate: Annotate): Promise<UserInfo> {
    const claim = (name: string): string => String(payload[`kubernetes.io/serviceaccount/${name}`] ?? '')
    const namespace = claim('namespace')
    const secret = this.#options.objects.get(secrets, namespace, claim('secret.name'))
    if (secret === undefined || this.#isGone(secret)) throw unauthorized('Token has been invalidated')
    if (!isSame(Buffer.from(secret.data?.['token'] ?? '', 'base64'), Buffer.from(token)))
      throw unauthorized("Token does not match server's copy")
    const reference = { name: claim('service-account.name'), uid: claim('service-account.uid') }
    if (payload.sub !== `system:serviceaccount:${namespace}:${reference.name}`) throw unauthorized('sub claim is invalid')
    const account = this.#account(namespace, reference.name, reference.uid)
    await this.#noteUse(secret)
    if (secret.metadata.labels?.[invalidSinceLabel]) {
      annotate(`${notePrefix}/legacy-token-invalidated`, `${secret.metadata.name}/${namespace}`)
      throw unauthorized(
        `the token in secret ${namespace}/${secret.metadata.name} for service account ${namespace}/${reference.name} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '${invalidSinceLabel}' label from the secret to temporarily allow use of this token`,
      )
    }
    const isAutomatic = account.secrets?.some(({ name }) => name === secret.metadata.name) === true
    annotate(`${notePrefix}/legacy-token-${isAutomatic ? 'autogenerated' : 'manual'}-secret`, secret.metadata.name)
    return userOf(namespace, reference)
  }
}

const isSame = (left: Buffer, right: Buffer): boolean => left.length === right.length && timingSafeEqual(left, right)

const subjectOf = ({ metadata }: ServiceAccount): string => `system:serviceaccount:${metadata.namespace}:${metadata.name}`

function userOf(namespace: string, { name, uid }: Reference): UserInfo {
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
  }
}

/** What the token says of its issuer, unverified; undefined when it is no JWT. */
function issuerOf(token: string): string | undefined {
  if (token.split('.').length !== 3) return undefined
  try {
    return decodeJwt(token).iss
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined
    throw error
  }
}
