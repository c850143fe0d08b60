import { compareQuantities, quantityNanos } from '@k3s/api'
import {
  type Container,
  type LimitRange,
  type LimitRangeItem,
  limitranges,
  type PersistentVolumeClaim,
  persistentvolumeclaims,
  type Pod,
  pods,
} from '@k3s/api/types/core/v1'
import { podResources, type ResourceList } from '../resources/shared/resource-list.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { objectOf, refusal } from './requests.ts'

const annotation = 'kubernetes.io/limit-ranger'

/** Fills what a container does not say; returns what was filled, for the annotation. */
function fill(container: Container, item: LimitRangeItem): { readonly requests: string[]; readonly limits: string[] } {
  const resources = (container.resources ??= {})
  const filled = { requests: [] as string[], limits: [] as string[] }
  for (const [kind, defaults] of [
    ['requests', item.defaultRequest],
    ['limits', item.default],
  ] as const) {
    for (const [name, amount] of Object.entries(defaults ?? {})) {
      if (resources[kind]?.[name] !== undefined) continue
      resources[kind] = { ...resources[kind], [name]: amount }
      filled[kind].push(name)
    }
  }
  return filled
}

function fillPod(pod: Pod, items: readonly LimitRangeItem[]): void {
  const notes: string[] = []
  for (const [what, containers] of [
    ['container', pod.spec.containers],
    ['init container', pod.spec.initContainers],
  ] as const) {
    for (const container of containers ?? []) {
      for (const item of items.filter(({ type }) => type === 'Container')) {
        const { requests, limits } = fill(container, item)
        if (requests.length > 0) notes.push(`${requests.toSorted().join(', ')} request for ${what} ${container.name}`)
        if (limits.length > 0) notes.push(`${limits.toSorted().join(', ')} limit for ${what} ${container.name}`)
      }
    }
  }
  if (notes.length === 0) return
  pod.metadata.annotations = { ...pod.metadata.annotations, [annotation]: `LimitRanger plugin set: ${notes.join('; ')}` }
}

/** What is wrong with the amounts of one thing, container, pod or claim. */
function problems(item: LimitRangeItem, requests: ResourceList, limits: ResourceList): string[] {
  const { type } = item
  const found: string[] = []
  for (const [name, bound] of Object.entries(item.min ?? {})) {
    const [request, limit] = [requests[name], limits[name]]
    const text = `minimum ${name} usage per ${type} is ${bound}`
    if (request === undefined) found.push(`${text}.  No request is specified`)
    else if (compareQuantities(request, bound) < 0) found.push(`${text}, but request is ${request}`)
    else if (limit !== undefined && compareQuantities(limit, bound) < 0) found.push(`${text}, but limit is ${limit}`)
  }
  for (const [name, bound] of Object.entries(item.max ?? {})) {
    const [request, limit] = [requests[name], limits[name]]
    const text = `maximum ${name} usage per ${type} is ${bound}`
    if (type === 'PersistentVolumeClaim') {
      if (request === undefined) found.push(`${text}.  No request is specified`)
      else if (compareQuantities(request, bound) > 0) found.push(`${text}, but request is ${request}`)
    } else if (limit === undefined) found.push(`${text}.  No limit is specified`)
    else if (compareQuantities(limit, bound) > 0) found.push(`${text}, but limit is ${limit}`)
    else if (request !== undefined && compareQuantities(request, bound) > 0) found.push(`${text}, but request is ${request}`)
  }
  for (const [name, bound] of Object.entries(item.maxLimitRequestRatio ?? {})) {
    const [request, limit] = [requests[name], limits[name]]
    const text = `${name} max limit to request ratio per ${type} is ${bound}`
    if (request === undefined || compareQuantities(request, '0') === 0) found.push(`${text}, but no request is specified or request is 0`)
    else if (limit === undefined || compareQuantities(limit, '0') === 0) found.push(`${text}, but no limit is specified or limit is 0`)
    else if (quantityNanos(limit) * 1_000_000_000n > quantityNanos(bound) * quantityNanos(request)) {
      found.push(`${text}, but provided ratio is ${(Number(quantityNanos(limit)) / Number(quantityNanos(request))).toFixed(6)}`)
    }
  }
  return found
}

function podProblems(pod: Pod, items: readonly LimitRangeItem[]): string[] {
  return items.flatMap((item) => {
    if (item.type === 'Container') {
      return [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].flatMap(({ resources }) =>
        problems(item, resources?.requests ?? {}, resources?.limits ?? {}),
      )
    }
    return item.type === 'Pod' ? problems(item, podResources(pod.spec, 'requests'), podResources(pod.spec, 'limits')) : []
  })
}

const itemsOf = (request: AdmissionRequest): LimitRangeItem[] =>
  request.scope.objects.list<LimitRange>(limitranges, request.namespace).flatMap(({ spec }) => spec.limits ?? [])

/** Holds pods and claims to the LimitRanges of their namespace, and fills the defaults that these give. */
export const limitRanger: AdmissionPlugin = {
  name: 'LimitRanger',
  admit(request): void {
    const pod = objectOf(request, pods, ['CREATE'])
    if (pod !== undefined) fillPod(pod, itemsOf(request))
  },
  validate(request): void {
    const pod = objectOf(request, pods, ['CREATE'])
    const claim: PersistentVolumeClaim | undefined = objectOf(request, persistentvolumeclaims, ['CREATE', 'UPDATE'])
    if (pod === undefined && claim === undefined) return
    if (request.object?.metadata.deletionTimestamp !== undefined) return
    const items = itemsOf(request)
    const found =
      pod === undefined
        ? items
            .filter(({ type }) => type === 'PersistentVolumeClaim')
            .flatMap((item) => problems(item, claim?.spec.resources?.requests ?? {}, {}))
        : podProblems(pod, items)
    if (found.length > 0) throw refusal(request, found.length === 1 ? (found[0] ?? '') : `[${found.join(', ')}]`)
  },
}
