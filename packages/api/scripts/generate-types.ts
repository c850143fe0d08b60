/**
 * Writes `src/generated/types/<group>/<version>.ts`: one interface a Kubernetes type and one {@link ResourceType} a resource,
 * for every group version that Kubernetes 1.36 serves by default (the `v1`, `v2` ones; never alpha or beta).
 *
 *   node packages/api/scripts/generate-types.ts DIR-OF-GO-MODULE-k8s.io/kubernetes
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Property {
  readonly type?: string
  readonly format?: string
  readonly $ref?: string
  readonly items?: Property
  readonly additionalProperties?: Property
}
interface Definition extends Property {
  readonly properties?: Readonly<Record<string, Property>>
  readonly required?: readonly string[]
  readonly 'x-kubernetes-group-version-kind'?: readonly { readonly group: string; readonly version: string; readonly kind: string }[]
}
interface ApiResource {
  readonly name: string
  readonly namespaced: boolean
  readonly kind: string
}
interface TypeModule {
  readonly path: string
  readonly types: Map<string, Definition>
  resources: { group: string; version: string; list: readonly ApiResource[] } | undefined
}

const moduleDir = process.argv[2]
if (moduleDir === undefined) throw new Error('Usage: generate-types.ts DIR-OF-GO-MODULE-k8s.io/kubernetes')
const output = join(import.meta.dirname, '../src/generated/types')

// JSON.parse is untyped; the file is upstream's published swagger, whose shape the interfaces above state.
const swagger = JSON.parse(readFileSync(join(moduleDir, 'api/openapi-spec/swagger.json'), 'utf8')) as {
  definitions: Record<string, Definition>
}

/** Types that are not objects on the wire. */
const scalars: Readonly<Record<string, string>> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'Quantity',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'IntOrString',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'string',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'string',
  'io.k8s.apimachinery.pkg.runtime.RawExtension': 'unknown',
  'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1': 'Record<string, unknown>',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Patch': 'unknown',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON': 'unknown',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray': 'JSONSchemaProps | JSONSchemaProps[]',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool': 'JSONSchemaProps | boolean',
  'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray': 'JSONSchemaProps | string[]',
}

/** `io.k8s.api.core.v1.Pod` is type `Pod` of module `core/v1`; undefined for versions that are not served by default. */
function locate(name: string): { readonly module: string; readonly type: string } | undefined {
  const parts = name.split('.')
  const [group, version, type] = parts.slice(-3)
  if (group === undefined || version === undefined || type === undefined) return undefined
  if (name === 'io.k8s.apimachinery.pkg.version.Info') return { module: 'version', type }
  return /^v\d+$/.test(version) ? { module: `${group}/${version}`, type } : undefined
}

const modules = new Map<string, TypeModule>()
for (const [name, definition] of Object.entries(swagger.definitions)) {
  const at = locate(name)
  if (at === undefined || name in scalars || (at.type.endsWith('List') && definition.properties?.['items'] !== undefined)) continue
  const module = modules.get(at.module) ?? { path: at.module, types: new Map(), resources: undefined }
  modules.set(at.module, module)
  module.types.set(at.type, definition)
}

for (const file of readdirSync(join(moduleDir, 'api/discovery'))) {
  const match = /^(?:api|apis__(.+))__(v\d+)\.json$/.exec(file)
  if (match === null) continue
  const [, group = '', version = ''] = match
  const { resources } = JSON.parse(readFileSync(join(moduleDir, 'api/discovery', file), 'utf8')) as { resources: ApiResource[] }
  const short = group === '' ? 'core' : group === 'flowcontrol.apiserver.k8s.io' ? 'flowcontrol' : (group.split('.')[0] ?? group)
  const module = modules.get(`${short}/${version}`)
  if (module === undefined) throw new Error(`No types for ${file}`)
  module.resources = { group, version, list: resources.filter((resource) => !resource.name.includes('/')) }
}

function render(module: TypeModule): string {
  const imports = new Map<string, Set<string>>()
  const depth = '../'.repeat(module.path.split('/').length - 1) || './'
  const use = (path: string, type: string): string => {
    if (path === module.path) return type
    const set = imports.get(path) ?? new Set()
    imports.set(path, set)
    if (!module.types.has(type)) {
      set.add(type)
      return type
    }
    const alias =
      path
        .split('/')
        .map((part) => part[0]?.toUpperCase() + part.slice(1))
        .join('') + type
    set.add(`${type} as ${alias}`)
    return alias
  }
  const typeOf = (property: Property): string => {
    if (property.$ref !== undefined) {
      const name = property.$ref.replace('#/definitions/', '')
      const scalar = scalars[name]
      if (scalar === 'Quantity' || scalar === 'IntOrString') return use('../scalars', scalar)
      if (scalar !== undefined) return scalar
      const at = locate(name)
      return at === undefined ? 'unknown' : use(at.module, at.type)
    }
    if (property.type === 'array') {
      const element = typeOf(property.items ?? {})
      return element.includes('|') ? `(${element})[]` : `${element}[]`
    }
    if (property.type === 'object')
      return property.additionalProperties === undefined
        ? 'Record<string, unknown>'
        : `Record<string, ${typeOf(property.additionalProperties)}>`
    if (property.type === 'integer' || property.type === 'number') return 'number'
    return property.type === 'string' ? 'string' : property.type === 'boolean' ? 'boolean' : 'unknown'
  }
  const bodies: string[] = []
  for (const [type, definition] of [...module.types].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const properties = definition.properties ?? {}
    const required = new Set(definition.required)
    const isRoot = 'apiVersion' in properties && 'kind' in properties && properties['metadata']?.$ref?.endsWith('.ObjectMeta') === true
    const lines = Object.entries(properties).map(([key, property]) => {
      const name = /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key)
      if (isRoot && key === 'metadata') return `  metadata: ${use('../scalars', 'RootMeta')}`
      if (required.has(key) || (isRoot && key === 'spec')) return `  ${name}: ${typeOf(property)}`
      return `  ${name}?: ${typeOf(property)} | undefined`
    })
    bodies.push(`export interface ${type} {\n${lines.join('\n')}\n}`)
  }
  for (const resource of module.resources?.list ?? []) {
    if (!module.types.has(resource.kind)) continue
    const { group, version } = module.resources ?? { group: '', version: '' }
    const type = use('../resource-type', 'ResourceType')
    bodies.push(
      `export const ${resource.name}: ${type}<${resource.kind}> = { group: '${group}', version: '${version}', resource: '${resource.name}', kind: '${resource.kind}', namespaced: ${resource.namespaced} }`,
    )
  }
  const head = [...imports]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([path, names]) =>
        `import type { ${[...names].toSorted((a, b) => (a < b ? -1 : 1)).join(', ')} } from '${path.startsWith('../') ? `${depth}../../${path.slice(3)}` : `${depth}${path}`}.ts'`,
    )
  return `// Generated by packages/api/scripts/generate-types.ts; do not edit.\n${head.join('\n')}\n\n${bodies.join('\n\n')}\n`
}

rmSync(output, { recursive: true, force: true })
for (const module of modules.values()) {
  const file = join(output, `${module.path}.ts`)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, render(module))
}
