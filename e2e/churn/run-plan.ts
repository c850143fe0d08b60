import { setTimeout as sleep } from 'node:timers/promises'
import { isStatusError } from '@k3s/api'
import type { Operation } from './planning.ts'
import type { Side } from './side.ts'

/** Why an operation failed; undefined: it did not. By its place in the plan. */
export type Outcomes = (string | undefined)[]

/** Does to a side what the plan says, each operation at its time or, when its lane is late, as soon as that is free. Resolves when all are done or the signal aborts. */
export async function runPlan(side: Side, plan: readonly Operation[], signal: AbortSignal): Promise<Outcomes> {
  const outcomes: Outcomes = []
  const lanes = new Map<string, Promise<void>>()
  const began = performance.now()
  for (const [index, operation] of plan.entries()) {
    await sleep(Math.max(0, operation.atMs - (performance.now() - began)), undefined, { signal }).catch(() => {}) // aborted
    if (signal.aborted) break
    const before = lanes.get(operation.lane) ?? Promise.resolve()
    lanes.set(
      operation.lane,
      before.then(async () => {
        try {
          if (!signal.aborted) await operation.run(side)
        } catch (error) {
          outcomes[index] = isStatusError(error) ? `${error.reason}: ${error.message}` : String(error)
        }
      }),
    )
  }
  await Promise.all(lanes.values())
  return outcomes
}
