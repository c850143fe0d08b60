import type { AuditBatches, ConfiguredAuthorizer, OidcFlags } from '@k3s/apiserver'
import { admissionPluginNames, authorizerModes, signingAlgorithms } from '@k3s/apiserver'
import { groupInfos } from '@k3s/api'
import { UsageError } from '../../errors.ts'
import { checkFeatureGates } from './feature-gates.ts'
import { ArgumentValues, wrongArgument } from './values.ts'

/** What `--kube-apiserver-arg` says: files are named and not yet read, lists that were not given are undefined. */
export interface ApiServerArgs {
  readonly audit: AuditArgs
  readonly encryptionConfigFile: string | undefined
  readonly authentication: AuthenticationArgs
  readonly authorization: AuthorizationArgs
  readonly serviceAccounts: ServiceAccountArgs
  readonly admission: AdmissionArgs
  readonly allowPrivileged: boolean
  readonly inFlight: { readonly maxReads: number; readonly maxWrites: number }
  readonly isFair: boolean
  readonly requestTimeoutMs: number
  readonly minWatchTimeoutMs: number
  readonly goawayChance: number
  readonly eventTtlSeconds: number
  readonly servesDebugPaths: boolean
  readonly isVerbose: boolean
}

export interface AuditArgs {
  readonly policyFile: string | undefined
  readonly log: {
    /** `-`: standard output. */
    readonly path: string | undefined
    readonly format: 'json' | 'legacy'
    readonly maxAgeDays: number
    readonly maxBackups: number
    readonly maxSizeMb: number
  }
  readonly webhook: {
    readonly configFile: string | undefined
    readonly mode: 'batch' | 'blocking' | 'blocking-strict'
    readonly initialBackoffMs: number
    /** Of the mode `batch`. */
    readonly batches: AuditBatches
  }
}

export interface AuthenticationArgs {
  /** Undefined: not said. */
  readonly anonymous: boolean | undefined
  readonly configFile: string | undefined
  readonly oidc: (Omit<OidcFlags, 'certificateAuthority'> & { readonly caFile: string | undefined }) | undefined
  readonly tokenFile: string | undefined
  readonly webhook: { readonly configFile: string | undefined; readonly cacheTtlMs: number; readonly version: 'v1' | 'v1beta1' }
}

/** A file that says who decides, or who decides, in order. */
export type AuthorizationArgs = { readonly configFile: string } | { readonly authorizers: readonly ConfiguredAuthorizer[] }

export interface ServiceAccountArgs {
  readonly issuers: readonly string[]
  readonly audiences: readonly string[]
  readonly signingKeyFile: string | undefined
  readonly keyFiles: readonly string[]
  /** Undefined: as long as is asked. */
  readonly maxExpirationSeconds: number | undefined
  readonly extendsExpiration: boolean
  readonly jwksUri: string | undefined
}

export interface AdmissionArgs {
  readonly enabled: readonly string[]
  readonly disabled: readonly string[]
  readonly configFile: string | undefined
  readonly tolerationSeconds: { readonly notReady: number; readonly unreachable: number }
}

// A datastore lease of less would be of no use.
const minEventTtlMs = 1000
// From this on upstream's components tell of single requests.
const verboseLevel = 4
const maxGoawayChance = 0.02
const tokenExpirationMs = { min: 3600 * 1000, max: 2 ** 32 * 1000 }

/** Reads and checks `NAME=VALUE` arguments. Throws a {@link UsageError} that names the argument. */
export function parseApiServerArgs(args: readonly string[]): ApiServerArgs {
  const values = new ArgumentValues(args)
  checkFeatureGates(values.list('feature-gates'))
  checkRuntimeConfig(values.list('runtime-config'))
  const isFair = values.boolean('enable-priority-and-fairness')
  const inFlight = { maxReads: values.count('max-requests-inflight'), maxWrites: values.count('max-mutating-requests-inflight') }
  if (isFair && inFlight.maxReads + inFlight.maxWrites === 0)
    throw wrongArgument('max-requests-inflight', '0', 'with enable-priority-and-fairness, one of the limits must be more than 0')
  return {
    audit: auditArgs(values),
    encryptionConfigFile: values.text('encryption-provider-config'),
    authentication: authenticationArgs(values),
    authorization: authorizationArgs(values),
    serviceAccounts: serviceAccountArgs(values),
    admission: admissionArgs(values),
    allowPrivileged: values.boolean('allow-privileged'),
    inFlight,
    isFair,
    requestTimeoutMs: values.duration('request-timeout', { minMs: 1 }),
    minWatchTimeoutMs: values.count('min-request-timeout', { min: 1 }) * 1000,
    goawayChance: values.fraction('goaway-chance', maxGoawayChance),
    eventTtlSeconds: Math.ceil(values.duration('event-ttl', { minMs: minEventTtlMs }) / 1000),
    servesDebugPaths: values.boolean('profiling'),
    isVerbose: values.count('v') >= verboseLevel,
  }
}

