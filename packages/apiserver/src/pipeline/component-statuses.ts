import { notFound, type ResourceType } from '@k3s/api'
import { componentstatuses, type ComponentStatus } from '@k3s/api/types/core/v1'
import { CachedObject } from '../watch-cache/cached-object.ts'
import { parseSelection } from '../watch-cache/parse-selection.ts'
import { selects } from '../watch-cache/selection.ts'
import { storedResource } from '../watch-cache/stored-resource.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import type { ResourceRequest } from './resource-request.ts'

/** How a part of the control plane is. Throws when it cannot be asked. */
export type ComponentCheck = (signal: AbortSignal) => Promise<{ readonly isHealthy: boolean; readonly message: string }>

// A part that does not answer for this long is not well.
const checkTimeoutMs = 5000

/** Whether requests on a resource are answered by asking the parts of the control plane. */
export function isComponentStatus(type: Pick<ResourceType, 'group' | 'resource'>): boolean {
  return type.group === componentstatuses.group && type.resource === componentstatuses.resource
}

/** GET of component statuses: nothing is stored, all are asked now. */
export async function answerComponentStatuses(core: ApiCore, { info, call, served }: ResourceRequest): Promise<Answer> {
  const datastore: ComponentCheck = async (signal) => {
    await core.datastore.currentRevision({ signal })
    return { isHealthy: true, message: 'ok' }
  }
  const checks = new Map<string, ComponentCheck>([['etcd-0', datastore], ...Object.entries(core.componentChecks ?? {})])
  const resource = storedResource(served.type)
  const statusOf = async (name: string, check: ComponentCheck): Promise<CachedObject> => {
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(checkTimeoutMs)])
    const { status, message, error } = await check(signal).then(
      (state) => ({ status: state.isHealthy ? 'True' : 'False', message: state.message, error: undefined }),
      (cause: unknown) => ({ status: 'Unknown', message: undefined, error: cause instanceof Error ? cause.message : String(cause) }),
    )
    const component: ComponentStatus = {
      apiVersion: 'v1',
      kind: 'ComponentStatus',
      metadata: { name },
      conditions: [{ type: 'Healthy', status, message, error }],
    }
    return CachedObject.withoutVersion(resource, name, Buffer.from(JSON.stringify(component)))
  }
  if (info.verb === 'get') {
    const check = checks.get(info.name)
    if (check === undefined) throw notFound({ resource: 'componentstatus' }, info.name)
    return { type: 'stored', code: 200, served, object: await statusOf(info.name, check) }
  }
  const selection = parseSelection(served.strategy, {
    namespace: '',
    labelSelector: info.labelSelector,
    fieldSelector: info.fieldSelector,
  })
  const all = await Promise.all([...checks].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, check]) => statusOf(name, check)))
  const items = all.filter((object) => selects(selection, object))
  return { type: 'list', served, page: { items, revision: 0, continue: '', remainingItemCount: undefined } }
}
