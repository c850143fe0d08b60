import type { UserInfo } from '../../auth/auth.ts'
import type { AdmissionRequest } from '../admission.ts'
import { kindOf, type Catalog, type GroupVersionKind, type ResourceName } from './catalog.ts'

/** A request as webhooks and policies see it: in the version that the client named. */
export interface Attributes {
  readonly request: AdmissionRequest
  readonly operation: AdmissionRequest['operation']
  readonly resource: ResourceName
  readonly subresource: string
  readonly kind: GroupVersionKind
  /** Empty while it is to be generated. */
  readonly name: string
  /** Of a Namespace its own name. */
  readonly namespace: string
  readonly user: UserInfo
  readonly isDryRun: boolean
  /** CreateOptions and their like; undefined for CONNECT. */
  readonly options: Readonly<Record<string, unknown>> | undefined
  readonly signal: AbortSignal | undefined
}

/** Undefined for what is not served. */
export function attributesOf(request: AdmissionRequest, catalog: Catalog): Attributes | undefined {
  const { type, subresource, scope, operation } = request
  const { group, version, resource } = scope.requested ?? type
  const served = catalog.find({ group, version, resource })
  if (served === undefined) return undefined
  const isNamespace = group === '' && resource === 'namespaces'
  const name = request.name === '' && operation === 'CREATE' ? (request.object?.metadata?.name ?? '') : request.name
  return {
    request,
    operation,
    resource: { group, version, resource },
    subresource,
    kind: kindOf(served, subresource),
    name,
    namespace: isNamespace && request.namespace === '' ? name : request.namespace,
    user: scope.user,
    isDryRun: scope.dryRun,
    options: optionsOf(request),
    signal: scope.signal,
  }
}

const optionKinds = { CREATE: 'CreateOptions', UPDATE: 'UpdateOptions', DELETE: 'DeleteOptions' } as const

function optionsOf({ operation, scope, options }: AdmissionRequest): Attributes['options'] {
  if (operation === 'CONNECT') return undefined
  const head = { kind: optionKinds[operation], apiVersion: 'meta.k8s.io/v1' }
  const dryRun = scope.dryRun ? { dryRun: ['All'] } : {}
  if (operation === 'DELETE') return { ...head, ...options, ...dryRun }
  const said: Record<string, unknown> = {}
  for (const name of ['fieldManager', 'fieldValidation']) {
    const value = scope.query?.get(name) ?? ''
    if (value !== '') said[name] = value
  }
  return { ...head, ...dryRun, ...said }
}

const configurationKinds: ReadonlySet<string> = new Set([
  'ValidatingWebhookConfiguration',
  'MutatingWebhookConfiguration',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
  'MutatingAdmissionPolicy',
  'MutatingAdmissionPolicyBinding',
])

/** What configures admission is never subject to it: nobody could undo a mistake. */
export function isConfiguration({ type }: AdmissionRequest): boolean {
  return type.group === 'admissionregistration.k8s.io' && configurationKinds.has(type.kind)
}
