import { groupFacts } from '../generated/resources.ts'
import { typeFacts } from '../generated/schema.ts'

/** Kinds of values that are no list, map or struct of the table. Each has one form in JSON and one in protobuf. */
export type ScalarKind =
  | 'string'
  | 'bool'
  | 'int32'
  | 'int64'
  | 'double'
  /** Base64 text in JSON. */
  | 'bytes'
  /** RFC 3339 in UTC, whole seconds. */
  | 'time'
  /** RFC 3339 in UTC, six decimals. */
  | 'microtime'
  /** Go's notation, such as `1m30s`. */
  | 'duration'
  | 'quantity'
  | 'intOrString'
  /** An object of any kind; what is inside is not checked. */
  | 'rawExtension'
  | 'fieldsV1'
  /** Any JSON value. */
  | 'json'
  /** A list of strings that protobuf wraps in a message. */
  | 'strings'
  /** A JSON schema, or a list of them. */
  | 'schemaOrArray'
  /** A JSON schema, or true or false. */
  | 'schemaOrBool'
  /** A JSON schema, or a list of property names. */
  | 'schemaOrStrings'

export interface ScalarValue {
  readonly kind: ScalarKind
}
export interface ListValue {
  readonly kind: 'list'
  readonly items: ValueSchema
}
/** Keys are strings. */
export interface MapValue {
  readonly kind: 'map'
  readonly values: ValueSchema
}
export interface RefValue {
  readonly kind: 'ref'
  /** Expanded from the table at the first use. */
  readonly type: TypeSchema
}
export type ValueSchema = ScalarValue | ListValue | MapValue | RefValue

export type ListType = 'atomic' | 'set' | 'map'

export interface FieldSchema {
  /** Position in its type's {@link TypeSchema.fields}. */
  readonly index: number
  /** As in JSON. */
  readonly name: string
  /** Protobuf field number; 0 for a field that protobuf does not carry. */
  readonly number: number
  readonly value: ValueSchema
  /** A pointer in Go: zero values are kept, and absent is different from zero. */
  readonly isPointer: boolean
  /** Left out of JSON when it holds Go's zero value. Otherwise the zero value is written. */
  readonly omitsZero: boolean
  /** Left out even though it is a struct in Go, such as a time; other structs are always written. */
  readonly omitsZeroStruct: boolean
  /** Required by the published OpenAPI schema. */
  readonly isRequired: boolean
  /** Go's name of the type, as error messages have it: `int32`, `v1.PodPhase`, `[]v1.Container`. */
  readonly goType: string
  /** Absent means atomic. */
  readonly listType: ListType | undefined
  /** Of a list of type `map`; empty otherwise. */
  readonly mapKeys: readonly string[]
  /** Strategic merge: `merge`, `replace`, `retainKeys`; empty means replace for lists and merge for objects. */
  readonly patchStrategy: readonly string[]
  readonly patchMergeKey: string | undefined
  /** Of a map or struct: whether server-side apply owns it as a whole. Absent: as the type itself says. */
  readonly mapType: 'atomic' | 'granular' | undefined
  /** OpenAPI's default where it is not Go's zero value. */
  readonly default: unknown
  readonly enum: readonly string[] | undefined
  /** Go's names of the structs that the field is embedded by, outermost first; errors name them. */
  readonly embeddedBy: readonly string[]
  /** OpenAPI format where the kind does not tell it. */
  readonly format: string | undefined
}

/** A struct whose fields JSON mixes into its parent's and protobuf keeps in a message of their own. */
export interface InlineSchema {
  /** 0 when protobuf does not carry it (`TypeMeta`). */
  readonly number: number
  readonly type: TypeSchema
}

export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

