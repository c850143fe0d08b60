import { schemaOf, updateManagedFields, type JsonObject } from '@k3s/api'
import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { invariant } from '@k3s/lifecycle'
import { copyJson } from '../../json.ts'

const apiVersion = 'apiextensions.k8s.io/v1'

/** Changes the status of a definition, in place, as the server itself: it owns what it writes. */
export function writeStatus(definition: CustomResourceDefinition, nowMs: number, change: () => void): void {
  const previous = copyJson(definition)
  change()
  const schema = schemaOf(apiVersion, 'CustomResourceDefinition')
  invariant(schema !== undefined, 'definitions are a built-in kind')
  // API objects are JSON objects, and stay what they are.
  const { metadata } = updateManagedFields({
    schema,
    manager: 'kube-apiserver',
    apiVersion,
    subresource: 'status',
    now: new Date(nowMs),
    previous: previous as unknown as JsonObject,
    next: definition as unknown as JsonObject,
  }) as unknown as CustomResourceDefinition
  if (metadata.managedFields === undefined) delete definition.metadata.managedFields
  else definition.metadata.managedFields = metadata.managedFields
}
