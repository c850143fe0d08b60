import type { JsonObject } from '../codec/decode-object.ts'
import type { ResourceInfo } from '../schema/resources.ts'
import type { Dialect } from './schemas.ts'

/** References to the schemas that operations of a group version use. */
export interface OperationSchemas {
  readonly object: (kind: { readonly group: string; readonly version: string; readonly kind: string }) => JsonObject
  readonly list: (resource: ResourceInfo) => JsonObject
  readonly deleteOptions: () => JsonObject
  readonly patch: () => JsonObject
  readonly status: () => JsonObject
}

const verbs: Readonly<Record<string, { readonly method: string; readonly action: string; readonly prefix: string }>> = {
  get: { method: 'get', action: 'get', prefix: 'read' },
  list: { method: 'get', action: 'list', prefix: 'list' },
  create: { method: 'post', action: 'post', prefix: 'create' },
  update: { method: 'put', action: 'put', prefix: 'replace' },
  patch: { method: 'patch', action: 'patch', prefix: 'patch' },
  delete: { method: 'delete', action: 'delete', prefix: 'delete' },
  deletecollection: { method: 'delete', action: 'deletecollection', prefix: 'deleteCollection' },
}

const listParameters: readonly (readonly [string, string])[] = [
  ['allowWatchBookmarks', 'boolean'],
  ['continue', 'string'],
  ['fieldSelector', 'string'],
  ['labelSelector', 'string'],
  ['limit', 'integer'],
  ['resourceVersion', 'string'],
  ['resourceVersionMatch', 'string'],
  ['sendInitialEvents', 'boolean'],
  ['timeoutSeconds', 'integer'],
  ['watch', 'boolean'],
]
const writeParameters: readonly (readonly [string, string])[] = [
  ['dryRun', 'string'],
  ['fieldManager', 'string'],
  ['fieldValidation', 'string'],
]
const deleteParameters: readonly (readonly [string, string])[] = [
  ['dryRun', 'string'],
  ['gracePeriodSeconds', 'integer'],
  ['ignoreStoreReadErrorWithClusterBreakingPotential', 'boolean'],
  ['orphanDependents', 'boolean'],
  ['propagationPolicy', 'string'],
]
const queryOf: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  list: listParameters,
  create: writeParameters,
  update: writeParameters,
  patch: [...writeParameters, ['force', 'boolean']],
  delete: deleteParameters,
  deletecollection: [...listParameters.filter(([name]) => name !== 'watch' && name !== 'allowWatchBookmarks'), ...deleteParameters],
}

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
]
const mediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']

const meanings: Readonly<Record<string, string>> = { 200: 'OK', 201: 'Created', 202: 'Accepted' }

function parameter(name: string, type: string, place: 'query' | 'path', dialect: Dialect): JsonObject {
  const required = place === 'path' ? { required: true } : {}
  return dialect === 'v3'
    ? { name, in: place, ...required, schema: { type, uniqueItems: true } }
    : { name, in: place, ...required, type, uniqueItems: true }
}

const capital = (text: string): string => `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}`

/** `appsV1`, `rbacAuthorizationV1`, as upstream's operation ids and tags have it. */
function idOf(group: string, version: string): string {
  const base = group === '' ? 'core' : group.replace(/\.k8s\.io$/, '')
  return `${base.split('.').map(capital).join('')}${capital(version)}`
}

