/**
 * Writes `src/generated/schema.ts` (facts about every type) and `src/generated/resources.ts` (what is served), for the group versions
 * that Kubernetes 1.36 serves by default (the `v1`, `v2` ones; never alpha or beta).
 *
 *   node packages/api/scripts/generate-schema.ts DIR-OF-GO-MODULE-CACHE   (such as ~/go/pkg/mod)
 *
 * Go's struct tags give names and protobuf numbers, checked against `generated.proto`; the published OpenAPI v3 files give what is
 * required, list types, merge keys and defaults; the generated Go definitions give enums; the discovery files give resources.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readGoPackage, type GoField, type GoPackage } from './go-structs.ts'

const cache = process.argv[2]
if (cache === undefined) throw new Error('Usage: generate-schema.ts DIR-OF-GO-MODULE-CACHE')
const staging = (name: string): string => join(cache, `k8s.io/${name}@v0.36.3`)
const kubernetes = join(cache, 'k8s.io/kubernetes@v1.36.3')
const output = join(import.meta.dirname, '../src/generated')

interface Schema {
  readonly type?: string
  readonly format?: string
  readonly $ref?: string
  readonly allOf?: readonly Schema[]
  readonly items?: Schema
  readonly additionalProperties?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly default?: unknown
  readonly 'x-kubernetes-group-version-kind'?: readonly { readonly group: string; readonly version: string; readonly kind: string }[]
  readonly [extension: `x-kubernetes-${string}`]: unknown
}
const readJson = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'))

/** Go package → module of the table (`core/v1`), where its sources are, and its prefix in OpenAPI. */
interface Source {
  readonly module: string
  readonly path: string
  readonly dir: string
  readonly openApi: string
}
const sources: Source[] = []
for (const group of readdirSync(staging('api'), { withFileTypes: true })) {
  if (!group.isDirectory()) continue
  for (const version of readdirSync(join(staging('api'), group.name)))
    if (/^v\d+$/.test(version) && !['imagepolicy', 'apidiscovery'].includes(group.name))
      sources.push({
        module: `${group.name}/${version}`,
        path: `k8s.io/api/${group.name}/${version}`,
        dir: join(staging('api'), group.name, version),
        openApi: `io.k8s.api.${group.name}.${version}.`,
      })
}
for (const [repo, path, module] of [
  ['apimachinery', 'pkg/apis/meta/v1', 'meta/v1'],
  ['apiextensions-apiserver', 'pkg/apis/apiextensions/v1', 'apiextensions/v1'],
  ['kube-aggregator', 'pkg/apis/apiregistration/v1', 'apiregistration/v1'],
] as const)
  sources.push({
    module,
    path: `k8s.io/${repo}/${path}`,
    dir: join(staging(repo), path),
    openApi: `io.k8s.${repo}.${path.replaceAll('/', '.')}.`,
  })

const packages = new Map<string, GoPackage & { readonly source: Source }>()
for (const source of sources) packages.set(source.path, { ...readGoPackage(source.path, source.dir), source })

/** Types that are scalars of the table, by Go name. */
const scalars: Readonly<Record<string, string>> = {
  'k8s.io/apimachinery/pkg/apis/meta/v1.Time': 'time',
  'k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime': 'microtime',
  'k8s.io/apimachinery/pkg/apis/meta/v1.Duration': 'duration',
  'k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1': 'fieldsV1',
  'k8s.io/apimachinery/pkg/apis/meta/v1.Verbs': 'strings',
  'k8s.io/api/authentication/v1.ExtraValue': 'strings',
  'k8s.io/api/authorization/v1.ExtraValue': 'strings',
  'k8s.io/api/certificates/v1.ExtraValue': 'strings',
  'k8s.io/apimachinery/pkg/api/resource.Quantity': 'quantity',
  'k8s.io/apimachinery/pkg/util/intstr.IntOrString': 'intOrString',
  'k8s.io/apimachinery/pkg/runtime.RawExtension': 'rawExtension',
  'k8s.io/apimachinery/pkg/types.UID': 'string',
  'k8s.io/apimachinery/pkg/types.NamespacedName': 'skip',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSON': 'json',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrArray': 'schemaOrArray',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrBool': 'schemaOrBool',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaPropsOrStringArray': 'schemaOrStrings',
}
const primitives: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'bool',
  int32: 'int32',
  int64: 'int64',
  float64: 'double',
  byte: 'byte',
  uint32: 'int64',
}

