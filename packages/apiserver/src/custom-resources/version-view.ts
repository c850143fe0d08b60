import { apiVersionOf, type KubernetesObject } from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import { copyJson, equalJson } from '../json.ts'
import { isLarge, nextTurn, parseInTurns, stringifyInTurns } from '../off-loop/json-in-turns.ts'
import type { HeavyDefinition } from '../off-loop/heavy-definition.ts'
import type { StorageView } from '../registry/served-resource.ts'
import { CachedObject, encodeStored, encodeStoredInTurns, longBytes } from '../watch-cache/cached-object.ts'
import { exactNumbers, exactNumbersInTurns, type ExactNumbers } from '../watch-cache/exact-numbers.ts'
import type { StoredResource } from '../watch-cache/stored-resource.ts'
import type { Converter } from './conversion/converter.ts'
import type { JsonMap } from './schema/schema.ts'
import { shapeResource, type Schemas } from './shape-resource.ts'

/** Does elsewhere what takes long with large objects. */
export interface OffLoopShaping {
  readonly definition: HeavyDefinition
  /** The value of a stored object in another version, without asking a webhook; undefined when it is shown as it is stored. */
  show(object: CachedObject, own: StoredResource, signal: AbortSignal): Promise<Buffer | undefined>
  /** What {@link shapeResource} makes of a JSON object: the value to store, with `exact` numbers as they came. */
  shape(
    object: Uint8Array,
    how: { readonly version: string; readonly isStored: boolean; readonly exact?: ExactNumbers | undefined },
    signal: AbortSignal,
  ): Promise<Buffer>
}

export interface VersionViewOptions {
  /** The served version. */
  readonly own: StoredResource
  /** The version that new values are stored in. */
  readonly stored: StoredResource
  readonly schemas: Schemas
  readonly converter: Converter
  /** Absent: all is done here. */
  readonly offLoop?: OffLoopShaping | undefined
}

/**
 * Shows stored objects in one version: pruned and defaulted by the schema of the version they are stored in, then converted.
 * Each object is looked at once; most are shown as they are stored, byte for byte.
 */
export class VersionView implements StorageView {
  readonly #options: VersionViewOptions
  readonly #apiVersion: string
  readonly #shown = new WeakMap<object, CachedObject>()

  constructor(options: VersionViewOptions) {
    this.#options = options
    this.#apiVersion = apiVersionOf(options.own.type)
  }