export interface TypeSchema {
  /** Module and type: `core/v1.Pod`. */
  readonly name: string
  /** As Go's reflection prints it: `v1.Pod`. */
  readonly goName: string
  /** In upstream's order, with those of inlined structs in their place. */
  readonly fields: readonly FieldSchema[]
  readonly byName: ReadonlyMap<string, FieldSchema>
  /** Fields that upstream's encoder writes even when they hold nothing: not optional, or structs. */
  readonly alwaysWritten: readonly FieldSchema[]
  /** Fields that upstream's encoder writes as null when they hold nothing: lists, maps, bytes, times and pointers that are not left out. */
  readonly nullable: readonly FieldSchema[]
  /** Fields of structs that have such fields, or have them deeper inside. */
  readonly aboveNullable: readonly FieldSchema[]
  /** Own fields and inlined structs, in ascending protobuf number; those that protobuf does not carry are left out. */
  readonly protoFields: readonly (FieldSchema | InlineSchema)[]
  /** Has `apiVersion` and `kind`. */
  readonly isKind: boolean
  /** Server-side apply owns it as a whole. */
  readonly isAtomic: boolean
  /** Part of the published OpenAPI documents. */
  readonly isPublished: boolean
  readonly kinds: readonly GroupVersionKind[]
}

/** Kinds that exist in every group version; upstream registers them with each. */
const everywhere: ReadonlySet<string> = new Set([
  'CreateOptions',
  'DeleteOptions',
  'GetOptions',
  'ListOptions',
  'PatchOptions',
  'UpdateOptions',
  'WatchEvent',
])
/** Kinds of apimachinery that upstream registers as `v1`. */
const unversioned: ReadonlySet<string> = new Set(['Status', 'List', 'APIVersions', 'APIGroup', 'APIGroupList', 'APIResourceList'])

const goScalars: Partial<Record<ScalarKind, string>> = {
  double: 'float64',
  bytes: '[]uint8',
  time: 'v1.Time',
  microtime: 'v1.MicroTime',
  duration: 'v1.Duration',
  quantity: 'resource.Quantity',
  intOrString: 'intstr.IntOrString',
  rawExtension: 'runtime.RawExtension',
  fieldsV1: 'v1.FieldsV1',
  json: 'v1.JSON',
  strings: 'v1.ExtraValue',
}

function goTypeOf(value: ValueSchema): string {
  if (value.kind === 'list') return `[]${goTypeOf(value.items)}`
  if (value.kind === 'map') return `map[string]${goTypeOf(value.values)}`
  if (value.kind === 'ref') return value.type.goName
  return goScalars[value.kind] ?? value.kind
}

function isNullable({ value, isPointer, omitsZero, omitsZeroStruct }: FieldSchema): boolean {
  if (isPointer) return !omitsZero
  if (value.kind === 'time' || value.kind === 'microtime' || value.kind === 'rawExtension') return !omitsZeroStruct
  return !omitsZero && ['list', 'map', 'strings', 'bytes'].includes(value.kind)
}

function holdsNullable(value: ValueSchema, seen: Set<string>): boolean {
  if (value.kind === 'list') return holdsNullable(value.items, seen)
  if (value.kind === 'map') return holdsNullable(value.values, seen)
  if (value.kind !== 'ref' || seen.has(value.type.name)) return false
  seen.add(value.type.name)
  return value.type.nullable.length > 0 || value.type.fields.some((field) => holdsNullable(field.value, seen))
}

/**
 * Expands the facts of a type when they are first asked for. A line of the facts is
 * `name number type [omit] [omitzero] [req] [go=…] [list=…] [keys=a,b] [strategy=…] [merge=…] [map=atomic] [default=JSON] [format=…] [enum=a|b]`,
 * or `> number type` for an inlined struct; types are `*` (pointer), `[]` (list), `{}` (map), `@module.Type` (struct) or a scalar.
 * The first line belongs to the type: `kind=group/version/Kind`, `map=atomic`, `open` (in OpenAPI).
 */
class Table {
  readonly #types = new Map<string, TypeSchema>()
  readonly #groups: ReadonlyMap<string, string>

