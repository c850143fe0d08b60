import { parse } from 'yaml'
import { Fields } from '../../document-fields.ts'

/** One issuer of tokens and what its claims mean: an entry of upstream's AuthenticationConfiguration. */
export interface JwtAuthenticatorConfig {
  readonly issuer: {
    /** As the claim `iss` says; `https:` unless a test says otherwise. */
    readonly url: string
    /** Where the issuer's document is; default: below `url`. */
    readonly discoveryURL?: string | undefined
    /** PEM; default: the system's roots. */
    readonly certificateAuthority?: string | undefined
    /** A token must be for one of them. */
    readonly audiences: readonly string[]
  }
  readonly claimValidationRules?: readonly ClaimRule[] | undefined
  readonly claimMappings: ClaimMappings
  readonly userValidationRules?: readonly ExpressionRule[] | undefined
  /** Of signatures that are taken; default: all that only the issuer can make. */
  readonly signingAlgorithms?: readonly string[] | undefined
}

/** A condition in CEL. */
export interface ExpressionRule {
  readonly expression: string
  readonly message?: string | undefined
}

/** A claim that must have a value, or a condition over all claims. */
export type ClaimRule = { readonly claim: string; readonly requiredValue: string } | ExpressionRule

/** A claim with what is put before it, or an expression. */
export type ClaimSource = { readonly claim: string; readonly prefix?: string | undefined } | { readonly expression: string }

export interface ClaimMappings {
  readonly username: ClaimSource
  readonly groups?: ClaimSource | undefined
  readonly uid?: ClaimSource | undefined
  readonly extra?: readonly { readonly key: string; readonly valueExpression: string }[] | undefined
}

/** Upstream's AuthenticationConfiguration. */
export interface AuthenticationConfiguration {
  readonly jwt: readonly JwtAuthenticatorConfig[]
  /** Absent: as the flags say. Without conditions anonymous requests may go anywhere, with some to those paths only. */
  readonly anonymous?: { readonly enabled: boolean; readonly paths: readonly string[] } | undefined
}

/** Upstream's `--oidc-*` flags. */
export interface OidcFlags {
  readonly issuerUrl: string
  readonly clientId: string
  /** Default `sub`. */
  readonly usernameClaim?: string | undefined
  /** Default: `ISSUER#`, but none for `email`; `-` is none. */
  readonly usernamePrefix?: string | undefined
  readonly groupsClaim?: string | undefined
  readonly groupsPrefix?: string | undefined
  /** Default RS256 alone. */
  readonly signingAlgorithms?: readonly string[] | undefined
  readonly requiredClaims?: Readonly<Record<string, string>> | undefined
  /** PEM. */
  readonly certificateAuthority?: string | undefined
}

/** What the flags say, as a configuration. */
export function configurationOfFlags(flags: OidcFlags): JwtAuthenticatorConfig {
  const { issuerUrl, usernameClaim = 'sub', usernamePrefix = '', groupsClaim, groupsPrefix } = flags
  const automatic = usernameClaim === 'email' ? '' : `${issuerUrl}#`
  const prefix = usernamePrefix === '-' ? '' : usernamePrefix === '' ? automatic : usernamePrefix
  return {
    issuer: { url: issuerUrl, audiences: [flags.clientId], certificateAuthority: flags.certificateAuthority },
    claimValidationRules: Object.entries(flags.requiredClaims ?? {}).map(([claim, requiredValue]) => ({ claim, requiredValue })),
    claimMappings: {
      username: { claim: usernameClaim, prefix },
      ...(groupsClaim === undefined ? {} : { groups: { claim: groupsClaim, prefix: groupsPrefix } }),
    },
    signingAlgorithms: flags.signingAlgorithms ?? ['RS256'],
  }
}

// Upstream's bound.
const maxIssuers = 64

const versions = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1', 'apiserver.config.k8s.io/v1alpha1']

