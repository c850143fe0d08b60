import {
  type MutatingWebhook,
  type MutatingWebhookConfiguration,
  mutatingwebhookconfigurations,
  type ServiceReference,
  type ValidatingWebhook,
  type ValidatingWebhookConfiguration,
  validatingwebhookconfigurations,
  type WebhookClientConfig,
} from '@k3s/api/types/admissionregistration/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, optionalOneOf, requiredString } from '../../validation/fields.ts'
import { validateLabelSelector } from '../shared/label-selector.ts'
import { dns1035Label, dns1123Subdomain, portNumber } from '../../validation/names.ts'
import { defaultRules, failurePolicies, matchPolicies, reinvocationPolicies, validateConditions, validateRule } from './rules.ts'

const reviewVersions = ['v1', 'v1beta1']
const sideEffectClasses = ['None', 'NoneOnDryRun']
const maxTimeoutSeconds = 30
const minSegments = 3

type Webhook = ValidatingWebhook & Pick<MutatingWebhook, 'reinvocationPolicy'>
type Configuration = ValidatingWebhookConfiguration | MutatingWebhookConfiguration

function defaultWebhook(webhook: ValidatingWebhook): void {
  webhook.failurePolicy ??= 'Fail'
  webhook.matchPolicy ??= 'Equivalent'
  webhook.namespaceSelector ??= {}
  webhook.objectSelector ??= {}
  webhook.timeoutSeconds ??= 10
  defaultRules(webhook.rules)
  if (webhook.clientConfig.service !== undefined) webhook.clientConfig.service.port ??= 443
}

function validateHookName(name: string, field: string): FieldError[] {
  if (!name) return [required(field)]
  const messages = dns1123Subdomain(name)
  if (messages.length > 0) return [invalidValue(field, name, messages.join(','))]
  return name.split('.').length < minSegments
    ? [invalidValue(field, name, 'should be a domain with at least three segments separated by dots')]
    : []
}

function validatePath(path: string, field: string): FieldError[] {
  if (path === '' || path === '/') return []
  if (path === '//') return [invalidValue(field, path, 'segment[0] may not be empty')]
  const errors: FieldError[] = path.startsWith('/') ? [] : [invalidValue(field, path, "must start with a '/'")]
  for (const [index, step] of path.slice(1).replace(/\/$/, '').split('/').entries()) {
    const messages = step === '' ? ['may not be empty'] : dns1123Subdomain(step)
    append(
      errors,
      messages.map((message) => invalidValue(field, path, `segment[${index}]${step === '' ? ' ' : ': '}${message}`)),
    )
  }
  return errors
}

/** Problems of the Service that a webhook is reached by. */
export function validateService({ name, namespace, path = '', port = 443 }: ServiceReference, field: string): FieldError[] {
  const portErrors = portNumber(port)
  return [
    ...requiredString(`${field}.name`, name),
    ...requiredString(`${field}.namespace`, namespace),
    ...(portErrors.length > 0 ? [invalidValue(`${field}.port`, port, `port is not valid: ${portErrors.join(', ')}`)] : []),
    ...validatePath(path, `${field}.path`),
  ]
}

/** Problems of the address of a webhook. */
export function validateUrl(text: string, field: string): FieldError[] {
  const form = '; desired format: https://host[/path]'
  // As Go reads it, text without a scheme is a path.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:/i.test(text) ? text : `none:${text}`)
  if (url === null) return [required(field, `url must be a valid URL: parse ${JSON.stringify(text)}${form}`)]
  const errors: FieldError[] = []
  const scheme = url.protocol === 'none:' ? '' : url.protocol.slice(0, -1)
  if (scheme !== 'https') errors.push(invalidValue(field, scheme, `'https' is the only allowed URL scheme${form}`))
  if (url.host === '') errors.push(invalidValue(field, '', `host must be specified${form}`))
  const user = `${url.username}${url.password === '' ? '' : `:${url.password}`}`
  if (user !== '') errors.push(invalidValue(field, user, 'user information is not permitted in the URL'))
  if (url.hash !== '') errors.push(invalidValue(field, url.hash.slice(1), 'fragments are not permitted in the URL'))
  if (url.search !== '') errors.push(invalidValue(field, url.search.slice(1), 'query parameters are not permitted in the URL'))
  return errors
}

