import type { JsonObject } from '@k3s/api'
import type { APIService } from '@k3s/api/types/apiregistration/v1'
import type { UserInfo } from '../auth/auth.ts'
import { equalJson, isObject } from '../json.ts'
import type { Backend } from './backend.ts'

/** What an aggregated server adds to our OpenAPI documents. */
export interface RemoteOpenApi {
  /** Address of its document of the group version, with its hash; undefined when it has none. */
  readonly v3: string | undefined
  readonly v2: OpenApiPart | undefined
  /** Changes with `v2`. */
  readonly etag: string
}

/** Paths and definitions of an OpenAPI v2 document. */
export interface OpenApiPart {
  readonly paths: JsonObject
  readonly definitions: JsonObject
}

const documentUser: UserInfo = { name: 'system:aggregator', groups: [] }
const timeoutMs = 10_000
// The whole of Kubernetes' own document has 4 MB, and parsing one of that size holds everybody up for 40 ms.
const maxBytes = 4 * 1024 * 1024
const refPrefix = '#/definitions/'

/** The key of a group version in the index of OpenAPI v3. */
export function openApiKeyOf({ metadata, spec }: APIService): string {
  return metadata.name === 'v1.' ? 'api/v1' : `apis/${spec.group}/${spec.version}`
}

/** Reads what an aggregated server publishes. What did not change since `previous` is not sent again; a part that cannot be read is left out. */
export async function fetchOpenApi(
  backend: Backend,
  service: APIService,
  options: { readonly previous: RemoteOpenApi | undefined; readonly signal: AbortSignal },
): Promise<RemoteOpenApi> {
  const { previous, signal } = options
  const common = { user: documentUser, timeoutMs, maxBytes, signal }
  const v3 = await indexed(backend, service, common).catch(() => undefined)
  signal.throwIfAborted()
  try {
    const { status, headers, body } = await backend.fetch(service, '/openapi/v2', {
      ...common,
      headers: {
        accept: 'application/json',
        ...(previous === undefined || previous.etag === '' ? {} : { 'if-none-match': previous.etag }),
      },
    })
    if (status === 304 && previous !== undefined) return { ...previous, v3 }
    if (status !== 200) return { v3, v2: undefined, etag: '' }
    return { v3, v2: partOf(JSON.parse(body.toString('utf8')), service), etag: headers.etag ?? '' }
  } catch {
    signal.throwIfAborted()
    // One server's trouble is not everybody's: our document goes with what it said last.
    return { v3, v2: previous?.v2, etag: previous?.etag ?? '' }
  }
}

async function indexed(backend: Backend, service: APIService, options: Parameters<Backend['fetch']>[2]): Promise<string | undefined> {
  const { status, body } = await backend.fetch(service, '/openapi/v3', options)
  if (status !== 200) return undefined
  const index: unknown = JSON.parse(body.toString('utf8'))
  const entry = isObject(index) && isObject(index['paths']) ? index['paths'][openApiKeyOf(service)] : undefined
  const address = isObject(entry) ? entry['serverRelativeURL'] : undefined
  return typeof address === 'string' && address.startsWith('/openapi/v3/') ? address : undefined
}

/** The paths of the group version, and the definitions that they need. */
function partOf(document: unknown, { spec }: APIService): OpenApiPart | undefined {
  if (!isObject(document) || !isObject(document['paths'])) return undefined
  const prefix = `/apis/${spec.group}/${spec.version}/`
  const paths = Object.fromEntries(Object.entries(document['paths']).filter(([path]) => path.startsWith(prefix)))
  const all = isObject(document['definitions']) ? document['definitions'] : {}
  const used = new Set<string>()
  const look = (value: unknown): void => {
    forEachReference(value, (name) => {
      if (used.has(name) || !Object.hasOwn(all, name)) return
      used.add(name)
      look(all[name])
    })
  }
  look(paths)
  return { paths, definitions: Object.fromEntries([...used].map((name) => [name, all[name]])) }
}

function forEachReference(value: unknown, visit: (name: string) => void): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === '$ref' && typeof inner === 'string' && inner.startsWith(refPrefix)) visit(inner.slice(refPrefix.length))
    else forEachReference(inner, visit)
  }
}

/**
 * Adds parts to a document with `known` definitions. A definition that is there already, but says something else, gets a name of its own
 * (`NAME_v2`), and paths that are taken stay as they are.
 */
export function mergeParts(known: JsonObject, parts: readonly OpenApiPart[]): OpenApiPart {
  const definitions: Record<string, unknown> = {}
  const paths: Record<string, unknown> = {}
  const present = (name: string): unknown =>
    Object.hasOwn(definitions, name) ? definitions[name] : Object.hasOwn(known, name) ? known[name] : undefined
  for (const part of parts) {
    const renames = new Map<string, string>()
    for (const [name, definition] of Object.entries(part.definitions)) {
      // A definition may refer to itself, by the name that it gets.
      const isTaken = (candidate: string): boolean => {
        const there = present(candidate)
        return there !== undefined && !isSameDefinition(there, renamed(definition, new Map([...renames, [name, candidate]])))
      }
      let free = name
      for (let count = 2; isTaken(free); count++) free = `${name}_v${count}`
      if (free !== name) renames.set(name, free)
    }
    for (const [name, definition] of Object.entries(part.definitions)) {
      const free = renames.get(name) ?? name
      if (present(free) === undefined) definitions[free] = renamed(definition, renames)
    }
    for (const [path, item] of Object.entries(part.paths)) if (!Object.hasOwn(paths, path)) paths[path] = renamed(item, renames)
  }
  return { paths, definitions }
}

function isSameDefinition(left: unknown, right: unknown): boolean {
  const bare = (definition: unknown): unknown => {
    if (!isObject(definition)) return definition
    const { 'x-kubernetes-group-version-kind': _kinds, ...rest } = definition
    return rest
  }
  return equalJson(bare(left), bare(right))
}

function renamed(value: unknown, renames: ReadonlyMap<string, string>): unknown {
  if (renames.size === 0 || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => renamed(item, renames))
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (key !== '$ref' || typeof inner !== 'string' || !inner.startsWith(refPrefix)) return [key, renamed(inner, renames)]
      const name = inner.slice(refPrefix.length)
      return [key, `${refPrefix}${renames.get(name) ?? name}`]
    }),
  )
}