  constructor() {
    const groups = new Map([
      ['meta.k8s.io', 'meta'],
      ['admission.k8s.io', 'admission'],
    ])
    for (const [group] of groupFacts) groups.set(group, group === '' ? 'core' : (group.split('.')[0] ?? group))
    this.#groups = groups
  }

  type(name: string): TypeSchema | undefined {
    const known = this.#types.get(name)
    if (known !== undefined) return known
    const facts = Object.hasOwn(typeFacts, name) ? typeFacts[name] : undefined
    if (facts === undefined) return undefined
    const type = this.#expand(name, facts)
    this.#types.set(name, type)
    return type
  }

  schemaOf(apiVersion: string, kind: string): TypeSchema | undefined {
    const slash = apiVersion.indexOf('/')
    const module = this.#groups.get(slash < 0 ? '' : apiVersion.slice(0, slash))
    if (everywhere.has(kind) && apiVersion !== '') return this.type(`meta/v1.${kind}`)
    if (module === undefined) return undefined
    const type = this.type(`${module}/${apiVersion.slice(slash + 1)}.${kind}`)
    if (type?.isKind === true) return type
    return apiVersion === 'v1' && unversioned.has(kind) ? this.type(`meta/v1.${kind}`) : undefined
  }

  #value(expression: string): ValueSchema {
    if (expression.startsWith('[]')) return { kind: 'list', items: this.#value(expression.slice(2)) }
    if (expression.startsWith('{}')) return { kind: 'map', values: this.#value(expression.slice(2)) }
    // The generator writes no other words.
    if (!expression.startsWith('@')) return { kind: expression as ScalarKind }
    const name = expression.slice(1)
    let type: TypeSchema | undefined
    const get = (): TypeSchema => (type ??= this.known(name))
    return {
      kind: 'ref',
      get type() {
        return get()
      },
    }
  }

  known(name: string): TypeSchema {
    const type = this.type(name)
    if (type === undefined) throw new Error(`Cannot read the schema table: no type "${name}"`)
    return type
  }

  #expand(name: string, facts: string): TypeSchema {
    const [head = '', ...lines] = facts.split('\n')
    const fields: FieldSchema[] = []
    const protoFields: (FieldSchema | InlineSchema)[] = []
    let isKind = false
    for (const line of lines) {
      if (line === '') continue
      if (line.startsWith('> ')) {
        const [, number = '0', expression = ''] = line.split(' ')
        const inline = { number: Number(number), type: this.known(expression.slice(1)) }
        this.#inline(inline.type.name, { isCarried: inline.number > 0, embeddedBy: [], into: fields })
        if (inline.number > 0) protoFields.push(inline)
        isKind ||= inline.type.name === 'meta/v1.TypeMeta'
        continue
      }
      const field = this.#field(line, fields.length)
      fields.push(field)
      if (field.number > 0) protoFields.push(field)
    }
    const words = head.split(' ')
    const nullable = fields.filter(isNullable)
    let aboveNullable: readonly FieldSchema[] | undefined
    return {
      name,
      goName: name.slice(name.indexOf('/') + 1),
      fields,
      alwaysWritten: fields.filter(
        (field) => !field.isPointer && (!field.omitsZero || field.value.kind === 'ref' || field.value.kind === 'quantity'),
      ),
      nullable,
      get aboveNullable() {
        return (aboveNullable ??= fields.filter(({ value }) => holdsNullable(value, new Set())))
      },
      byName: new Map(fields.map((field) => [field.name, field])),
      protoFields: protoFields.toSorted((a, b) => a.number - b.number),
      isKind,
      isAtomic: words.includes('map=atomic'),
      isPublished: words.includes('open'),
      kinds: words.flatMap((word) => {
        if (!word.startsWith('kind=')) return []
        const [group = '', version = '', kind = ''] = word.slice(5).split('/')
        return { group, version, kind }
      }),
    }
  }

