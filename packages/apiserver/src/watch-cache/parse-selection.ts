import { groupResourceOf, matchesSelector, parseFieldSelector, parseLabelSelector, StatusError, type KubernetesObject } from '@k3s/api'
import { preparedView, type StorageView } from '../registry/served-resource.ts'
import type { ResourceStrategy } from '../registry/strategy.ts'
import type { CachedObject } from './cached-object.ts'
import type { Selection } from './selection.ts'

export interface SelectionRequest {
  /** Empty for all namespaces. */
  readonly namespace: string
  readonly labelSelector: string
  readonly fieldSelector: string
  /** From the path of a watch on one object. */
  readonly name?: string | undefined
  /** Names that another served version has for the stored fields. */
  readonly fieldLabels?: Readonly<Record<string, string>> | undefined
  /** Custom resources are selected by what their version shows. */
  readonly view?: StorageView | undefined
}

type Predicate = (object: CachedObject) => boolean

/** Reads the selectors of a list, watch or deletecollection. Throws BadRequest for syntax and for fields that cannot be selected by. */
export function parseSelection(strategy: ResourceStrategy, request: SelectionRequest): Selection {
  const { type } = strategy
  const { view } = request
  const shown = (object: CachedObject): CachedObject => (view === undefined ? object : preparedView(view, object))
  const predicates: Predicate[] = []
  let keyPrefix = type.namespaced && request.namespace !== '' ? `${request.namespace}/` : ''
  if (request.name !== undefined && request.name !== '') predicates.push((object) => object.name === request.name)
  for (const { field, isEqual, value } of parseFieldSelector(request.fieldSelector)) {
    if (field === 'metadata.name') {
      if (isEqual && request.name !== undefined && request.name !== '' && request.name !== value)
        throw new StatusError('BadRequest', 'the name in the path and the field selector metadata.name do not match')
      predicates.push((object) => (object.name === value) === isEqual)
    } else if (field === 'metadata.namespace' && type.namespaced) {
      if (isEqual && keyPrefix === '') keyPrefix = `${value}/`
      else predicates.push((object) => (object.namespace === value) === isEqual)
    } else {
      const label = request.fieldLabels === undefined ? field : (request.fieldLabels[field] ?? '')
      const read = selectableField(strategy, label)
      if (read === undefined) throw unsupportedField(strategy, field, view !== undefined)
      predicates.push((object) => (read(shown(object).object) === value) === isEqual)
    }
  }
  const labels = parseLabelSelector(request.labelSelector)
  if (labels.length > 0) predicates.push((object) => matchesSelector(labels, shown(object).labels))
  return {
    keyPrefix,
    isEverything: predicates.length === 0,
    matches: (object) => predicates.every((predicate) => predicate(object)),
  }
}

function selectableField(strategy: ResourceStrategy, field: string): ((object: KubernetesObject) => string) | undefined {
  const fields = strategy.selectableFields ?? {}
  return Object.hasOwn(fields, field) ? fields[field] : undefined
}

/** Upstream's kinds say it each in their own words. */
function unsupportedField({ type, selectableFields }: ResourceStrategy, field: string, isCustom: boolean): StatusError {
  const name = groupResourceOf(type)
  if (name === 'jobs.batch') return new StatusError('BadRequest', `field label ${JSON.stringify(field)} not supported for Job`)
  if (name === 'resourceslices.resource.k8s.io')
    return new StatusError('BadRequest', `field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: ${field}`)
  return new StatusError(
    'BadRequest',
    ownFieldLabels.has(name) || (isCustom && selectableFields !== undefined)
      ? `field label not supported: ${field}`
      : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`,
  )
}

const ownFieldLabels = new Set([
  'events',
  'namespaces',
  'nodes',
  'pods',
  'replicationcontrollers',
  'secrets',
  'services',
  'certificatesigningrequests.certificates.k8s.io',
])
