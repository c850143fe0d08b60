import { StatusError, type StatusReason } from '@k3s/api'
import { isObject } from '../../json.ts'
import { requestOf } from '../expressions/facts.ts'
import type { Attributes } from '../matching/attributes.ts'
import type { VersionedObjects } from '../matching/object-versions.ts'
import { formatKind, type Match } from '../matching/rules.ts'

export type ReviewVersion = 'v1' | 'v1beta1'

/** What a webhook said. */
export interface ReviewAnswer {
  readonly isAllowed: boolean
  /** JSON of the patch; undefined for none. */
  readonly patch: string | undefined
  readonly patchType: string
  readonly result: Readonly<Record<string, unknown>> | undefined
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
}

/** The first version that a webhook takes and we know; undefined for none. */
export function reviewVersionOf(versions: readonly string[] | undefined): ReviewVersion | undefined {
  return versions?.find((version): version is ReviewVersion => version === 'v1' || version === 'v1beta1')
}

/** The AdmissionReview that asks a webhook. */
export function reviewRequest(
  attributes: Attributes,
  match: Match,
  asked: { readonly uid: string; readonly version: ReviewVersion; readonly objects: VersionedObjects },
): Record<string, unknown> {
  const { uid, version, objects } = asked
  const { dryRun, options, ...request } = requestOf(attributes, match)
  return {
    kind: 'AdmissionReview',
    apiVersion: `admission.k8s.io/${version}`,
    request: { uid, ...request, object: objects.object ?? null, oldObject: objects.oldObject ?? null, dryRun, options },
  }
}

/** Reads the answer of a webhook. Throws an Error that says what is wrong with it. */
export function readReview(
  review: unknown,
  expected: { readonly uid: string; readonly version: ReviewVersion; readonly mutates: boolean },
): ReviewAnswer {
  const { uid, version, mutates } = expected
  const response = isObject(review) ? review['response'] : undefined
  if (!isObject(review) || !isObject(response)) throw new Error('webhook response was absent')
  const patch = textOf(response['patch'])
  const patchType = response['patchType']
  if (version === 'v1') {
    if (response['uid'] !== uid)
      throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(textOf(response['uid']))}`)
    const wanted = { group: 'admission.k8s.io', version, kind: 'AdmissionReview' }
    const [group = '', own = ''] = groupVersion(textOf(review['apiVersion']))
    const found = { group, version: own, kind: textOf(review['kind']) }
    if (formatKind(found) !== formatKind(wanted))
      throw new Error(`expected webhook response of ${formatKind(wanted)}, got ${formatKind(found)}`)
    checkPatch(patch, patchType, mutates)
  }
  return {
    isAllowed: response['allowed'] === true,
    patch: patch === '' || !mutates ? undefined : Buffer.from(patch, 'base64').toString('utf8'),
    patchType: version === 'v1' ? textOf(patchType) : 'JSONPatch',
    result: isObject(response['status']) ? response['status'] : undefined,
    warnings: Array.isArray(response['warnings']) ? response['warnings'].filter((one) => typeof one === 'string') : [],
    auditAnnotations: stringsOf(response['auditAnnotations']),
  }
}

function checkPatch(patch: string, patchType: unknown, mutates: boolean): void {
  const hasType = patchType !== undefined && patchType !== null
  if (mutates) {
    if (patch !== '' && !hasType) throw new Error('webhook returned response.patch but not response.patchType')
    if (patch === '' && hasType) throw new Error('webhook returned response.patchType but not response.patch')
    if (hasType && patchType === '') throw new Error('webhook returned invalid response.patchType of ""')
    return
  }
  if (patch !== '') throw new Error('validating webhook may not return response.patch')
  if (hasType) throw new Error('validating webhook may not return response.patchType')
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function groupVersion(apiVersion: string): string[] {
  const parts = apiVersion.split('/')
  return parts.length === 1 ? ['', apiVersion] : parts
}

function stringsOf(value: unknown): Record<string, string> {
  if (!isObject(value)) return {}
  return Object.fromEntries(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

const leastErrorCode = 400

/** The refusal of a webhook, as clients see it. */
export function rejection(webhook: string, result: ReviewAnswer['result']): StatusError {
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`
  const message = textOf(result?.['message'])
  const reason = textOf(result?.['reason'])
  const code = typeof result?.['code'] === 'number' && result['code'] >= leastErrorCode ? result['code'] : leastErrorCode
  const details = isObject(result?.['details']) ? result['details'] : undefined
  const why = message === '' ? reason : message
  // Webhooks may give reasons of their own.
  return new StatusError(reason as StatusReason | '', why === '' ? `${denied} without explanation` : `${denied}: ${why}`, {
    code,
    ...(details === undefined ? {} : { details }),
  })
}