/** Paths of the operations of one resource and its subresources. */
export function resourcePaths(resource: ResourceInfo, schemas: OperationSchemas, dialect: Dialect): Record<string, JsonObject> {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const scope = resource.namespaced ? '/namespaces/{namespace}' : ''
  const collection = `${root}${scope}/${resource.resource}`
  const paths: Record<string, JsonObject> = {}
  const kind = { group: resource.group, version: resource.version, kind: resource.kind }
  const id = `${idOf(resource.group, resource.version)}${resource.namespaced ? 'Namespaced' : ''}`
  const tag = `${(resource.group === '' ? 'core' : resource.group.replace(/\.k8s\.io$/, '')).replaceAll('.', '_')}_${resource.version}`
  const add = (path: string, operations: readonly (readonly [verb: string, target: typeof kind, operationId: string])[]): void => {
    const entry: JsonObject = {}
    for (const [verb, target, operationId] of operations) {
      const known = verbs[verb]
      if (known === undefined) continue
      entry[known.method] = operation(verb, target, { operationId, tag, resource, schemas, dialect })
    }
    if (Object.keys(entry).length === 0) return
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => parameter(name, 'string', 'path', dialect))
    entry['parameters'] = [...inPath, parameter('pretty', 'string', 'query', dialect)]
    paths[path] = entry
  }
  const own = (names: readonly string[]): (readonly [string, typeof kind, string])[] =>
    names.filter((verb) => resource.verbs.includes(verb)).map((verb) => [verb, kind, `${verbs[verb]?.prefix ?? verb}${id}${resource.kind}`])
  add(collection, own(['list', 'create', 'deletecollection']))
  add(`${collection}/{name}`, own(['get', 'update', 'patch', 'delete']))
  if (resource.namespaced && resource.verbs.includes('list'))
    add(`${root}/${resource.resource}`, [['list', kind, `list${idOf(resource.group, resource.version)}${resource.kind}ForAllNamespaces`]])
  for (const sub of resource.subresources) {
    const target = { group: sub.group, version: sub.version, kind: sub.kind }
    add(
      `${collection}/{name}/${sub.name}`,
      sub.verbs.map((verb) => [verb, target, `${verbs[verb]?.prefix ?? verb}${id}${resource.kind}${capital(sub.name)}`]),
    )
  }
  return paths
}

interface OperationContext {
  readonly operationId: string
  readonly tag: string
  readonly resource: ResourceInfo
  readonly schemas: OperationSchemas
  readonly dialect: Dialect
}

function operation(
  verb: string,
  kind: { readonly group: string; readonly version: string; readonly kind: string },
  context: OperationContext,
): JsonObject {
  const { dialect, schemas } = context
  const answer = verb === 'list' ? schemas.list(context.resource) : verb.startsWith('delete') ? schemas.status() : schemas.object(kind)
  const body =
    verb === 'patch'
      ? schemas.patch()
      : verb.startsWith('delete')
        ? schemas.deleteOptions()
        : verb === 'create' || verb === 'update'
          ? schemas.object(kind)
          : undefined
  const codes =
    verb === 'create'
      ? ['200', '201', '202']
      : verb === 'update' || verb === 'patch'
        ? ['200', '201']
        : verb === 'delete'
          ? ['200', '202']
          : ['200']
  const query = (queryOf[verb] ?? []).map(([name, type]) => parameter(name, type, 'query', dialect))
  const content = (types: readonly string[], schema: JsonObject): JsonObject => Object.fromEntries(types.map((type) => [type, { schema }]))
  const isRequired = verb !== 'delete' && verb !== 'deletecollection'
  const responses = Object.fromEntries([
    ...codes.map(
      (code) =>
        [
          code,
          { description: meanings[code] ?? '', ...(dialect === 'v3' ? { content: content(mediaTypes, answer) } : { schema: answer }) },
        ] as const,
    ),
    ['401', { description: 'Unauthorized' }] as const,
  ])
  const bodyTypes = verb === 'patch' ? patchTypes : ['*/*']
  const requestBody =
    body === undefined
      ? {}
      : dialect === 'v3'
        ? { requestBody: { content: content(bodyTypes, body), ...(isRequired ? { required: true } : {}) } }
        : {}
  const bodyParameter =
    body !== undefined && dialect === 'v2' ? [{ name: 'body', in: 'body', ...(isRequired ? { required: true } : {}), schema: body }] : []
  const parameters = [...bodyParameter, ...query]
  return {
    ...(dialect === 'v2' ? { consumes: bodyTypes, produces: mediaTypes, schemes: ['https'] } : {}),
    tags: [context.tag],
    operationId: context.operationId,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...requestBody,
    responses,
    'x-kubernetes-action': verbs[verb]?.action ?? verb,
    'x-kubernetes-group-version-kind': { group: kind.group, kind: kind.kind, version: kind.version },
  }
}
