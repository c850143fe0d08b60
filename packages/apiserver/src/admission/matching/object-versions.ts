import { apiVersionOf, type KubernetesObject, type ResourceType } from '@k3s/api'
import { copyInTurns } from '../../off-loop/json-in-turns.ts'
import { toServed, toStored, type ServedResource } from '../../registry/served-resource.ts'
import type { AdmissionRequest } from '../admission.ts'
import type { Catalog } from './catalog.ts'
import type { Match } from './rules.ts'

/** The objects of a request in the version that somebody asked for. Copies: their reader may change them. */
export interface VersionedObjects {
  readonly object: KubernetesObject | undefined
  readonly oldObject: KubernetesObject | undefined
}

/** Shows the objects of a request in a version. Throws what keeps them from being converted. */
export async function objectsIn({ resource, kind }: Match, request: AdmissionRequest, catalog: Catalog): Promise<VersionedObjects> {
  const target = catalog.find(resource)
  const show = async (object: KubernetesObject | undefined): Promise<KubernetesObject | undefined> => {
    if (object === undefined) return undefined
    if (target === undefined || !isWhole(object, request.type)) return copyInTurns(object)
    const shown = await copyInTurns(await convertTo(target, object, request.scope.signal))
    shown.apiVersion = apiVersionOf(kind)
    shown.kind = kind.kind
    return shown
  }
  return { object: await show(request.object), oldObject: await show(request.oldObject) }
}

/** Puts an object that was changed in some version in the place of the request's, which stays the same object. */
export async function writeBack(
  { resource }: Match,
  changed: KubernetesObject,
  request: AdmissionRequest,
  catalog: Catalog,
): Promise<void> {
  const { object } = request
  if (object === undefined) return
  if (!isWhole(object, request.type)) {
    replaceContents(object, changed)
    return
  }
  const target = catalog.find(resource)
  const { apiVersion, kind } = object
  const own = target === undefined ? changed : await convertBack(target, changed, request, catalog)
  replaceContents(object, own)
  if (apiVersion !== undefined) object.apiVersion = apiVersion
  if (kind !== undefined) object.kind = kind
  catalog.find(request.type)?.storage?.strategy.defaults?.(object)
}

/** The object itself, and not the body of a subresource with a kind of its own: those have one version. */
function isWhole(object: KubernetesObject, type: ResourceType): boolean {
  return object.kind === undefined || object.kind === type.kind
}

const endless = new AbortController().signal

async function convertTo(target: ServedResource, object: KubernetesObject, signal: AbortSignal = endless): Promise<KubernetesObject> {
  if (target.custom === undefined) return toServed(target, object)
  return object.apiVersion === apiVersionOf(target.type) ? object : target.custom.convert(object, signal)
}

async function convertBack(
  target: ServedResource,
  changed: KubernetesObject,
  { type, scope }: AdmissionRequest,
  catalog: Catalog,
): Promise<KubernetesObject> {
  if (target.custom === undefined) return toStored(target, changed)
  const own = catalog.find(type)
  return own?.custom === undefined || changed.apiVersion === apiVersionOf(type)
    ? changed
    : own.custom.convert(changed, scope.signal ?? endless)
}

function replaceContents(object: KubernetesObject, next: KubernetesObject): void {
  const fields = object as unknown as Record<string, unknown> // any object is a map of its fields
  for (const name of Object.keys(fields)) if (!Object.hasOwn(next, name)) delete fields[name]
  for (const [name, value] of Object.entries(next)) fields[name] = value
}