interface Resolved {
  readonly expression: string
  /** As Go's reflection prints it, where it is not told by `expression`: `v1.PodPhase`. */
  readonly goName: string | undefined
}

function resolve(goType: string, imports: ReadonlyMap<string, string>, current: string): Resolved {
  if (goType.startsWith('*'))
    return { ...resolve(goType.slice(1), imports, current), expression: `*${resolve(goType.slice(1), imports, current).expression}` }
  if (goType === '[]byte') return { expression: 'bytes', goName: undefined }
  if (goType.startsWith('[]')) {
    const items = resolve(goType.slice(2), imports, current)
    return { expression: `[]${items.expression.replace(/^\*/, '')}`, goName: items.goName === undefined ? undefined : `[]${items.goName}` }
  }
  const map = /^map\[([\w.]+)\](.+)$/.exec(goType)
  if (map?.[2] !== undefined) return { expression: `{}${resolve(map[2], imports, current).expression}`, goName: undefined }
  const primitive = primitives[goType]
  if (primitive !== undefined) return { expression: primitive, goName: undefined }
  const [prefix, name] = goType.includes('.') ? (goType.split('.') as [string, string]) : [undefined, goType]
  const path = prefix === undefined ? current : imports.get(prefix)
  if (path === undefined) throw new Error(`Unknown import "${prefix ?? ''}" in ${current}`)
  const scalar = scalars[`${path}.${name}`]
  // What is a scalar by its form only keeps its name.
  if (scalar !== undefined) return { expression: scalar, goName: scalar === 'string' ? `${path.split('/').at(-1)}.${name}` : undefined }
  const home = packages.get(path)
  if (home === undefined) throw new Error(`Unknown package "${path}" for ${goType}`)
  if (home.structs.has(name)) return { expression: `@${home.source.module}.${name}`, goName: undefined }
  const alias = home.aliases.get(name)
  if (alias === undefined) throw new Error(`Unknown type "${path}.${name}"`)
  const target = resolve(alias.goType, alias.imports, path)
  return { expression: target.expression, goName: target.expression.startsWith('@') ? undefined : `${path.split('/').at(-1)}.${name}` }
}

// --- OpenAPI facts ---
const openApi = new Map<string, Schema>()
for (const file of readdirSync(join(kubernetes, 'api/openapi-spec/v3'))) {
  if (!/__v\d+_openapi\.json$/.test(file)) continue
  const document = readJson(join(kubernetes, 'api/openapi-spec/v3', file)) as { components: { schemas: Record<string, Schema> } }
  for (const [name, schema] of Object.entries(document.components.schemas)) openApi.set(name, { ...openApi.get(name), ...schema })
}
/** `core_v1_Pod.field` (`.field[]` for its elements) → enum values. */
const enums = new Map<string, readonly string[]>()
{
  let type = ''
  let field = ''
  for (const line of readFileSync(join(kubernetes, 'pkg/generated/openapi/zz_generated.openapi.go'), 'utf8').split('\n')) {
    const start = /^func schema_(?:\w+_)?([a-z0-9]+_v\d+_\w+)\(/.exec(line)
    if (start?.[1] !== undefined) type = start[1]
    const property = /^\t{5}"([^"]+)": \{$/.exec(line)
    if (property?.[1] !== undefined) field = property[1]
    const values = /^(\t+)Enum: +\[\]interface\{\}\{(.*)\},$/.exec(line)
    // JSON.parse of Go's quoted string list, which is also JSON.
    if (values?.[2] !== undefined)
      enums.set(`${type}.${field}${values[1]?.length === 7 ? '' : '[]'}`, JSON.parse(`[${values[2]}]`) as string[])
  }
}