function validateClient({ url, service }: WebhookClientConfig, field: string): FieldError[] {
  if ((url === undefined) === (service === undefined)) return [required(field, 'exactly one of url or service is required')]
  if (url !== undefined) return validateUrl(url, `${field}.url`)
  return service === undefined ? [] : validateService(service, `${field}.service`)
}

function validateWebhook(webhook: Webhook, field: string): FieldError[] {
  const { sideEffects, timeoutSeconds } = webhook
  const errors: FieldError[] = []
  const at = `${field}.sideEffects`
  if (sideEffects === undefined) errors.push(required(at, `must specify one of ${sideEffectClasses.join(', ')}`))
  else if (!sideEffectClasses.includes(sideEffects)) errors.push(notSupported(at, sideEffects, sideEffectClasses))
  if (timeoutSeconds !== undefined && (timeoutSeconds < 1 || timeoutSeconds > maxTimeoutSeconds)) {
    errors.push(
      invalidValue(`${field}.timeoutSeconds`, timeoutSeconds, `the timeout value must be between 1 and ${maxTimeoutSeconds} seconds`),
    )
  }
  return [
    ...validateHookName(webhook.name, `${field}.name`),
    ...(webhook.rules ?? []).flatMap((rule, index) => validateRule(rule, `${field}.rules[${index}]`)),
    ...optionalOneOf(`${field}.failurePolicy`, webhook.failurePolicy, failurePolicies),
    ...optionalOneOf(`${field}.matchPolicy`, webhook.matchPolicy, matchPolicies),
    ...errors,
    ...validateLabelSelector(webhook.namespaceSelector, `${field}.namespaceSelector`),
    ...validateLabelSelector(webhook.objectSelector, `${field}.objectSelector`),
    ...optionalOneOf(`${field}.reinvocationPolicy`, webhook.reinvocationPolicy, reinvocationPolicies),
    ...validateClient(webhook.clientConfig, `${field}.clientConfig`),
    ...validateConditions(webhook.matchConditions, `${field}.matchConditions`),
  ]
}

function validateVersions(versions: readonly string[], field: string): FieldError[] {
  if (versions.length === 0) return [required(field, `must specify one of ${reviewVersions.join(', ')}`)]
  const errors = versions.flatMap((version, index) => {
    const at = `${field}[${index}]`
    return versions.indexOf(version) < index
      ? [invalidValue(at, version, 'duplicate version')]
      : invalids(at, version, dns1035Label(version))
  })
  if (!versions.some((version) => reviewVersions.includes(version))) {
    errors.push(invalidValue(field, versions, `must include at least one of ${reviewVersions.join(', ')}`))
  }
  return errors
}

function validate({ webhooks = [] }: Configuration): FieldError[] {
  const names = webhooks.map(({ name }) => name)
  return webhooks.flatMap((webhook, index) => {
    const field = `webhooks[${index}]`
    return [
      ...validateWebhook(webhook, field),
      ...validateVersions(webhook.admissionReviewVersions ?? [], `${field}.admissionReviewVersions`),
      ...(webhook.name && names.indexOf(webhook.name) < index ? [duplicate(`${field}.name`, webhook.name)] : []),
    ]
  })
}

const common = { hasGeneration: true, allowUnconditionalUpdate: false, validate }
const webhookColumn = { type: 'integer', description: 'How many webhooks are configured' } as const

/** Rules for configurations of validating webhooks. */
export const validatingWebhookStrategy: ResourceStrategy<ValidatingWebhookConfiguration> = {
  ...common,
  type: validatingwebhookconfigurations,
  defaults: ({ webhooks = [] }) => webhooks.forEach(defaultWebhook),
  columns: [nameColumn(), column('Webhooks', ({ webhooks }) => webhooks?.length ?? 0, webhookColumn), ageColumn()],
}

/** Rules for configurations of mutating webhooks. */
export const mutatingWebhookStrategy: ResourceStrategy<MutatingWebhookConfiguration> = {
  ...common,
  type: mutatingwebhookconfigurations,
  defaults({ webhooks = [] }) {
    for (const webhook of webhooks) {
      defaultWebhook(webhook)
      webhook.reinvocationPolicy ??= 'Never'
    }
  },
  columns: [nameColumn(), column('Webhooks', ({ webhooks }) => webhooks?.length ?? 0, webhookColumn), ageColumn()],
}
