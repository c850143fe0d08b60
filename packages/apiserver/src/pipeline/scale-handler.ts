import {
  apiVersionOf,
  badRequest,
  conflict,
  formatLabels,
  formatSelector,
  invalid,
  notFound,
  ownersOfScaled,
  scaleOwners,
  selectorOf,
  type JsonObject,
  type KubernetesObject,
  type ReplicasPaths,
} from '@k3s/api'
import type { Scale } from '@k3s/api/types/autoscaling/v1'
import type { LabelSelector } from '@k3s/api/types/meta/v1'
import { decodePatched } from '../codec.ts'
import { internalError, methodNotAllowed } from '../errors.ts'
import { isObject } from '../json.ts'
import { invalidValue } from '../validation/field-error.ts'
import { updateObject } from '../registry/update-object.ts'
import { viewOf, type ScalePaths } from '../registry/served-resource.ts'
import { relativeKey } from '../watch-cache/stored-resource.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { applyPatch, namedVersion, type PatchDocument } from './apply-patch.ts'
import { appliedScale, updatedScale } from './scale-ownership.ts'
import { decodeRequest, heavyWriteOf } from './heavy-request.ts'
import { readPatchOf } from './patch-handler.ts'
import { parseWriteOptions, scopeOf, storageOf, type ResourceRequest, type WriteOptions } from './resource-request.ts'

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
    const shown = await (await viewOf(storage, object, call.signal)).load()
    const paths = served.custom?.scale
    if (paths !== undefined && valueAt(shown, paths.spec) === undefined)
      throw internalError(`the spec replicas field "${pathText(paths.spec)}" does not exist`)
    return { type: 'object', code: 200, object: scaleOf(shown, paths) }
  }
  if (info.verb !== 'update' && info.verb !== 'patch') throw methodNotAllowed()
  const document = info.verb === 'patch' ? await readPatchOf(request) : undefined
  const options = parseWriteOptions(request, document === undefined ? 'UpdateOptions' : 'PatchOptions', document?.kind === 'apply')
  const wanted = await readWanted(core, request, document, options)
  const paths = served.custom?.scale
  const replicasPaths: ReplicasPaths = served.custom?.replicasPaths ?? { [apiVersionOf(served.type)]: ['spec', 'replicas'] }
  const result = await updateObject(core.registry, {
    storage,
    namespace: info.namespace,
    name: info.name,
    subresource: 'scale',
    scope: scopeOf(core, request, options),
    // A body names the object that it is of; a version it may leave out.
    allowsMissingVersion: document !== undefined || served.custom !== undefined,
    admitted: {
      show: (object) => scaleOf(object, paths),
      putBack: (shown, object) => setReplicas(object, (shown as Scale).spec?.replicas ?? 0, paths), // made by `show`
    },
    heavy: heavyWriteOf(core, request, options, undefined)?.untracked,
    produce: async (current) => {
      const object = await current.copyInTurns()
      const { metadata } = object
      const present = scaleOf(object, paths)
      present.metadata.managedFields = scaleOwners(metadata.managedFields, replicasPaths)
      const scale = wanted(present)
      checkName(scale, request)
      const replicas = scale.spec?.replicas ?? 0
      if (replicas < 0) throw invalid(scaleKind, info.name, [invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0')])
      const { uid = '', resourceVersion } = scale.metadata
      if (served.custom === undefined && uid !== '' && uid !== metadata.uid) {
        // Told by the store then, as of any object.
        if (document === undefined) metadata.uid = uid
        else {
          const scaled = { ...served.type, resource: `${served.type.resource}/scale` }
          throw conflict(scaled, info.name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid ?? ''}`)
        }
      }
      setReplicas(object, replicas, paths)
      metadata.resourceVersion = resourceVersion
      metadata.managedFields = ownersOfScaled(
        metadata.managedFields,
        scale.metadata.managedFields,
        replicasPaths,
        apiVersionOf(served.type),
      )
      return object
    },
  })
  return { type: 'object', code: 200, object: scaleOf(await result.object.load(), paths) }
}

function checkName({ metadata }: Scale, { info }: ResourceRequest): void {
  const { name, namespace = '' } = metadata
  if (name === '') throw badRequest(`the name of the object (${info.name} based on URL) was undeterminable: name must be provided`)
  if (name !== info.name) throw badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`)
  if (namespace !== '' && namespace !== info.namespace)
    throw badRequest(`the namespace of the object (${namespace}) does not match the namespace on the request (${info.namespace})`)
}

function setReplicas(object: KubernetesObject, replicas: number, paths: ScalePaths | undefined): void {
  const scalable = object as Scalable // the resource has a scale subresource
  if (paths === undefined) scalable.spec = { ...scalable.spec, replicas }
  else setAt(object, paths.spec, replicas)
}

/** What the body makes of the present Scale, and of its owners. */
async function readWanted(
  core: ApiCore,
  request: ResourceRequest,
  document: PatchDocument | undefined,
  { fieldManager: manager, fieldValidation, force }: WriteOptions,
): Promise<(present: Scale) => Scale> {
  const { call } = request
  const warn = (message: string): void => call.warn(message)
  const writer = { manager, now: new Date(core.clock.now()) }
  if (document === undefined) {
    const body = await call.readBody()
    const how = { fieldValidation, warn, signal: call.signal } as const
    const scale = (await decodeRequest(core, body ?? { bytes: Buffer.alloc(0), contentType: '' }, scaleKind, how)) as Scale // its kind was checked
    return (present) => updatedScale(present, scale, writer)
  }
  return (present) => {
    const { kind, value } = document
    const patched =
      kind === 'apply' && isObject(value)
        ? appliedScale(present, value, { ...writer, force })
        : applyPatch(document, present as unknown as JsonObject, { apiVersion: 'autoscaling/v1', kind: 'Scale' })
    const scale = decodePatched(patched, scaleKind, { fieldValidation, warn }) as Scale // as above
    if (namedVersion(document) === '') delete scale.metadata.resourceVersion
    return kind === 'apply' ? scale : updatedScale(present, scale, writer)
  }
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
    // None are left out.
    spec: spec?.replicas ? { replicas: spec.replicas } : {},
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
