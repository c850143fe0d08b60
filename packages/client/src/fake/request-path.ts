import { StatusError } from '@k3s/api'

/** What an API path names. */
export interface RequestPath {
  readonly group: string
  readonly version: string
  readonly resource: string
  /** Empty: all namespaces, or a cluster-scoped resource. */
  readonly namespace: string
  /** Empty for collections. */
  readonly name: string
  /** Empty for none. */
  readonly subresource: string
}

const namespaceSubresources: readonly string[] = ['status', 'finalize']

/** Reads `/api/v1/namespaces/default/pods/a/status` and its like; throws NotFound for anything else. */
export function parseRequestPath(path: string): RequestPath {
  const parts = path.split('/').slice(1).map(decodeURIComponent)
  const root =
    parts[0] === 'api'
      ? { group: '', version: parts[1], rest: parts.slice(2) }
      : { group: parts[1], version: parts[2], rest: parts.slice(3) }
  const [first, second, third] = root.rest
  const isNamespaced = first === 'namespaces' && second !== undefined && third !== undefined && !namespaceSubresources.includes(third)
  const namespace = isNamespaced ? second : ''
  const [resource, name = '', subresource = ''] = isNamespaced ? root.rest.slice(2) : root.rest
  if ((parts[0] !== 'api' && parts[0] !== 'apis') || root.group === undefined || root.version === undefined || !resource)
    throw new StatusError('NotFound', 'the server could not find the requested resource')
  return { group: root.group, version: root.version, resource, namespace, name, subresource }
}