  at(object: CachedObject): CachedObject | undefined {
    const known = this.#shown.get(object.content)
    if (known !== undefined) return known.revision === object.revision ? known : known.atRevision(object.revision)
    if (!this.#asksNobody(object) || this.#isLong(object)) return undefined
    const decoded = this.#decode(object)
    if (decoded['apiVersion'] !== this.#apiVersion) {
      decoded['apiVersion'] = this.#apiVersion
      this.#shape(decoded, this.#options.own)
    }
    return this.#remember(object, decoded)
  }

  async prepare(objects: readonly CachedObject[], signal: AbortSignal): Promise<void> {
    const asked: CachedObject[] = []
    const pause = pauseByBytes()
    for (const object of objects) {
      if (this.#shown.has(object.content)) continue
      if (!this.#asksNobody(object)) asked.push(object)
      else if (this.at(object) === undefined) await this.#showElsewhere(object, signal)
      else await pause(object)
    }
    if (asked.length === 0) return
    const { converter, own } = this.#options
    const decoded: JsonMap[] = []
    for (const object of asked) {
      decoded.push(await this.#decodeInTurns(object, signal))
      await pause(object)
    }
    const converted = await converter.convert(decoded, this.#apiVersion, signal)
    for (const [index, object] of asked.entries()) {
      const result = converted[index]
      invariant(result !== undefined, 'a converter answers for every object')
      const value = await this.#shapeElsewhere(result, { to: own, exact: await exactNumbersInTurns(object.bytes), signal })
      if (value === undefined) {
        this.#shape(result, own)
        this.#remember(object, result)
      } else this.#shown.set(object.content, CachedObject.shown(own, object, value))
      await pause(object)
    }
  }

  async encode(object: KubernetesObject, signal: AbortSignal, exact?: ExactNumbers): Promise<Buffer> {
    const { own, stored, converter } = this.#options
    if (own.type.version === stored.type.version) return encodeStoredInTurns(stored, object, exact)
    const plain = copyJson({ ...object, apiVersion: this.#apiVersion, kind: own.type.kind }) as unknown as JsonMap // an API object is a JSON object
    const [converted] = await converter.convert([plain], apiVersionOf(stored.type), signal)
    invariant(converted !== undefined, 'a converter answers for every object')
    const value = await this.#shapeElsewhere(converted, { to: stored, exact, signal })
    if (value !== undefined) return value
    const copy = copyJson(converted)
    this.#shape(copy, stored)
    return encodeStored(stored, copy as unknown as KubernetesObject, exact) // it has the metadata of the object it was made from
  }

  /** No webhook has to be asked to show it. */
  #asksNobody({ resource }: CachedObject): boolean {
    return this.#options.converter.isTrivial || apiVersionOf(resource.type) === this.#apiVersion
  }

  #isLong({ bytes }: CachedObject): boolean {
    return this.#options.offLoop !== undefined && bytes.length > longBytes
  }

  #shape(object: JsonMap, { type }: StoredResource): void {
    shapeResource(object, this.#options.schemas, { version: type.version, isStored: false })
  }

  /** What is stored, by the schema of the version it is stored in. */
  #decode(object: CachedObject): JsonMap {
    const decoded = object.parseCopy() as unknown as JsonMap // as above
    shapeResource(decoded, this.#options.schemas, { version: object.resource.type.version, isStored: true })
    return decoded
  }

  async #decodeInTurns(object: CachedObject, signal: AbortSignal): Promise<JsonMap> {
    const { offLoop } = this.#options
    if (offLoop === undefined || !this.#isLong(object)) return this.#decode(object)
    const { version } = object.resource.type
    const value = await offLoop.shape(object.bytes, { version, isStored: true, exact: await exactNumbersInTurns(object.bytes) }, signal)
    const shaped = CachedObject.shown(object.resource, object, value)
    return (await parseInTurns(shaped.bytes)) as JsonMap // shaping answers with an object
  }

  async #showElsewhere(object: CachedObject, signal: AbortSignal): Promise<void> {
    const { offLoop, own } = this.#options
    const value = await offLoop?.show(object, own, signal)
    this.#shown.set(object.content, value === undefined ? object : CachedObject.shown(own, object, value))
  }

  /** The value to store of what a webhook made; undefined for what is small: that is done here. */
  async #shapeElsewhere(
    object: JsonMap,
    { to, exact, signal }: { readonly to: StoredResource; readonly exact: ExactNumbers | undefined; readonly signal: AbortSignal },
  ): Promise<Buffer | undefined> {
    const { offLoop } = this.#options
    if (offLoop === undefined || !isLarge(object)) return undefined
    return offLoop.shape(await stringifyInTurns(object), { version: to.type.version, isStored: false, exact }, signal)
  }

  #remember(object: CachedObject, shown: JsonMap): CachedObject {
    const { own } = this.#options
    const isSame = object.resource.head === own.head && equalJson(shown, object.object)
    const encoded = (): Buffer => encodeStored(own, shown as unknown as KubernetesObject, exactNumbers(object.bytes)) // as above
    const view = isSame ? object : CachedObject.shown(own, object, encoded())
    this.#shown.set(object.content, view)
    return view
  }
}

/** Ends the turn when enough bytes of objects were gone over in it. */
function pauseByBytes(): (object: CachedObject) => Promise<void> | undefined {
  let seen = 0
  return ({ bytes }) => {
    seen += bytes.length
    if (seen < longBytes) return undefined
    seen = 0
    return nextTurn()
  }
}
