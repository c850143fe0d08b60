import { formatLabels, formatSelector, invalid, notFound, selectorOf, type JsonObject, type KubernetesObject } from '@k3s/api'
import type { Scale } from '@k3s/api/types/autoscaling/v1'
import type { LabelSelector, ManagedFieldsEntry } from '@k3s/api/types/meta/v1'
import { decodeBody, decodePatched } from '../codec.ts'
import { internalError, methodNotAllowed } from '../errors.ts'
import { isObject } from '../json.ts'
import { invalidValue } from '../validation/field-error.ts'
import { updateObject } from '../registry/update-object.ts'
import { viewOf, type ScalePaths } from '../registry/served-resource.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { applyPatch, namedVersion } from './apply-patch.ts'
import { fieldTracking } from './field-tracking.ts'
import { readPatchOf } from './patch-handler.ts'
import { parseWriteOptions, scopeOf, storageOf, type ResourceRequest } from './resource-request.ts'

/** What workloads with a `scale` subresource have in common. */
interface Scalable extends KubernetesObject {
  spec?: { replicas?: number | undefined; selector?: LabelSelector | Record<string, string> | undefined }
  status?: { replicas?: number | undefined }
}

const scaleKind = { group: 'autoscaling', version: 'v1', kind: 'Scale' }

/** GET, PUT and PATCH of `scale` for the built-in workloads. */
export async function handleScale(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, served, call } = request
  const storage = storageOf(request)
  if (info.verb === 'get') {
    await core.feed.waitForNewest(call.signal)
    const object = storage.cache.objects.get(relativeKey(storage.resource, info.namespace, info.name))
    if (object === undefined) throw notFound(served.type, info.name)
    const { object: shown } = await viewOf(storage, object, call.signal)
    const paths = served.custom?.scale
    if (paths !== undefined && valueAt(shown, paths.spec) === undefined)
      throw internalError(`the spec replicas field "${pathText(paths.spec)}" does not exist`)
    return { type: 'object', code: 200, object: scaleOf(shown, paths) }
  }
  if (info.verb !== 'update' && info.verb !== 'patch') throw methodNotAllowed()
  const options = parseWriteOptions(request, info.verb === 'patch' ? 'PatchOptions' : 'UpdateOptions')
  const wanted = await readWanted(request)
  const tracking = fieldTracking(request, options, new Date(core.clock.now())).ofUpdate()
  const result = await updateObject(core.registry, {
    storage,
    namespace: info.namespace,
    name: info.name,
    subresource: 'scale',
    scope: scopeOf(core, request, options),
    allowsMissingVersion: true,
    admitted: {
      show: (object) => scaleOf(object, served.custom?.scale),
      putBack: (shown, object) => setReplicas(object, (shown as Scale).spec?.replicas ?? 0, served.custom?.scale), // made by `show`
    },
    track: (object, previous) => {
      tracking.track(object, previous)
      forgetTime(object)
    },
    produce: (current) => {
      const paths = served.custom?.scale
      const scale = wanted(scaleOf(current.object, paths))
      const replicas = scale.spec?.replicas ?? 0
      if (replicas < 0) throw invalid(scaleKind, info.name, [invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0')])
      const object = current.parseCopy()
      setReplicas(object, replicas, paths)
      object.metadata.resourceVersion = scale.metadata.resourceVersion
      object.metadata.uid = scale.metadata.uid
      return object
    },
  })
  return { type: 'object', code: 200, object: scaleOf(result.object.object, served.custom?.scale) }
}

/** As upstream, whose Scale has no place for the time of an update: entries without one stand first. */
function forgetTime({ metadata }: KubernetesObject): void {
  const { managedFields } = metadata
  if (managedFields === undefined) return
  const isScale = ({ operation, subresource }: ManagedFieldsEntry): boolean => operation === 'Update' && subresource === 'scale'
  const timeless = managedFields.filter(isScale).map(({ time: _, ...entry }) => entry)
  metadata.managedFields = [...timeless, ...managedFields.filter((entry) => !isScale(entry))]
}

function setReplicas(object: KubernetesObject, replicas: number, paths: ScalePaths | undefined): void {
  const scalable = object as Scalable // the resource has a scale subresource
  if (paths === undefined) scalable.spec = { ...scalable.spec, replicas }
  else setAt(object, paths.spec, replicas)
}

/** What the body makes of the present Scale. */
async function readWanted(request: ResourceRequest): Promise<(present: Scale) => Scale> {
  const { info, call } = request
  const warn = (message: string): void => call.warn(message)
  if (info.verb === 'update') {
    const body = await call.readBody()
    const scale = decodeBody(body ?? { bytes: Buffer.alloc(0), contentType: '' }, scaleKind, { fieldValidation: 'Warn', warn }) as Scale // its kind was checked
    return () => scale
  }
  const document = await readPatchOf(request)
  return (present) => {
    const patched =
      isObject(document.value) && document.kind === 'apply'
        ? mergeApplied(present, document.value)
        : applyPatch(document, present as unknown as JsonObject, { apiVersion: 'autoscaling/v1', kind: 'Scale' })
    const scale = decodePatched(patched, scaleKind, { fieldValidation: 'Warn', warn }) as Scale // as above
    if (namedVersion(document) === '') delete scale.metadata.resourceVersion
    return scale
  }
}

/** An applied Scale owns its one field. */
function mergeApplied(present: Scale, applied: JsonObject): JsonObject {
  return { ...(present as unknown as JsonObject), spec: applied['spec'] } // a Scale is a JSON object
}

function scaleOf(object: KubernetesObject, paths: ScalePaths | undefined): Scale {
  const { metadata } = object
  const { spec, status, selector } =
    paths === undefined
      ? partsOf(object)
      : {
          spec: { replicas: numberAt(object, paths.spec) },
          status: { replicas: numberAt(object, paths.status) },
          selector: paths.selector === undefined ? '' : String(valueAt(object, paths.selector) ?? ''),
        }
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name: metadata.name,
      namespace: metadata.namespace,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      creationTimestamp: metadata.creationTimestamp,
    },
    spec: { replicas: spec?.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, selector },
  }
}

function partsOf(object: KubernetesObject): {
  readonly spec: Scalable['spec'] | undefined
  readonly status: Scalable['status'] | undefined
  readonly selector: string
} {
  const { spec, status } = object as Scalable // the resource has a scale subresource
  return { spec, status, selector: selectorText(object.kind ?? '', spec?.selector) }
}

const pathText = (names: readonly string[]): string => `.${names.join('.')}`

function valueAt(object: unknown, names: readonly string[]): unknown {
  return names.reduce<unknown>((value, name) => (isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined), object)
}

function numberAt(object: KubernetesObject, names: readonly string[]): number {
  const value = valueAt(object, names)
  return typeof value === 'number' ? value : 0
}

/** Sets a value in an object, making the objects on the way to it. */
function setAt(object: object, names: readonly string[], value: unknown): void {
  let at = object as Record<string, unknown> // any object
  for (const name of names.slice(0, -1)) {
    const inner = Object.hasOwn(at, name) ? at[name] : undefined
    if (isObject(inner)) at = inner
    else at = at[name] = {} as Record<string, unknown> // as above
  }
  at[names.at(-1) ?? ''] = value
}

function selectorText(kind: string, selector: LabelSelector | Record<string, string> | undefined): string {
  if (selector === undefined) return ''
  // Only replication controllers select by plain labels.
  return kind === 'ReplicationController' ? formatLabels(selector as Record<string, string>) : formatSelector(selectorOf(selector) ?? [])
}
