import type { ResourceType } from '@k3s/api'
import type { APIGroupList, APIResourceList, APIVersions } from '@k3s/api/types/meta/v1'
import type { ApiTransport } from '@k3s/client'

/** A resource as an API server names it in discovery. */
export interface DiscoveredResource extends ResourceType {
  readonly verbs: readonly string[]
}

export interface Discovery {
  /** One served version of each resource, without subresources. */
  readonly resources: readonly DiscoveredResource[]
  /** Group versions that could not be read, and why: their resources are missing above. */
  readonly failures: readonly { readonly groupVersion: string; readonly error: unknown }[]
}

/** Asks an API server for all its resources, in each group's preferred version. Fails when the list of groups cannot be read. */
export async function discoverResources(transport: ApiTransport, signal?: AbortSignal): Promise<Discovery> {
  const get = async <T>(path: string): Promise<T> => (await transport.request({ method: 'GET', path, signal })).body as T // what the path answers with
  const [core, groups] = await Promise.all([get<APIVersions>('/api'), get<APIGroupList>('/apis')])
  const versions = [
    ...core.versions.map((version) => ({ groupVersion: version, path: `/api/${version}` })),
    ...groups.groups.flatMap(({ preferredVersion, versions }) => {
      const groupVersion = (preferredVersion ?? versions[0])?.groupVersion
      return groupVersion === undefined ? [] : [{ groupVersion, path: `/apis/${groupVersion}` }]
    }),
  ]
  const lists = await Promise.allSettled(versions.map(({ path }) => get<APIResourceList>(path)))
  const failures = versions.flatMap(({ groupVersion }, i) => {
    const result = lists[i]
    return result?.status === 'rejected' ? [{ groupVersion, error: result.reason }] : []
  })
  const resources = lists.flatMap((result) => (result.status === 'fulfilled' ? resourcesOf(result.value) : []))
  return { resources, failures }
}

function resourcesOf(list: APIResourceList): readonly DiscoveredResource[] {
  const slash = list.groupVersion.indexOf('/')
  const [group, version] = slash < 0 ? ['', list.groupVersion] : [list.groupVersion.slice(0, slash), list.groupVersion.slice(slash + 1)]
  return list.resources
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, kind, namespaced, verbs }) => ({ group, version, resource: name, kind, namespaced, verbs }))
}
