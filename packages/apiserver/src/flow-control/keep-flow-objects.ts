import { hasReason, type KubernetesObject, type ResourceType } from '@k3s/api'
import { flowschemas, prioritylevelconfigurations, type FlowSchema, type PriorityLevelConfiguration } from '@k3s/api/types/flowcontrol/v1'
import { createIfMissing } from '../bootstrap/system-namespaces.ts'
import { copyJson, equalJson } from '../json.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { formatTime } from '../registry/write-scope.ts'
import { autoUpdateAnnotation, mandatoryObjects, suggestedObjects } from './bootstrap-objects.ts'

type Core = Pick<ApiCore, 'objects' | 'operations' | 'clock'>
type Configuration = KubernetesObject & { spec: object }

/** Keeps the objects that a cluster begins with, as upstream does: creates what is missing, brings specs up to date where the object allows it, deletes what older versions left. */
export async function keepFlowObjects(core: Core): Promise<void> {
  const [mandatory, suggested] = [mandatoryObjects(), suggestedObjects()]
  await Promise.all([
    ...mandatory.levels.map((level) => keep(core, prioritylevelconfigurations, level, true)),
    ...suggested.levels.map((level) => keep(core, prioritylevelconfigurations, level, false)),
    ...mandatory.schemas.map((schema) => keep(core, flowschemas, schema, true)),
    ...suggested.schemas.map((schema) => keep(core, flowschemas, schema, false)),
    removeLeftOvers(core, prioritylevelconfigurations, [...mandatory.levels, ...suggested.levels]),
    removeLeftOvers(core, flowschemas, [...mandatory.schemas, ...suggested.schemas]),
  ])
}

async function keep<T extends Configuration>(
  { objects, operations }: Core,
  type: ResourceType<T>,
  wanted: T,
  isMandatory: boolean,
): Promise<void> {
  const { name } = wanted.metadata
  const present = objects.get(type, '', name)
  if (present === undefined) return createIfMissing(() => operations.create(type, wanted))
  if (planRevision(present, wanted, isMandatory) === undefined) return
  await operations
    .guaranteedUpdate(type, { namespace: '', name }, (object) => {
      const revision = planRevision(object, wanted, isMandatory)
      if (revision === undefined) return
      object.metadata.annotations = { ...object.metadata.annotations, [autoUpdateAnnotation]: String(revision.follows) }
      if (revision.spec === undefined) return
      object.spec = revision.spec
      object.metadata.generation = (object.metadata.generation ?? 0) + 1
    })
    .catch((error: unknown) => {
      if (!hasReason(error, 'NotFound')) throw error // deleted meanwhile: the next round makes it anew
    })
}

/** What to change of an object that the cluster begins with; undefined: nothing. `spec` is the new one, when it must change. */
export function planRevision<T extends Configuration>(
  present: T,
  wanted: T,
  isMandatory: boolean,
): { readonly follows: boolean; readonly spec: T['spec'] | undefined } | undefined {
  const says = present.metadata.annotations?.[autoUpdateAnnotation]
  const said = says === 'true' ? true : says === 'false' ? false : undefined
  const follows = isMandatory || (said ?? present.metadata.generation === 1)
  const spec = { ...copyJson(wanted.spec), ...ownPart(present) }
  const differs = follows && !equalJson(spec, present.spec)
  if (said === follows && !differs) return undefined
  return { follows, spec: differs ? spec : undefined }
}

/** Shares of the exempt level are the operator's. */
function ownPart({ spec }: Configuration): object {
  return 'exempt' in spec ? { exempt: spec.exempt } : {}
}

async function removeLeftOvers<T extends Configuration>(
  { objects, operations }: Core,
  type: ResourceType<T>,
  wanted: readonly T[],
): Promise<void> {
  const names = new Set(wanted.map(({ metadata }) => metadata.name))
  const leftOver = objects
    .list(type)
    .filter(({ metadata }) => !names.has(metadata.name) && metadata.annotations?.[autoUpdateAnnotation] === 'true')
  await Promise.all(
    leftOver.map(async ({ metadata: { name, uid, resourceVersion } }) => {
      try {
        await operations.delete(type, { namespace: '', name }, { uid, resourceVersion })
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error
      }
    }),
  )
}

/** Says of each flow schema whether its level exists. */
export async function keepConditions({ objects, operations, clock }: Core): Promise<void> {
  const levels = new Set(objects.list(prioritylevelconfigurations).map(({ metadata }) => metadata.name))
  for (const { metadata, spec, status } of objects.list(flowschemas)) {
    if (danglingCondition({ spec, status }, levels) === undefined) continue
    await operations
      .guaranteedUpdate(flowschemas, { namespace: '', name: metadata.name }, (schema) => {
        const condition = danglingCondition(schema, levels)
        if (condition === undefined) return
        const present = schema.status?.conditions ?? []
        const before = present.find(({ type }) => type === condition.type)
        const lastTransitionTime = before?.status === condition.status ? before.lastTransitionTime : formatTime(clock.now())
        schema.status = {
          ...schema.status,
          conditions: [...present.filter(({ type }) => type !== condition.type), { ...condition, lastTransitionTime }],
        }
      })
      .catch((error: unknown) => {
        if (!hasReason(error, 'NotFound')) throw error // deleted meanwhile
      })
  }
}

/** The condition that a schema should have and has not. */
function danglingCondition(
  { spec, status }: Pick<FlowSchema, 'spec' | 'status'>,
  levels: ReadonlySet<string>,
): { readonly type: string; readonly status: string; readonly reason: string; readonly message: string } | undefined {
  const { name } = spec.priorityLevelConfiguration
  const isFound = levels.has(name)
  const references = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(name)}`
  const wanted = {
    type: 'Dangling',
    status: isFound ? 'False' : 'True',
    reason: isFound ? 'Found' : 'NotFound',
    message: isFound ? `${references} and it exists` : `${references} but there is no such object`,
  }
  const present = status?.conditions?.find(({ type }) => type === wanted.type)
  const isSame = present?.status === wanted.status && present.reason === wanted.reason && present.message === wanted.message
  return isSame ? undefined : wanted
}

/** Objects of a cluster's flow control, as they are now. */
export function flowObjects({ objects }: Core): {
  readonly schemas: readonly FlowSchema[]
  readonly levels: readonly PriorityLevelConfiguration[]
} {
  return { schemas: objects.list(flowschemas), levels: objects.list(prioritylevelconfigurations) }
}
