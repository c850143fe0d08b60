/** What conditions of workloads have in common. */
interface ConditionLike {
  readonly type: string
  readonly status: string
  readonly reason?: string | undefined
  readonly message?: string | undefined
  readonly lastTransitionTime?: string | undefined
}

export function findCondition<C extends ConditionLike>(conditions: readonly C[] | undefined, type: string): C | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/** True when the condition is there with status `True`. */
export function isConditionTrue(conditions: readonly ConditionLike[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True'
}

/**
 * The list with `condition` in it. One with the same status and reason stays as it was, unless `compareMessage`; the time of the last
 * transition moves with the status only.
 */
export function withCondition<C extends ConditionLike>(
  conditions: readonly C[] | undefined,
  condition: C,
  options: { readonly compareMessage?: boolean | undefined } = {},
): C[] {
  const list = conditions ?? []
  const index = list.findIndex(({ type }) => type === condition.type)
  const current = list[index]
  if (current === undefined) return [...list, condition]
  const isSame =
    current.status === condition.status &&
    current.reason === condition.reason &&
    (options.compareMessage !== true || current.message === condition.message)
  if (isSame) return [...list]
  const next = current.status === condition.status ? { ...condition, lastTransitionTime: current.lastTransitionTime } : condition
  return list.map((other, i) => (i === index ? next : other))
}

export function withoutCondition<C extends ConditionLike>(conditions: readonly C[] | undefined, type: string): C[] {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}
