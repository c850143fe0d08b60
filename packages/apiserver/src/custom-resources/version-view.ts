import { apiVersionOf, type KubernetesObject } from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import { copyJson, equalJson } from '../json.ts'
import type { StorageView } from '../registry/served-resource.ts'
import { CachedObject, encodeStored } from '../watch-cache/cached-object.ts'
import { exactNumbers, type ExactNumbers } from '../watch-cache/exact-numbers.ts'
import type { StoredResource } from '../watch-cache/stored-resource.ts'
import { coerceResource } from './coerce.ts'
import type { Converter } from './conversion/converter.ts'
import { applyDefaults } from './schema/defaults.ts'
import type { JsonMap, Schema } from './schema/schema.ts'

export interface VersionViewOptions {
  /** The served version. */
  readonly own: StoredResource
  /** The version that new values are stored in. */
  readonly stored: StoredResource
  /** Schemas by version; their defaults are pruned. */
  readonly schemas: ReadonlyMap<string, Schema | undefined>
  readonly converter: Converter
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
    if (!this.#options.converter.isTrivial && apiVersionOf(object.resource.type) !== this.#apiVersion) return undefined
    const decoded = this.#decode(object)
    if (decoded['apiVersion'] !== this.#apiVersion) {
      decoded['apiVersion'] = this.#apiVersion
      coerceResource(decoded, this.#schema, { isStored: false })
    }
    return this.#remember(object, decoded)
  }

  async prepare(objects: readonly CachedObject[], signal: AbortSignal): Promise<void> {
    const missing = objects.filter((object) => this.at(object) === undefined)
    if (missing.length === 0) return
    const { converter } = this.#options
    const converted = await converter.convert(
      missing.map((object) => this.#decode(object)),
      this.#apiVersion,
      signal,
    )
    for (const [index, object] of missing.entries()) {
      const result = converted[index]
      invariant(result !== undefined, 'a converter answers for every object')
      coerceResource(result, this.#schema, { isStored: false })
      this.#remember(object, result)
    }
  }

  async encode(object: KubernetesObject, signal: AbortSignal, exact?: ExactNumbers): Promise<Buffer> {
    const { own, stored, converter, schemas } = this.#options
    if (own.type.version === stored.type.version) return encodeStored(stored, object, exact)
    const plain = copyJson({ ...object, apiVersion: this.#apiVersion, kind: own.type.kind }) as unknown as JsonMap // an API object is a JSON object
    const [converted] = await converter.convert([plain], apiVersionOf(stored.type), signal)
    invariant(converted !== undefined, 'a converter answers for every object')
    const copy = copyJson(converted)
    coerceResource(copy, schemas.get(stored.type.version), { isStored: false })
    return encodeStored(stored, copy as unknown as KubernetesObject, exact) // it has the metadata of the object it was made from
  }

  get #schema(): Schema | undefined {
    return this.#options.schemas.get(this.#options.own.type.version)
  }

  /** What is stored, by the schema of the version it is stored in. */
  #decode(object: CachedObject): JsonMap {
    const { version } = object.resource.type
    const schema = this.#options.schemas.get(version)
    const decoded = object.parseCopy() as unknown as JsonMap // as above
    if (!this.#options.schemas.has(version)) return decoded
    coerceResource(decoded, schema, { isStored: true })
    applyDefaults(decoded, schema)
    return decoded
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
