import type { CustomResourceDefinition, CustomResourceDefinitionCondition } from '@k3s/api/types/apiextensions/v1'

export type ConditionType =
  | 'Established'
  | 'NamesAccepted'
  | 'NonStructuralSchema'
  | 'Terminating'
  | 'KubernetesAPIApprovalPolicyConformant'

export function findCondition({ status }: CustomResourceDefinition, type: ConditionType): CustomResourceDefinitionCondition | undefined {
  return status?.conditions?.find((condition) => condition.type === type)
}

export function isConditionTrue(definition: CustomResourceDefinition, type: ConditionType): boolean {
  return findCondition(definition, type)?.status === 'True'
}

/** A condition without its time. */
export interface WantedCondition {
  readonly type: ConditionType
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** Sets a condition in place; its time moves only with its status. */
export function setCondition(definition: CustomResourceDefinition, wanted: WantedCondition, now: string): void {
  const conditions = (statusOf(definition).conditions ??= [])
  const present = conditions.find(({ type }) => type === wanted.type)
  if (present === undefined) {
    conditions.push({ ...wanted, lastTransitionTime: now })
    return
  }
  if (present.status !== wanted.status) present.lastTransitionTime = now
  present.status = wanted.status
  present.reason = wanted.reason
  present.message = wanted.message
}

export function removeCondition(definition: CustomResourceDefinition, type: ConditionType): void {
  const status = statusOf(definition)
  status.conditions = (status.conditions ?? []).filter((condition) => condition.type !== type)
}

/** Whether a condition already says what is wanted. */
export function isSameCondition(present: CustomResourceDefinitionCondition | undefined, wanted: WantedCondition): boolean {
  return present?.status === wanted.status && present.reason === wanted.reason && present.message === wanted.message
}

/** The status of a definition, made when there is none. */
export function statusOf(definition: CustomResourceDefinition): NonNullable<CustomResourceDefinition['status']> {
  return (definition.status ??= { acceptedNames: { plural: '', kind: '' }, conditions: [], storedVersions: [] })
}
