import { badRequest, conflict, invalid, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { FieldError, RequestScope, Subresource, SubresourceRequest } from '../../registry/strategy.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { validateObjectMetaUpdate } from '../../validation/object-meta.ts'

/** How a subresource that shows the object itself may change it. */
export interface ViewRules<T extends KubernetesObject> {
  readonly type: ResourceType<T>
  readonly verbs: Subresource['verbs']
  defaults?(object: T): void
  /** Puts what this path may change into `object`, a private copy of the stored one; `given` is the client's. */
  apply(object: T, given: T, scope: RequestScope): void
  validate(object: T, previous: T, scope: RequestScope): readonly FieldError[]
}

const specOf = (object: KubernetesObject): unknown => ('spec' in object ? object.spec : undefined)

/** Checks that the body of an update is about the object in the path. */
export function checkName(request: SubresourceRequest, name: string): void {
  if (name !== request.name) throw badRequest(`the name of the object (${name}) does not match the name on the URL (${request.name})`)
}

/** A subresource like `pods/resize`: GET shows the object, PUT and PATCH change the part that is theirs. A body with a resourceVersion is refused when the object has another by now. */
export function viewSubresource<T extends KubernetesObject>(rules: ViewRules<T>): Subresource {
  const { type } = rules
  return {
    group: type.group,
    version: type.version,
    kind: type.kind,
    verbs: rules.verbs,
    async handle(request): Promise<KubernetesObject> {
      const at = { namespace: request.scope.namespace, name: request.name }
      if (request.verb === 'get') return request.operations.get(type, at)
      // The core decoded the body as the kind that this subresource declares.
      const given = request.body as T
      checkName(request, given.metadata.name)
      rules.defaults?.(given)
      const options = { dryRun: request.scope.dryRun, signal: request.signal }
      return request.operations.guaranteedUpdate(type, at, (object) => change(rules, object, given, request.scope), options)
    },
  }
}

function change<T extends KubernetesObject>(rules: ViewRules<T>, object: T, given: T, scope: RequestScope): void {
  const { type } = rules
  const { resourceVersion = '', uid = '' } = given.metadata
  if (uid !== '' && uid !== object.metadata.uid) {
    throw conflict(
      type,
      object.metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${object.metadata.uid}`,
    )
  }
  if (resourceVersion !== '' && resourceVersion !== object.metadata.resourceVersion) {
    throw conflict(
      type,
      object.metadata.name,
      'the object has been modified; please apply your changes to the latest version and try again',
    )
  }
  const previous = structuredClone(object)
  rules.apply(object, given, scope)
  const errors = [...validateObjectMetaUpdate(object.metadata, previous.metadata, type), ...rules.validate(object, previous, scope)]
  if (errors.length > 0) throw invalid(type, object.metadata.name, errors)
  if (previous.metadata.generation !== undefined && !semanticEqual(specOf(object), specOf(previous))) {
    object.metadata.generation = previous.metadata.generation + 1
  }
}
