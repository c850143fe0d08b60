import { forbidden } from '@k3s/api'
import type { AccessChecker } from '@k3s/cel'
import { meetsConditions } from '../expressions/conditions.ts'
import type { Attributes } from '../matching/attributes.ts'
import type { Catalog } from '../matching/catalog.ts'
import { objectsIn, type VersionedObjects } from '../matching/object-versions.ts'
import { matchRules, type Match } from '../matching/rules.ts'
import { selectsNamespace, selectsObject } from '../matching/selectors.ts'
import type { Pace } from '../../off-loop/pace.ts'
import type { Hook } from './hooks.ts'

/** A webhook that is to be asked, and with what. */
export interface Invocation {
  readonly hook: Hook
  readonly match: Match
  readonly objects: VersionedObjects
}

/** Whether a webhook is to be asked about a request; undefined: no. Throws StatusErrors when that cannot be said. */
export async function invocationOf(
  hook: Hook,
  attributes: Attributes,
  { catalog, access, pace }: { readonly catalog: Catalog; readonly access: AccessChecker; readonly pace: Pace },
): Promise<Invocation | undefined> {
  const { webhook } = hook
  const { work } = attributes.request.scope
  await pace.step()
  const match = matchRules(webhook.rules ?? [], webhook.matchPolicy, attributes, catalog)
  if (match === undefined || !selectsObject(webhook.objectSelector, attributes)) return undefined
  if (!selectsNamespace(webhook.namespaceSelector, attributes)) return undefined
  const objects = await objectsIn(match, attributes.request, catalog)
  const { failurePolicy } = webhook
  const holds = await meetsConditions(await hook.conditions(pace), { attributes, match, objects, access, pace, work }, { failurePolicy })
  if (typeof holds === 'object') throw forbidden(attributes.resource, attributes.name, holds.error)
  return holds ? { hook, match, objects } : undefined
}
