import { setTimeout as sleep } from 'node:timers/promises'
import { hasReason } from '@k3s/api'
import { customresourcedefinitions, type CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { append, invariant } from '@k3s/lifecycle'
import { serverUser } from '../registry/resource-operations.ts'
import { deleteObject } from '../registry/delete-object.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import { formatTime, writeScope } from '../registry/write-scope.ts'
import { copyJson, isObject } from '../json.ts'
import { heavyShaping } from '../off-loop/heavy-shaping.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { StoredResource } from '../watch-cache/stored-resource.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { Converter } from './conversion/converter.ts'
import { isConditionTrue, setCondition, statusOf, type WantedCondition } from './definition/conditions.ts'
import { planStatus } from './definition/plan-status.ts'
import { writeStatus } from './definition/write-status.ts'
import { cleanupFinalizer } from './definition/strategy.ts'
import { servedVersions } from './served-version.ts'

export interface CustomResourcesOptions {
  readonly core: ApiCore
  /** How objects of a definition are converted between its versions. */
  converterOf(definition: CustomResourceDefinition): Converter
}

// A write that failed is tried again after this long.
const retryMs = 500
// Objects with finalizers are looked for again this often, as their definition waits for them.
const cleanupPollMs = 500
const cleanupTimeoutMs = 60_000

type DefinitionStatus = NonNullable<CustomResourceDefinition['status']>

interface Fingerprint {
  /** A change of it ends watches. */
  readonly shape: string
  readonly conditions: string
}

interface Known {
  readonly uid: string
  /** Of the definition's newest revision that was looked at. */
  revision: number
  /** What decides how it is served. */
  readonly fingerprint: Fingerprint
  served: readonly ServedResource[]
  stored: StoredResource | undefined
  retire: AbortController
}

/**
 * Serves what CustomResourceDefinitions define and keeps their status. What is served follows the watch cache of definitions in the same turn of the
 * event loop: who sees a definition established finds its resource.
 */
export class CustomResources {
  readonly #options: CustomResourcesOptions
  readonly #known = new Map<string, Known>()
  readonly #caches = new Map<string, Promise<WatchCache>>()
  readonly #cleaning = new Set<string>()
  /** Definitions whose status is as it should be, with the revision that was looked at. */
  readonly #settled = new Map<string, number>()
  #work: Promise<void> = Promise.resolve()
  #isWorkDue = false

  constructor(options: CustomResourcesOptions) {
    this.#options = options
  }

  /** The definitions that are served, by name. */
  definition(group: string, resource: string): CustomResourceDefinition | undefined {
    const object = this.#definitions().objects.get(`${resource}.${group}`)?.object
    return object as CustomResourceDefinition | undefined // the cache is of definitions
  }

  /** Serves what the cache holds now, and what comes, until the signal aborts. The returned promise resolves when all work has ended. */
  start(signal: AbortSignal): { readonly ended: Promise<void> } {
    const cache = this.#definitions()
    const change = (): void => {
      this.#sync()
      this.#schedule(signal)
    }
    const stop = cache.onChange(change)
    change()
    const ended = new Promise<void>((resolve) => {
      const finish = (): void => {
        stop()
        void this.#work.then(resolve) // never rejects
      }
      if (signal.aborted) finish()
      else signal.addEventListener('abort', finish, { once: true })
    })
    return { ended }
  }

  #definitions(): WatchCache {
    const storage = this.#options.core.table.find(customresourcedefinitions)?.storage
    invariant(storage !== undefined, 'definitions of custom resources are stored')
    return storage.cache
  }

  /** Compares what is served with what is defined. No await: who reads the cache next finds both in step. */
  #sync(): void {
    const gone: ServedResource[] = []
    const added: ServedResource[] = []
    const present = new Set<string>()
    const groups = new Set<string>()
    for (const object of this.#definitions().objects.slice('')) {
      present.add(object.key)
      const known = this.#known.get(object.key)
      if (known?.revision === object.revision) continue
      const definition = object.object as CustomResourceDefinition // as above
      const uid = definition.metadata.uid ?? ''
      const fingerprint = fingerprintOf(definition)
      const isSameShape = known?.uid === uid && known.fingerprint.shape === fingerprint.shape
      if (known !== undefined && isSameShape && known.fingerprint.conditions === fingerprint.conditions) {
        known.revision = object.revision
        continue
      }
      // Watches go on while a definition is being deleted: they tell how its objects go.
      const goesOn = known !== undefined && isSameShape ? known : undefined
      if (goesOn !== undefined) append(gone, goesOn.served)
      else if (known !== undefined) append(gone, this.#retire(known, known.uid !== uid))
      groups.add(definition.spec.group)
      const next = this.#serve(object, definition, { uid, revision: object.revision, fingerprint, goesOn })
      this.#known.set(object.key, next)
      append(added, next.served)
    }
    for (const [name, known] of this.#known) {
      if (present.has(name)) continue
      append(gone, this.#retire(known, true))
      this.#known.delete(name)
      this.#settled.delete(name)
      groups.add(name.slice(name.indexOf('.') + 1))
    }
    if (gone.length > 0 || added.length > 0) this.#options.core.table.replaceCustom(gone, added)
    // Names that one definition gives up are free for another of its group.
    for (const group of groups) for (const name of this.#settled.keys()) if (name.endsWith(`.${group}`)) this.#settled.delete(name)
  }

  #serve(
    object: CachedObject,
    definition: CustomResourceDefinition,
    { uid, revision, fingerprint, goesOn }: Pick<Known, 'uid' | 'revision' | 'fingerprint'> & { readonly goesOn: Known | undefined },
  ): Known {
    const retire = goesOn?.retire ?? new AbortController()
    const known: Known = { uid, revision, fingerprint, served: [], stored: goesOn?.stored, retire }
    const { heavy } = this.#options.core.registry
    known.served = servedVersions({
      definition,
      offLoop: heavy === undefined ? undefined : heavyShaping(heavy, object),
      converter: this.#options.converterOf(definition),
      retired: retire.signal,
      openCache: (resource, signal) => {
        known.stored = resource
        return this.#openCache(resource, signal)
      },
    })
    return known
  }

  #openCache(resource: StoredResource, signal: AbortSignal): Promise<WatchCache> {
    const present = this.#caches.get(resource.prefix)
    if (present !== undefined) return present
    const opening = this.#options.core.feed.addLoaded(resource, signal)
    this.#caches.set(resource.prefix, opening)
    opening.catch(() => this.#caches.delete(resource.prefix))
    return opening
  }

  /** Ends the watches of a definition's resources; with `forgets` what was cached of them goes, too. */
  #retire(known: Known, forgets: boolean): readonly ServedResource[] {
    known.retire.abort()
    if (forgets && known.stored !== undefined) {
      this.#caches.delete(known.stored.prefix)
      this.#options.core.feed.remove(known.stored)
    }
    return known.served
  }

  /** One round of writes at a time; a change during a round makes another. */
  #schedule(signal: AbortSignal): void {
    if (this.#isWorkDue || signal.aborted) return
    this.#isWorkDue = true
    this.#work = this.#work.then(async () => {
      this.#isWorkDue = false
      try {
        await this.#reconcile(signal)
      } catch (error) {
        if (signal.aborted) return
        this.#options.core.logger.warn({ err: error }, 'Status of custom resource definitions cannot be written')
        await sleep(retryMs, undefined, { signal }).catch(() => {}) // an abort ends the round
        this.#schedule(signal)
      }
    })
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { core } = this.#options
    for (const { key } of this.#definitions().objects.slice('')) {
      signal.throwIfAborted()
      const object = this.#definitions().objects.get(key)
      if (object === undefined || this.#settled.get(key) === object.revision) continue
      const definition = object.object as CustomResourceDefinition // as above
      const planned = await this.#plan(object, definition, signal)
      if (planned === undefined) this.#settled.set(key, object.revision)
      else {
        await core.operations
          .guaranteedUpdate(
            customresourcedefinitions,
            { namespace: '', name: key },
            (object) => {
              // Another has a round of its own.
              if (object.metadata.resourceVersion !== definition.metadata.resourceVersion) return
              writeStatus(object, core.clock.now(), () => void (object.status = copyJson(planned)))
            },
            { signal },
          )
          .catch(ignoreGone)
      }
      this.#cleanUp(definition, signal)
    }
  }

  /** The status that a definition should have next; undefined when it has it. What schemas take to be judged is taken from no other request. */
  async #plan({ bytes }: CachedObject, definition: CustomResourceDefinition, signal: AbortSignal): Promise<DefinitionStatus | undefined> {
    const { clock, registry } = this.#options.core
    const now = formatTime(clock.now())
    const others = this.#othersInGroup(definition)
    if (registry.heavy?.isHeavy(bytes, customresourcedefinitions) !== true) return planStatus(definition, others, now)?.status
    // Of others only the names count.
    const short = others.map(({ metadata, spec, status }) => ({ metadata, spec: { ...spec, versions: [] }, status }))
    const { json } = await registry.heavy.run('planStatus', { definition: bytes, others: Buffer.from(JSON.stringify(short)), now }, signal)
    const status: unknown = JSON.parse(Buffer.from(json).toString('utf8'))
    return isObject(status) ? status : undefined
  }

  #othersInGroup({ metadata, spec }: CustomResourceDefinition): readonly CustomResourceDefinition[] {
    return this.#definitions()
      .objects.slice('')
      .filter(({ key }) => key !== metadata.name && key.endsWith(`.${spec.group}`))
      .map(({ object }) => object as CustomResourceDefinition) // as above
      .filter((other) => other.spec.group === spec.group)
  }

  /** Starts to delete the objects of a definition that is being deleted, once. */
  #cleanUp({ metadata }: CustomResourceDefinition, signal: AbortSignal): void {
    const { name } = metadata
    if (metadata.deletionTimestamp === undefined || metadata.finalizers?.includes(cleanupFinalizer) !== true || this.#cleaning.has(name))
      return
    this.#cleaning.add(name)
    const run = async (): Promise<void> => {
      for (;;) {
        try {
          await this.#deleteInstances(name, signal)
          return
        } catch (error) {
          if (signal.aborted || hasReason(error, 'NotFound')) return
          this.#options.core.logger.warn({ err: error, definition: name }, 'Custom resources cannot be deleted with their definition')
          await sleep(retryMs, undefined, { signal }).catch(() => {}) // an abort ends the loop
        }
      }
    }
    void run().finally(() => this.#cleaning.delete(name)) // never rejects
  }

  async #deleteInstances(name: string, signal: AbortSignal): Promise<void> {
    const { core } = this.#options
    const say = async (condition: Omit<WantedCondition, 'type'>, isLast = false): Promise<CustomResourceDefinition> =>
      core.operations.guaranteedUpdate(
        customresourcedefinitions,
        { namespace: '', name },
        (object) => {
          writeStatus(object, core.clock.now(), () => {
            statusOf(object)
            setCondition(object, { type: 'Terminating', ...condition }, formatTime(core.clock.now()))
          })
          if (isLast) object.metadata.finalizers = (object.metadata.finalizers ?? []).filter((other) => other !== cleanupFinalizer)
        },
        { signal },
      )
    const definition = await say({
      status: 'True',
      reason: 'InstanceDeletionInProgress',
      message: 'CustomResource deletion is in progress',
    })
    if (!isConditionTrue(definition, 'Established')) {
      await say({ status: 'False', reason: 'NeverEstablished', message: 'resource was never established' }, true)
      return
    }
    const served = this.#known.get(name)?.served[0]
    if (served !== undefined) {
      try {
        await this.#deleteAll(served, signal)
      } catch (error) {
        if (signal.aborted) throw error
        const why = error instanceof Error ? error.message : String(error)
        await say({ status: 'True', reason: 'InstanceDeletionFailed', message: `could not issue all deletes: ${why}` })
        throw error
      }
    }
    await say({ status: 'False', reason: 'InstanceDeletionCompleted', message: 'removed all instances' }, true)
  }

  /** Deletes every object and waits until they are gone. Throws when some are left after a minute. */
  async #deleteAll(served: ServedResource, signal: AbortSignal): Promise<void> {
    const { core } = this.#options
    await served.custom?.open(signal)
    const { storage } = served
    invariant(storage !== undefined, 'a custom resource that is open has a storage')
    const until = core.clock.now() + cleanupTimeoutMs
    const asked = new Set<string>()
    for (;;) {
      await core.feed.waitForNewest(signal)
      const objects = storage.cache.objects.slice('')
      if (objects.length === 0) return
      for (const { key, namespace, name } of objects) {
        if (asked.has(key)) continue
        const scope = writeScope({
          user: serverUser,
          namespace,
          clock: core.clock,
          objects: core.objects,
          signal,
          fieldManager: 'kube-apiserver',
          skipsAdmission: true,
        })
        await deleteObject(core.registry, { storage, namespace, name, options: { dryRun: false }, scope }).catch(ignoreGone)
        asked.add(key)
      }
      if (core.clock.now() > until) throw new Error(`could not confirm zero CustomResources remaining: timed out waiting for the condition`)
      await core.feed.waitForNewest(signal)
      if (storage.cache.objects.slice('').length === 0) return
      await sleep(cleanupPollMs, undefined, { signal })
    }
  }
}

function ignoreGone(error: unknown): void {
  if (!hasReason(error, 'NotFound')) throw error
}

/** What of a definition decides how its resources are served. */
function fingerprintOf(definition: CustomResourceDefinition): Fingerprint {
  const { spec, status } = definition
  const conditions = (['NamesAccepted', 'Established', 'Terminating'] as const).map((type) => isConditionTrue(definition, type))
  return { shape: JSON.stringify([spec, status?.acceptedNames]), conditions: conditions.join() }
}