// --- protobuf facts, for the check ---
const proto = new Map<string, Map<number, string>>()
for (const source of sources) {
  const text = readFileSync(join(source.dir, 'generated.proto'), 'utf8')
  for (const [, message, body] of text.matchAll(/^message (\w+) \{\n(.*?)^\}/gms)) {
    const fields = new Map<number, string>()
    for (const [, type, , number] of (body ?? '').matchAll(/^ {2}((?:optional|repeated|map<)[^=]*?)\s(\w+) = (\d+);/gm))
      fields.set(Number(number), type ?? '')
    proto.set(`${source.module}.${message}`, fields)
  }
}

/** A struct that is only ever inlined has no schema of its own: its properties are in that of the struct around it. */
interface Published {
  readonly type: string
  readonly schema: Schema
}
function publishedFor(home: GoPackage & { readonly source: Source }, type: string): Published | undefined {
  const schema = openApi.get(`${home.source.openApi}${type}`)
  if (schema !== undefined) return { type, schema }
  for (const [parent, fields] of home.structs)
    if (fields.some((field) => field.isInline && field.goType === type)) {
      const found = publishedFor(home, parent)
      if (found !== undefined) return found
    }
  return undefined
}

/** The published default, unless it is the zero value that the reader of the table knows anyway. */
function goDefault(schema: Schema, expression: string, omitEmpty: boolean): unknown {
  if (schema.default === undefined) return undefined
  const text = JSON.stringify(schema.default)
  const isKnown =
    expression.startsWith('@') || expression === 'rawExtension' ? text === '{}' : !omitEmpty && ['""', '0', 'false', '{}'].includes(text)
  return isKnown && !expression.startsWith('*') ? undefined : schema.default
}

function renderField(field: GoField, module: string, type: string, published: Published | undefined, current: string): string | undefined {
  const { expression, goName } = resolve(field.goType, field.imports, current)
  if (expression.endsWith('skip')) return undefined
  if (field.isInline) return `> ${field.number} ${expression}`
  const schema = published?.schema
  const property = schema?.properties?.[field.json]
  const parts = [field.json, String(field.number), expression]
  if (field.omitEmpty) parts.push('omit')
  // Of other types it says the same as `omitempty`.
  if (field.omitZero && expression === 'time') parts.push('omitzero')
  if (schema?.required?.includes(field.json) === true) parts.push('req')
  if (goName !== undefined) parts.push(`go=${goName}`)
  if (property !== undefined) {
    const value = (key: string): string | undefined => {
      const found = property[`x-kubernetes-${key}`]
      return found === undefined ? undefined : Array.isArray(found) ? found.join(',') : JSON.stringify(found).replaceAll('"', '')
    }
    for (const [short, key] of [
      ['list', 'list-type'],
      ['keys', 'list-map-keys'],
      ['strategy', 'patch-strategy'],
      ['merge', 'patch-merge-key'],
      ['map', 'map-type'],
    ] as const)
      if (value(key) !== undefined) parts.push(`${short}=${value(key)}`)
    const standard = goDefault(property, expression, field.omitEmpty)
    if (standard !== undefined) parts.push(`default=${JSON.stringify(standard)}`)
    const formatted = property.format
    if (formatted !== undefined && !['int32', 'int64', 'double', 'byte', 'date-time', 'int-or-string'].includes(formatted))
      parts.push(`format=${formatted}`)
  }
  const key = `${module.replace('/', '_')}_${published?.type ?? type}.${field.json}`
  const values = enums.get(key) ?? enums.get(`${key}[]`)
  if (parts.some((part) => part.includes(' ') || part.includes('`'))) throw new Error(`Unwritable fact: ${parts.join(' ')}`)
  const expected = proto.get(`${module}.${type}`)
  if (expected !== undefined && field.number !== 0 && !expected.has(field.number))
    throw new Error(`No protobuf field ${field.number} in ${module}.${type}`)
  // Last, because values may hold blanks.
  if (values !== undefined) parts.push(`enum=${values.join('|')}`)
  return parts.join(' ')
}

