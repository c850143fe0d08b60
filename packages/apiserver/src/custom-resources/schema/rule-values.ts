import { Duration, ListValue, MapValue, parseDuration, parseTimestamp, isEqual, type ObjectValue, type Value } from '@k3s/cel'
import { isObject } from '../../json.ts'
import { canonicalJson } from './canonical-json.ts'
import { escapeName } from './decl-type.ts'
import { keysOfItem } from './list-types.ts'
import { additionalOf, isEmbedded, isIntOrString, itemsOf, preservesUnknown, propertyOf, type Schema } from './schema.ts'
import { withMetadata } from './decl-type.ts'

/** A JSON value as expressions see it. What is inside of lists and objects is converted when it is looked at. */
export function ruleValue(value: unknown, schema: Schema): Value {
  if (value === null || value === undefined) return null
  if (isIntOrString(schema)) return typeof value === 'number' ? numberValue(value) : typeof value === 'string' ? value : null
  if (Array.isArray(value)) return listValue(value, schema)
  if (isObject(value)) return objectValue(value, isEmbedded(schema) ? withMetadata(schema) : schema)
  if (typeof value === 'boolean') return value
  if (typeof value === 'number') return schema.type === 'number' ? value : numberValue(value)
  return typeof value === 'string' ? textValue(value, schema) : null
}

const numberValue = (value: number): Value => (Number.isInteger(value) ? BigInt(value) : value)

function textValue(value: string, schema: Schema): Value {
  try {
    switch (schema.format) {
      case 'byte':
        return Uint8Array.from(Buffer.from(value, 'base64'))
      case 'duration':
        return parseDuration(value)
      case 'date':
        return parseTimestamp(`${value}T00:00:00Z`)
      case 'date-time':
        return parseTimestamp(value)
      default:
        return value
    }
  } catch {
    // The format's own check says what is wrong with it.
    return schema.format === 'duration' ? new Duration(0n) : value
  }
}

function listValue(value: readonly unknown[], schema: Schema): ListValue {
  const items = itemsOf(schema) ?? {}
  const listType = schema['x-kubernetes-list-type']
  if (listType === 'set') return new SetList(value, items)
  if (listType === 'map') return new KeyedList(value, items, schema['x-kubernetes-list-map-keys'] ?? [])
  return new JsonList(value, items)
}

/** A list of JSON values. */
class JsonList extends ListValue {
  readonly #value: readonly unknown[]
  readonly #schema: Schema
  readonly #made: (Value | undefined)[] = []

  constructor(value: readonly unknown[], schema: Schema) {
    super([], value.length)
    this.#value = value
    this.#schema = schema
  }

  get json(): readonly unknown[] {
    return this.#value
  }

  override at(index: number): Value | undefined {
    if (index < 0 || index >= this.#value.length) return undefined
    return (this.#made[index] ??= ruleValue(this.#value[index], this.#schema))
  }
}

/** Equal to every list with the same items; added lists bring what is new. */
class SetList extends JsonList {
  override equals(other: ListValue): boolean {
    return this.length === other.length && [...this].every((item) => [...other].some((one) => isEqual(item, one)))
  }

  override concat(other: ListValue): ListValue {
    const items = [...this]
    return new ListValue([...items, ...[...other].filter((one) => !items.some((item) => isEqual(item, one)))])
  }
}

/** Items are told apart by their keys: the order of them does not matter, and an added item takes the place of that with the same keys. */
class KeyedList extends JsonList {
  readonly #keys: readonly string[]

  constructor(value: readonly unknown[], schema: Schema, keys: readonly string[]) {
    super(value, schema)
    this.#keys = keys
  }

  #keyed(list: JsonList): Map<string, Value> {
    return new Map(list.json.map((item, index) => [canonicalJson(keysOfItem(item, this.#keys)), list.at(index) ?? null]))
  }

  override equals(other: ListValue): boolean {
    if (!(other instanceof JsonList)) return super.equals(other)
    const [own, others] = [this.#keyed(this), this.#keyed(other)]
    return (
      own.size === others.size &&
      [...own].every(([key, value]) => {
        const match = others.get(key)
        return match !== undefined && isEqual(value, match)
      })
    )
  }

  override concat(other: ListValue): ListValue {
    if (!(other instanceof JsonList)) return super.concat(other)
    return new ListValue([...new Map([...this.#keyed(this), ...this.#keyed(other)]).values()])
  }
}

function objectValue(value: Readonly<Record<string, unknown>>, schema: Schema): Value {
  const additional = additionalOf(schema)
  if (additional !== undefined && schema.properties === undefined) return new JsonMapValue(value, additional)
  return new JsonObject(value, schema)
}

/** A map of JSON values by their names. */
class JsonMapValue extends MapValue {
  readonly #value: Readonly<Record<string, unknown>>
  readonly #schema: Schema

  constructor(value: Readonly<Record<string, unknown>>, schema: Schema) {
    super([])
    this.#value = value
    this.#schema = schema
  }

  override get size(): number {
    return Object.keys(this.#value).length
  }

  override get(key: Value): Value | undefined {
    return typeof key === 'string' && Object.hasOwn(this.#value, key) ? ruleValue(this.#value[key], this.#schema) : undefined
  }

  override *keys(): Generator<Value, void, void> {
    yield* Object.keys(this.#value)
  }
}

/** An object with the fields of its schema, under their escaped names. */
class JsonObject implements ObjectValue {
  readonly isObject = true
  readonly typeName = 'object'
  readonly #value: Readonly<Record<string, unknown>>
  readonly #schema: Schema
  readonly #names: ReadonlyMap<string, string>
  readonly #made = new Map<string, Value>()

  constructor(value: Readonly<Record<string, unknown>>, schema: Schema) {
    this.#value = value
    this.#schema = schema
    const names = new Map<string, string>()
    for (const name of Object.keys(value)) {
      const escaped = escapeName(name)
      if (escaped !== undefined && (propertyOf(schema, name) !== undefined || preservesUnknown(schema))) names.set(escaped, name)
    }
    this.#names = names
  }

  field(escaped: string): Value | undefined {
    const known = this.#made.get(escaped)
    if (known !== undefined) return known
    const name = this.#names.get(escaped)
    const schema = name === undefined ? undefined : propertyOf(this.#schema, name)
    if (name === undefined || schema === undefined) return undefined
    const value = ruleValue(this.#value[name], schema)
    this.#made.set(escaped, value)
    return value
  }

  fieldNames(): readonly string[] {
    return [...this.#names].flatMap(([escaped, name]) => (propertyOf(this.#schema, name) === undefined ? [] : [escaped]))
  }
}
