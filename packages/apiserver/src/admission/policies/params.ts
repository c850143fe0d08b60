import { selectorMatches } from '../../resources/shared/label-selector.ts'
import type { KubernetesObject } from '@k3s/api'
import type { ParamKind, ParamRef } from '@k3s/api/types/admissionregistration/v1'
import { toServed, viewOf, type ServedResource } from '../../registry/served-resource.ts'
import { relativeKey } from '../../watch-cache/stored-resource.ts'
import type { Catalog } from '../matching/catalog.ts'

const endless = new AbortController().signal

/** Where the parameters of a policy are; undefined when it has none. Throws an Error when nothing of that kind is served. */
export function paramResource(kind: ParamKind | undefined, catalog: Catalog): ServedResource | undefined {
  if (kind === undefined) return undefined
  const { apiVersion = '', kind: name = '' } = kind
  const slash = apiVersion.indexOf('/')
  const [group, version] = slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
  const served = catalog.ofKind({ group, version, kind: name })
  if (served === undefined) throw new Error(`failed to find resource referenced by paramKind: '${group}/${version}, Kind=${name}'`)
  return served
}

/**
 * The parameters that a binding chooses, each for one run of the policy. A policy without parameters, and a binding that chooses none, run once without.
 * None at all: the policy does not run. Throws an Error when there should be some.
 */
export async function collectParams(
  served: ServedResource | undefined,
  reference: ParamRef | undefined,
  request: { readonly namespace: string; readonly signal: AbortSignal | undefined },
): Promise<readonly (KubernetesObject | undefined)[]> {
  if (served === undefined || reference === undefined) return [undefined]
  const { name = '', selector, namespace: wanted = '', parameterNotFoundAction } = reference
  if (served.type.namespaced && wanted === '' && request.namespace === '')
    throw new Error('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources')
  if (!served.type.namespaced && wanted !== '') throw new Error('paramRef.namespace must not be provided for a cluster-scoped `paramKind`')
  const namespace = served.type.namespaced ? (wanted === '' ? request.namespace : wanted) : ''
  const found = await read(served, { namespace, name, signal: request.signal ?? endless })
  const chosen = name === '' ? found.filter(({ metadata }) => selectorMatches(selector, metadata.labels)) : found
  if (chosen.length === 0 && parameterNotFoundAction === 'Deny')
    throw new Error('no params found for policy binding with `Deny` parameterNotFoundAction')
  return chosen
}

/** One object by its name, or all of a namespace. */
async function read(
  served: ServedResource,
  { namespace, name, signal }: { readonly namespace: string; readonly name: string; readonly signal: AbortSignal },
): Promise<readonly KubernetesObject[]> {
  await served.custom?.open(signal)
  const { storage } = served
  if (storage === undefined) return []
  const { objects } = storage.cache
  const prefix = served.type.namespaced ? `${namespace}/` : ''
  const single = name === '' ? undefined : objects.get(relativeKey(storage.resource, namespace, name))
  const found = name === '' ? objects.slice(prefix) : single === undefined ? [] : [single]
  const shown = await Promise.all(found.map(async (object) => viewOf(storage, object, signal)))
  const { group, version, kind } = served.type
  const apiVersion = group === '' ? version : `${group}/${version}`
  return shown.map(({ object }) => ({ ...toServed(served, object), apiVersion, kind }))
}
