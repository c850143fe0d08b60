import { hasReason } from '@k3s/api'
import { apiservices, type APIService } from '@k3s/api/types/apiregistration/v1'
import { customresourcedefinitions, type CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { equalJson } from '../json.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { createIfMissing } from '../bootstrap/system-namespaces.ts'
import { apiServiceName, builtInPriority, customPriority, type Priority } from './priorities.ts'

/** Who keeps an APIService as it should be: `onstart` once, when a server starts, `true` always. */
export const managedLabel = 'kube-aggregator.kubernetes.io/automanaged'
const onStart = 'onstart'
const always = 'true'

/** What is to be done about one APIService. */
export type LocalServicePlan =
  | { readonly action: 'create'; readonly service: APIService }
  | { readonly action: 'update'; readonly name: string; readonly spec: APIService['spec'] }
  | { readonly action: 'delete'; readonly name: string; readonly uid: string }

export interface LocalServicesState {
  readonly wanted: ReadonlyMap<string, APIService>
  readonly present: ReadonlyMap<string, APIService>
  /** Those that were there when the server started. */
  readonly atStart: ReadonlySet<string>
  /** Those that were as they should be once. */
  readonly settled: ReadonlySet<string>
}

/** Compares the APIServices of what we serve ourselves with what is there. What somebody else wrote under such a name stays. */
export function planLocalServices({ wanted, present, atStart, settled }: LocalServicesState): readonly LocalServicePlan[] {
  const names = new Set([...wanted.keys(), ...present.keys()])
  return [...names].flatMap((name): LocalServicePlan[] => {
    const [desired, current] = [wanted.get(name), present.get(name)]
    if (desired !== undefined && labelOf(desired) === onStart && settled.has(name)) return []
    if (current === undefined) return desired === undefined ? [] : [{ action: 'create', service: desired }]
    const label = labelOf(current)
    if (label !== onStart && label !== always) return []
    if (label === onStart && (!atStart.has(name) || settled.has(name))) return []
    if (desired === undefined) return [{ action: 'delete', name, uid: current.metadata.uid ?? '' }]
    return equalJson(current.spec, desired.spec) ? [] : [{ action: 'update', name, spec: desired.spec }]
  })
}

const labelOf = ({ metadata }: APIService): string | undefined => metadata.labels?.[managedLabel]

function localService(group: string, version: string, priority: Priority, label: string): APIService {
  return {
    metadata: { name: apiServiceName(group, version), labels: { [managedLabel]: label } },
    spec: { group, version, groupPriorityMinimum: priority.group, versionPriority: priority.version },
  }
}

/** The APIServices of everything that is built in or defined. */
export function wantedServices(
  groups: readonly { readonly group: string; readonly versions: readonly string[] }[],
  definitions: readonly CustomResourceDefinition[],
): ReadonlyMap<string, APIService> {
  const services: APIService[] = []
  for (const { spec } of definitions)
    for (const { name, served } of spec.versions) if (served) services.push(localService(spec.group, name, customPriority, always))
  for (const { group, versions } of groups)
    for (const version of versions) {
      const priority = builtInPriority(group, version)
      // The group of APIServices itself has none.
      if (priority !== undefined && group !== apiservices.group) services.push(localService(group, version, priority, onStart))
    }
  return new Map(services.map((service) => [service.metadata.name, service]))
}

/** Keeps the APIServices of what this server answers itself. */
export class LocalServices {
  readonly #core: ApiCore
  readonly #atStart: ReadonlySet<string>
  readonly #settled = new Set<string>()

  /** The caches must be filled: what is there now is what was there at the start. */
  constructor(core: ApiCore) {
    this.#core = core
    this.#atStart = new Set(core.objects.list(apiservices).map(({ metadata }) => metadata.name))
  }

  /** Does what the plan says, once. Rejects when a write fails; then it is to be called again. */
  async sync(): Promise<void> {
    const { objects, operations, table } = this.#core
    const wanted = wantedServices(table.groups, objects.list(customresourcedefinitions))
    const present = new Map(objects.list(apiservices).map((service) => [service.metadata.name, service]))
    const plans = planLocalServices({ wanted, present, atStart: this.#atStart, settled: this.#settled })
    const unsettled = new Set(plans.map((plan) => (plan.action === 'create' ? plan.service.metadata.name : plan.name)))
    for (const name of wanted.keys()) if (!unsettled.has(name)) this.#settled.add(name)
    await Promise.all(
      plans.map(async (plan) => {
        try {
          if (plan.action === 'create') await createIfMissing(() => operations.create(apiservices, structuredClone(plan.service)))
          else if (plan.action === 'delete') await operations.delete(apiservices, { namespace: '', name: plan.name }, { uid: plan.uid })
          else
            await operations.guaranteedUpdate(apiservices, { namespace: '', name: plan.name }, (service) => {
              service.spec = structuredClone(plan.spec)
            })
        } catch (error) {
          // Whoever was faster changed the cache: we are called again.
          if (!hasReason(error, 'NotFound', 'Conflict')) throw error
        }
        this.#settled.add(plan.action === 'create' ? plan.service.metadata.name : plan.name)
      }),
    )
  }
}
