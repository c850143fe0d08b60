import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { JsonObject } from '../codec/decode-object.ts'
import { typeFacts } from '../generated/schema.ts'
import { groupInfos, resourceInfos, type ResourceInfo } from '../schema/resources.ts'
import { knownType, schemaOf } from '../schema/table.ts'
import { resourcePaths, type OperationSchemas } from './paths.ts'
import { SchemaCollector, type Descriptions, type Dialect } from './schemas.ts'

export interface OpenApiOptions {
  /** Absent: documents without descriptions. */
  readonly descriptions?: Descriptions | undefined
}

const info = { title: 'Kubernetes', version: 'v1.36.3' }
const apiVersionOf = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`)

function operationSchemas(collector: SchemaCollector): OperationSchemas {
  const known = (name: string): JsonObject => collector.ref(knownType(name))
  return {
    object: ({ group, version, kind }) => {
      const type = schemaOf(apiVersionOf(group, version), kind)
      // Bodies of proxies and streams are free text.
      return type === undefined || !type.isPublished ? { type: 'string' } : collector.ref(type)
    },
    list: ({ group, version, kind }) => {
      const type = schemaOf(apiVersionOf(group, version), `${kind}List`)
      return type === undefined ? { type: 'object' } : collector.ref(type)
    },
    // Only what is asked for becomes part of the document.
    deleteOptions: () => known('meta/v1.DeleteOptions'),
    patch: () => known('meta/v1.Patch'),
    status: () => known('meta/v1.Status'),
  }
}

function build(
  dialect: Dialect,
  resources: readonly ResourceInfo[],
  options: OpenApiOptions,
): { readonly paths: Record<string, JsonObject>; readonly schemas: Record<string, JsonObject> } {
  const collector = new SchemaCollector(dialect, options.descriptions)
  const schemas = operationSchemas(collector)
  if (resources.some(({ verbs }) => verbs.includes('watch'))) collector.ref(knownType('meta/v1.WatchEvent'))
  collector.ref(knownType('meta/v1.APIResourceList'))
  const paths: Record<string, JsonObject> = {}
  for (const resource of resources) Object.assign(paths, resourcePaths(resource, schemas, dialect))
  return { paths, schemas: collector.schemas() }
}

/** Document keys of {@link openApiV3Index}: `api/v1`, `apis/apps/v1`. */
export function openApiV3Keys(): readonly string[] {
  return groupInfos().flatMap(({ group, versions }) =>
    versions.map((version) => (group === '' ? `api/${version}` : `apis/${group}/${version}`)),
  )
}

/**
 * What `/openapi/v3` answers for the built-in types: key → where its document is. The hash in the address changes with the table and with
 * the descriptions, so clients may cache a document for as long as they like.
 */
export function openApiV3Index(options: OpenApiOptions = {}): { readonly paths: Record<string, { readonly serverRelativeURL: string }> } {
  const hash = createHash('sha256')
  for (const [name, facts] of Object.entries(typeFacts)) hash.update(name).update(facts)
  if (options.descriptions !== undefined) hash.update(JSON.stringify(options.descriptions))
  const digest = hash.digest('hex').toUpperCase()
  return { paths: Object.fromEntries(openApiV3Keys().map((key) => [key, { serverRelativeURL: `/openapi/v3/${key}?hash=${digest}` }])) }
}

/**
 * The OpenAPI 3.0 document of a built-in group version (`v1`, `apps/v1`); undefined for one that is not served. Belongs to the caller.
 * Takes some milliseconds: cache its bytes.
 */
export function openApiV3(groupVersion: string, options: OpenApiOptions = {}): JsonObject | undefined {
  const resources = resourceInfos().filter(({ group, version }) => apiVersionOf(group, version) === groupVersion)
  if (resources.length === 0) return undefined
  const { paths, schemas } = build('v3', resources, options)
  return { openapi: '3.0.0', info, paths, components: { schemas } }
}

/** The Swagger 2.0 document of all built-in types, for `/openapi/v2`. Belongs to the caller. Takes tens of milliseconds: cache its bytes. */
export function openApiV2(options: OpenApiOptions = {}): JsonObject {
  const { paths, schemas } = build('v2', resourceInfos(), options)
  return {
    swagger: '2.0',
    info,
    paths,
    definitions: schemas,
    securityDefinitions: {
      BearerToken: { description: 'Bearer Token authentication', type: 'apiKey', name: 'authorization', in: 'header' },
    },
    security: [{ BearerToken: [] }],
  }
}

/** A resource that is not built in, and its schema in OpenAPI. */
export interface CustomOpenApi {
  readonly resource: ResourceInfo
  /** Published name of the kind, such as `com.example.v1.Foo`; its list is `<name>List`. */
  readonly name: string
  /** Schema of an object, with `x-kubernetes-group-version-kind`; may refer to built-in types by their published names. */
  readonly schema: JsonObject
}

/** The document of a group version of custom resources, in either dialect; for v2 only `paths` and `definitions`, to be merged into {@link openApiV2}. */
export function openApiOfCustom(dialect: Dialect, customs: readonly CustomOpenApi[], options: OpenApiOptions = {}): JsonObject {
  const collector = new SchemaCollector(dialect, options.descriptions)
  const base = operationSchemas(collector)
  const prefix = dialect === 'v3' ? '#/components/schemas/' : '#/definitions/'
  const listMeta = collector.ref(knownType('meta/v1.ListMeta'))
  collector.ref(knownType('meta/v1.ObjectMeta'))
  const own: Record<string, JsonObject> = {}
  const paths: Record<string, JsonObject> = {}
  for (const { resource, name, schema } of customs) {
    own[name] = schema
    own[`${name}List`] = {
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { type: 'string' },
        items: { type: 'array', items: { $ref: `${prefix}${name}` } },
        kind: { type: 'string' },
        metadata: dialect === 'v3' ? { allOf: [listMeta] } : listMeta,
      },
      'x-kubernetes-group-version-kind': [{ group: resource.group, kind: `${resource.kind}List`, version: resource.version }],
    }
    const schemas: OperationSchemas = {
      ...base,
      object: (kind) => (kind.kind === resource.kind && kind.group === resource.group ? { $ref: `${prefix}${name}` } : base.object(kind)),
      list: () => ({ $ref: `${prefix}${name}List` }),
    }
    Object.assign(paths, resourcePaths(resource, schemas, dialect))
  }
  const schemas = { ...collector.schemas(), ...own }
  return dialect === 'v3' ? { openapi: '3.0.0', info, paths, components: { schemas } } : { paths, definitions: schemas }
}

/**
 * Reads the descriptions that were generated with the package, or those of another file; undefined when there are none. A bundle gives
 * the address of the copy that it carries.
 */
export async function loadDescriptions(
  file: URL | string = new URL('../../src/generated/descriptions.json', import.meta.url),
): Promise<Descriptions | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  // Written by generate-descriptions.ts in this form.
  return JSON.parse(text) as Descriptions
}