/** Reads an AuthenticationConfiguration, in YAML or JSON. Throws a TypeError that names the field that is wrong. */
export function parseAuthenticationConfiguration(text: string): AuthenticationConfiguration {
  const document = new Fields(parse(text), '')
  if (document.text('kind') !== 'AuthenticationConfiguration') throw new TypeError('kind: must be AuthenticationConfiguration')
  if (!versions.includes(document.text('apiVersion') ?? '')) throw new TypeError(`apiVersion: must be one of ${versions.join(', ')}`)
  const entries = document.list('jwt')
  if (entries.length > maxIssuers) throw new TypeError(`jwt: must have at most ${maxIssuers} items`)
  const jwt = entries.map(jwtOf)
  const urls = jwt.map(({ issuer }) => issuer.url)
  if (new Set(urls).size < urls.length) throw new TypeError('jwt: each issuer may be there once')
  const anonymous = document.member('anonymous')
  document.done(['kind', 'apiVersion', 'jwt', 'anonymous'])
  if (anonymous === undefined) return { jwt }
  anonymous.done(['enabled', 'conditions'])
  const paths = anonymous.list('conditions').map((condition) => condition.required('path'))
  const enabled = anonymous.value('enabled') === true
  if (!enabled && paths.length > 0) throw new TypeError('anonymous.conditions: enabled should be set to true when conditions are defined')
  return { jwt, anonymous: { enabled, paths } }
}

function jwtOf(entry: Fields): JwtAuthenticatorConfig {
  entry.done(['issuer', 'claimValidationRules', 'claimMappings', 'userValidationRules'])
  const issuer = entry.needed('issuer')
  issuer.done(['url', 'discoveryURL', 'certificateAuthority', 'audiences', 'audienceMatchPolicy', 'egressSelectorType'])
  const url = issuer.required('url')
  checkUrl(url, `${issuer.path}.url`)
  const discoveryURL = issuer.text('discoveryURL') || undefined
  if (discoveryURL !== undefined) {
    checkUrl(discoveryURL, `${issuer.path}.discoveryURL`)
    if (discoveryURL.replace(/\/+$/, '') === url.replace(/\/+$/, ''))
      throw new TypeError(`${issuer.path}.discoveryURL: discoveryURL must be different from URL`)
  }
  const audiences = issuer.texts('audiences')
  if (audiences.length === 0) throw new TypeError(`${issuer.path}.audiences: at least one is required`)
  const policy = issuer.text('audienceMatchPolicy') ?? ''
  if (policy !== 'MatchAny' && (policy !== '' || audiences.length > 1))
    throw new TypeError(`${issuer.path}.audienceMatchPolicy: must be MatchAny for multiple audiences, and nothing else`)
  const mappings = entry.needed('claimMappings')
  mappings.done(['username', 'groups', 'uid', 'extra'])
  const groups = mappings.member('groups')
  const uid = mappings.member('uid')
  return {
    issuer: { url, audiences, discoveryURL, certificateAuthority: issuer.text('certificateAuthority') },
    claimValidationRules: entry.list('claimValidationRules').map((rule) => {
      rule.done(['claim', 'requiredValue', 'expression', 'message'])
      const claim = rule.text('claim')
      if (claim !== undefined && claim !== '') return { claim, requiredValue: rule.text('requiredValue') ?? '' }
      return { expression: rule.required('expression'), message: rule.text('message') }
    }),
    claimMappings: {
      username: prefixedSourceOf(mappings.needed('username')),
      ...(groups === undefined ? {} : { groups: prefixedSourceOf(groups) }),
      ...(uid === undefined ? {} : { uid: sourceOf(uid) }),
      extra: mappings.list('extra').map((one) => ({ key: one.required('key'), valueExpression: one.required('valueExpression') })),
    },
    userValidationRules: entry
      .list('userValidationRules')
      .map((rule) => ({ expression: rule.required('expression'), message: rule.text('message') })),
  }
}

function checkUrl(text: string, field: string): void {
  if (!URL.canParse(text)) throw new TypeError(`${field}: must be a URL`)
  const { protocol, username, password, search, hash } = new URL(text)
  if (protocol !== 'https:') throw new TypeError(`${field}: URL scheme must be https`)
  if (username !== '' || password !== '') throw new TypeError(`${field}: URL must not contain a username or password`)
  if (search !== '') throw new TypeError(`${field}: URL must not contain a query`)
  if (hash !== '') throw new TypeError(`${field}: URL must not contain a fragment`)
}

/** Names that others give are told from the cluster's own by a prefix, unless that is said to be none. */
function prefixedSourceOf(source: Fields): ClaimSource {
  const found = sourceOf(source)
  if ('claim' in found && found.prefix === undefined)
    throw new TypeError(`${source.path}.prefix: required when claim is set; it can be set to an empty string to disable prefixing`)
  return found
}

function sourceOf(source: Fields): ClaimSource {
  source.done(['claim', 'prefix', 'expression'])
  const [claim, expression] = [source.text('claim') ?? '', source.text('expression') ?? '']
  if ((claim === '') === (expression === '')) throw new TypeError(`${source.path}: exactly one of claim and expression is required`)
  return claim === '' ? { expression } : { claim, prefix: source.text('prefix') }
}
