import { accessChecker } from '../expressions/access.ts'
import { internalError } from '../../errors.ts'
import type { AdmissionPlugin } from '../admission.ts'
import { attributesOf, isConfiguration, type Attributes } from '../matching/attributes.ts'
import { Pace } from '../../off-loop/pace.ts'
import { CallError, endOf } from './call-error.ts'
import { callWebhook } from './call-webhook.ts'
import { HookSource, type Hook } from './hooks.ts'
import { invocationOf, type Invocation } from './should-call.ts'
import type { WebhookOptions } from './webhook-options.ts'

const failedOpenPrefix = 'failed-open.validating.webhook.admission.k8s.io/'

/** Asks the webhooks of ValidatingWebhookConfigurations, all at once. The first that refuses, in the order of their names, decides. */
export function validatingWebhooks(options: WebhookOptions): AdmissionPlugin {
  const source = new HookSource('validating')
  const { catalog } = options
  return {
    name: 'ValidatingAdmissionWebhook',
    validate(request) {
      const hooks = source.hooks(request.scope.objects)
      if (hooks.length === 0 || isConfiguration(request)) return undefined
      const attributes = attributesOf(request, catalog)
      return attributes === undefined ? undefined : dispatch(options, hooks, attributes)
    },
  }
}

async function dispatch(options: WebhookOptions, hooks: readonly Hook[], attributes: Attributes): Promise<void> {
  const { catalog, authorizer } = options
  const access = accessChecker(authorizer, attributes.user)
  const pace = new Pace()
  const invocations: Invocation[] = []
  for (const hook of hooks) {
    const invocation = await invocationOf(hook, attributes, { catalog, access, pace })
    if (invocation !== undefined) invocations.push(invocation)
  }
  const outcomes = await Promise.allSettled(
    invocations.map((invocation, index) => askOne(options, attributes, invocation, `round_0_index_${index}`)),
  )
  const refused = outcomes.find((outcome) => outcome.status === 'rejected')
  if (refused !== undefined) throw refused.reason
}

async function askOne(
  { client, logger, metrics }: WebhookOptions,
  attributes: Attributes,
  invocation: Invocation,
  place: string,
): Promise<void> {
  const { name, failurePolicy } = invocation.hook.webhook
  const end = metrics.start(name, 'validating', attributes.operation)
  try {
    await callWebhook(client, attributes, invocation, { mutates: false })
    end({ kind: 'allowed' })
  } catch (error) {
    end(endOf(error, failurePolicy))
    if (!(error instanceof CallError)) throw error
    if (failurePolicy !== 'Ignore') throw internalError(error.message, error)
    logger.warn({ webhook: name, err: error }, 'Webhook cannot be asked; the request goes on without it')
    attributes.request.scope.annotate?.(failedOpenPrefix + place, name)
  }
}