function auditArgs(values: ArgumentValues): AuditArgs {
  const mode = values.oneOf('audit-webhook-mode', ['batch', 'blocking', 'blocking-strict'])
  const isThrottled = values.boolean('audit-webhook-batch-throttle-enable')
  const perSecond = values.fraction('audit-webhook-batch-throttle-qps', 1e6)
  const burst = values.count('audit-webhook-batch-throttle-burst')
  if (mode === 'batch' && isThrottled && (perSecond === 0 || burst === 0))
    throw wrongArgument('audit-webhook-batch-throttle-qps', String(perSecond), 'rate and burst must be more than 0')
  const bufferSize = values.count('audit-webhook-batch-buffer-size', { min: 1 })
  const maxSize = values.count('audit-webhook-batch-max-size', { min: 1 })
  if (mode === 'batch' && maxSize > bufferSize)
    throw wrongArgument(
      'audit-webhook-batch-max-size',
      String(maxSize),
      `the buffer takes ${bufferSize}, see audit-webhook-batch-buffer-size`,
    )
  return {
    policyFile: values.text('audit-policy-file'),
    log: {
      path: values.text('audit-log-path'),
      format: values.oneOf('audit-log-format', ['json', 'legacy']),
      maxAgeDays: values.count('audit-log-maxage'),
      maxBackups: values.count('audit-log-maxbackup'),
      maxSizeMb: values.count('audit-log-maxsize'),
    },
    webhook: {
      configFile: values.text('audit-webhook-config-file'),
      mode,
      initialBackoffMs: values.duration('audit-webhook-initial-backoff', { minMs: 1 }),
      batches: {
        bufferSize,
        maxSize,
        maxWaitMs: values.duration('audit-webhook-batch-max-wait', { minMs: 1 }),
        throttle: isThrottled ? { perSecond, burst } : undefined,
      },
    },
  }
}

const oidcNames = [
  'oidc-issuer-url',
  'oidc-client-id',
  'oidc-username-claim',
  'oidc-username-prefix',
  'oidc-groups-claim',
  'oidc-groups-prefix',
  'oidc-ca-file',
  'oidc-required-claim',
  'oidc-signing-algs',
] as const

function authenticationArgs(values: ArgumentValues): AuthenticationArgs {
  const configFile = values.text('authentication-config')
  const other = oidcNames.find((name) => values.isGiven(name))
  if (configFile !== undefined && other !== undefined)
    throw new UsageError(`Cannot use --kube-apiserver-arg=${other} with authentication-config: the file says it all`)
  return {
    anonymous: values.isGiven('anonymous-auth') ? values.boolean('anonymous-auth') : undefined,
    configFile,
    oidc: other === undefined ? undefined : oidcArgs(values),
    tokenFile: values.text('token-auth-file'),
    webhook: {
      configFile: values.text('authentication-token-webhook-config-file'),
      cacheTtlMs: values.duration('authentication-token-webhook-cache-ttl'),
      version: values.oneOf('authentication-token-webhook-version', ['v1', 'v1beta1']),
    },
  }
}

