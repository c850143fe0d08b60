/**
 * Why no node is right for a pod, in upstream's words:
 * `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: …`
 *
 * @param reasons one entry for each reason of each node.
 */
export function fitMessage(options: {
  readonly nodes: number
  readonly reasons?: Iterable<string> | undefined
  /** A reason that holds for the pod wherever it goes: then `reasons` are not told. */
  readonly podReason?: string | undefined
  /** What preemption says. */
  readonly preemption?: string | undefined
}): string {
  const { nodes, reasons = [], podReason, preemption } = options
  let message = `0/${nodes} nodes are available:`
  if (podReason !== undefined) message += ` ${podReason}.`
  else {
    const counts = new Map<string, number>()
    for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
    // Sorted as texts, numbers and all, as upstream does.
    const parts = [...counts].map(([reason, count]) => `${count} ${reason}`).toSorted((a, b) => (a < b ? -1 : 1))
    if (parts.length > 0) message += ` ${parts.join(', ')}.`
  }
  return preemption === undefined ? message : `${message} ${preemption}`
}
