import { badRequest } from '@k3s/api'

/** What a request is about, read off its method, path and query; follows apimachinery's RequestInfo. */
export interface RequestInfo {
  readonly isResource: boolean
  /** get, list, watch, create, update, patch, delete, deletecollection; the lower-case method for non-resource paths; `proxy` for the old prefix. */
  readonly verb: string
  readonly path: string
  readonly group: string
  readonly version: string
  readonly namespace: string
  readonly resource: string
  readonly subresource: string
  readonly name: string
  /** What follows the subresource: the path that `proxy` passes on, with its leading slash, or empty. */
  readonly rest: string
  readonly labelSelector: string
  readonly fieldSelector: string
}

const verbs: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
const namespaceSubresources = new Set(['status', 'finalize'])

/** True for a query value that means yes, as upstream converts booleans: present and neither `false` nor `0`. */
export function isTrueParameter(value: string | null): boolean {
  return value !== null && value.toLowerCase() !== 'false' && value !== '0'
}

/** `path` is percent-encoded. Throws BadRequest when it cannot be decoded. */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const nonResource: RequestInfo = {
    isResource: false,
    verb: method.toLowerCase(),
    path,
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    rest: '',
    labelSelector: '',
    fieldSelector: '',
  }
  const allParts = splitPath(path)
  let parts = allParts
  if (parts.length < 3 || (parts[0] !== 'api' && parts[0] !== 'apis')) return nonResource
  const isGrouped = parts[0] === 'apis'
  if (isGrouped && parts.length < 4) return nonResource
  const group = isGrouped ? (parts[1] ?? '') : ''
  const version = parts[isGrouped ? 2 : 1] ?? ''
  parts = parts.slice(isGrouped ? 3 : 2)

  let verb = (Object.hasOwn(verbs, method) ? verbs[method] : undefined) ?? '' // HTTP/2 takes any word for a method
  const isPrefixedWatch = parts[0] === 'watch'
  if (isPrefixedWatch) {
    if (parts.length < 2) throw badRequest(`unable to determine kind and namespace from url, ${path}`)
    verb = 'watch'
    parts = parts.slice(1)
  }
  let namespace = ''
  if (parts[0] === 'namespaces' && parts.length > 1) {
    namespace = parts[1] ?? ''
    if (parts.length > 2 && !namespaceSubresources.has(parts[2] ?? '')) parts = parts.slice(2)
  }
  const resource = parts[0] ?? ''
  let name = parts[1] ?? ''
  const subresource = verb === 'watch' ? '' : (parts[2] ?? '')
  const fieldSelector = query.get('fieldSelector') ?? ''
  if (name === '' && verb === 'get') {
    verb = isTrueParameter(query.get('watch')) ? 'watch' : 'list'
    name = selectedName(fieldSelector)
  }
  if (name === '' && verb === 'delete') verb = 'deletecollection'
  const usesSelectors = !isPrefixedWatch && (verb === 'list' || verb === 'watch' || verb === 'deletecollection')
  return {
    isResource: true,
    verb,
    path,
    group,
    version,
    namespace,
    resource,
    subresource,
    name,
    rest: subresource === '' ? '' : restOfPath(path, allParts.length - parts.length + 3),
    labelSelector: usesSelectors ? (query.get('labelSelector') ?? '') : '',
    fieldSelector: usesSelectors ? fieldSelector : '',
  }
}

function splitPath(path: string): string[] {
  const parts = path.split('/')
  const first = parts.findIndex((part) => part !== '')
  if (first < 0) return []
  try {
    return parts
      .slice(first, parts.findLastIndex((part) => part !== '') + 1)
      .map((part) => (part.includes('%') ? decodeURIComponent(part) : part))
  } catch (cause) {
    throw Object.assign(badRequest(`invalid URL escape in ${JSON.stringify(path)}`), { cause })
  }
}

/** Everything behind the first `count` segments, still encoded. */
function restOfPath(path: string, count: number): string {
  let at = 0
  while (path[at + 1] === '/') at++
  for (let segment = 0; segment < count && at >= 0; segment++) at = path.indexOf('/', at + 1)
  return at < 0 ? '' : path.slice(at)
}

/** The name that a field selector pins down, for authorization by name. */
function selectedName(fieldSelector: string): string {
  for (const term of fieldSelector.split(',')) {
    const match = /^metadata\.name==?(.+)$/.exec(term)
    if (match?.[1] !== undefined && !/[/%]/.test(match[1])) return match[1]
  }
  return ''
}