const lines: string[] = []
const unserved = new Set(['WatchEvent', 'DeleteOptions'])
for (const home of packages.values()) {
  const { source, structs } = home
  for (const [type, fields] of [...structs].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (`${source.path}.${type}` in scalars || fields.length === 0) {
      if (!openApi.has(`${source.openApi}${type}`) || `${source.path}.${type}` in scalars) continue
    }
    const schema = openApi.get(`${source.openApi}${type}`)
    const body = fields.flatMap((field) => renderField(field, source.module, type, publishedFor(home, type), source.path) ?? [])
    const head: string[] = []
    const kinds = schema?.['x-kubernetes-group-version-kind']
    if (kinds !== undefined && !unserved.has(type))
      head.push(...kinds.filter((kind) => /^v\d+$/.test(kind.version)).map((kind) => `kind=${kind.group}/${kind.version}/${kind.kind}`))
    if (schema?.['x-kubernetes-map-type'] !== undefined)
      head.push(`map=${JSON.stringify(schema['x-kubernetes-map-type']).replaceAll('"', '')}`)
    if (schema !== undefined) head.push('open')
    lines.push(`  '${source.module}.${type}': \`${head.join(' ')}\n${body.join('\n')}\`,`)
  }
}
writeFileSync(
  join(output, 'schema.ts'),
  `// Generated by packages/api/scripts/generate-schema.ts; do not edit.\n/** Facts of each type, in the notation that schema/table.ts reads. */\nexport const typeFacts: Readonly<Record<string, string>> = {\n${lines.join('\n')}\n}\n`,
)

// --- resources ---
interface ApiResource {
  readonly name: string
  readonly singularName: string
  readonly namespaced: boolean
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
  readonly storageVersionHash?: string
}
const aggregated = readJson(join(kubernetes, 'api/discovery/aggregated_v2.json')) as {
  items: { metadata: { name: string }; versions: { version: string }[] }[]
}
const groups: [group: string, versions: string[]][] = [['', ['v1']]]
for (const item of aggregated.items) {
  const versions = item.versions.map(({ version }) => version).filter((version) => /^v\d+$/.test(version))
  if (versions.length > 0) groups.push([item.metadata.name, versions])
}
const resources: unknown[] = []
for (const [group, versions] of groups)
  for (const version of versions) {
    const file = group === '' ? `api__${version}.json` : `apis__${group}__${version}.json`
    const list = (readJson(join(kubernetes, 'api/discovery', file)) as { resources: ApiResource[] }).resources
    for (const entry of list) {
      if (entry.name.includes('/')) continue
      const subresources = list
        .filter((sub) => sub.name.startsWith(`${entry.name}/`))
        .map((sub) => ({
          name: sub.name.slice(entry.name.length + 1),
          group: sub.version === undefined ? group : (sub.group ?? ''),
          version: sub.version ?? version,
          kind: sub.kind,
          verbs: sub.verbs,
        }))
      resources.push({
        group,
        version,
        resource: entry.name,
        singular: entry.singularName,
        kind: entry.kind,
        namespaced: entry.namespaced,
        verbs: entry.verbs,
        shortNames: entry.shortNames ?? [],
        categories: entry.categories ?? [],
        ...(entry.storageVersionHash === undefined ? {} : { storageVersionHash: entry.storageVersionHash }),
        subresources,
      })
    }
  }
const literal = (value: unknown): string => JSON.stringify(value).replaceAll(/"([a-zA-Z]+)":/g, '$1: ')
writeFileSync(
  join(output, 'resources.ts'),
  `// Generated by packages/api/scripts/generate-schema.ts; do not edit.\nimport type { ResourceInfo } from '../schema/resources.ts'\n\n` +
    `/** Served groups in discovery's order, each with its versions, preferred first. */\nexport const groupFacts: readonly (readonly [group: string, versions: readonly string[]])[] = ${JSON.stringify(groups)}\n\n` +
    `export const resourceFacts: readonly ResourceInfo[] = [\n${resources.map((entry) => `  ${literal(entry)},`).join('\n')}\n]\n`,
)
console.log(`${lines.length} types, ${resources.length} resources`)
