import type { APIService } from '@k3s/api/types/apiregistration/v1'
import type { APIResource } from '@k3s/api/types/meta/v1'
import { isObject } from '../json.ts'
import { aggregatorUser, discoveryPathOf } from './availability.ts'
import type { Backend } from './backend.ts'
import type { Priority } from './priorities.ts'

/** What discovery shows of a group version that another server answers. */
export interface RemoteVersion {
  readonly group: string
  readonly version: string
  readonly priority: Priority
  /** Entries of an APIGroupDiscoveryList; undefined when they are not known. */
  readonly resources: readonly object[] | undefined
  /** Stale: the server did not answer when it was last asked. */
  readonly freshness: 'Current' | 'Stale'
}

const aggregatedType = (version: string): string => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`
const timeoutMs = 5000
const maxBytes = 4 * 1024 * 1024

/**
 * The resources of an APIService's group version, in the form of aggregated discovery. Servers that do not have that are asked for the old form.
 * `undefined`: the server does not know the version. Throws when it cannot be asked.
 */
export async function fetchResources(backend: Backend, service: APIService, signal: AbortSignal): Promise<readonly object[] | undefined> {
  const options = { user: aggregatorUser, timeoutMs, maxBytes, signal }
  const { status, headers, body } = await backend.fetch(service, '/apis', {
    ...options,
    headers: { accept: ['v2', 'v2beta1'].map(aggregatedType).join(',') },
  })
  if (status === 503) throw new Error(`service returned non-success response code: ${status}`)
  if (status === 200 && (headers['content-type'] ?? '').includes('as=APIGroupDiscoveryList'))
    return resourcesIn(JSON.parse(body.toString('utf8')), service)
  const path = discoveryPathOf(service)
  const old = await backend.fetch(service, path, { ...options, headers: { accept: 'application/json' } })
  if (old.status !== 200) throw new Error(`failed to download legacy discovery for ${path}: response code ${old.status}`)
  const list: unknown = JSON.parse(old.body.toString('utf8'))
  if (!isObject(list) || !Array.isArray(list['resources']))
    throw new Error(`failed to download legacy discovery for ${path}: no list of resources`)
  // What is no resource is left out below.
  return aggregate(list['resources'].filter(isObject) as unknown as APIResource[], service.spec.group ?? '', service.spec.version ?? '')
}

function resourcesIn(document: unknown, { spec }: APIService): readonly object[] | undefined {
  const groups = isObject(document) && Array.isArray(document['items']) ? document['items'].filter(isObject) : []
  const group = groups.find(({ metadata }) => isObject(metadata) && (metadata['name'] ?? '') === (spec.group ?? ''))
  const versions = Array.isArray(group?.['versions']) ? group['versions'].filter(isObject) : []
  const found = versions.find(({ version }) => version === spec.version)?.['resources']
  return Array.isArray(found) ? found.filter(isObject).map(withKinds) : undefined
}

/** Some clients cannot do without the kinds. */
function withKinds(resource: Record<string, unknown>): object {
  const empty = { group: '', version: '', kind: '' }
  const { subresources } = resource
  return {
    ...resource,
    responseKind: resource['responseKind'] ?? empty,
    ...(Array.isArray(subresources)
      ? { subresources: subresources.filter(isObject).map((one) => ({ ...one, responseKind: one['responseKind'] ?? empty })) }
      : {}),
  }
}

/** The old list of resources and subresources in the new form. */
function aggregate(list: readonly APIResource[], group: string, version: string): readonly object[] {
  const kindOf = (resource: APIResource): object => ({
    group: resource.group ?? group,
    version: resource.version ?? version,
    kind: resource.kind,
  })
  const main = list.filter(({ name }) => typeof name === 'string' && !name.includes('/'))
  return main.map((resource) => {
    const prefix = `${resource.name}/`
    const subresources = list
      .filter(({ name }) => typeof name === 'string' && name.startsWith(prefix))
      .map((one) => ({ subresource: one.name.slice(prefix.length), responseKind: kindOf(one), verbs: one.verbs }))
    return {
      resource: resource.name,
      responseKind: kindOf(resource),
      scope: resource.namespaced ? 'Namespaced' : 'Cluster',
      singularResource: resource.singularName,
      verbs: resource.verbs,
      ...(resource.shortNames === undefined ? {} : { shortNames: resource.shortNames }),
      ...(resource.categories === undefined ? {} : { categories: resource.categories }),
      ...(subresources.length === 0 ? {} : { subresources }),
    }
  })
}
