import { equalJson, isObject } from '../../json.ts'
import { canonicalJson } from './canonical-json.ts'
import { keysOfItem } from './list-types.ts'
import { additionalOf, itemsOf, own, type Schema } from './schema.ts'

/**
 * A value and the one that it replaces. Items are found again in lists of type `map` by their keys, fields in objects by their names; what cannot be
 * found has no correlation.
 */
export class Correlation {
  readonly #value: unknown
  readonly #previous: unknown
  readonly #schema: Schema
  readonly #children = new Map<string | number, Correlation | undefined>()
  #isEqual: boolean | undefined
  #previousByKeys: ReadonlyMap<string, unknown> | undefined

  constructor(value: unknown, previous: unknown, schema: Schema) {
    this.#value = value
    this.#previous = previous
    this.#schema = schema
  }

  /** Nothing changed: what was wrong before is tolerated. */
  get isUnchanged(): boolean {
    return (this.#isEqual ??=
      this.#value !== null && this.#previous !== null ? equalJson(this.#value, this.#previous) : this.#value === this.#previous)
  }

  key(name: string): Correlation | undefined {
    if (this.#children.has(name)) return this.#children.get(name)
    const child = this.#correlateKey(name)
    this.#children.set(name, child)
    return child
  }

  index(index: number): Correlation | undefined {
    if (this.#children.has(index)) return this.#children.get(index)
    const child = this.#correlateIndex(index)
    this.#children.set(index, child)
    return child
  }

  #correlateKey(name: string): Correlation | undefined {
    if (!isObject(this.#value) || !isObject(this.#previous)) return undefined
    if (!Object.hasOwn(this.#value, name) || !Object.hasOwn(this.#previous, name)) return undefined
    const schema = own(this.#schema.properties, name) ?? additionalOf(this.#schema)
    return schema === undefined ? undefined : new Correlation(this.#value[name], this.#previous[name], schema)
  }

  #correlateIndex(index: number): Correlation | undefined {
    const items = itemsOf(this.#schema)
    if (!Array.isArray(this.#value) || index >= this.#value.length || items === undefined) return undefined
    const value: unknown = this.#value[index]
    const previous = this.previousItem(value)
    return previous === undefined || previous === null ? undefined : new Correlation(value, previous, items)
  }

  /** The item of the previous list of type `map` with the same keys; undefined when there is none or the list is of another type. */
  previousItem(item: unknown): unknown {
    const keys = this.#schema['x-kubernetes-list-map-keys'] ?? []
    if (this.#schema['x-kubernetes-list-type'] !== 'map' || !Array.isArray(this.#previous) || !isObject(item)) return undefined
    this.#previousByKeys ??= new Map(
      // The first of equal keys counts.
      this.#previous.toReversed().flatMap((old: unknown) => (isObject(old) ? [[canonicalJson(keysOfItem(old, keys)), old] as const] : [])),
    )
    return this.#previousByKeys.get(canonicalJson(keysOfItem(item, keys)))
  }
}
