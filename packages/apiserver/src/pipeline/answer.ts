import type { OutgoingHttpHeaders } from 'node:http'
import type { ConnectionOptions } from 'node:tls'
import type { KubernetesObject, TypeSchema } from '@k3s/api'
import type { ServedResource } from '../registry/served-resource.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { ListPage } from '../watch-cache/list-objects.ts'
import type { ResourceWatch } from '../watch-cache/resource-watch.ts'

/** What a handler answers; the HTTP side encodes it, the in-process side hands over objects. */
export type Answer =
  /** A stored object, in the version of the resource. */
  | { readonly type: 'stored'; readonly code: number; readonly served: ServedResource; readonly object: CachedObject }
  /** An object that is not stored: reviews, scales, Statuses. With a `schema` it is written with null where upstream has it for nothing. */
  | { readonly type: 'object'; readonly code: number; readonly object: object; readonly schema?: TypeSchema | undefined }
  | { readonly type: 'list'; readonly served: ServedResource; readonly page: ListPage }
  | {
      readonly type: 'watch'
      readonly served: ServedResource
      readonly watch: ResourceWatch
      readonly sendsBookmarks: boolean
      readonly timeoutMs: number
    }
  /** Bytes that are made already: health, metrics, discovery, OpenAPI. */
  | {
      readonly type: 'bytes'
      readonly code: number
      readonly contentType: string
      readonly bytes: Buffer | string
      readonly headers?: Readonly<Record<string, string>> | undefined
    }
  /** A request that goes on to a kubelet or another server: only the HTTP side can do that. */
  | { readonly type: 'connect'; readonly target: ConnectTarget }

/** Where a connect request goes. */
export interface ConnectTarget {
  /** Name of the node whose kubelet serves it, or a host to dial. */
  readonly dial: { readonly node: string; readonly port: number } | { readonly host: string; readonly port: number }
  readonly scheme: 'http' | 'https'
  /** Path and query. */
  readonly path: string
  /** The kubelet needs our client certificate; a pod's or service's server does not get it. */
  readonly isKubelet: boolean
  /** Path under which a client sees the proxied server; absent for what is no proxy. */
  readonly proxiedAt?: string | undefined
  /** Present when another API server answers: its errors are its own words. */
  readonly aggregated?: AggregatedPeer | undefined
}

/** How an aggregated API server is trusted, and told for whom we ask. */
export interface AggregatedPeer {
  readonly tls: Pick<ConnectionOptions, 'cert' | 'key' | 'ca' | 'servername' | 'rejectUnauthorized'>
  /** Of the request, in place of the client's own. */
  readonly headers: OutgoingHttpHeaders
  /** It must have answered within this time. */
  readonly timeoutMs?: number | undefined
}

export function statusSuccess(details: Readonly<Record<string, string>>): KubernetesObject | object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }
}
