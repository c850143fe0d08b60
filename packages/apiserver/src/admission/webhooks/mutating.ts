import { isStatusError, type JsonObject, type KubernetesObject } from '@k3s/api'
import { accessChecker } from '../expressions/access.ts'
import { decodeChanged } from '../matching/decode-changed.ts'
import { internalError } from '../../errors.ts'
import { isObject } from '../../json.ts'
import { applyJsonPatch } from '../../pipeline/json-patch.ts'
import type { AdmissionPlugin, Reinvocation } from '../admission.ts'
import { attributesOf, isConfiguration, type Attributes } from '../matching/attributes.ts'
import type { Catalog, GroupVersionKind } from '../matching/catalog.ts'
import { writeBack } from '../matching/object-versions.ts'
import { copyInTurns, equalInTurns, isLarge, nextTurn } from '../../off-loop/json-in-turns.ts'
import { Pace } from '../../off-loop/pace.ts'
import { AgainSet } from './again-set.ts'
import { CallError, endOf } from './call-error.ts'
import { callWebhook } from './call-webhook.ts'
import { HookSource, type Hook } from './hooks.ts'
import type { ReviewAnswer } from './review.ts'
import { invocationOf, type Invocation } from './should-call.ts'
import type { WebhookOptions } from './webhook-options.ts'

const annotationPrefix = 'mutation.webhook.admission.k8s.io/'
const patchPrefix = 'patch.webhook.admission.k8s.io/'
const failedOpenPrefix = 'failed-open.mutation.webhook.admission.k8s.io/'

/** Asks the webhooks of MutatingWebhookConfigurations, one after the other; each sees what those before it made of the object. */
export function mutatingWebhooks(options: WebhookOptions): AdmissionPlugin {
  const source = new HookSource('mutating')
  const { catalog } = options
  return {
    name: 'MutatingAdmissionWebhook',
    admit(request, reinvocation) {
      const hooks = source.hooks(request.scope.objects)
      if (hooks.length === 0 || isConfiguration(request)) return undefined
      const attributes = attributesOf(request, catalog)
      return attributes === undefined ? undefined : dispatch(options, hooks, attributes, reinvocation)
    },
  }
}

async function dispatch(
  options: WebhookOptions,
  hooks: readonly Hook[],
  attributes: Attributes,
  reinvocation: Reinvocation | undefined,
): Promise<void> {
  const { catalog, authorizer } = options
  const { request } = attributes
  const isAgain = reinvocation?.isAgain === true
  const again = reinvocation?.note('MutatingAdmissionWebhook', () => new AgainSet()) ?? new AgainSet()
  if (isAgain) await again.compare(request.object)
  const access = accessChecker(authorizer, attributes.user)
  const pace = new Pace()
  for (const [index, hook] of hooks.entries()) {
    const invocation = await invocationOf(hook, attributes, { catalog, access, pace })
    if (invocation === undefined || (isAgain && !again.includes(hook.id))) continue
    const place = `round_${isAgain ? 1 : 0}_index_${index}`
    const isChanged = await askOne(options, attributes, invocation, place)
    if (isChanged) {
      again.changed()
      reinvocation?.want()
    }
    if (hook.webhook.reinvocationPolicy === 'IfNeeded') again.add(hook.id)
  }
  await again.remember(request.object)
}

/** True when the object is another now. */
async function askOne(
  { client, catalog, logger, metrics }: WebhookOptions,
  attributes: Attributes,
  invocation: Invocation,
  place: string,
): Promise<boolean> {
  const { hook } = invocation
  const { scope } = attributes.request
  const { name, failurePolicy } = hook.webhook
  const end = metrics.start(name, 'admit', attributes.operation)
  let isChanged = false
  try {
    const answer = await callWebhook(client, attributes, invocation, { mutates: true })
    isChanged = await applyAnswer(answer, attributes, invocation, { catalog, place })
    end({ kind: 'allowed' })
    return isChanged
  } catch (error) {
    end(endOf(error, failurePolicy))
    if (!(error instanceof CallError)) throw error
    if (failurePolicy !== 'Ignore') throw internalError(error.message, error)
    logger.warn({ webhook: name, err: error }, 'Webhook cannot be asked; the request goes on without it')
    scope.annotate?.(failedOpenPrefix + place, name)
    return false
  } finally {
    const note = { configuration: hook.configuration, webhook: name, mutated: isChanged }
    scope.annotate?.(annotationPrefix + place, JSON.stringify(note))
  }
}

async function applyAnswer(
  { patch: text, patchType }: ReviewAnswer,
  { request }: Attributes,
  { hook, match, objects }: Invocation,
  { catalog, place }: { readonly catalog: Catalog; readonly place: string },
): Promise<boolean> {
  const { name } = hook.webhook
  if (text === undefined) return false
  const patch = readPatch(text, name)
  if (patch.length === 0) return false
  if (request.object === undefined || objects.object === undefined) {
    const quoted = JSON.stringify(name)
    throw internalError(`admission webhook ${quoted} attempted to modify the object, which is not supported for this operation`)
  }
  if (patchType !== 'JSONPatch') throw new CallError(name, `unsupported patch type ${JSON.stringify(patchType)}`)
  const before = await copyInTurns(request.object)
  // Patching and comparing a large object is each work for a turn.
  const isLong = isLarge(before)
  const patched = patchedObject(patch, objects.object, match.kind, catalog.find(match.resource)?.custom?.coerce)
  if (isLong) await nextTurn()
  await writeBack(match, patched, request, catalog)
  const note = { configuration: hook.configuration, webhook: name, patch, patchType }
  request.scope.annotate?.(patchPrefix + place, JSON.stringify(note))
  return !(await equalInTurns(before, request.object))
}

function readPatch(text: string, webhook: string): readonly unknown[] {
  try {
    const patch: unknown = JSON.parse(text)
    if (Array.isArray(patch)) return patch
    if (patch === null) return []
    throw new Error(`json: cannot unmarshal ${isObject(patch) ? 'object' : typeof patch} into Go value of type jsonpatch.Patch`)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CallError(webhook, `received undecodable patch in webhook response: ${why}`, { cause: error })
  }
}

/** A patched object in the form of its kind: fields that are not known are dropped. Throws InternalError. */
export function patchedObject(
  patch: readonly unknown[],
  object: KubernetesObject,
  kind: GroupVersionKind,
  coerce: ((object: JsonObject) => readonly string[]) | undefined,
): KubernetesObject {
  try {
    const result = applyJsonPatch(patch, object) as JsonObject // whatever it is, decoding looks at it
    return decodeChanged(result, kind, { fieldValidation: 'Ignore', coerce: ownCoerce(object, kind, coerce) })
  } catch (error) {
    if (isStatusError(error)) throw error
    throw internalError(error instanceof Error ? error.message : String(error), error)
  }
}

/** Bodies of subresources have kinds that are not custom. */
function ownCoerce(
  object: KubernetesObject,
  { kind }: GroupVersionKind,
  coerce: ((object: JsonObject) => readonly string[]) | undefined,
): typeof coerce {
  return object.kind === kind && kind !== 'Scale' ? coerce : undefined
}
