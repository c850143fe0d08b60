import { createHash } from 'node:crypto'
import {
  apiVersionOf,
  mergeSchemaOfCustom,
  type KubernetesObject,
  type ResourceInfo,
  type ResourceType,
  type SubresourceInfo,
} from '@k3s/api'
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from '@k3s/api/types/apiextensions/v1'
import { invariant } from '@k3s/lifecycle'
import { copyJson } from '../json.ts'
import { isLarge, parseInTurns, stringifyInTurns } from '../off-loop/json-in-turns.ts'
import type { CustomFacts, ResourceStorage, ScalePaths, ServedResource } from '../registry/served-resource.ts'
import { compareVersions } from '../registry/versions/compare-versions.ts'
import { storedResource, type StoredResource } from '../watch-cache/stored-resource.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { coerceResource } from './coerce.ts'
import type { Converter } from './conversion/converter.ts'
import { customStrategy } from './custom-strategy.ts'
import { isConditionTrue } from './definition/conditions.ts'
import { withPrunedDefaults } from './schema/defaults.ts'
import type { JsonMap, Schema } from './schema/schema.ts'
import { shapeResource } from './shape-resource.ts'
import { VersionView, type OffLoopShaping } from './version-view.ts'

const verbs = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch']
const terminatingVerbs = ['delete', 'deletecollection', 'get', 'list', 'watch']
const subresourceVerbs = ['get', 'patch', 'update']

export interface ServedVersionsOptions {
  readonly definition: CustomResourceDefinition
  readonly converter: Converter
  /** The one cache of all versions; filled when it is first asked for. */
  openCache(resource: StoredResource, signal: AbortSignal): Promise<WatchCache>
  readonly retired: AbortSignal
  /** Does the work on large objects; absent: it is done here. */
  readonly offLoop?: OffLoopShaping | undefined
}

/** What is served for a definition: one resource for each served version. Nothing is compiled or read before it is used. */
export function servedVersions(options: ServedVersionsOptions): readonly ServedResource[] {
  const { definition } = options
  const isAccepted = isConditionTrue(definition, 'NamesAccepted') || isConditionTrue(definition, 'Established')
  const storage = definition.spec.versions.find((version) => version.storage)
  if (!isAccepted || storage === undefined) return []
  const shared = new SharedVersions(definition, storage)
  return definition.spec.versions
    .filter(({ served }) => served)
    .map((version) => {
      const retained = new LazyStorage(options, shared, version)
      return retained.served
    })
}

/** What the versions of a definition share. */
class SharedVersions {
  readonly type: ResourceType
  readonly stored: StoredResource
  readonly #definition: CustomResourceDefinition
  #schemas: ReadonlyMap<string, Schema | undefined> | undefined

  constructor(definition: CustomResourceDefinition, storage: CustomResourceDefinitionVersion) {
    const { group, scope } = definition.spec
    const { plural = '', kind = '' } = definition.status?.acceptedNames ?? {}
    this.#definition = definition
    this.type = { group, version: storage.name, resource: plural, kind, namespaced: scope === 'Namespaced' }
    this.stored = storedResource(this.type, { isCustom: true })
  }

  own(version: string): StoredResource {
    const own = this.stored.inVersion?.(apiVersionOf({ group: this.type.group, version }))
    invariant(own !== undefined, 'custom resources are stored in versions')
    return own
  }

  /** Schemas with pruned defaults, of all versions. */
  get schemas(): ReadonlyMap<string, Schema | undefined> {
    const { spec } = this.#definition
    return (this.#schemas ??= new Map(
      spec.versions.map(({ name, schema }) => {
        const root = schema?.openAPIV3Schema
        if (root === undefined || spec.preserveUnknownFields === true)
          return [name, { 'x-kubernetes-preserve-unknown-fields': true, ...root }]
        return [name, withPrunedDefaults(root)]
      }),
    ))
  }
}

/** A served version whose storage is made at its first use. */
class LazyStorage {
  readonly served: ServedResource
  readonly #options: ServedVersionsOptions
  readonly #shared: SharedVersions
  readonly #version: CustomResourceDefinitionVersion
  readonly #type: ResourceType
  #storage: ResourceStorage | undefined
  #opening: Promise<void> | undefined

