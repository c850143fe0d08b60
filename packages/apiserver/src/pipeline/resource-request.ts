import { badRequest, invalid } from '@k3s/api'
import type { UserInfo } from '../auth/auth.ts'
import type { FieldValidation } from '../codec.ts'
import { isTrueParameter, type RequestInfo } from '../http/request-info.ts'
import { methodNotAllowed } from '../errors.ts'
import { validateDryRun } from '../registry/delete-options.ts'
import type { FieldError } from '../registry/strategy.ts'
import { forbiddenField, notSupported, required } from '../validation/field-error.ts'
import { validateFieldManager } from '../validation/object-meta.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import { writeScope, type WriteScope } from '../registry/write-scope.ts'
import type { ListParameters } from '../watch-cache/list-objects.ts'
import type { ApiCall } from './api-call.ts'
import type { ApiCore } from './api-core.ts'

/** A request on a resource, after authentication and authorization. */
export interface ResourceRequest {
  readonly call: ApiCall
  readonly info: RequestInfo
  readonly user: UserInfo
  readonly served: ServedResource
}

/** Options that all writes have. */
export interface WriteOptions {
  readonly dryRun: boolean
  readonly fieldManager: string
  /** The client named it; apply must. */
  readonly hasFieldManager: boolean
  readonly fieldValidation: FieldValidation
  readonly force: boolean | undefined
}

/**
 * Reads and checks the query of a write. Throws Invalid. `kind` is that of upstream's options object, which errors name; `applies` says of a
 * patch whether it is one to apply.
 */
export function parseWriteOptions(
  { call }: Pick<ResourceRequest, 'call'>,
  kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions',
  applies?: boolean,
): WriteOptions {
  const { query } = call
  const manager = query.get('fieldManager') ?? ''
  const validation = query.get('fieldValidation') ?? ''
  const isKnown = validation === '' || validation === 'Strict' || validation === 'Warn' || validation === 'Ignore'
  const errors: FieldError[] = [
    ...(applies === false && query.has('force') ? [forbiddenField('force', 'may not be specified for non-apply patch')] : []),
    ...(applies === true && manager === '' ? [required('fieldManager', 'is required for apply patch')] : []),
    ...validateFieldManager(manager, 'fieldManager'),
    ...validateDryRun(query.getAll('dryRun')),
    ...(isKnown ? [] : [notSupported('fieldValidation', validation, ['', 'Ignore', 'Strict', 'Warn'])]),
  ]
  if (errors.length > 0 || !isKnown) throw invalid({ group: 'meta.k8s.io', kind }, '', errors)
  return {
    dryRun: query.getAll('dryRun').length > 0,
    fieldManager: manager === '' ? call.userAgent : manager,
    hasFieldManager: manager !== '',
    fieldValidation: validation === '' ? 'Warn' : validation,
    force: query.has('force') ? isTrueParameter(query.get('force')) : undefined,
  }
}

export function scopeOf(
  core: ApiCore,
  request: ResourceRequest,
  options: { readonly dryRun: boolean; readonly fieldManager: string },
): WriteScope {
  return writeScope({
    user: request.user,
    namespace: request.info.namespace,
    dryRun: options.dryRun,
    clock: core.clock,
    objects: core.objects,
    warn: (message) => request.call.warn(message),
    signal: request.call.signal,
    fieldManager: options.fieldManager,
    requested: request.served.type,
    query: request.call.query,
    annotate: request.call.annotate,
    work: core.registry.heavy,
  })
}

/** Throws BadRequest for numbers that are none. */
export function parseListParameters({ call: { query } }: ResourceRequest): ListParameters {
  parseCount(query, 'timeoutSeconds')
  return {
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    limit: parseCount(query, 'limit'),
    continue: query.get('continue') ?? '',
  }
}

/** A whole number of at least 0; 0 when it is absent. */
export function parseCount(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? ''
  if (text === '') return 0
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`)
  return Math.max(0, value)
}

/** The storage of the request's resource. Throws MethodNotAllowed when nothing of it is ever stored. */
export function storageOf({ served }: Pick<ResourceRequest, 'served'>): NonNullable<ServedResource['storage']> {
  if (served.storage === undefined) throw methodNotAllowed()
  return served.storage
}
