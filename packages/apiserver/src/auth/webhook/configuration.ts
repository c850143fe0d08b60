import { parse } from 'yaml'
import { isStatusError } from '@k3s/api'
import { append } from '@k3s/lifecycle'
import { joinErrors } from '../../errors.ts'
import { parseDurationMs } from '../../http/request-parts.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { duplicate, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import { dns1123Subdomain } from '../../validation/names.ts'
import { Fields } from '../document-fields.ts'
import { matchConditions, type MatchConditions } from './match-conditions.ts'

/** Authorizers that need no settings. */
export const authorizerModes = ['AlwaysAllow', 'AlwaysDeny', 'Node', 'RBAC'] as const
export type AuthorizerMode = (typeof authorizerModes)[number]

/** A server that is asked by SubjectAccessReview. Durations are milliseconds. */
export interface AuthorizationWebhookConfig {
  /** By which metrics call it. */
  readonly name: string
  readonly kubeconfigFile: string
  readonly timeoutMs: number
  /** How long a yes is believed; 0: asked every time. */
  readonly authorizedTtlMs: number
  /** The same for everything that is no yes. */
  readonly unauthorizedTtlMs: number
  readonly version: 'v1' | 'v1beta1'
  /** What is taken for the answer of a server that cannot be asked. */
  readonly failurePolicy: 'NoOpinion' | 'Deny'
  /** Absent: it is asked about every request. */
  readonly conditions?: MatchConditions | undefined
}

/** Who decides, in order. */
export type ConfiguredAuthorizer = AuthorizerMode | AuthorizationWebhookConfig

const versions = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1', 'apiserver.config.k8s.io/v1alpha1']
const types = [...authorizerModes, 'Webhook']
const defaultAuthorizedTtlMs = 5 * 60_000
const defaultUnauthorizedTtlMs = 30_000
const maxTimeoutMs = 30_000

/** Reads upstream's AuthorizationConfiguration, in YAML or JSON. Throws a TypeError that names the fields that are wrong. */
export function parseAuthorizationConfiguration(text: string): readonly ConfiguredAuthorizer[] {
  const document = new Fields(parse(text), '')
  if (document.text('kind') !== 'AuthorizationConfiguration') throw new TypeError('kind: must be AuthorizationConfiguration')
  if (!versions.includes(document.text('apiVersion') ?? '')) throw new TypeError(`apiVersion: must be one of ${versions.join(', ')}`)
  document.done(['kind', 'apiVersion', 'authorizers'])
  const entries = document.list('authorizers')
  const errors: FieldError[] = []
  if (entries.length === 0) errors.push(required('authorizers', 'at least one authorization mode must be defined'))
  const seen = { types: new Set<string>(), names: new Set<string>() }
  const authorizers = entries.flatMap((entry) => authorizerOf(entry, seen, errors) ?? [])
  if (errors.length > 0) throw new TypeError(joinErrors(errors.map(({ field, message }) => `${field}: ${message}`)))
  return authorizers
}

interface Seen {
  readonly types: Set<string>
  readonly names: Set<string>
}

function authorizerOf(entry: Fields, seen: Seen, errors: FieldError[]): ConfiguredAuthorizer | undefined {
  entry.done(['type', 'name', 'webhook'])
  const type = entry.text('type') ?? ''
  const problem = typeProblem(type, entry.at('type'), seen)
  if (problem !== undefined) {
    errors.push(problem)
    return undefined
  }
  seen.types.add(type)
  const name = entry.text('name') ?? ''
  append(errors, nameProblems(name, type, { field: entry.at('name'), seen }))
  seen.names.add(name)
  const webhook = entry.member('webhook')
  const mode = authorizerModes.find((known) => known === type)
  if (mode !== undefined) {
    if (webhook !== undefined) errors.push(invalidValue(webhook.path, 'non-null', 'may only be specified when type=Webhook'))
    return mode
  }
  if (webhook === undefined) {
    errors.push(required(entry.at('webhook'), 'required when type=Webhook'))
    return undefined
  }
  return webhookOf(name, webhook, errors)
}

function typeProblem(type: string, field: string, seen: Seen): FieldError | undefined {
  if (type === '') return required(field)
  if (!types.includes(type)) return notSupported(field, type, types)
  return type !== 'Webhook' && seen.types.has(type) ? duplicate(field, type) : undefined
}