  constructor(options: ServedVersionsOptions, shared: SharedVersions, version: CustomResourceDefinitionVersion) {
    this.#options = options
    this.#shared = shared
    this.#version = version
    const { definition, retired } = options
    this.#type = { ...shared.type, version: version.name }
    const storageOf = (): ResourceStorage | undefined => this.#storage
    const custom: CustomFacts = {
      open: (signal) => this.#open(signal),
      coerce: (object) => coerceResource(object, shared.schemas.get(version.name), { isStored: false }),
      convert: async (object, signal) => {
        const own = apiVersionOf(this.#type)
        if (object.apiVersion === own) return object
        const plain = copyJson(object) as unknown as JsonMap // an API object is a JSON object
        const [converted] = await options.converter.convert([plain], own, signal)
        invariant(converted !== undefined, 'a converter answers for every object')
        const how = { version: version.name, isStored: false }
        if (options.offLoop !== undefined && isLarge(converted)) {
          const shaped = await options.offLoop.shape(await stringifyInTurns(converted), how, signal)
          const { metadata } = object
          const large = (await parseInTurns(shaped)) as KubernetesObject // shaping answers with an object
          if (metadata.resourceVersion !== undefined) large.metadata.resourceVersion = metadata.resourceVersion
          return large
        }
        const copy = copyJson(converted)
        shapeResource(copy, shared.schemas, how)
        return copy as unknown as KubernetesObject // it has the metadata of the object it was made from
      },
      shape: (object, how) => shapeResource(object, shared.schemas, how),
      retired,
      warning: deprecationWarning(definition, version),
      scale: scalePaths(version),
      replicasPaths: Object.fromEntries(
        definition.spec.versions.map((other) => [`${definition.spec.group}/${other.name}`, scalePaths(other)?.spec]),
      ),
      published: {
        schema: definition.spec.preserveUnknownFields === true ? undefined : version.schema?.openAPIV3Schema,
        selectableFields: (version.selectableFields ?? []).map(({ jsonPath }) => jsonPath.replace(/^\./, '')),
      },
      isTerminating: isConditionTrue(definition, 'Terminating'),
      definition: options.offLoop?.definition,
      isAnnounced: isConditionTrue(definition, 'Established'),
    }
    this.served = {
      type: this.#type,
      info: infoOf(definition, version, this.#type),
      schema: undefined,
      get storage() {
        return storageOf()
      },
      conversion: undefined,
      converted: new WeakMap(),
      get strategy() {
        const storage = storageOf()
        invariant(storage !== undefined, 'a custom resource is opened before it is used')
        return storage.strategy
      },
      custom,
    }
  }

  async #open(signal: AbortSignal): Promise<void> {
    if (this.#storage !== undefined) return
    this.#opening ??= this.#fill(signal).finally(() => (this.#opening = undefined))
    await this.#opening
  }

  async #fill(signal: AbortSignal): Promise<void> {
    const shared = this.#shared
    const { converter, definition, offLoop } = this.#options
    const cache = await this.#options.openCache(shared.stored, signal)
    const own = shared.own(this.#version.name)
    const schema = shared.schemas.get(this.#version.name)
    const strategy = customStrategy({
      type: this.#type,
      version: this.#version,
      schema,
      isTerminating: isConditionTrue(definition, 'Terminating'),
    })
    this.#storage = {
      resource: own,
      cache,
      schema: undefined,
      strategy,
      hasGeneration: true,
      ttlSeconds: undefined,
      garbageCollection: 'delete',
      judgesRequests: false,
      returnsDeleted: false,
      view: new VersionView({ own, stored: shared.stored, schemas: shared.schemas, converter, offLoop }),
      mergeSchema: mergeSchemaOfCustom(this.#version.schema?.openAPIV3Schema),
      hasPlainStatus: this.#version.subresources?.status === undefined,
    }
  }
}

function infoOf(definition: CustomResourceDefinition, version: CustomResourceDefinitionVersion, type: ResourceType): ResourceInfo {
  const { singular = '', shortNames = [], categories = [] } = definition.status?.acceptedNames ?? {}
  const storage = definition.spec.versions.find((other) => other.storage)?.name ?? ''
  const subresources: SubresourceInfo[] = []
  if (version.subresources?.status !== undefined)
    subresources.push({ name: 'status', group: type.group, version: type.version, kind: type.kind, verbs: subresourceVerbs })
  if (version.subresources?.scale !== undefined)
    subresources.push({ name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: subresourceVerbs })
  return {
    ...type,
    singular,
    verbs: isConditionTrue(definition, 'Terminating') ? terminatingVerbs : verbs,
    shortNames,
    categories,
    storageVersionHash: createHash('sha256').update(`${type.group}/${storage}/${type.kind}`).digest().subarray(0, 8).toString('base64'),
    subresources,
  }
}

function deprecationWarning({ spec }: CustomResourceDefinition, version: CustomResourceDefinitionVersion): string | undefined {
  if (version.deprecated !== true) return undefined
  if (version.deprecationWarning !== undefined) return version.deprecationWarning
  const name = (other: string): string => `${spec.group}/${other} ${spec.names.kind}`
  const [newest] = spec.versions
    .filter((other) => other.served && other.deprecated !== true && compareVersions(other.name, version.name) < 0)
    .map((other) => other.name)
    .toSorted(compareVersions)
  return `${name(version.name)} is deprecated${newest === undefined ? '' : `; use ${name(newest)}`}`
}

function scalePaths({ subresources }: CustomResourceDefinitionVersion): ScalePaths | undefined {
  const scale = subresources?.scale
  if (scale === undefined) return undefined
  const split = (path: string): readonly string[] => path.replace(/^\./, '').split('.')
  const { labelSelectorPath = '' } = scale
  return {
    spec: split(scale.specReplicasPath),
    status: split(scale.statusReplicasPath),
    selector: labelSelectorPath === '' ? undefined : split(labelSelectorPath),
  }
}