  /** Adds the fields of an inlined type, which are no copies, since an own position comes with each. */
  #inline(
    name: string,
    { isCarried, embeddedBy, into }: { readonly isCarried: boolean; readonly embeddedBy: readonly string[]; readonly into: FieldSchema[] },
  ): void {
    const path = [...embeddedBy, name.slice(name.indexOf('.') + 1)]
    for (const line of (typeFacts[name] ?? '').split('\n').slice(1)) {
      const [, number = '0', expression = ''] = line.split(' ')
      if (line.startsWith('> ')) this.#inline(expression.slice(1), { isCarried: isCarried && number !== '0', embeddedBy: path, into })
      else if (line !== '') into.push(this.#field(isCarried ? line : line.replace(/ \d+ /, ' 0 '), into.length, path))
    }
  }

  #field(line: string, index: number, embeddedBy: readonly string[] = []): FieldSchema {
    const enumAt = line.indexOf(' enum=')
    const [name = '', number = '0', expression = '', ...words] = (enumAt < 0 ? line : line.slice(0, enumAt)).split(' ')
    const isPointer = expression.startsWith('*')
    const value = this.#value(isPointer ? expression.slice(1) : expression)
    const attributes = new Map<string, string>()
    for (const word of words) {
      const equals = word.indexOf('=')
      attributes.set(equals < 0 ? word : word.slice(0, equals), word.slice(equals + 1))
    }
    const list = (key: string): readonly string[] => attributes.get(key)?.split(',') ?? []
    const standard = attributes.get('default')
    const goName = attributes.get('go')
    return {
      index,
      name,
      number: Number(number),
      value,
      isPointer,
      omitsZero: attributes.has('omit'),
      omitsZeroStruct: attributes.has('omitzero'),
      isRequired: attributes.has('req'),
      get goType() {
        return goName ?? goTypeOf(value)
      },
      // The generator writes no other words.
      listType: attributes.get('list') as ListType | undefined,
      mapKeys: list('keys'),
      patchStrategy: list('strategy'),
      patchMergeKey: attributes.get('merge'),
      mapType: attributes.get('map') as FieldSchema['mapType'],
      default: standard === undefined ? undefined : JSON.parse(standard),
      enum: enumAt < 0 ? undefined : line.slice(enumAt + 6).split('|'),
      format: attributes.get('format'),
      embeddedBy,
    }
  }
}

// Remembers only what it has expanded from constants: the same answer for everyone, whenever asked.
const table: Table = new Table()

/** The schema of a built-in kind; undefined for kinds that the table does not have (custom resources, alpha and beta versions). `apiVersion` is `v1` or `apps/v1`. */
export function schemaOf(apiVersion: string, kind: string): TypeSchema | undefined {
  return table.schemaOf(apiVersion, kind)
}

/** The schema of any type by module and name, such as `meta/v1.ObjectMeta`. */
export function typeSchema(name: string): TypeSchema | undefined {
  return table.type(name)
}

/** As {@link typeSchema}, for a name that must be in the table: throws when it is not. */
export function knownType(name: string): TypeSchema {
  return table.known(name)
}

/** Names of all types, for {@link typeSchema}. */
export function typeNames(): readonly string[] {
  return Object.keys(typeFacts)
}

/** The field at a path of JSON names, going through lists and maps (`spec.containers.image`); undefined when there is none. */
export function fieldAt(type: TypeSchema, path: readonly string[]): FieldSchema | undefined {
  let at: ValueSchema = { kind: 'ref', type }
  let field: FieldSchema | undefined
  for (const name of path) {
    while (at.kind === 'list') at = at.items
    if (at.kind === 'map') {
      at = at.values
      continue
    }
    field = at.kind === 'ref' ? at.type.byName.get(name) : undefined
    if (field === undefined) return undefined
    at = field.value
  }
  return field
}
