import { isTrueParameter, type RequestInfo } from '../http/request-info.ts'

/** What is known of a resource. */
export interface ResourceLoad {
  readonly objects: number
  readonly watchers: number
}

// Upstream's numbers.
const objectsPerSeat = 100
const watchersPerSeat = 10
const maxListSeats = 100
const maxWriteSeats = 10

/**
 * The seats that a request takes: lists by what they look at, writes by who hears of them. At least 1, at most `maxSeats`.
 * Unlike kube-apiserver: a write takes the seats for its watchers while it runs and none afterwards, because an event is encoded once for all of them.
 */
export function estimateSeats(
  info: Pick<RequestInfo, 'verb' | 'resource' | 'subresource' | 'name'>,
  query: URLSearchParams,
  { load, maxSeats }: { load(): ResourceLoad | undefined; readonly maxSeats: number },
): number {
  switch (info.verb) {
    case 'watch': {
      const resourceVersion = query.get('resourceVersion') ?? ''
      const startsWithState =
        query.has('sendInitialEvents') && isTrueParameter(query.get('sendInitialEvents'))
          ? true
          : resourceVersion === '' || resourceVersion === '0'
      return startsWithState ? listSeats(info.name, query, load(), maxSeats) : 1
    }
    case 'list':
      return listSeats(info.name, query, load(), maxSeats)
    case 'create':
    case 'update':
    case 'patch':
    case 'delete': {
      if (info.resource === 'serviceaccounts' && info.subresource === 'token') return 1
      const watchers = load()?.watchers ?? 0
      return watchers < watchersPerSeat ? 1 : bounded(watchers / watchersPerSeat, Math.min(maxSeats, maxWriteSeats))
    }
    default:
      return 1
  }
}

function listSeats(name: string, query: URLSearchParams, load: ResourceLoad | undefined, maxSeats: number): number {
  if (name !== '' || load === undefined) return 1
  const limit = Number(query.get('limit') ?? 0)
  // A selector looks at everything to find a page.
  const selects = (query.get('labelSelector') ?? '') !== '' || (query.get('fieldSelector') ?? '') !== ''
  const objects = limit > 0 && !selects ? Math.min(limit, load.objects) : load.objects
  return bounded(objects / objectsPerSeat, Math.min(maxSeats, maxListSeats))
}

function bounded(seats: number, max: number): number {
  return Math.max(1, Math.min(Math.ceil(seats), max))
}
