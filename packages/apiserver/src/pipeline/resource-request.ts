import { badRequest, invalid, StatusError } from '@k3s/api'
import type { UserInfo } from '../auth/auth.ts'
import type { FieldValidation } from '../codec.ts'
import { isTrueParameter, type RequestInfo } from '../http/request-info.ts'
import { parseDryRun } from '../registry/delete-options.ts'
import { invalidValue, notSupported } from '../validation/field-error.ts'
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

// Upstream's limit, in bytes.
const maxFieldManagerLength = 128

/** Options that all writes have. */
export interface WriteOptions {
  readonly dryRun: boolean
  readonly fieldManager: string
  /** The client named it; apply must. */
  readonly hasFieldManager: boolean
  readonly fieldValidation: FieldValidation
  readonly force: boolean | undefined
}

/** Reads and checks the query of a write. Throws Invalid. `kind` is that of upstream's options object, which errors name. */
export function parseWriteOptions(
  { call }: Pick<ResourceRequest, 'call'>,
  kind: 'CreateOptions' | 'UpdateOptions' | 'PatchOptions',
): WriteOptions {
  const { query } = call
  const manager = query.get('fieldManager') ?? ''
  const subject = { group: 'meta.k8s.io', kind }
  if (Buffer.byteLength(manager) > maxFieldManagerLength)
    throw invalid(subject, '', [
      { reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxFieldManagerLength} bytes`, field: 'fieldManager' },
    ])
  if (/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(manager))
    throw invalid(subject, '', [invalidValue('fieldManager', manager, 'should only contain printable characters')])
  const validation = query.get('fieldValidation') ?? ''
  if (validation !== '' && validation !== 'Strict' && validation !== 'Warn' && validation !== 'Ignore')
    throw invalid(subject, '', [notSupported('fieldValidation', validation, ['', 'Ignore', 'Warn', 'Strict'])])
  return {
    dryRun: parseDryRun(query.getAll('dryRun')),
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
  })
}

/** Throws BadRequest for numbers that are none. */
export function parseListParameters({ call: { query } }: ResourceRequest): ListParameters {
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
  if (!Number.isSafeInteger(value)) throw badRequest(`invalid ${name}: ${JSON.stringify(text)} is no integer`)
  return Math.max(0, value)
}

/** The storage of the request's resource. Throws MethodNotAllowed when nothing of it is ever stored. */
export function storageOf({ served, info }: Pick<ResourceRequest, 'served' | 'info'>): NonNullable<ServedResource['storage']> {
  if (served.storage === undefined)
    throw new StatusError('MethodNotAllowed', `${info.verb} is not supported on resources of kind "${served.type.resource}"`)
  return served.storage
}
