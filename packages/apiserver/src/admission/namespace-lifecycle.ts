import { forbidden, notFound, StatusError } from '@k3s/api'
import { namespaces } from '@k3s/api/types/core/v1'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { isFor, refusal } from './requests.ts'

/** Namespaces that nobody may delete. */
const immortal: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public'])
/** Asked in namespaces that may not exist, to learn of permissions. */
const reviews: ReadonlySet<string> = new Set(['localsubjectaccessreviews'])

/** Refuses new content in namespaces that are missing or going, and the deletion of the system's own. */
export const namespaceLifecycle: AdmissionPlugin = {
  name: 'NamespaceLifecycle',
  admit(request: AdmissionRequest): void {
    if (request.operation === 'DELETE' && isFor(request, namespaces) && immortal.has(request.name)) {
      throw forbidden(namespaces, request.name, 'this namespace may not be deleted')
    }
    if (request.operation !== 'CREATE' || request.namespace === '' || request.subresource !== '') return
    if (isFor(request, namespaces) || reviews.has(request.type.resource)) return
    const namespace = request.scope.objects.get(namespaces, '', request.namespace)
    if (namespace === undefined) throw notFound(namespaces, request.namespace)
    if (namespace.status?.phase !== 'Terminating' && namespace.metadata.deletionTimestamp === undefined) return
    const error = refusal(request, `unable to create new content in namespace ${request.namespace} because it is being terminated`)
    const cause = {
      reason: 'NamespaceTerminating',
      message: `namespace ${request.namespace} is being terminated`,
      field: 'metadata.namespace',
    }
    throw new StatusError('Forbidden', error.message, { details: { ...error.details, causes: [cause] } })
  },
}
