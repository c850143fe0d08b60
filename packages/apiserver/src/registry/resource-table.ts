import { groupInfos, resourceInfos, schemaOf, apiVersionOf, type ResourceInfo, type ResourceType } from '@k3s/api'
import type { CacheFeed } from '../watch-cache/cache-feed.ts'
import { storedResource } from '../watch-cache/stored-resource.ts'
import type { ResourceStorage, ServedResource, VersionConversion } from './served-resource.ts'
import { defaultGarbageCollection, defaultRules, hasGenerationByDefault, judgesRequests, returnsDeletedObject } from './resource-facts.ts'
import type { ResourceStrategy } from './strategy.ts'
import { versionConversions } from './versions/conversions.ts'
import { compareVersions } from './versions/compare-versions.ts'

/** A group of the API with the versions in which it is served. */
export interface ServedGroup {
  readonly group: string
  /** Preferred first. */
  readonly versions: readonly string[]
}

export interface ResourceTableOptions {
  readonly feed: Pick<CacheFeed, 'add'>
  /** Rules by resource; a resource without an entry works by its schema. */
  readonly strategies: readonly ResourceStrategy[]
  readonly eventTtlSeconds: number
}

const keyOf = (type: Pick<ResourceType, 'group' | 'version' | 'resource'>): string => `${type.group}/${type.version}/${type.resource}`

/** Everything that is served. Built-in resources stay; others come and go while the server runs. */
export class ResourceTable {
  readonly #served = new Map<string, ServedResource>()
  #groups: readonly ServedGroup[]
  readonly #listeners = new Set<() => void>()
  #generation = 0

  constructor(options: ResourceTableOptions) {
    this.#groups = groupInfos().map(({ group, versions }) => ({ group, versions }))
    const strategies = new Map(options.strategies.map((strategy) => [keyOf(strategy.type), strategy]))
    const storages = new Map<string, ResourceStorage>()
    for (const info of resourceInfos()) {
      const type = typeOf(info)
      const strategy = strategies.get(keyOf(type)) ?? strategyBySchema(info, type)
      const conversion: { readonly storedAs: ResourceType; readonly convert: VersionConversion } | undefined = versionConversions.get(
        keyOf(type),
      )
      const storedType = conversion?.storedAs ?? type
      const isStored = info.verbs.includes('list') && info.resource !== 'componentstatuses'
      const storage = isStored ? (storages.get(keyOf(storedType)) ?? this.#storage(options, storedType, strategies)) : undefined
      if (storage !== undefined) storages.set(keyOf(storedType), storage)
      this.#served.set(keyOf(type), {
        type,
        info,
        schema: schemaOf(apiVersionOf(type), info.kind),
        storage,
        conversion: conversion?.convert,
        converted: new WeakMap(),
        strategy,
      })
    }
  }

  get all(): Iterable<ServedResource> {
    return this.#served.values()
  }

  get groups(): readonly ServedGroup[] {
    return this.#groups
  }

  /** Counts changes; what is derived from the table is valid for one value. */
  get generation(): number {
    return this.#generation
  }

  find(type: Pick<ResourceType, 'group' | 'version' | 'resource'>): ServedResource | undefined {
    return this.#served.get(keyOf(type))
  }

  /** Resources of one group and version that discovery shows, in its order. */
  inVersion(group: string, version: string): readonly ServedResource[] {
    const served = [...this.#served.values()].filter(
      ({ type, custom }) => type.group === group && type.version === version && custom?.isAnnounced !== false,
    )
    return served.some(({ custom }) => custom !== undefined)
      ? served.toSorted((a, b) => (a.type.resource < b.type.resource ? -1 : a.type.resource > b.type.resource ? 1 : 0))
      : served
  }

  /** Replaces some custom resources by others, in one change. Built-in resources cannot be replaced: those of the same name are left out. */
  replaceCustom(gone: readonly ServedResource[], added: readonly ServedResource[]): void {
    for (const { type } of gone) if (this.#served.get(keyOf(type))?.custom !== undefined) this.#served.delete(keyOf(type))
    for (const served of added) {
      const present = this.#served.get(keyOf(served.type))
      if (present === undefined || present.custom !== undefined) this.#served.set(keyOf(served.type), served)
    }
    const announced = new Map<string, Set<string>>()
    for (const { type, custom } of this.#served.values()) {
      if (custom === undefined || !custom.isAnnounced) continue
      const versions = announced.get(type.group) ?? new Set()
      announced.set(type.group, versions.add(type.version))
    }
    const custom = [...announced].map(([group, versions]) => ({ group, versions: [...versions].toSorted(compareVersions) }))
    const builtIn = groupInfos().map(({ group, versions }) => ({
      group,
      versions: [...new Set([...versions, ...(announced.get(group) ?? [])])],
    }))
    const others = custom.filter(({ group }) => !builtIn.some((known) => known.group === group))
    this.#groups = [...builtIn, ...others.toSorted((a, b) => (a.group < b.group ? -1 : 1))]
    this.#changed()
  }

  /** Calls `listener` after each change. Returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #changed(): void {
    this.#generation++
    for (const listener of this.#listeners) listener()
  }

  #storage(options: ResourceTableOptions, type: ResourceType, strategies: ReadonlyMap<string, ResourceStrategy>): ResourceStorage {
    const info = resourceInfos().find((other) => keyOf(other) === keyOf(type))
    const strategy = strategies.get(keyOf(type)) ?? strategyBySchema(info, type)
    const resource = storedResource(type, { complete: strategy.completeStored?.bind(strategy) })
    return {
      resource,
      cache: options.feed.add(resource),
      schema: schemaOf(apiVersionOf(type), type.kind),
      strategy,
      hasGeneration: strategy.hasGeneration ?? hasGenerationByDefault(type),
      ttlSeconds: type.group === '' && type.resource === 'events' ? options.eventTtlSeconds : undefined,
      garbageCollection: defaultGarbageCollection(type),
      judgesRequests: judgesRequests(type),
      returnsDeleted: returnsDeletedObject(type),
    }
  }
}

function typeOf(info: ResourceInfo): ResourceType {
  return { group: info.group, version: info.version, resource: info.resource, kind: info.kind, namespaced: info.namespaced }
}

/** What the schema table and upstream's facts say. */
function strategyBySchema(info: ResourceInfo | undefined, type: ResourceType): ResourceStrategy {
  const hasStatus = info?.subresources.some(({ name }) => name === 'status') === true
  return { type, status: hasStatus ? {} : undefined, ...defaultRules(type) }
}