function nameProblems(name: string, type: string, { field, seen }: { readonly field: string; readonly seen: Seen }): FieldError[] {
  if (name === '') return [required(field)]
  if (seen.names.has(name)) return [duplicate(field, name)]
  const problems = dns1123Subdomain(name)
  if (problems.length > 0) return [invalidValue(field, name, `authorizer name is invalid: ${problems.join(', ')}`)]
  const expected = type.toLowerCase()
  if (type !== 'Webhook' && name !== expected)
    return [invalidValue(field, name, `expected name ${expected} for authorizer ${type} instead of ${name}`)]
  return []
}

const webhookFields = [
  'authorizedTTL',
  'cacheAuthorizedRequests',
  'unauthorizedTTL',
  'cacheUnauthorizedRequests',
  'timeout',
  'subjectAccessReviewVersion',
  'matchConditionSubjectAccessReviewVersion',
  'failurePolicy',
  'connectionInfo',
  'matchConditions',
]

function webhookOf(name: string, webhook: Fields, errors: FieldError[]): AuthorizationWebhookConfig {
  webhook.done(webhookFields)
  // As upstream: what is wrong inside is told without the word "webhook".
  const within = webhook.path.replace(/\.webhook$/, '')
  const at = (field: string): string => `${within}.${field}`
  const timeoutMs = durationOf(webhook, 'timeout')
  if (timeoutMs === 0) errors.push(required(at('timeout')))
  else if (timeoutMs > maxTimeoutMs || timeoutMs < 0)
    errors.push(invalidValue(at('timeout'), webhook.text('timeout'), 'must be > 0s and <= 30s'))
  const ttl = (field: string, whether: string, byDefault: number): number => {
    const given = durationOf(webhook, field)
    if (given < 0) errors.push(invalidValue(at(field), webhook.text(field), 'must be > 0s'))
    if (webhook.value(whether) === false) return 0
    return given === 0 ? byDefault : given
  }
  const chosen = <T extends string>(field: string, values: readonly T[], byDefault: T): T => {
    const value = webhook.text(field) ?? ''
    const found = values.find((known) => known === value)
    if (found === undefined) errors.push(value === '' ? required(at(field)) : notSupported(at(field), value, values))
    return found ?? byDefault
  }
  const conditions = webhook.list('matchConditions').map((condition) => {
    condition.done(['expression'])
    return condition.text('expression') ?? ''
  })
  const config: AuthorizationWebhookConfig = {
    name,
    kubeconfigFile: kubeconfigOf(webhook, at('connectionInfo'), errors),
    timeoutMs,
    authorizedTtlMs: ttl('authorizedTTL', 'cacheAuthorizedRequests', defaultAuthorizedTtlMs),
    unauthorizedTtlMs: ttl('unauthorizedTTL', 'cacheUnauthorizedRequests', defaultUnauthorizedTtlMs),
    version: chosen('subjectAccessReviewVersion', ['v1', 'v1beta1'], 'v1'),
    failurePolicy: chosen('failurePolicy', ['NoOpinion', 'Deny'], 'Deny'),
    conditions: conditions.length === 0 ? undefined : matchConditions(conditions, at('matchConditions'), errors),
  }
  checkConditionVersion(webhook, at('matchConditionSubjectAccessReviewVersion'), errors)
  return config
}

function checkConditionVersion(webhook: Fields, field: string, errors: FieldError[]): void {
  const version = webhook.text('matchConditionSubjectAccessReviewVersion') ?? ''
  if (version !== '' && version !== 'v1') errors.push(notSupported(field, version, ['v1']))
  if (version === '' && webhook.list('matchConditions').length > 0)
    errors.push(required(field, 'required if match conditions are specified'))
}

function kubeconfigOf(webhook: Fields, field: string, errors: FieldError[]): string {
  const info = webhook.needed('connectionInfo')
  info.done(['type', 'kubeConfigFile'])
  const type = info.text('type') ?? ''
  const file = info.text('kubeConfigFile') ?? ''
  if (type === '') errors.push(required(`${field}.type`))
  else if (type !== 'KubeConfigFile') errors.push(notSupported(`${field}.type`, type, ['KubeConfigFile']))
  else if (file === '') errors.push(required(`${field}.kubeConfigFile`))
  else if (!file.startsWith('/')) errors.push(invalidValue(`${field}.kubeConfigFile`, file, 'must be an absolute path'))
  return file
}

/** Milliseconds; 0 when it is not there. */
function durationOf(fields: Fields, name: string): number {
  const text = fields.text(name) ?? ''
  try {
    return text.startsWith('-') ? -parseDurationMs(text.slice(1)) : parseDurationMs(text)
  } catch (error) {
    if (isStatusError(error)) throw new TypeError(`${fields.at(name)}: ${JSON.stringify(text)} is no duration`, { cause: error })
    throw error
  }
}
