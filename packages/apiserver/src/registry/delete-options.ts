import { badRequest, invalid } from '@k3s/api'
import { append } from '@k3s/lifecycle'
import { isTrueParameter } from '../http/request-info.ts'
import { invalidValue, notSupported } from '../validation/field-error.ts'
import type { FieldError } from './strategy.ts'

export type PropagationPolicy = 'Orphan' | 'Background' | 'Foreground'

/** What a DELETE asks for. */
export interface DeletionRequest {
  readonly gracePeriodSeconds?: number | undefined
  readonly propagationPolicy?: PropagationPolicy | undefined
  readonly orphanDependents?: boolean | undefined
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
  readonly dryRun: boolean
}

/** `dryRun` may be `All` and nothing else. */
export function validateDryRun(values: readonly string[]): FieldError[] {
  return values.every((value) => value === 'All') ? [] : [notSupported('dryRun', values, ['All'])]
}

/** Options of a DELETE from its body (a DeleteOptions object, or nothing) or, when there is none, from its query. Throws BadRequest and Invalid. */
export function parseDeletion(body: Readonly<Record<string, unknown>> | undefined, query: URLSearchParams): DeletionRequest {
  const source = body ?? optionsOfQuery(query)
  const preconditions = (source['preconditions'] ?? {}) as Readonly<Record<string, unknown>> // checked field by field below
  const grace = source['gracePeriodSeconds']
  if (grace !== undefined && (typeof grace !== 'number' || !Number.isSafeInteger(grace)))
    throw badRequest('gracePeriodSeconds must be an integer')
  const { propagationPolicy, orphanDependents, dryRun } = source
  const errors: FieldError[] = []
  if (propagationPolicy !== undefined && orphanDependents !== undefined)
    errors.push(invalidValue('propagationPolicy', propagationPolicy, 'orphanDependents and deletionPropagation cannot be both set'))
  if (propagationPolicy !== undefined && propagationPolicy !== null && !isPolicy(propagationPolicy))
    errors.push(notSupported('propagationPolicy', propagationPolicy, ['Foreground', 'Background', 'Orphan', 'nil']))
  const dryRuns = Array.isArray(dryRun) ? dryRun.map(String) : []
  append(errors, validateDryRun(dryRuns))
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', errors)
  return {
    // Negative values mean one second, as upstream.
    gracePeriodSeconds: grace === undefined ? undefined : grace < 0 ? 1 : grace,
    propagationPolicy: isPolicy(propagationPolicy) ? propagationPolicy : undefined,
    orphanDependents: typeof orphanDependents === 'boolean' ? orphanDependents : undefined,
    uid: typeof preconditions['uid'] === 'string' ? preconditions['uid'] : undefined,
    resourceVersion: typeof preconditions['resourceVersion'] === 'string' ? preconditions['resourceVersion'] : undefined,
    dryRun: dryRuns.length > 0,
  }
}

function optionsOfQuery(query: URLSearchParams): Readonly<Record<string, unknown>> {
  const grace = query.get('gracePeriodSeconds')
  const policy = query.get('propagationPolicy')
  const orphan = query.get('orphanDependents')
  return {
    ...(grace === null ? {} : { gracePeriodSeconds: integerOf(grace) }),
    ...(policy === null ? {} : { propagationPolicy: policy }),
    ...(orphan === null ? {} : { orphanDependents: isTrueParameter(orphan) }),
    dryRun: query.getAll('dryRun'),
  }
}

function isPolicy(value: unknown): value is PropagationPolicy {
  return value === 'Orphan' || value === 'Background' || value === 'Foreground'
}

function integerOf(text: string): number {
  if (!/^[-+]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  return Number(text)
}
