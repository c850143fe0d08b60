import type { KubernetesObject, ResourceType } from '@k3s/api'
import {
  type MutatingWebhook,
  mutatingwebhookconfigurations,
  type ValidatingWebhook,
  validatingwebhookconfigurations,
} from '@k3s/api/types/admissionregistration/v1'
import type { Pace } from '../../off-loop/pace.ts'
import type { ObjectReader } from '../../registry/strategy.ts'
import { compileConditions } from '../expressions/conditions.ts'
import { admissionEnvironment } from '../expressions/environment.ts'
import type { Expression } from '../expressions/expression.ts'

export type Webhook = ValidatingWebhook & Pick<MutatingWebhook, 'reinvocationPolicy'>

/** A webhook of a configuration, ready to be asked. */
export interface Hook {
  readonly webhook: Webhook
  readonly configuration: string
  /** Names it among all. */
  readonly id: string
  /** Compiled when it is first needed. */
  readonly conditions: (pace: Pace) => Promise<readonly Expression[]>
}

interface Configuration extends KubernetesObject {
  readonly webhooks?: readonly Webhook[] | undefined
}

/** The webhooks in the order in which they are asked: by the names of their configurations, then as these have them. */
export function hooksOf(configurations: readonly Configuration[]): readonly Hook[] {
  const environment = admissionEnvironment({ hasParams: false, hasAuthorizer: true })
  return configurations
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ metadata, webhooks = [] }) =>
      webhooks.map((webhook, index) => {
        const earlier = webhooks.slice(0, index).filter(({ name }) => name === webhook.name).length
        return {
          webhook,
          configuration: metadata.name,
          id: `${metadata.name}/${webhook.name}/${earlier}`,
          conditions: once((pace) => compileConditions(webhook.matchConditions, environment, pace)),
        }
      }),
    )
}

function once<T>(make: (pace: Pace) => Promise<T>): (pace: Pace) => Promise<T> {
  let made: Promise<T> | undefined
  return (pace) => (made ??= make(pace))
}

/** Reads the webhooks from the server's own cache. What was made of a list is kept as long as the reader answers with the same list. */
export class HookSource {
  readonly #type: ResourceType<Configuration>
  // Held here, so that the reader goes on to answer with the same list.
  #known: { readonly configurations: readonly Configuration[]; readonly hooks: readonly Hook[] } | undefined

  constructor(kind: 'mutating' | 'validating') {
    this.#type = kind === 'mutating' ? mutatingwebhookconfigurations : validatingwebhookconfigurations
  }

  hooks(objects: ObjectReader): readonly Hook[] {
    const configurations = objects.list(this.#type)
    if (configurations.length === 0) return []
    if (this.#known?.configurations === configurations) return this.#known.hooks
    const hooks = hooksOf(configurations)
    this.#known = { configurations, hooks }
    return hooks
  }
}
