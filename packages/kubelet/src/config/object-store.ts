import type { KubernetesObject, ResourceType } from '@k3s/api'
import { configmaps, secrets, type ConfigMap, type Pod, type Secret } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { backoffDelay, type Clock, type Logger } from '@k3s/lifecycle'
import { podUid } from '../pods/pod-facts.ts'
import { referencesOf } from './references.ts'

export interface ObjectStoreOptions {
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
  /** Called when an object that a pod refers to has changed. Must not throw. */
  readonly onChange: (podUid: string) => void
}

interface Watched {
  readonly users: Set<string>
  readonly stop: AbortController
  /** Settled by the first answer of the API server. */
  readonly synced: PromiseWithResolvers<void>
  isSynced: boolean
  lastError: unknown
  object: KubernetesObject | undefined
}

// How long a pod waits for the first answer: upstream's "timed out waiting for the condition".
const firstAnswerMs = 10_000

/**
 * The config maps and secrets that this node's pods refer to, and no others: each is watched by its name while at least one pod
 * needs it. Owns one watch an object; {@link ObjectStore.close} ends them.
 */
export class ObjectStore {
  readonly #options: ObjectStoreOptions
  readonly #watched = new Map<string, Watched>()
  readonly #keysOfPod = new Map<string, Set<string>>()
  #isClosed = false

  constructor(options: ObjectStoreOptions) {
    this.#options = options
  }

  /** Starts to watch what the pod refers to and forgets what it no longer does. Idempotent. */
  register(pod: Pod): void {
    const { configMaps, secrets: names } = referencesOf(pod)
    const namespace = pod.metadata.namespace ?? ''
    const uid = podUid(pod)
    const wanted = new Set<string>()
    for (const name of configMaps) wanted.add(this.#retain(configmaps, namespace, name, uid))
    for (const name of names) wanted.add(this.#retain(secrets, namespace, name, uid))
    const before = this.#keysOfPod.get(uid) ?? new Set()
    this.#keysOfPod.set(uid, wanted)
    for (const key of before) if (!wanted.has(key)) this.#release(key, uid)
  }

  /** Ends the watches that only this pod needed. */
  unregister(uid: string): void {
    for (const key of this.#keysOfPod.get(uid) ?? []) this.#release(key, uid)
    this.#keysOfPod.delete(uid)
  }

  /** The config map as it is now; `undefined` when there is none. Waits for the first answer; throws when it does not come. */
  async getConfigMap(namespace: string, name: string): Promise<ConfigMap | undefined> {
    return await this.#get(configmaps, namespace, name)
  }

  /** See {@link ObjectStore.getConfigMap}. */
  async getSecret(namespace: string, name: string): Promise<Secret | undefined> {
    return await this.#get(secrets, namespace, name)
  }

  close(): void {
    for (const { stop } of this.#watched.values()) stop.abort()
    this.#watched.clear()
    this.#isClosed = true
  }

  async #get<T extends KubernetesObject>(type: ResourceType<T>, namespace: string, name: string): Promise<T | undefined> {
    const watched = this.#watched.get(keyOf(type, namespace, name))
    if (watched === undefined) throw new Error(`object "${namespace}"/"${name}" not registered`)
    if (!watched.isSynced) {
      const stop = new AbortController()
      await Promise.race([watched.synced.promise, this.#options.clock.sleep(firstAnswerMs, stop.signal).catch(() => {})]) // ended below
      stop.abort()
    }
    if (!watched.isSynced)
      throw new Error(`failed to sync ${type.kind.toLowerCase()} cache: timed out waiting for the condition`, { cause: watched.lastError })
    return watched.object as T | undefined // the key names the type that was watched
  }

  #retain<T extends KubernetesObject>(type: ResourceType<T>, namespace: string, name: string, uid: string): string {
    const key = keyOf(type, namespace, name)
    let watched = this.#watched.get(key)
    if (watched === undefined) {
      watched = {
        users: new Set(),
        stop: new AbortController(),
        synced: Promise.withResolvers(),
        isSynced: false,
        lastError: undefined,
        object: undefined,
      }
      this.#watched.set(key, watched)
      void this.#watch(type, namespace, name, watched) // never rejects; ends with watched.stop
    }
    watched.users.add(uid)
    return key
  }

  #release(key: string, uid: string): void {
    const watched = this.#watched.get(key)
    watched?.users.delete(uid)
    if (watched === undefined || watched.users.size > 0) return
    watched.stop.abort()
    this.#watched.delete(key)
  }

  async #watch<T extends KubernetesObject>(type: ResourceType<T>, namespace: string, name: string, watched: Watched): Promise<void> {
    const { client, clock, logger } = this.#options
    const { signal } = watched.stop
    const api = client.resource(type)
    const fieldSelector = `metadata.name=${name}`
    for (let failures = 0; !signal.aborted;) {
      try {
        const list = await api.list({ namespace, fieldSelector, signal })
        failures = 0
        this.#set(watched, list.items[0])
        let { resourceVersion } = list.metadata
        while (!signal.aborted) {
          if (isImmutable(watched.object)) return // cannot change: nothing to watch for, as upstream
          // Eight minutes: idle watches end now and then, so that a server can shed them.
          for await (const { type: kind, object } of api.watch({
            namespace,
            fieldSelector,
            resourceVersion,
            allowWatchBookmarks: true,
            timeoutSeconds: 480,
            signal,
          })) {
            resourceVersion = object.metadata.resourceVersion ?? resourceVersion
            if (kind !== 'BOOKMARK') this.#set(watched, kind === 'DELETED' ? undefined : object)
          }
          await clock.sleep(100, signal) // a server that ends watches at once is not to be hammered
        }
      } catch (error) {
        if (signal.aborted) return
        watched.lastError = error
        logger.debug({ err: error, kind: type.kind, namespace, name }, 'Cannot watch referenced object')
        await clock.sleep(backoffDelay(failures++, { initialMs: 500 }), signal).catch(() => {}) // the loop's condition sees the abort
      }
    }
  }

  #set(watched: Watched, object: KubernetesObject | undefined): void {
    const changed = watched.isSynced && watched.object?.metadata.resourceVersion !== object?.metadata.resourceVersion
    watched.object = object
    watched.isSynced = true
    watched.synced.resolve()
    if (changed && !this.#isClosed) for (const uid of watched.users) this.#options.onChange(uid)
  }
}

const keyOf = (type: Pick<ResourceType, 'resource'>, namespace: string, name: string): string => `${type.resource}/${namespace}/${name}`

function isImmutable(object: KubernetesObject | undefined): boolean {
  return object !== undefined && 'immutable' in object && object.immutable === true
}
