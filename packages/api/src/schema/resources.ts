import { groupFacts, resourceFacts } from '../generated/resources.ts'

/** The answer to a question about a resource that is no plain object of it, such as `pods/log`. */
export interface SubresourceInfo {
  /** `status`, `scale`, `log`, … */
  readonly name: string
  /** Group, version and kind of what is sent and answered; not always the resource's own (`deployments/scale` is `autoscaling/v1` Scale). */
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly verbs: readonly string[]
}

/** What discovery and REST mapping need to know about one served resource. */
export interface ResourceInfo {
  /** Empty for core. */
  readonly group: string
  readonly version: string
  /** Plural, lower case. */
  readonly resource: string
  readonly singular: string
  readonly kind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly storageVersionHash?: string | undefined
  readonly subresources: readonly SubresourceInfo[]
}

/** A served group and its versions, the preferred one first. */
export interface GroupInfo {
  readonly group: string
  readonly versions: readonly string[]
}

/** All resources that Kubernetes 1.36 serves by default, in discovery's order. */
export function resourceInfos(): readonly ResourceInfo[] {
  return resourceFacts
}

/** Served groups in discovery's order; the first is core. */
export function groupInfos(): readonly GroupInfo[] {
  return groupFacts.map(([group, versions]) => ({ group, versions }))
}

/** Finds a resource by its plural, or by its kind. */
export function findResource(
  query: { readonly group: string; readonly version: string } & ({ readonly resource: string } | { readonly kind: string }),
): ResourceInfo | undefined {
  return resourceFacts.find(
    (info) =>
      info.group === query.group &&
      info.version === query.version &&
      ('resource' in query ? info.resource === query.resource : info.kind === query.kind),
  )
}