function oidcArgs(values: ArgumentValues): AuthenticationArgs['oidc'] {
  const [issuerUrl, clientId] = [values.text('oidc-issuer-url'), values.text('oidc-client-id')]
  if (issuerUrl === undefined || clientId === undefined)
    throw new UsageError('Cannot use --kube-apiserver-arg=oidc-…: oidc-issuer-url and oidc-client-id are needed together')
  if (!URL.canParse(issuerUrl) || !issuerUrl.startsWith('https://'))
    throw wrongArgument('oidc-issuer-url', issuerUrl, 'an address that begins with https:// is needed')
  const algorithms = values.list('oidc-signing-algs')
  for (const algorithm of algorithms)
    if (!signingAlgorithms.includes(algorithm))
      throw wrongArgument('oidc-signing-algs', algorithm, `${signingAlgorithms.join(', ')} can be used`)
  return {
    issuerUrl,
    clientId,
    usernameClaim: values.text('oidc-username-claim'),
    usernamePrefix: values.text('oidc-username-prefix'),
    groupsClaim: values.text('oidc-groups-claim'),
    groupsPrefix: values.text('oidc-groups-prefix'),
    caFile: values.text('oidc-ca-file'),
    signingAlgorithms: algorithms,
    requiredClaims: Object.fromEntries(
      values.list('oidc-required-claim').map((text) => {
        const [, claim, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
        if (claim === undefined || value === undefined) throw wrongArgument('oidc-required-claim', text, 'CLAIM=VALUE is needed')
        return [claim, value]
      }),
    ),
  }
}

function serviceAccountArgs(values: ArgumentValues): ServiceAccountArgs {
  const issuers = values.list('service-account-issuer')
  for (const [index, issuer] of issuers.entries()) {
    if (issuer.includes(':') && !URL.canParse(issuer))
      throw wrongArgument('service-account-issuer', issuer, 'it has a ":" and is no address')
    if (issuers.indexOf(issuer) !== index) throw wrongArgument('service-account-issuer', issuer, 'it is there twice')
  }
  const jwksUri = values.text('service-account-jwks-uri')
  if (jwksUri !== undefined && (!URL.canParse(jwksUri) || !jwksUri.startsWith('https://')))
    throw wrongArgument('service-account-jwks-uri', jwksUri, 'an address that begins with https:// is needed')
  const name = 'service-account-max-token-expiration'
  const { min, max } = tokenExpirationMs
  const maxExpirationMs = values.duration(name) === 0 ? 0 : values.duration(name, { minMs: min, maxMs: max })
  return {
    issuers,
    audiences: values.list('api-audiences'),
    signingKeyFile: values.text('service-account-signing-key-file'),
    keyFiles: values.list('service-account-key-file'),
    maxExpirationSeconds: maxExpirationMs === 0 ? undefined : Math.floor(maxExpirationMs / 1000),
    extendsExpiration: values.boolean('service-account-extend-token-expiration'),
    jwksUri,
  }
}

function admissionArgs(values: ArgumentValues): AdmissionArgs {
  const [enabled, disabled] = [values.list('enable-admission-plugins'), values.list('disable-admission-plugins')]
  const { on, off } = admissionPluginNames
  const known = [...on, ...off]
  for (const name of enabled) {
    if (!known.includes(name))
      throw wrongArgument(
        'enable-admission-plugins',
        name,
        `there is no such plugin; besides those that are on, ${off.join(', ')} can be enabled`,
      )
    if (disabled.includes(name)) throw wrongArgument('enable-admission-plugins', name, 'it is in disable-admission-plugins as well')
  }
  for (const name of disabled)
    if (!known.includes(name))
      throw wrongArgument('disable-admission-plugins', name, `there is no such plugin; ${on.join(', ')} can be disabled`)
  return {
    enabled,
    disabled,
    configFile: values.text('admission-control-config-file'),
    tolerationSeconds: {
      notReady: values.count('default-not-ready-toleration-seconds'),
      unreachable: values.count('default-unreachable-toleration-seconds'),
    },
  }
}

const authorizationNames = [
  'authorization-mode',
  'authorization-webhook-config-file',
  'authorization-webhook-version',
  'authorization-webhook-cache-authorized-ttl',
  'authorization-webhook-cache-unauthorized-ttl',
] as const

// Upstream's, of webhooks that flags describe.
const webhookName = 'default'
const webhookTimeoutMs = 30_000

function authorizationArgs(values: ArgumentValues): AuthorizationArgs {
  const configFile = values.text('authorization-config')
  const other = authorizationNames.find((name) => values.isGiven(name))
  if (configFile !== undefined) {
    if (other === undefined) return { configFile }
    throw new UsageError(`Cannot use --kube-apiserver-arg=${other} with authorization-config: the file says it all`)
  }
  const name = 'authorization-mode'
  const modes = values.list(name)
  const kubeconfigFile = values.text('authorization-webhook-config-file')
  if (kubeconfigFile !== undefined && !modes.includes('Webhook'))
    throw wrongArgument('authorization-webhook-config-file', kubeconfigFile, 'it needs the authorization-mode Webhook')
  if (modes.length === 0) throw wrongArgument(name, '', 'at least one is needed')
  const authorizers = modes.map((mode, index): ConfiguredAuthorizer => {
    if (modes.indexOf(mode) < index) throw wrongArgument(name, mode, 'it is there twice')
    const known = authorizerModes.find((one) => one === mode)
    if (known !== undefined) return known
    if (mode !== 'Webhook') throw wrongArgument(name, mode, `${authorizerModes.join(', ')} and Webhook can be used`)
    if (kubeconfigFile === undefined) throw wrongArgument(name, mode, 'it needs authorization-webhook-config-file')
    return {
      name: webhookName,
      kubeconfigFile,
      timeoutMs: webhookTimeoutMs,
      authorizedTtlMs: values.duration('authorization-webhook-cache-authorized-ttl'),
      unauthorizedTtlMs: values.duration('authorization-webhook-cache-unauthorized-ttl'),
      version: values.oneOf('authorization-webhook-version', ['v1', 'v1beta1']),
      failurePolicy: 'NoOpinion',
    }
  })
  return { authorizers }
}

/** What is served cannot be changed, but it may be said. */
function checkRuntimeConfig(settings: readonly string[]): void {
  const served = new Set(
    groupInfos().flatMap(({ group, versions }) => versions.map((version) => (group === '' ? version : `${group}/${version}`))),
  )
  for (const setting of settings) {
    const [, name = '', value = 'true'] = /^(?:api\/)?([^=]+?)(?:=(true|false)?)?$/.exec(setting.trim()) ?? []
    const isServed = name === 'ga' || (name !== 'all' && name !== 'beta' && name !== 'alpha' && served.has(name))
    const isAmbiguous = name === 'all'
    if (name === '' || isAmbiguous || String(isServed) !== value)
      throw wrongArgument('runtime-config', setting, 'what is served cannot be changed: every stable version, and no other')
  }
}
