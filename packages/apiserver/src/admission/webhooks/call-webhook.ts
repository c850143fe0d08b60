import { randomUUID } from 'node:crypto'
import { badRequest, isStatusError } from '@k3s/api'
import { jsonText } from '../../body-text.ts'
import { isObject } from '../../json.ts'
import { stringifyInTurns } from '../../off-loop/json-in-turns.ts'
import type { Attributes } from '../matching/attributes.ts'
import { CallError } from './call-error.ts'
import { readReview, rejection, reviewRequest, reviewVersionOf, type ReviewAnswer } from './review.ts'
import type { Invocation } from './should-call.ts'
import type { WebhookClient } from './webhook-client.ts'

const defaultTimeoutSeconds = 10

/**
 * Asks a webhook. Throws a CallError when it gives no usable answer, and a StatusError when it refuses the request or has side effects that a dry run
 * must not have. Its warnings and audit annotations are passed on in each case.
 */
export async function callWebhook(
  client: WebhookClient,
  attributes: Attributes,
  { hook, match, objects }: Invocation,
  { mutates }: { readonly mutates: boolean },
): Promise<ReviewAnswer> {
  const { webhook } = hook
  const { name, sideEffects } = webhook
  if (attributes.isDryRun && sideEffects !== 'None' && sideEffects !== 'NoneOnDryRun')
    throw badRequest(`admission webhook ${JSON.stringify(name)} does not support dry run`)
  const version = reviewVersionOf(webhook.admissionReviewVersions)
  if (version === undefined)
    throw new CallError(name, 'could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)')
  const uid = randomUUID()
  const body = await stringifyInTurns(reviewRequest(attributes, match, { uid, version, objects }))
  const { scope } = attributes.request
  const answer = await ask(client, body, name, { webhook, outer: scope.signal })
  const review = parse(answer, name)
  let result: ReviewAnswer
  try {
    result = readReview(review, { uid, version, mutates })
  } catch (error) {
    throw new CallError(name, `received invalid webhook response: ${textOf(error)}`, { cause: error })
  }
  for (const [key, value] of Object.entries(result.auditAnnotations)) scope.annotate?.(`${name}/${key}`, value)
  for (const warning of result.warnings) scope.warn(warning)
  if (!result.isAllowed) throw rejection(name, result.result)
  return result
}

const noObject =
  'json: cannot unmarshal string into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'

/** Reads an answer as client-go would: it need not say what it is, but it must be nothing else. */
function parse(answer: string, name: string): unknown {
  const fail = (why: string, cause?: unknown): CallError => new CallError(name, `failed to call webhook: ${why}`, { cause })
  const isSyntax = (why: string, cause?: unknown): CallError => fail(`couldn't get version/kind; json parse error: ${why}`, cause)
  if (answer.trim() === '') throw fail('0-length response with status code: 200 and content type: application/json')
  let review: unknown
  try {
    review = JSON.parse(jsonText(Buffer.from(answer)))
  } catch (error) {
    if (!answer.trimStart().startsWith('{')) throw isSyntax(noObject, error)
    const why = textOf(error).replace("couldn't get version/kind; json parse error: ", '')
    throw isSyntax(why.replace('Unexpected end', 'unexpected end'), error)
  }
  if (!isObject(review)) throw isSyntax(noObject)
  const { kind = 'AdmissionReview', apiVersion = 'admission.k8s.io/v1' } = review
  if (kind !== 'AdmissionReview' || (apiVersion !== 'admission.k8s.io/v1' && apiVersion !== 'admission.k8s.io/v1beta1'))
    throw fail(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
    )
  return review
}

async function ask(
  client: WebhookClient,
  body: Buffer,
  name: string,
  { webhook, outer }: { readonly webhook: Invocation['hook']['webhook']; readonly outer: AbortSignal | undefined },
): Promise<string> {
  try {
    const timeoutMs = (webhook.timeoutSeconds ?? defaultTimeoutSeconds) * 1000
    return await client.post(webhook.clientConfig, body, { timeoutMs, outer })
  } catch (error) {
    if (isStatusError(error) || outer?.aborted === true) throw error
    throw new CallError(name, `failed to call webhook: ${textOf(error)}`, { cause: error })
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
