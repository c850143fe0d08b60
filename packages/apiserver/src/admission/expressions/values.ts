import { ListValue, MapValue, Opaque, Optional, Uint, Duration, Timestamp, type ObjectValue, type Value } from '@k3s/cel'
import { isObject } from '../../json.ts'

/** A JSON value as expressions without a schema see it: objects are maps. What is inside is converted when it is looked at; `undefined` is null. */
export function dynamicValue(json: unknown): Value {
  if (json === null || json === undefined) return null
  if (Array.isArray(json)) return new DynamicList(json)
  if (isObject(json)) return new DynamicMap(json)
  if (typeof json === 'number') return Number.isInteger(json) ? BigInt(json) : json
  return typeof json === 'string' || typeof json === 'boolean' ? json : null
}

class DynamicList extends ListValue {
  readonly #items: readonly unknown[]

  constructor(items: readonly unknown[]) {
    super([], items.length)
    this.#items = items
  }

  override at(index: number): Value | undefined {
    return index >= 0 && index < this.#items.length ? dynamicValue(this.#items[index]) : undefined
  }

  override concat(other: ListValue): ListValue {
    return new ListValue([...this, ...other])
  }
}

class DynamicMap extends MapValue {
  readonly #json: Readonly<Record<string, unknown>>

  constructor(json: Readonly<Record<string, unknown>>) {
    super([])
    this.#json = json
  }

  #names(): string[] {
    return Object.keys(this.#json).filter((name) => this.#json[name] !== undefined)
  }

  override get size(): number {
    return this.#names().length
  }

  override get(key: Value): Value | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.#json, key)) return undefined
    const value = this.#json[key]
    return value === undefined ? undefined : dynamicValue(value)
  }

  override *keys(): Generator<Value, void, void> {
    yield* this.#names()
  }
}

/** A value that an expression made, as JSON. Throws for what JSON cannot say. */
export function jsonOf(value: Value): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Uint) return Number(value.value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof ListValue) return [...value].map(jsonOf)
  if (value instanceof MapValue) return jsonOfMap(value)
  if (value instanceof Optional) return value.value === undefined ? null : jsonOf(value.value)
  if (value instanceof Timestamp) return new Date(Number(value.nanoseconds / 1_000_000n)).toISOString().replace(/\.000Z$/, 'Z')
  if (value instanceof Duration) return `${Number(value.nanoseconds) / 1e9}s`
  if (isObjectValue(value)) {
    return Object.fromEntries(value.fieldNames().map((name) => [name, jsonOf(value.field(name) ?? null)]))
  }
  throw new Error(`unable to convert ${value instanceof Opaque ? value.typeName : 'type'} to JSON`)
}

function jsonOfMap(value: MapValue): unknown {
  const entries: [string, unknown][] = []
  for (const key of value.keys()) {
    if (typeof key !== 'string') throw new Error(`map key ${JSON.stringify(String(key))} is not a string`)
    entries.push([key, jsonOf(value.get(key) ?? null)])
  }
  return Object.fromEntries(entries)
}

export function isObjectValue(value: Value | undefined): value is ObjectValue {
  return typeof value === 'object' && value !== null && 'isObject' in value
}
